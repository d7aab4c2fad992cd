// `-m statistic`: some packets of many, at random or in turn (iptables-extensions(8), statistic).

/// A share of the packets.
public struct StatisticMatch: RuleMatch {
  public static let name = "statistic"
  public static let options = [
    OptionRule("--mode", isRequired: true),
    OptionRule("--probability", isInvertible: true, excludes: ["--every", "--packet"]),
    OptionRule("--every", isInvertible: true, excludes: ["--probability"]),
    OptionRule("--packet", excludes: ["--probability"]),
  ]

  public enum Mode: Hashable, Sendable {
    /// So many of 2^31 packets.
    case random(UInt32)
    /// One packet of `every`; `packet` says which is the first.
    case nth(every: UInt32, packet: UInt32)
  }

  public var mode = Mode.random(0)
  public var isInverted = false
  private var modeName = ""
  private var probability: UInt32?
  private var every: UInt32?
  private var packet: UInt32?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let word = use.argument
    switch use.name {
    case "--mode":
      guard ["random", "nth"].contains(word.text) else {
        throw word.problem("a mode is random or nth", known: ["random", "nth"])
      }
      modeName = word.text
    case "--probability":
      guard let value = Double(word.text), value >= 0, value <= 1 else {
        throw word.problem("a probability lies between 0 and 1")
      }
      probability = UInt32(value * 0x8000_0000 + 0.5)
      isInverted = use.isInverted
    case "--every":
      every = UInt32(try word.number(upTo: 0xFFFF_FFFF))
      guard every != 0 else { throw word.problem("`--every` is at least 1") }
      isInverted = use.isInverted
    default:
      packet = UInt32(try word.number(upTo: 0xFFFF_FFFF))
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    if modeName == "random" {
      guard let probability else {
        throw scope.word.problem("`--mode random` needs `--probability`")
      }
      mode = .random(probability)
    } else {
      guard let every, let packet else {
        throw scope.word.problem("`--mode nth` needs `--every` and `--packet`")
      }
      guard packet < every else {
        throw scope.word.problem("`--packet` is below `--every`")
      }
      mode = .nth(every: every, packet: packet)
    }
    // Only the mode counts from here on, so that equal rules are equal.
    (modeName, probability, every, packet) = ("", nil, nil, nil)
  }

  public func write(to text: inout RuleText) {
    switch mode {
    case .random(let share):
      text.add("--mode random")
      text.add("--probability", Self.text(share), isInverted: isInverted)
    case .nth(let every, let packet):
      text.add("--mode nth")
      text.add("--every", "\(every)", isInverted: isInverted)
      text.add("--packet", "\(packet)")
    }
  }

  public func list(to text: inout ListText) {
    text.add("statistic mode")
    let sign = isInverted ? "! " : ""
    switch mode {
    case .random(let share): text.add("random \(sign)probability \(Self.text(share))")
    case .nth(let every, let packet): text.add("nth \(sign)every \(every) packet \(packet)")
    }
  }

  /// A share of 2^31 with eleven decimals.
  private static func text(_ share: UInt32) -> String {
    // share / 2^31 × 10^11, rounded to even as printf does: at most 2^31 × 10^11 < 2^68, so the
    // division comes in two steps.
    let scaled = UInt64(share).multipliedFullWidth(by: 100_000_000_000)
    var (value, rest) = UInt64(0x8000_0000).dividingFullWidth(scaled)
    if rest > 0x4000_0000 || (rest == 0x4000_0000 && value & 1 == 1) { value += 1 }
    rest = value % 100_000_000_000
    let digits = String(rest)
    return "\(value / 100_000_000_000)." + String(repeating: "0", count: 11 - digits.count)
      + digits
  }

  public func compile(into compiler: inout RulesetCompiler) {
    switch mode {
    case .random(let share):
      compiler.add(RuleTest(.random, isInverted: isInverted, b: UInt64(share)))
    case .nth(let every, let packet):
      compiler.add(
        RuleTest(
          .everyNth, isInverted: isInverted,
          a: compiler.addCounter(every: every, packet: packet)))
    }
  }
}
