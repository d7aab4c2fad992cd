// What a router decides and answers: routes of every type, small links, redirects, source checks,
// forwarding switched off, and which address its answers bear.

import Conntrack
import Wire

enum RouterGenerator {
  /// Networks behind routes of every kind: destinations number 0 and so on of `destinations`.
  static func setup(_ family: AddressFamily) -> [String] {
    let gateway = Network.host(254, .wan, family).text(family)
    let inner = Network.host(9, .lan, family).text(family)
    let outer = Network.host(9, .wan, family).text(family)
    var lines: [String] = []
    func network(_ number: Int) -> String {
      family == .ipv4 ? "192.0.2.\(16 * number)/28" : "2001:db8:a:\(number)::/64"
    }
    for (number, type) in ["unreachable", "prohibit", "blackhole", "throw"].enumerated() {
      lines.append("route add \(type) \(network(number))")
    }
    lines.append("route add \(network(4)) via \(gateway) mtu 1300")
    // A snapshot does not tell an IPv6 route's lock, which decides when the packet is found too long.
    let lock = family == .ipv4 ? "lock " : ""
    lines.append("route add \(network(5)) via \(gateway) mtu \(lock)1320")
    lines.append("route add \(network(6)) via \(inner)")
    lines.append("route add \(network(7)) via \(outer)")
    let source = family == .ipv4 ? "10.0.1.1" : "fd00:1::1"
    lines.append("route add \(network(8)) via \(gateway) src \(source)")
    let extra = family == .ipv4 ? "192.0.2.161/32" : "2001:db8:a:a::1/128"
    lines.append("addr add \(extra) dev lo")
    if family == .ipv4 { lines.append("addr add 10.9.255.254/16 dev lan0") }
    let second = family == .ipv4 ? "10.0.3.1/24" : "fd00:3::1/64"
    lines.append("addr add \(second) dev lan0\(family == .ipv4 ? "" : " nodad")")
    return lines + IPLayerGenerator.withoutNeighbours
  }

  static func destination(
    _ chooser: inout Chooser, _ family: AddressFamily
  ) -> IPAddress {
    let number = chooser.number(0...11)
    let text: String
    if number == 11 {
      text = family == .ipv4 ? "10.0.3.1" : "fd00:3::1"
    } else if family == .ipv4 {
      text = "192.0.2.\(16 * number + 1)"
    } else {
      text = "2001:db8:a:\(String(number, radix: 16))::1"
    }
    return IPAddress.parse(text[...], family) ?? .any
  }

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    test.setup = setup(family)
    if chooser.chance(25) { test.setup.append("link set wan0 mtu 1400") }
    if family == .ipv6, chooser.chance(40) {
      test.setup += ["addr add fe80::1/64 dev lan0 nodad", "addr add fe80::1/64 dev wan0 nodad"]
    }
    if chooser.chance(20) { test.rules = NATGenerator.rules(&chooser, family) }
    if chooser.chance(10) { test.rules += IPLayerGenerator.rejection(&chooser) }
    settings(&chooser, &test, family)
    test.flows = IPLayerGenerator.flows(&chooser, family, toRouter: 5)
    for index in test.flows.indices where family == .ipv4 {
      test.flows[index].source.address = Network.stranger(test.flows[index].port)
    }
    for index in test.flows.indices where chooser.chance(75) {
      test.flows[index].destination.address = destination(&chooser, family)
    }
    for _ in 0..<chooser.of([8, 20]) {
      let flow = chooser.number(0...test.flows.count - 1)
      if chooser.chance(12) {
        var step = DatagramGenerator.errorStep(&chooser, flow: flow, family)
        // Not by the router itself.
        let port = test.flows[flow].port
        step.ip.port = step.direction == .original ? port.other : port
        test.steps.append(step)
        continue
      }
      var step = IPLayerGenerator.step(
        &chooser, test, flow: flow,
        lengths: [0, 8, 500, 1252, 1260, 1272, 1280, 1292, 1300, 1360, 1372, 1380, 1440])
      // What sockets would answer counts too where answers are limited.
      if test.sysctls.contains(where: { $0.name == "net.ipv4.icmp_ratemask" }),
        Network.isOwn(test.flows[flow].destination.address, family)
      {
        continue
      }
      step.ip.dontFragment = chooser.chance(50)
      if chooser.chance(15) { step.hopLimit = chooser.of([0, 1, 2]) }
      if chooser.chance(10) { step.ip.trafficClass = chooser.number(0...255) }
      if chooser.chance(6) { step.ip.source = IPLayerGenerator.oddAddress(&chooser, family) }
      if chooser.chance(8) { step.ip.source = destination(&chooser, family) }
      if chooser.chance(4) {
        step.ip.destination = IPLayerGenerator.oddAddress(&chooser, family)
      }
      if family == .ipv4 && chooser.chance(6) {
        step.ip.options = HeaderGenerator.options(&chooser)
      }
      test.steps.append(step)
    }
    return test
  }

  private static func settings(
    _ chooser: inout Chooser, _ test: inout ConformanceCase, _ family: AddressFamily
  ) {
    if family == .ipv6 {
      if chooser.chance(5) {
        IPLayerGenerator.set(&test, "net.ipv6.conf.all.forwarding", "0")
      }
      if chooser.chance(5) {
        IPLayerGenerator.set(&test, "net.ipv6.conf.lan0.forwarding", "0")
      }
      return
    }
    let names = [
      "rp_filter", "accept_local", "send_redirects", "shared_media", "secure_redirects",
      "forwarding", "accept_source_route",
    ]
    for name in names where chooser.chance(12) {
      let port = name == "forwarding" ? chooser.of(["lan0", "wan0"]) : chooser.of(["all", "lan0"])
      let value =
        switch name {
        case "rp_filter": chooser.of(["1", "2"])
        case "forwarding", "shared_media", "secure_redirects": "0"
        default: "1"
        }
      IPLayerGenerator.set(&test, "net.ipv4.conf.\(port).\(name)", value)
    }
    if chooser.chance(10) {
      // Those of a machine that nobody has changed; the limit on all together is a matter of chance.
      IPLayerGenerator.set(&test, "net.ipv4.icmp_ratemask", "6168")
      IPLayerGenerator.set(&test, "net.ipv4.icmp_ratelimit", chooser.of(["1000", "100", "0"]))
    }
    for name in ["ip_forward_use_pmtu", "icmp_errors_use_inbound_ifaddr", "ip_no_pmtu_disc"]
    where chooser.chance(8) {
      IPLayerGenerator.set(&test, "net.ipv4.\(name)", "1")
    }
  }
}
