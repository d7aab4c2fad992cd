// `-m icmp6`: the type and code of an ICMPv6 message (iptables-extensions(8), icmp6).

import Wire

/// An ICMPv6 type.
public struct ICMP6Match: RuleMatch {
  public static let name = "icmp6"
  public static let aliases = ["icmpv6", "ipv6-icmp"]
  public static let families: [AddressFamily] = [.ipv6]
  public static let options = [OptionRule("--icmpv6-type", isInvertible: true, isRequired: true)]

  public var condition: ICMPTypeCondition?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    condition = try ICMPTypeCondition(use, names: ICMPTypes.version6, kind: "ICMPv6")
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard scope.protocolNumber == IPProtocolNumber.icmpv6 else {
      throw scope.word.problem("`-m icmp6` needs `-p icmpv6`")
    }
  }

  public func write(to text: inout RuleText) {
    guard let condition else { return }
    text.add("--icmpv6-type", condition.text, isInverted: condition.isInverted)
  }

  public func list(to text: inout ListText) {
    condition?.list("ipv6-icmp", names: ICMPTypes.version6, to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(RuleTest(.header, a: 8))
    condition?.compile(into: &compiler)
  }
}
