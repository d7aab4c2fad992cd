// `-m tcpmss`: the MSS a TCP header announces (iptables-extensions(8), tcpmss).

/// A range of MSS values; a header without the option is in none.
public struct TCPMSSMatch: RuleMatch {
  public static let name = "tcpmss"
  public static let options = [OptionRule("--mss", isInvertible: true, isRequired: true)]

  public var low: UInt16 = 0
  public var high: UInt16 = 0
  public var isInverted = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let range = try use.argument.range(upTo: 65535)
    guard range.low <= range.high else { throw use.argument.problem("the range runs backwards") }
    low = UInt16(range.low)
    high = UInt16(range.high)
    isInverted = use.isInverted
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard scope.protocolNumber == 6 else { throw scope.word.problem("`-m tcpmss` needs `-p tcp`") }
  }

  public func write(to text: inout RuleText) {
    text.add("--mss", low == high ? "\(low)" : "\(low):\(high)", isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    text.add("tcpmss match", low == high ? "\(low)" : "\(low):\(high)", sign: isInverted)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.uses.insert(.tcpOptions)
    compiler.add(RuleTest(.header, a: 20))
    compiler.add(RuleTest(.readableOptions))
    compiler.add(.range(.tcpMSS, UInt64(low), UInt64(high), isInverted: isInverted))
  }
}
