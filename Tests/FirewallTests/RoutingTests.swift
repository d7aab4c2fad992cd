// What a router does between PREROUTING and FORWARD: TTL, routes that refuse, packets too long; bytes
// as Linux 6.18 sent them.

import Firewall
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct ForwardingTests {
  @Test func aHopLess() {
    let lab = FirewallLab()
    let packet = lanClient.udp(to: wanServer)
    let seen = lab.lan(packet)
    #expect(seen.text == "ACCEPT NEW/o")
    #expect(seen.left == [Departure("wan0", packet.hopped())])
    let packet6 = lanClient6.udp(to: wanServer6)
    #expect(lab.lan(packet6).left == [Departure("wan0", packet6.hopped())])
  }

  @Test func timeExceeded() {
    let lab = FirewallLab(filter("-A FORWARD -j DROP"))
    let seen = lab.lan(
      lanClient.udp(
        to: wanServer, Array("hello".utf8), HeaderFields(ttl: 1, tos: 0x28, id: 9, df: true)))
    #expect(seen.outcome.reason == .timeToLiveExceeded)
    #expect(
      seen.left.map(\.masked) == [
        departure(
          "lan0",
          """
          45c8003d3bc900004001282d0a0001010a000102 0b002a5600000000
          4528002100094000011144640a000102c633640203e80035000d82ad68656c6c6f
          """)
      ])
    #expect(lab.table.isEmpty)
  }

  @Test func timeExceeded6() {
    let lab = FirewallLab()
    let seen = lab.lan(
      lanClient6.udp(
        to: wanServer6, Array("hello".utf8), HeaderFields(ttl: 1, tos: 0x28, flowLabel: 0x12345)))
    #expect(
      seen.left.map(\.masked) == [
        departure(
          "lan0",
          """
          60000000003d3a40 \(own6) \(lan6) 03006bcb00000000
          62812345000d1101 \(lan6) \(wan6) 03e80035000d8d1d68656c6c6f
          """)
      ])
  }

  @Test func timeExceededBehindDNAT() {
    let lab = FirewallLab(
      nat("-A PREROUTING -d 198.51.100.50/32 -j DNAT --to-destination 10.0.1.9"))
    let packet = Socket("198.51.100.2", 5000).udp(
      to: Socket("198.51.100.50", 53), Array("hello".utf8), HeaderFields(ttl: 1, id: 1))
    #expect(
      lab.wan(packet).left.map(\.masked) == [
        departure(
          "wan0",
          """
          45c0003d5f1800004001c64cc6336432c6336402 0b0049ba00000000
          45000021000100000111 6530c6336402c6336432 13880035000d53a968656c6c6f
          """)
      ])
  }

  @Test func theLastHopIsTakenByTheHostItself() {
    let lab = FirewallLab()
    let packet = lanClient.udp(to: Socket("10.0.1.1", 53), [], HeaderFields(ttl: 1))
    #expect(lab.lan(packet).text == "ACCEPT NEW/o")
  }

  /// Out by the port it came in on, IPv6 lets any source pass; by another it does not.
  @Test func anySourceBackOutByTheSamePort() {
    let lab = FirewallLab(
      routes: [
        Route(
          IPPrefix(Address("fe80::").value, length: 64, family: .ipv6),
          hops: [RouteHop(interface: 1)])
      ])
    let unspecified = Socket("::", 1000)
    #expect(lab.wan(unspecified.udp(to: Socket("fe80::1:1", 53))).text == "ACCEPT NEW/o")
    #expect(
      lab.lan(unspecified.udp(to: wanServer6)).outcome.reason == .routing(.martianSource))
  }

  @Test func aFragmentHeaderCutShort() {
    let packet = Packet(44, from: "fd00:1::2", to: "2001:db8:9::2", payload: [0xb6])
    let seen = FirewallLab().lan(packet)
    #expect(seen.outcome.reason == .fragmentDropped(.malformed))
    #expect(seen.outcome.ctState == nil && seen.left.isEmpty)
  }

  /// Route type; ICMP code, or nil for silence.
  @Test(
    arguments: [
      (RouteType.unreachable, 1), (.prohibit, 13), (.blackhole, nil),
    ] as [(RouteType, UInt8?)])
  func refusingRoutes(type: RouteType, code: UInt8?) {
    let prefix = IPPrefix(Address("203.0.113.0").value, length: 24, family: .ipv4)
    let lab = FirewallLab(routes: [Route(prefix, type: type)])
    let packet = lanClient.udp(to: Socket("203.0.113.9", 53))
    let seen = lab.lan(packet)
    #expect(seen.outcome.verdict == .drop)
    #expect(lab.table.isEmpty)
    let expected = code.map {
      Packet.icmp(
        3, $0, from: "10.0.1.1", to: "10.0.1.2", HeaderFields(tos: 0xc0), data: packet.bytes)
    }
    #expect(seen.left.map(\.packet.masked) == [expected?.masked].compactMap { $0 })
  }

  @Test func tooLongAndNotToBeFragmented() {
    let lab = FirewallLab(
      filter("-A FORWARD -j DROP"),
      routes: [
        Route(
          IPPrefix(Address("192.0.2.0").value, length: 24, family: .ipv4), mtu: 1400,
          hops: [RouteHop(interface: 1, gateway: Address("198.51.100.254").value)])
      ])
    let packet = lanClient.udp(
      to: Socket("192.0.2.1", 53), [UInt8](repeating: 1, count: 1400), HeaderFields(df: true))
    let seen = lab.lan(packet)
    #expect(seen.outcome.reason == .tooLong(mtu: 1400))
    let expected = Packet.icmp(
      3, 4, rest: 1400, from: "10.0.1.1", to: "10.0.1.2", HeaderFields(tos: 0xc0),
      data: Array(packet.bytes.prefix(548)))
    #expect(seen.left.map(\.packet.masked) == [expected.masked])
  }

  @Test func fragmentsWhereItMay() {
    let lab = FirewallLab(
      routes: [
        Route(
          IPPrefix(Address("192.0.2.0").value, length: 24, family: .ipv4), mtu: 1400,
          hops: [RouteHop(interface: 1, gateway: Address("198.51.100.254").value)])
      ])
    let packet = lanClient.udp(
      to: Socket("192.0.2.1", 53), [UInt8](repeating: 1, count: 1472), HeaderFields(id: 0x32))
    let left = lab.lan(packet).left
    // 1396 = 20 + 1376, and the rest.
    #expect(left.map(\.packet.bytes.count) == [1396, 124])
    #expect(left.first.map { Array($0.packet.bytes.prefix(10)) } == hex("45000574 0032 2000 3f11"))
    #expect(
      left.flatMap { $0.packet.bytes.dropFirst(20) } == Array(packet.bytes.dropFirst(20)))
  }

  @Test func notForwardedWithoutIPForward() {
    let lab = FirewallLab(sysctls: ["net.ipv4.ip_forward": "0"])
    #expect(lab.lan(lanClient.udp(to: wanServer)).left.isEmpty)
    #expect(lab.table.isEmpty)
    #expect(lab.lan(lanClient.udp(to: Socket("198.51.100.1", 53))).text == "ACCEPT NEW/o")
  }

  @Test(
    arguments: ["127.0.0.5", "0.0.0.0", "255.255.255.255", "224.1.1.1", "10.0.1.1"] as [Address])
  func sourcesNobodyHas(source: Address) {
    let lab = FirewallLab()
    #expect(lab.lan(Socket(source, 1).udp(to: wanServer)).outcome.verdict == .drop)
    #expect(lab.table.isEmpty)
  }
}
