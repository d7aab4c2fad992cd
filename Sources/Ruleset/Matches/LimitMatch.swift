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

  /// The rate in the largest unit that shows it without losing more than the next would.
  private static func text(_ average: UInt32) -> String {
    let scaled: [(name: String, period: UInt64)] = [
      ("day", 864_000_000), ("hour", 36_000_000), ("min", 600_000), ("sec", 10_000),
    ]
    let value = UInt64(max(1, average))
    var chosen = scaled[0]
    for unit in scaled.dropFirst() {
      if value > unit.period || unit.period / value < unit.period % value { break }
      chosen = unit
    }
    return "\(chosen.period / value)/\(chosen.name)"
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(
      RuleTest(
        .limit, a: compiler.addBucket(averageUnits: UInt64(average), burst: UInt64(burst))))
  }
}
