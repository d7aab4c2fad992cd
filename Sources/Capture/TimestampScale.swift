// From an interface's timestamps (`if_tsresol`, `if_tsoffset`) to nanoseconds since 1970, for both
// formats. Computed once an interface, so that a packet costs one multiplication or division.

/// How one interface counts time.
struct TimestampScale: Hashable, Sendable {
  private enum Unit: Hashable, Sendable {
    /// Ticks of this many nanoseconds.
    case nanoseconds(UInt64)
    /// This many ticks in a nanosecond.
    case perNanosecond(UInt64)
    /// Ticks of 2 to the minus this many seconds.
    case binary(UInt64)
    /// Ticks too short for a 64-bit count of them to reach a nanosecond.
    case tooShort
  }

  private let unit: Unit
  private let offsetSeconds: Int64

  /// Microseconds: what both formats mean when they say nothing.
  static let microseconds = TimestampScale(resolution: 6, offsetSeconds: 0)
  static let nanoseconds = TimestampScale(resolution: 9, offsetSeconds: 0)

  /// `resolution` as `if_tsresol` has it: a power of ten, or with the top bit set a power of two,
  /// negated (pcapng, section 4.2).
  init(resolution: UInt8, offsetSeconds: Int64) {
    self.offsetSeconds = offsetSeconds
    let exponent = Int(resolution & 0x7f)
    if resolution & 0x80 != 0 {
      unit = .binary(UInt64(exponent))
    } else if exponent <= 9 {
      unit = .nanoseconds(TimestampScale.powerOfTen(9 - exponent))
    } else if exponent <= 9 + 19 {
      unit = .perNanosecond(TimestampScale.powerOfTen(exponent - 9))
    } else {
      unit = .tooShort
    }
  }

  /// Nanoseconds since 1970; the nearest `Int64` where it does not hold them.
  @inline(__always)
  func nanoseconds(ticks: UInt64) -> Int64 {
    if case .nanoseconds(let length) = unit, offsetSeconds == 0 {
      let (product, overflow) = ticks.multipliedReportingOverflow(by: length)
      return overflow ? .max : Int64(clamping: product)
    }
    return rareNanoseconds(ticks)
  }

  @inline(never)
  private func rareNanoseconds(_ ticks: UInt64) -> Int64 {
    let sinceOffset: Int128 =
      switch unit {
      case .nanoseconds(let length): Int128(ticks) * Int128(length)
      case .perNanosecond(let count): Int128(ticks / count)
      // At most 64 + 30 bits before the shift; a shift by more than all of them gives 0.
      case .binary(let exponent): (Int128(ticks) * 1_000_000_000) >> Int128(exponent)
      case .tooShort: 0
      }
    return Int64(clamping: sinceOffset + Int128(offsetSeconds) * 1_000_000_000)
  }

  private static func powerOfTen(_ exponent: Int) -> UInt64 {
    (0..<exponent).reduce(1) { power, _ in power * 10 }
  }
}
