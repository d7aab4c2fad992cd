// The samples of the user's notes, sections 1 and 2 (docs/seed.md): the table without and with NAT.
// The notes show `conntrack -L` with its columns closed up, so lines are compared closed up.

import Conntrack
import Firewall
import ReplayTestSupport
import Testing
import Wire

/// Runs of spaces as one.
func closedUp(_ lines: [String]) -> [String] {
  lines.map { $0.split(separator: " ").joined(separator: " ") }
}

@Suite struct StateTableTests {
  @Test func threeFlowsWithoutNAT() throws {
    // Multicast is not forwarded: the machine of the sample is the one that sends all this.
    var router = try Machine(
      local: ["192.168.2.5", "192.168.8.1"],
      settings: ["net.netfilter.nf_conntrack_tcp_timeout_established=43200"])
    var web = TCPTalk("192.168.2.5:5646", "10.25.39.80:443")
    router.sees(web.syn())
    router.sees(web.synAck())
    router.sees(web.ack())
    router.waits(seconds: 6)
    var lost = TCPTalk("192.168.2.5:35684", "192.168.2.10:443")
    router.sees(lost.syn())
    router.waits(seconds: 78)
    router.sees(web.fromClient([.psh, .ack], data: 100))
    router.sees(web.fromServer(.ack))
    router.waits(seconds: 15)
    router.sees(
      PacketBuilder.udp(
        from: "192.168.8.1:48169", to: "239.255.255.250:1900", payload: [1, 2, 3]))
    router.waits(seconds: 1)

    let table = closedUp(try router.conntrack())
    #expect(
      table == [
        "tcp 6 43184 ESTABLISHED src=192.168.2.5 dst=10.25.39.80 sport=5646 dport=443 src=10.25.39.80 dst=192.168.2.5 sport=443 dport=5646 [ASSURED] mark=0 use=1",
        "tcp 6 26 SYN_SENT src=192.168.2.5 dst=192.168.2.10 sport=35684 dport=443 [UNREPLIED] src=192.168.2.10 dst=192.168.2.5 sport=443 dport=35684 mark=0 use=1",
        "udp 17 29 src=192.168.8.1 dst=239.255.255.250 sport=48169 dport=1900 [UNREPLIED] src=239.255.255.250 dst=192.168.8.1 sport=1900 dport=48169 mark=0 use=1",
      ])
  }

  /// The router of section 2: `veth0` has 192.168.1.2, and leads everywhere.
  private func router(_ rules: String) throws -> Machine {
    let inside = HostInterface(
      name: "veth1",
      addresses: [InterfaceAddress(IPAddress(ipv4: 0x0a00_0001), .ipv4, prefixLength: 24)])
    let outside = HostInterface(
      name: "veth0",
      addresses: [InterfaceAddress(IPAddress(ipv4: 0xc0a8_0102), .ipv4, prefixLength: 24)])
    let routes = [
      Route(
        IPPrefix(IPAddress(ipv4: 0x0a00_0000), length: 24, family: .ipv4),
        hops: [RouteHop(interface: 0)]),
      Route(IPPrefix(.any, length: 0, family: .ipv4), hops: [RouteHop(interface: 1)]),
      Route(
        IPPrefix(IPAddress(ipv4: 0xc0a8_0102), length: 32, family: .ipv4), type: .local,
        table: .local, hops: [RouteHop(interface: 1)]),
      Route(
        IPPrefix(IPAddress(ipv4: 0x0a00_0001), length: 32, family: .ipv4), type: .local,
        table: .local, hops: [RouteHop(interface: 0)]),
    ]
    var sysctls = Sysctls()
    try sysctls.set("net.ipv4.ip_forward", "1")
    return try Machine(
      rules: rules,
      host: HostConfiguration(
        interfaces: [inside, outside], ipv4Routes: routes, ipv6Routes: nil, sysctls: sysctls))
  }

  @Test func masqueradeShowsInTheReplyTuple() throws {
    var router = try router("iptables -t nat -A POSTROUTING -o veth0 -j MASQUERADE")
    var talk = TCPTalk("10.0.0.10:5536", "10.8.2.12:80")
    let first = router.sees(talk.syn(), on: "veth1")
    #expect(
      first.emitted.map(\.packet.bytes).map(summary) == ["192.168.1.2:5536 > 10.8.2.12:80"])
    #expect(first.emitted.map(\.interface) == ["veth0"])

    // The server answers to what it was shown; the router gives it to the client.
    var outside = TCPTalk("192.168.1.2:5536", "10.8.2.12:80")
    outside.clientNext = talk.clientNext
    let answer = router.sees(outside.synAck(), on: "veth0")
    #expect(
      answer.emitted.map(\.packet.bytes).map(summary) == ["10.8.2.12:80 > 10.0.0.10:5536"])
    #expect(answer.emitted.map(\.interface) == ["veth1"])
    talk.serverNext = outside.serverNext

    router.sees(talk.ack(), on: "veth1")
    router.sees(talk.fromClient([.fin, .ack]), on: "veth1")
    outside.clientNext = talk.clientNext
    router.sees(outside.fromServer([.fin, .ack]), on: "veth0")
    talk.serverNext = outside.serverNext
    router.sees(talk.ack(), on: "veth1")
    // Another connection, not translated, is not in the listing.
    router.sees(
      PacketBuilder.tcp(from: "10.8.2.12:999", to: "10.0.0.10:22", flags: .syn), on: "veth0")
    router.waits(seconds: 6)

    #expect(
      closedUp(try router.conntrack("-p tcp --src-nat")) == [
        "tcp 6 114 TIME_WAIT src=10.0.0.10 dst=10.8.2.12 sport=5536 dport=80 src=10.8.2.12 dst=192.168.1.2 sport=80 dport=5536 [ASSURED] mark=0 use=1"
      ])
    #expect(try router.conntrack("-p tcp").count == 2)
  }

  @Test func destinationNATAndRedirectShowToo() throws {
    var router = try router(
      """
      iptables -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.10:80
      iptables -t nat -A PREROUTING -p tcp --dport 81 -j REDIRECT --to-ports 8081
      """)
    router.sees(
      PacketBuilder.tcp(from: "10.8.2.12:1025", to: "192.168.1.2:8080", flags: .syn), on: "veth0")
    router.sees(
      PacketBuilder.tcp(from: "10.8.2.12:1026", to: "192.168.1.2:81", flags: .syn), on: "veth0")
    #expect(
      closedUp(try router.conntrack("--dst-nat")) == [
        "tcp 6 120 SYN_SENT src=10.8.2.12 dst=192.168.1.2 sport=1025 dport=8080 [UNREPLIED] src=10.0.0.10 dst=10.8.2.12 sport=80 dport=1025 mark=0 use=1",
        "tcp 6 120 SYN_SENT src=10.8.2.12 dst=192.168.1.2 sport=1026 dport=81 [UNREPLIED] src=192.168.1.2 dst=10.8.2.12 sport=8081 dport=1026 mark=0 use=1",
      ])
  }

  // MARK: New entries without a SYN

  @Test func tcpIsPickedUpInMidStream() throws {
    var router = try Machine()
    var talk = TCPTalk("192.168.2.5:5646", "10.25.39.80:443")
    let report = router.sees(talk.fromClient([.psh, .ack], data: 10))
    #expect(report.outcome.ctState == .new)
    #expect(report.outcome.verdict == .accept)
    #expect(
      closedUp(try router.conntrack()) == [
        "tcp 6 300 ESTABLISHED src=192.168.2.5 dst=10.25.39.80 sport=5646 dport=443 [UNREPLIED] src=10.25.39.80 dst=192.168.2.5 sport=443 dport=5646 mark=0 use=1"
      ])
  }

  @Test func withoutLooseTCPBeginsWithASYN() throws {
    var router = try Machine(settings: ["net.netfilter.nf_conntrack_tcp_loose=0"])
    var talk = TCPTalk("192.168.2.5:5646", "10.25.39.80:443")
    let report = router.sees(talk.fromClient([.psh, .ack], data: 10))
    #expect(report.outcome.ctState == .invalid)
    #expect(report.reason.contains("nf_conntrack_tcp_loose is 0"))
    #expect(try router.conntrack() == [])
    var proper = TCPTalk("192.168.2.5:5647", "10.25.39.80:443")
    #expect(router.sees(proper.syn()).outcome.ctState == .new)
    #expect(try router.conntrack().count == 1)
  }
}

/// `10.0.0.1:5 > 10.0.0.2:80` of an IPv4 packet with ports.
func summary(_ packet: [UInt8]) -> String {
  let bytes = packet.rawSpan
  let source = Endpoint(
    IPAddress(ipv4: bytes.uint32(at: 12)), .ipv4, port: bytes.uint16(at: 20))
  let destination = Endpoint(
    IPAddress(ipv4: bytes.uint32(at: 16)), .ipv4, port: bytes.uint16(at: 22))
  return "\(source.text) > \(destination.text)"
}
