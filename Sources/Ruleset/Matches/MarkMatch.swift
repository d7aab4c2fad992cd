// `-m mark`: the packet's mark (iptables-extensions(8), mark).

/// A mark under a mask.
public struct MarkMatch: RuleMatch {
  public static let name = "mark"
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
    text.add("mark match \(isInverted ? "! " : "")\(RuleText.mark(value, mask))")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(.masked(.mark, UInt64(value), mask: UInt64(mask), isInverted: isInverted))
  }
}

extension RuleText {
  /// `0xvalue`, with `/0xmask` where the mask is not whole.
  static func mark(_ value: UInt32, _ mask: UInt32) -> String {
    mask == .max ? Numbers.hex(value) : "\(Numbers.hex(value))/\(Numbers.hex(mask))"
  }
}
