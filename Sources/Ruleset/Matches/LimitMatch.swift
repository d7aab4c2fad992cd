// `-m limit`: so many packets in a time, after a burst (iptables-extensions(8), limit).

/// A rate, by token bucket.
public struct LimitMatch: RuleMatch {
  public static let name = "limit"
  public static let options = [OptionRule("--limit"), OptionRule("--limit-burst")]

  /// The time one packet takes, in 1/10000 s; 3 an hour unless said.
  public var average: UInt32 = 12_000_000
  /// Packets at once, 1 to 10000.
  public var burst: UInt32 = 5

  public init() {}

  private static let units: [(name: String, seconds: UInt64)] = [
    ("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400),
  ]

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    if use.name == "--limit" {
      average = try Self.average(use.argument)
    } else {
      let value = try use.argument.number(upTo: 10_000)
      // 0 is taken for the default.
      burst = value == 0 ? 5 : UInt32(value)
    }
  }

  /// `number[/second|/minute|/hour|/day]`, each unit down to its first letter.
  private static func average(_ word: Word) throws(RulesetError) -> UInt32 {
    let (number, unitWord) = word.cut(at: "/")
    var seconds: UInt64 = 1
    if let unitWord {
      let text = unitWord.text.lowercased()
      guard !text.isEmpty, let unit = units.first(where: { $0.name.hasPrefix(text) }) else {
        throw unitWord.problem(
          "a rate is so many a second, minute, hour or day", known: units.map(\.name))
      }
      seconds = unit.seconds
    }
    guard number.text.utf8.allSatisfy({ (48...57).contains($0) }),
      let rate = UInt64(number.text), rate > 0
    else { throw number.problem("`\(number.text)` is not a number of packets") }
    guard rate <= 10_000 * seconds else {
      throw word.problem("the rate is too fast: at most 10000 a second")
    }
    return UInt32(10_000 * seconds / rate)
  }

  public func write(to text: inout RuleText) {
    text.add("--limit", Self.text(average))
    if burst != 5 { text.add("--limit-burst", "\(burst)") }
  }

  public func list(to text: inout ListText) {
    text.add("limit: avg \(Self.text(average)) burst \(burst)")
  }

  private static func text(_ average: UInt32) -> String {
    let rate = rate(average)
    let unit = [1: "sec", 60: "min", 3600: "hour"][rate.seconds] ?? "day"
    return "\(rate.packets)/\(unit)"
  }

  /// The rate in the smallest unit that shows it without losing more than the next larger would.
  private static func rate(_ average: UInt32) -> (packets: UInt64, seconds: UInt64) {
    let value = UInt64(max(1, average))
    var seconds: UInt64 = 86_400
    for smaller in [3600, 60, 1] as [UInt64] {
      let period = smaller * 10_000
      if value > period || period / value < period % value { break }
      seconds = smaller
    }
    return (seconds * 10_000 / value, seconds)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    let bucket = compiler.addBucket(
      averageUnits: UInt64(average), rate: Self.rate(average), burst: UInt64(burst))
    compiler.add(RuleTest(.limit, a: bucket))
  }
}
