// The router that is measured: two ports, routes, and as many rules as asked.

import Conntrack
import Firewall
import Ruleset
import Wire

enum BenchRouter {
  static func host() throws -> HostConfiguration {
    var sysctls = Sysctls()
    try sysctls.set("net.ipv4.ip_forward", "1")
    try sysctls.set("net.ipv6.conf.all.forwarding", "1")
    func address(_ address: IPAddress, _ family: AddressFamily, _ length: Int) -> InterfaceAddress {
      InterfaceAddress(address, family, prefixLength: length)
    }
    let lan = HostInterface(
      name: "lan0", kernelIndex: 2,
      addresses: [
        address(IPAddress(ipv4: 0x0a00_0001), .ipv4, 8),
        address(IPAddress(high: 0xfd00_0001_0000_0000, low: 1), .ipv6, 64),
      ])
    let wan = HostInterface(
      name: "wan0", kernelIndex: 3,
      addresses: [
        address(Traffic.routerAddress(.ipv4), .ipv4, 24),
        address(Traffic.routerAddress(.ipv6), .ipv6, 64),
      ])
    func route(
      _ family: AddressFamily, _ prefix: IPAddress, _ length: Int, _ interface: Int,
      _ gateway: IPAddress? = nil
    ) -> Route {
      Route(
        IPPrefix(prefix, length: length, family: family),
        hops: [RouteHop(interface: interface, gateway: gateway, gatewayFamily: family)])
    }
    return HostConfiguration(
      interfaces: [lan, wan],
      ipv4Routes: [
        route(.ipv4, IPAddress(ipv4: 0x0a00_0000), 8, 0),
        route(.ipv4, IPAddress(ipv4: 0xc633_6400), 24, 1),
        route(.ipv4, .any, 0, 1, IPAddress(ipv4: 0xc633_64fe)),
      ],
      ipv6Routes: [
        route(.ipv6, IPAddress(high: 0xfd00_0001_0000_0000, low: 0), 64, 0),
        route(.ipv6, IPAddress(high: 0x2001_0db8_0009_0001, low: 0), 64, 1),
        route(.ipv6, .any, 0, 1, IPAddress(high: 0x2001_0db8_0009_0001, low: 0xfe)),
      ], sysctls: sysctls)
  }

  /// `iptables-save` text: what a small gateway has, and as many rules before the last as asked.
  static func rules(_ options: BenchOptions) -> String {
    if let text = options.rulesText { return text }
    let isIPv4 = options.family == .ipv4
    var text = ""
    let protocolName = options.transport.rawValue
    switch options.nat {
    case .none: break
    case .snat:
      text += "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o wan0 -j SNAT --to-source "
      text += (isIPv4 ? "198.51.100.1" : "2001:db8:9:1::1") + "\nCOMMIT\n"
    case .masquerade:
      text += "*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -o wan0 -j MASQUERADE\nCOMMIT\n"
    case .dnat:
      text +=
        "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -i lan0 -p \(protocolName) -m \(protocolName)"
      text += " --dport 443 -j DNAT --to-destination "
      text += (isIPv4 ? "203.0.113.1" : "2001:db8:9:2::cb00:7101") + "\nCOMMIT\n"
    }
    if options.rules == 0 { return text }
    text += "*filter\n:FORWARD DROP [0:0]\n"
    text += "-A FORWARD -m conntrack --ctstate INVALID -j DROP\n"
    // Between the first rule and the last two: hosts and services that may not.
    for number in 0..<max(0, options.rules - 3) {
      let host =
        isIPv4
        ? "172.\(16 + number / 60_000 % 16).\(number / 250 % 250).\(1 + number % 250)"
        : "2001:db8:a:\(String(number / 60_000, radix: 16))::\(String(1 + number % 60_000, radix: 16))"
      let length = isIPv4 ? 32 : 128
      text +=
        number % 2 == 0
        ? "-A FORWARD -s \(host)/\(length) -i lan0 -j DROP\n"
        : "-A FORWARD -d \(host)/\(length) -i lan0 -p tcp -m tcp --dport \(1 + number % 1000) -j ACCEPT\n"
    }
    text += "-A FORWARD -i wan0 -o lan0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    text += "-A FORWARD -i lan0 -o wan0 -j ACCEPT\nCOMMIT\n"
    return text
  }
}
