// What the generators of the IP layer have in common: packets of any transport, flows that also end at
// the router, and the addresses no packet should have.

import Conntrack
import Wire

enum IPLayerGenerator {
  /// A packet of the flow's kind, of a length that says something at the IP layer.
  static func step(
    _ chooser: inout Chooser, _ test: ConformanceCase, flow: Int, lengths: [Int]
  ) -> Step {
    let length = chooser.of(lengths)
    let kind: Step.Kind =
      switch test.flows[flow].kind {
      case .tcp:
        .tcp(
          TCPStep(
            flags: chooser.of([.syn, .syn, [.ack, .psh]]), sequence: chooser.of([100, 101]),
            length: length))
      case .udp: .udp(UDPStep(length: length, checksum: chooser.chance(5) ? .bad : .right))
      default: .echo(EchoStep(sequence: chooser.number(1...3), length: length))
      }
    var step = Step(
      kind: kind, flow: flow, direction: chooser.of([.original, .original, .original, .reply]))
    // Not by the router itself, even where it is the one asked.
    if step.direction == .reply { step.ip.port = test.flows[flow].port.other }
    return step
  }

  static func flows(
    _ chooser: inout Chooser, _ family: AddressFamily, toRouter percent: Int
  ) -> [Flow] {
    (0..<chooser.of([1, 1, 2, 3])).map { _ in
      var flow = Flow.make(&chooser, chooser.of([.udp, .udp, .echo, .tcp]), family)
      if chooser.chance(percent) {
        flow.destination.address = Network.router(chooser.of([.lan, .wan]), family)
      }
      return flow
    }
  }

  /// Zero, loopback, multicast, broadcast, reserved, the router's own, and some that are fine.
  static func oddAddress(_ chooser: inout Chooser, _ family: AddressFamily) -> IPAddress {
    let texts =
      family == .ipv4
      ? [
        "0.0.0.0", "0.0.0.1", "127.0.0.1", "127.1.2.3", "224.0.0.1", "224.0.0.2", "224.0.0.251",
        "239.1.2.3", "240.0.0.1", "255.255.255.254", "255.255.255.255", "10.0.1.0", "10.0.1.255",
        "198.51.100.255", "198.51.100.0", "10.0.1.1", "198.51.100.1", "169.254.1.1", "192.0.2.9",
        "10.0.1.9", "198.51.100.9",
      ]
      : [
        "::", "::1", "::ffff:10.0.1.2", "::10.0.1.2", "fe80::2", "fe80::1", "ff02::1", "ff02::2",
        "ff01::1", "ff05::2", "ff0e::1234", "ff00::1", "ff02::16", "ff05::1:3",
        "fd00:1::", "2001:db8:9::", "fd00:1::1", "2001:db8:9::1", "fec0::1", "2001:db8:77::9",
        "64:ff9b::1", "2002:a00:102::1", "fd00:1::9",
      ]
    return IPAddress.parse(chooser.of(texts)[...], family) ?? .any
  }

  /// Every packet refused, so that each is answered.
  static func rejection(_ chooser: inout Chooser) -> [String] {
    ["-t filter", "-t filter -A \(chooser.of(["FORWARD", "INPUT"])) -j REJECT"]
  }

  static func set(_ test: inout ConformanceCase, _ name: String, _ value: String) {
    test.sysctls.append(ConformanceCase.Sysctl(name: name, value: value))
  }

  /// No neighbour has to be known, so that packets may be for anyone.
  static let withoutNeighbours = ["link set lan0 arp off", "link set wan0 arp off"]

  /// Other sizes on the two sides, and on routes between.
  static func setup(_ chooser: inout Chooser, _ family: AddressFamily) -> [String] {
    let gateway = Network.host(254, .wan, family).text(family)
    let distant = family == .ipv4 ? "203.0.113.0/24" : "2001:db8:77::/64"
    let setups: [[String]] = [
      [], [], ["link set wan0 mtu 1300"], ["link set wan0 mtu 1280", "link set lan0 mtu 1400"],
      ["route add \(distant) via \(gateway) mtu \(family == .ipv4 ? 600 : 1290)"],
      ["route add \(distant) via \(gateway) mtu \(family == .ipv4 ? "lock 700" : "1300")"],
    ]
    let small = [["link set wan0 mtu 576"], ["link set lan0 mtu 100"], ["link set wan0 mtu 68"]]
    return chooser.of(family == .ipv4 ? setups + small : setups)
  }
}
