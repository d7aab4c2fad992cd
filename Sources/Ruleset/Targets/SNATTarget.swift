// `-j SNAT`: binds the source of a connection (iptables-extensions(8), SNAT).

import NAT

/// Rewrites the source of a connection's packets to one of a range.
public struct SNATTarget: RuleTarget {
  public static let name = "SNAT"
  public static let tables: [TableName]? = [.nat]
  public static let options = [
    OptionRule("--to-source", isRequired: true), OptionRule("--random", arguments: 0),
    OptionRule("--random-fully", arguments: 0), OptionRule("--persistent", arguments: 0),
  ]

  public var range = NATRange()

  public init() {}

  public var requiredChains: [BuiltInChain]? { [.postrouting, .input] }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    if use.arguments.isEmpty {
      range.takeFlag(use.name)
    } else {
      try range.takeTarget(use.argument, scope.family, allowsBase: false)
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    try range.checkPorts(scope)
  }

  public func write(to text: inout RuleText) {
    text.add("--to-source", range.targetText(text.family))
    range.writeFlags(to: &text)
  }

  public func list(to text: inout ListText) {
    text.add("to:" + range.targetText(text.family))
    range.listFlags(to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.sourceNAT, a: compiler.add(range)))
  }
}
