// A moment as a calendar shows it, in the form of ctime(3). For `-o ktimestamp`, `-o xml`
// and the comments of `iptables-save`.

/// Date and time of day of a count of seconds since 1970 (proleptic Gregorian calendar).
public struct CalendarTime: Hashable, Sendable {
  var year: Int64
  /// 1 to 12.
  var month: Int64
  /// 1 to 31.
  var day: Int64
  /// 0 (Sunday) to 6.
  var weekday: Int64
  var hour: Int64
  var minute: Int64
  var second: Int64

  public init(secondsSince1970 seconds: Int64) {
    var days = seconds / 86400
    var rest = seconds % 86400
    if rest < 0 {
      rest += 86400
      days -= 1
    }
    hour = rest / 3600
    minute = rest / 60 % 60
    second = rest % 60
    weekday = ((days + 4) % 7 + 7) % 7  // 1 January 1970 was a Thursday.
    // Count in years that begin in March, so that the leap day is the last; 400 years have 146097
    // days. Int64 seconds give at most about 1e14 days: nothing here overflows.
    let sinceMarch = days + 719_468
    let era = (sinceMarch >= 0 ? sinceMarch : sinceMarch - 146_096) / 146_097
    let dayOfEra = sinceMarch - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// `Tue Nov 24 12:38:09 2026`.
  public var text: String {
    var buffer: [UInt8] = []
    append(to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// The same.
  func append(to buffer: inout [UInt8]) {
    buffer.append(CalendarTime.weekdays[Int(weekday)])
    buffer.append(UInt8(ascii: " "))
    buffer.append(CalendarTime.months[Int(month) - 1])
    buffer.append(day < 10 ? "  " : " ")
    buffer.append(decimal: UInt64(day))
    buffer.append(UInt8(ascii: " "))
    buffer.append(decimal: UInt64(hour), digits: 2)
    buffer.append(UInt8(ascii: ":"))
    buffer.append(decimal: UInt64(minute), digits: 2)
    buffer.append(UInt8(ascii: ":"))
    buffer.append(decimal: UInt64(second), digits: 2)
    buffer.append(UInt8(ascii: " "))
    buffer.append(decimal: UInt64(max(0, year)))
  }

  private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
  private static let months = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]
}
