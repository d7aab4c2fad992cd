// `-m connmark`: the connection's mark (iptables-extensions(8), connmark).

/// A connection mark under a mask; a packet without connection has none.
public struct ConnmarkMatch: RuleMatch {
  public static let name = "connmark"
  public static let options = [OptionRule("--mark", isInvertible: true, isRequired: true)]

  public var value: UInt32 = 0
  public var mask: UInt32 = .max
  public var isInverted = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    (value, mask) = try use.argument.mark()
    isInverted = use.isInverted
  }

  public func write(to text: inout RuleText) {
    text.add("--mark", RuleText.mark(value, mask), isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    text.add("connmark match \(isInverted ? "!" : "") \(RuleText.mark(value, mask))")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(RuleTest(.connection))
    compiler.add(
      .masked(.connectionMark, UInt64(value), mask: UInt64(mask), isInverted: isInverted))
  }
}
