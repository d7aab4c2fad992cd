// `-j REDIRECT`: binds the destination to this host (iptables-extensions(8), REDIRECT).

import NAT

/// Rewrites the destination of a connection's packets to this host.
public struct RedirectTarget: RuleTarget {
  public static let name = "REDIRECT"
  public static let tables: [TableName]? = [.nat]
  public static let options = [
    OptionRule("--to-ports"), OptionRule("--random", arguments: 0),
  ]

  public var range = NATRange()

  public init() {}

  public var requiredChains: [BuiltInChain]? { [.prerouting, .output] }

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
    if range.options.contains(.portsSpecified) { text.add("redir ports", range.portText) }
    range.listFlags(to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.redirect, a: compiler.add(range)))
  }
}
