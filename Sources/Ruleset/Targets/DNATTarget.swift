// `-j DNAT`: binds the destination of a connection (iptables-extensions(8), DNAT).

import NAT

/// Rewrites the destination of a connection's packets to one of a range.
public struct DNATTarget: RuleTarget {
  public static let name = "DNAT"
  public static let tables: [TableName]? = [.nat]
  public static let options = [
    OptionRule("--to-destination", isRequired: true), OptionRule("--random", arguments: 0),
    OptionRule("--persistent", arguments: 0),
  ]

  public var range = NATRange()

  public init() {}

  public var requiredChains: [BuiltInChain]? { [.prerouting, .output] }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    if use.arguments.isEmpty {
      range.takeFlag(use.name)
    } else {
      try range.takeTarget(use.argument, scope.family, allowsBase: true)
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    try range.checkPorts(scope)
  }

  public func write(to text: inout RuleText) {
    text.add("--to-destination", range.targetText(text.family))
    range.writeFlags(to: &text)
  }

  public func list(to text: inout ListText) {
    text.add("to:" + range.targetText(text.family))
    range.listFlags(to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.destinationNAT, a: compiler.add(range)))
  }
}
