// `-j MASQUERADE`: binds the source to the out interface's address (iptables-extensions(8),
// MASQUERADE).

import NAT

/// Rewrites the source of a connection's packets to the address of the interface they leave by.
public struct MasqueradeTarget: RuleTarget {
  public static let name = "MASQUERADE"
  public static let tables: [TableName]? = [.nat]
  public static let options = [
    OptionRule("--to-ports"), OptionRule("--random", arguments: 0),
    OptionRule("--random-fully", arguments: 0),
  ]

  public var range = NATRange()

  public init() {}

  public var requiredChains: [BuiltInChain]? { [.postrouting] }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    if use.arguments.isEmpty {
      range.takeFlag(use.name)
    } else {
      try range.takePorts(use.argument)
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    try range.checkPorts(scope)
  }

  public func write(to text: inout RuleText) {
    if range.options.contains(.portsSpecified) { text.add("--to-ports", range.portText) }
    range.writeFlags(to: &text)
  }

  public func list(to text: inout ListText) {
    if range.options.contains(.portsSpecified) { text.add("masq ports:", range.portText) }
    range.listFlags(to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.masquerade, a: compiler.add(range)))
  }
}
