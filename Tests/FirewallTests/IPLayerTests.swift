// What a router does at the IP layer beside forwarding: source routes, hop-by-hop options it does not
// know, fragments that never became whole; bytes as Linux 6.18 sent them.

import Firewall
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct IPLayerTests {
  private static func end(_ text: String, _ port: UInt16) -> Endpoint {
    let address = Address(text)
    return Endpoint(address.value, address.family, port: port)
  }

  private static func udp(
    _ from: String, _ to: String, length: Int = 0, _ fields: IPFields
  ) -> Packet {
    Packet(
      bytes: PacketBuilder.udp(
        from: end(from, 1000), to: end(to, 22), payload: [UInt8](repeating: 1, count: length),
        fields))
  }

  /// A source route to 10.0.1.1; where it leads, and the option then.
  @Test(
    arguments: [
      ("830704cb007105", "203.0.113.5", "830708c6336401"),
      ("890704c6336409", "198.51.100.9", "890708c6336401"),
      // By way of another of the router's own addresses.
      ("830b04c6336401cb007105", "203.0.113.5", "830b0cc6336401c6336401"),
    ])
  func sourceRoute(_ option: String, _ destination: String, _ left: String) {
    let lab = FirewallLab(sysctls: [
      "net.ipv4.conf.all.accept_source_route": "1", "net.ipv4.conf.lan0.accept_source_route": "1",
    ])
    let seen = lab.lan(
      IPLayerTests.udp("10.0.1.2", "10.0.1.1", IPFields(options: hex(option)))
    ).left
    #expect(seen.count == 1 && seen.first?.port == "wan0")
    guard let out = seen.first?.packet.bytes else { return }
    let address = out.rawSpan.uint32(at: IPv4Field.destination)
    #expect(address == Address(destination).value.ipv4)
    #expect(Array(out[20..<20 + left.utf8.count / 2]) == hex(left))
    let isValid = InternetChecksum.ipv4HeaderIsValid(
      out.rawSpan, at: 0, length: Int(out[0] & 15) * 4)
    #expect(isValid)
  }

  @Test func strictRouteOverAGatewayFails() {
    let lab = FirewallLab(sysctls: [
      "net.ipv4.conf.all.accept_source_route": "1", "net.ipv4.conf.lan0.accept_source_route": "1",
    ])
    let seen = lab.lan(
      IPLayerTests.udp("10.0.1.2", "10.0.1.1", IPFields(options: hex("890704cb007105"))))
    #expect(seen.left.map { Array($0.packet.bytes[20..<22]) } == [[3, 5]])
  }

  /// Option; the code and pointer of the parameter problem, or nothing.
  @Test(
    arguments: [
      ("1e02000101", nil), ("5e02000101", nil), ("9e02000101", [4, 2, 42]),
      ("de02000101", [4, 2, 42]), ("c20400010000", [4, 0, 42]),
      ("c204000000000000000000000000", [4, 0, 44]), ("c20300000000", nil),
    ] as [(String, [UInt8]?)])
  func hopByHopOptions(_ option: String, _ answer: [UInt8]?) {
    let seen = FirewallLab().lan(
      IPLayerTests.udp(
        "fd00:1::2", "2001:db8:9::2", IPFields(extensionHeaders: [.hopByHop(hex(option))]))
    ).left.filter { $0.port == "lan0" }
    #expect(
      seen.map { [$0.packet.bytes[40], $0.packet.bytes[41], $0.packet.bytes[47]] }
        == (answer.map { [$0] } ?? []))
  }

  @Test func aRouteTooSmallIsNoticedLast() {
    let lab = FirewallLab(routes: [
      Route(
        IPPrefix(Address("2001:db8:77::").value, length: 64, family: .ipv6), mtu: 1300,
        hops: [RouteHop(interface: 1)])
    ])
    let seen = lab.lan(IPLayerTests.udp("fd00:1::2", "2001:db8:77::1", length: 1300, IPFields()))
    #expect(seen.outcome.reason == .tooLong(mtu: 1300))
    #expect(seen.left.map { $0.packet.bytes[40] } == [ICMPv6Type.packetTooBig])
    // The quote has passed FORWARD, the connection has been confirmed.
    #expect(seen.left.first?.packet.bytes[48 + IPv6Field.hopLimit] == 63)
    #expect(lab.firewall.tracker.count == 1)
  }

  /// The destination; whether the sender of a first fragment hears that its time is over.
  @Test(arguments: [("10.0.1.1", true), ("198.51.100.2", false), ("2001:db8:9::2", true)])
  func fragmentsThatNeverBecomeWhole(_ destination: String, _ isTold: Bool) {
    let lab = FirewallLab()
    let isIPv4 = !destination.contains(":")
    let source = isIPv4 ? "10.0.1.2" : "fd00:1::2"
    #expect(
      lab.lan(
        IPLayerTests.udp(
          source, destination, length: 16, IPFields(identification: 7, moreFragments: true))
      ).left.isEmpty)
    lab.wait(61)
    // Time alone sends nothing here; the next packet finds it over.
    let seen = lab.lan(IPLayerTests.udp(source, destination, IPFields(hopLimit: 64)))
    let errors = seen.left.filter { $0.port == "lan0" }.map { departure in
      Array(departure.packet.bytes[(isIPv4 ? 20 : 40)...].prefix(2))
    }
    #expect(errors == (isTold ? [isIPv4 ? [11, 1] : [3, 1]] : []))
  }
}
