// Packets of the router itself: flows that begin or end there, with NAT and rules in OUTPUT, INPUT and
// on the loopback.

import Conntrack
import Wire

enum LocalGenerator {
  /// A flow with the router at one end, seldom at both.
  static func flow(
    _ chooser: inout Chooser, _ kind: Flow.Kind, _ family: AddressFamily
  ) -> Flow {
    let port = chooser.of([Port.lan, .wan])
    var flow = Flow.make(&chooser, kind, family, port: port)
    let near = Network.router(port, family)
    let far = Network.router(port.other, family)
    switch chooser.number(0...9) {
    case 0...3:
      // To the router, by the address of either side.
      flow.destination.address = chooser.of([near, near, far])
    case 4...7:
      // From the router, mostly with the address of the side the packet leaves by.
      let others = [
        Network.host(chooser.number(2...4), .lan, family),
        Network.host(chooser.number(2...4), .wan, family),
        Network.distant(chooser.number(1...3), family),
      ]
      let other = chooser.of(others)
      let side = Network.side(of: other, family)
      flow.port = .host
      flow.destination.address = other
      flow.source.address = Network.router(chooser.chance(85) ? side : side.other, family)
    case 8:
      // From the router to itself.
      let own = [
        Network.router(.lan, family), Network.router(.wan, family), Network.loopback(family),
      ]
      flow.port = .host
      flow.source.address = chooser.of(own)
      flow.destination.address = chooser.chance(60) ? flow.source.address : chooser.of(own)
    default:
      if chooser.chance(60) { sendToAll(&chooser, &flow, family) }
    }
    return flow
  }

  /// From the router to everyone on a link, or to a group, its own or not.
  private static func sendToAll(
    _ chooser: inout Chooser, _ flow: inout Flow, _ family: AddressFamily
  ) {
    let groups =
      family == .ipv4
      ? [
        "10.0.1.255", "198.51.100.255", "10.0.1.0", "255.255.255.255", "224.0.0.1", "224.0.0.2",
        "239.1.1.1",
      ] : ["ff02::1", "ff02::2", "ff05::2", "ff02::9", "ff0e::1234"]
    flow.port = .host
    flow.destination.address = IPAddress.parse(chooser.of(groups)[...], family) ?? .any
    flow.source.address = Network.router(chooser.of([.lan, .wan]), family)
  }

  static func rules(_ chooser: inout Chooser, _ family: AddressFamily) -> [String] {
    var rules = chooser.chance(70) ? NATGenerator.rules(&chooser, family) : ["-t nat"]
    func bracketed(_ address: IPAddress) -> String {
      family == .ipv4 ? address.text(family) : "[\(address.text(family))]"
    }
    func own() -> IPAddress { Network.router(chooser.of([.lan, .wan]), family) }
    for _ in 0..<chooser.of([0, 1, 1, 2]) {
      let name = chooser.of(["tcp", "udp"])
      let port = chooser.of(["", "", " -m \(name) --dport \(chooser.of([22, 53, 80, 443]))"])
      let servers = [
        Network.host(6, .lan, family), Network.host(6, .wan, family),
        Network.distant(1, family), own(), Network.loopback(family),
      ]
      let server = chooser.of(servers)
      let targets = [
        "DNAT --to-destination \(server.text(family))",
        "DNAT --to-destination \(bracketed(server)):\(chooser.of([80, 8000]))",
        "REDIRECT", "REDIRECT --to-ports 3128",
      ]
      rules.append("-t nat -A OUTPUT -p \(name)\(port) -j \(chooser.of(targets))")
    }
    if chooser.chance(10) { rules.append("-t nat -A OUTPUT -o wan0 -j ACCEPT") }
    for _ in 0..<chooser.of([0, 0, 1]) {
      let name = chooser.of(["", " -p tcp", " -p udp"])
      let address = chooser.of([
        Network.host(7, .lan, family), Network.host(7, .wan, family), own(),
      ])
      let interface = chooser.of(["", " -i lan0", " -i lo"])
      let suffix = name.isEmpty ? "" : chooser.of(["", ":6000-6003"])
      let aim = suffix.isEmpty ? address.text(family) : bracketed(address) + suffix
      rules.append("-t nat -A INPUT\(interface)\(name) -j SNAT --to-source \(aim)")
    }
    if chooser.chance(20) {
      rules.append("-t nat -A POSTROUTING -o lo -j \(chooser.of(["MASQUERADE", "ACCEPT"]))")
    }
    return rules
  }

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(50) { test.rules = rules(&chooser, family) }
    if chooser.chance(10) {
      test.rules.insert(
        "-t raw -A \(chooser.of(["OUTPUT", "PREROUTING"])) -p udp -j CT --notrack", at: 0)
    }
    if chooser.chance(60) { test.rules += RulesGenerator.filter(&chooser, family) }
    if chooser.chance(20) {
      test.sysctls.append(
        ConformanceCase.Sysctl(name: "net.netfilter.nf_conntrack_acct", value: "1"))
    }
    (test.flows, test.steps) = NATGenerator.traffic(&chooser, family) { chooser, kind in
      chooser.chance(80) ? flow(&chooser, kind, family) : Flow.make(&chooser, kind, family)
    }
    return test
  }
}
