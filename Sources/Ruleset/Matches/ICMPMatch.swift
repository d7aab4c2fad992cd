// `-m icmp`: the type and code of an ICMP message (iptables-extensions(8), icmp).

import Wire

/// An ICMP type.
public struct ICMPMatch: RuleMatch {
  public static let name = "icmp"
  public static let families: [AddressFamily] = [.ipv4]
  public static let options = [OptionRule("--icmp-type", isInvertible: true, isRequired: true)]

  public var condition: ICMPTypeCondition?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    condition = try ICMPTypeCondition(use, names: ICMPTypes.version4, kind: "ICMP")
    // Type 255 is no type: it stands for any, whatever its code.
    if condition?.type == 255 { condition?.code = nil }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard scope.protocolNumber == 1 else { throw scope.word.problem("`-m icmp` needs `-p icmp`") }
  }

  public func write(to text: inout RuleText) {
    guard let condition else { return }
    text.add(
      "--icmp-type", condition.type == 255 ? "any" : condition.text,
      isInverted: condition.isInverted)
  }

  public func list(to text: inout ListText) {
    condition?.list("icmp", names: ICMPTypes.version4, to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(RuleTest(.header, a: 8))
    guard let condition else { return }
    if condition.type == 255 {
      compiler.add(RuleTest(.always, isInverted: condition.isInverted))
    } else {
      condition.compile(into: &compiler)
    }
  }
}
