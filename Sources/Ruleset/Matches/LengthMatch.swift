// `-m length`: a packet's length (iptables-extensions(8), length).

/// A length, with the IP header.
public struct LengthMatch: RuleMatch {
  public static let name = "length"
  public static let options = [OptionRule("--length", isInvertible: true, isRequired: true)]

  public var low: UInt16 = 0
  /// May be below `low`: then nothing matches.
  public var high: UInt16 = 0
  public var isInverted = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let range = try use.argument.range(upTo: 65535)
    low = UInt16(range.low)
    high = UInt16(range.high)
    isInverted = use.isInverted
  }

  public func write(to text: inout RuleText) {
    text.add("--length", low == high ? "\(low)" : "\(low):\(high)", isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    text.add("length", low == high ? "\(low)" : "\(low):\(high)", sign: isInverted)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(.range(.length, UInt64(low), UInt64(high), isInverted: isInverted))
  }
}
