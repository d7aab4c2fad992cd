// Translated flows: few clients on few ports, so that bindings collide.

import Conntrack
import Wire

enum NATGenerator {
  /// An address before `:port`.
  private static func bracketed(_ address: IPAddress, _ family: AddressFamily) -> String {
    family == .ipv4 ? address.text(family) : "[\(address.text(family))]"
  }

  static func rules(_ chooser: inout Chooser, _ family: AddressFamily) -> [String] {
    var rules = ["-t nat"]
    func add(_ rule: String) { rules.append("-t nat -A \(rule)") }
    for number in ["tcp", "udp"] where chooser.chance(12) {
      add("POSTROUTING -o wan0 -p \(number) -m \(number) --dport 443 -j RETURN")
    }
    let spare = Network.spare.map { Network.host($0, .wan, family) }
    let home = family == .ipv4 ? "10.0.1.0/24" : "fd00:1::/64"
    let sources = [
      "-o wan0 -j MASQUERADE", "-s \(home) -o wan0 -j MASQUERADE",
      "-o wan0 -p udp -j MASQUERADE --to-ports 2000-2007",
      "-o wan0 -p tcp -j MASQUERADE --to-ports 3000-3003 --random",
      "-o wan0 -j SNAT --to-source \(spare[0].text(family))",
      "-o wan0 -p udp -j SNAT --to-source \(bracketed(spare[0], family)):5000-5003",
      "-o wan0 -p tcp -j SNAT --to-source \(bracketed(spare[0], family)):5000-5001",
      "-o wan0 -p tcp -m tcp --dport 80 -j SNAT --to-source \(bracketed(spare[1], family)):7000",
      "-o wan0 -j MASQUERADE --random-fully", "-j MASQUERADE", "-o lan0 -j MASQUERADE", "",
    ]
    let source = chooser.of(sources)
    if !source.isEmpty { add("POSTROUTING \(source)") }
    if source.contains("-p ") { add("POSTROUTING -o wan0 -j MASQUERADE") }
    for _ in 0..<chooser.of([0, 1, 2]) {
      let name = chooser.of(["tcp", "udp"])
      let port = chooser.of([22, 53, 80, 443, 8080])
      let server = Network.host(6, .lan, family)
      let targets = [
        "DNAT --to-destination \(server.text(family))",
        "DNAT --to-destination \(bracketed(server, family)):\(chooser.of([80, 8000]))",
        "DNAT --to-destination \(bracketed(server, family)):90-93", "REDIRECT",
        "REDIRECT --to-ports 3128",
        "DNAT --to-destination \(bracketed(Network.host(6, .wan, family), family)):53",
      ]
      add("PREROUTING -p \(name) -m \(name) --dport \(port) -j \(chooser.of(targets))")
    }
    return rules
  }

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    test.rules = rules(&chooser, family)
    if chooser.chance(20) {
      test.sysctls.append(
        ConformanceCase.Sysctl(name: "net.netfilter.nf_conntrack_acct", value: "1"))
    }
    (test.flows, test.steps) = traffic(&chooser, family)
    return test
  }

  /// Flows of all kinds, some of them to the router and to the server behind it.
  static func traffic(
    _ chooser: inout Chooser, _ family: AddressFamily
  ) -> (flows: [Flow], steps: [Step]) {
    traffic(&chooser, family) { chooser, kind in
      var flow = Flow.make(&chooser, kind, family)
      if flow.port == .wan && chooser.chance(80) {
        flow.destination.address = chooser.of([
          Network.router(.wan, family), Network.router(.wan, family),
          Network.host(6, .lan, family),
        ])
      }
      return flow
    }
  }

  /// Packets of all kinds, of the flows that `makeFlow` makes.
  static func traffic(
    _ chooser: inout Chooser, _ family: AddressFamily,
    _ makeFlow: (inout Chooser, Flow.Kind) -> Flow
  ) -> (flows: [Flow], steps: [Step]) {
    var flows: [Flow] = []
    var lists: [[Step]] = []
    for index in 0..<chooser.of([2, 3, 5]) {
      let flow = makeFlow(&chooser, chooser.of([.tcp, .udp, .udp, .echo]))
      flows.append(flow)
      var steps: [Step] = []
      switch flow.kind {
      case .tcp:
        var conversation = TCPConversation(&chooser, flow: index)
        steps = conversation.steps(&chooser, count: chooser.of([6, 12]), oddities: 10)
      case .udp:
        for _ in 0..<chooser.of([3, 8]) {
          steps.append(DatagramGenerator.udpStep(&chooser, flow: index))
        }
      case .echo:
        for _ in 0..<chooser.of([3, 6]) {
          steps.append(DatagramGenerator.echoStep(&chooser, flow: index))
        }
      case .sctp:
        var association = SCTPAssociation(&chooser, flow: index)
        steps = association.steps(&chooser, count: chooser.of([4, 8]), oddities: 10)
      case .lite:
        for _ in 0..<chooser.of([3, 6]) {
          steps.append(ProtocolsGenerator.liteStep(&chooser, flow: index))
        }
      case .raw:
        for _ in 0..<chooser.of([2, 4]) {
          steps.append(ProtocolsGenerator.rawStep(&chooser, 47, flow: index, flows))
        }
      }
      for _ in 0..<chooser.of([0, 0, 1, 3]) {
        steps.insert(
          DatagramGenerator.errorStep(&chooser, flow: index, family),
          at: chooser.number(1...steps.count))
      }
      for at in steps.indices where chooser.chance(3) {
        steps[at].hopLimit = chooser.of([1, 1, 2, 255])
      }
      lists.append(steps)
    }
    return (flows, merge(&chooser, lists))
  }
}
