// `-m udp`: the ports of a UDP header (iptables-extensions(8), udp).

/// Ports of UDP.
public struct UDPMatch: RuleMatch {
  public static let name = "udp"
  public static let options = [
    OptionRule("--source-port", aliases: ["--sport"], isInvertible: true),
    OptionRule("--destination-port", aliases: ["--dport"], isInvertible: true),
  ]

  public var source: PortCondition?
  public var destination: PortCondition?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    if use.name == "--source-port" {
      source = try PortCondition(use)
    } else {
      destination = try PortCondition(use)
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard scope.protocolNumber == 17 else { throw scope.word.problem("`-m udp` needs `-p udp`") }
    // What says nothing is left out, so that rules that say the same are equal.
    if source?.isWhole == true { source = nil }
    if destination?.isWhole == true { destination = nil }
  }

  public func write(to text: inout RuleText) {
    text.add("--sport", source)
    text.add("--dport", destination)
  }

  public func list(to text: inout ListText) {
    text.add("udp")
    text.add("s", source)
    text.add("d", destination)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    // nftables itself reads ports, each alone; it asks the older match where no port is given.
    let ports = [source, destination].compactMap { $0 }
    let readsAlone = compiler.dialect == .nftables && !ports.allSatisfy(\.isWhole)
    if !readsAlone { compiler.add(RuleTest(.header, a: 8)) }
    source?.compile(.sourcePort, readsAlone: readsAlone, into: &compiler)
    destination?.compile(.destinationPort, readsAlone: readsAlone, into: &compiler)
  }
}
