// What a router does with IPv4 options: fills them in, refuses them, gives them back in its answers;
// bytes as Linux 6.18 sent them.

import Firewall
import PacketForge
import TestLab
import Testing
import Wire

/// 10.0.1.2:1000 > 198.51.100.2:53 "hi" with these options.
private func packet(
  _ options: String, to server: Socket = wanServer, ttl: UInt8 = 64
) -> Packet {
  var bytes = hex(options)
  while bytes.count % 4 != 0 { bytes.append(0) }
  return lanClient.udp(
    to: server, Array("hi".utf8), HeaderFields(ttl: ttl, id: 1, options: bytes))
}

@Suite struct IPv4OptionTests {
  /// Options; as they leave.
  @Test(
    arguments: [
      ("01010100", "01010100"), ("94040000", "94040000"), ("99040000", "99040000"),
      ("070f04000000000000000000000000", "070f08c63364010000000000000000"),
      ("07070800000001", "07070800000001"), ("070304", "070304"),
      ("070b050000000000000000", "070b0900c6336401000000"),
      ("440c0505030201000000aabb", "440c0505030201000000aabb"),
      ("44080900 00000000", "44080910 00000000"),
      ("440c0df3 0a000101 00000000", "440c0df3 0a000101 00000000"),
      // Behind the end of the list is only more of it.
      ("00010101", "00000000"), ("01000707", "01000000"),
    ])
  func forwarded(_ options: String, _ left: String) {
    let seen = FirewallLab().lan(packet(options))
    #expect(seen.text == "ACCEPT NEW/o")
    #expect(seen.left == [Departure("wan0", packet(left).hopped())])
  }

  /// The clock of the lab stands at 22:13:20 UT.
  @Test(
    arguments: [
      ("440c0500 0000000000000000", "440c0900 04c4b400 00000000"),
      ("440c0501 0000000000000000", "440c0d01 0a000101 04c4b400"),
      ("440c0503 0a000101 00000000", "440c0d03 0a000101 04c4b400"),
      ("440c0503 0a0001ff 00000000", "440c0d03 0a0001ff 04c4b400"),
      ("440c0503 01020304 00000000", "440c0503 01020304 00000000"),
    ])
  func timestamps(_ options: String, _ left: String) {
    #expect(
      FirewallLab().lan(packet(options)).left == [Departure("wan0", packet(left).hopped())])
  }

  /// Options; the offset of what is wrong with them.
  @Test(
    arguments: [
      ("07070300000000", 22), ("07020000", 21), ("07ff040000000000", 20), ("99010000", 20),
      ("99000000", 20), ("01010199", 23), ("07070500000000", 22), ("070b09000000000000000000", 22),
      ("440809f000000000", 23), ("44030500", 21), ("440c0300 0000000000000000", 22),
      ("44070500000000", 22), ("44080501 00000000", 22), ("94030000", 21), ("8302", 21),
      ("83070300000000", 22), ("830704c6336403830704c6336403", 27),
      ("94040000 07070300000000", 26), ("8606000000000000", 21), ("860a00000001010400000000", 22),
    ])
  func refused(_ options: String, _ offset: Int) throws {
    let lab = FirewallLab(filter("-A FORWARD -j DROP"))
    let sent = packet(options)
    let seen = lab.lan(sent)
    #expect(seen.outcome.hook == nil)
    #expect(seen.outcome.reason == .badIPOption(offset: offset))
    #expect(seen.text == "DROP NEW/o")
    let answer = try #require(seen.left.first?.packet.bytes)
    let at = Int(answer[0] & 15) * 4
    #expect(
      Array(answer[at..<at + 2] + answer[(at + 4)..<(at + 8)]) == [12, 0, UInt8(offset), 0, 0, 0])
    #expect(Array(answer[(at + 8)...]) == sent.bytes)
    #expect(lab.table.isEmpty)
  }

  @Test func parameterProblem() {
    #expect(
      FirewallLab().lan(packet("07070300000000")).left.map(\.masked) == [
        departure(
          "lan0",
          """
          45c000426e1200004001f5e60a0001010a000102 0c00135316000000
          4700002600010000401139880a000102c6336402070703000000000003e80035000a5e1c6869
          """)
      ])
  }

  /// The quote has what was filled in, and the checksum from before.
  @Test func theSecondRouteIsRefused() {
    #expect(
      FirewallLab().lan(packet("0707040000000007070400000000")).left.map(\.masked) == [
        departure(
          "lan0",
          """
          47c000526e2b00004001e3ab0a0001010a000102 0707080a00010100 0c0009481b000000
          4900002e0001000040112f750a000102c63364020707080a00010107070400000000000003e80035000a5e1c6869
          """)
      ])
  }

  @Test func answersGoOnWithTheRoute() {
    #expect(
      FirewallLab().lan(packet("070b040000000000000000", ttl: 1)).left.map(\.masked) == [
        departure(
          "lan0",
          """
          48c000527b8200004001d0450a0001010a000102070b0c0a0001010a00010100 0b00254800000000
          4800002a00010000011176800a000102c6336402070b080a000101000000000003e80035000a5e1c6869
          """)
      ])
    let lab = FirewallLab(filter("-A FORWARD -j REJECT", "-A INPUT -j REJECT"))
    #expect(
      lab.lan(packet("070b040000000000000000")).left.map(\.masked) == [
        departure(
          "lan0",
          """
          48c000527b8700004001d0400a0001010a000102070b0c0a0001010a00010100 03032d4500000000
          4800002a000100003f1138800a000102c6336402070b080a000101000000000003e80035000a5e1c6869
          """)
      ])
    // To the host itself, it is the address the packet was sent to.
    let local = lab.lan(packet("070b040000000000000000", to: Socket("198.51.100.1", 53)))
    #expect(
      local.left.map { hexText($0.packet.bytes[..<32]).suffix(24) } == [
        "070b0cc6336401c633640100"
      ])
  }

  /// What answers carry of the options; nothing where an entry has begun but has no room.
  @Test(
    arguments: [
      ("94040000", ""), ("00010101", ""), ("44080900 00000000", "4408091000000000"),
      ("44140501 00000000000000000000000000000000", "441415010a00010104c4b4000a00010104c4b400"),
      ("44140503 0a000101 00000000 01020304 00000000", "44140d030a00010104c4b4000102030400000000"),
      ("07090400000000 0000", nil),
    ])
  func answers(_ options: String, _ echoed: String?) {
    let seen = FirewallLab(filter("-A FORWARD -j REJECT")).lan(packet(options))
    #expect(
      seen.left.map { hexText($0.packet.bytes[20..<Int($0.packet.bytes[0] & 15) * 4]) }
        == (echoed.map { [$0] } ?? []))
  }

  /// The kernel's sum over a packet with options filled in is wrong: no reset, and of ICMP errors only
  /// those for which conntrack has looked at the checksum.
  @Test func filledInOptionsHideTheChecksum() {
    let client = tcp("10.0.1.2", 1000, "198.51.100.2", 80).client
    var sender = client
    sender.fields = HeaderFields(options: hex("0707040000000000"))
    let lab = FirewallLab(filter("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"))
    #expect(lab.lan(sender.syn()).left.isEmpty)
    #expect(lab.lan(client.syn()).left.count == 1)
    let icmp = FirewallLab(filter("-A FORWARD -j REJECT"))
    #expect(icmp.lan(sender.syn()).left.count == 1)
    let untracked = FirewallLab(
      "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --notrack\nCOMMIT\n"
        + filter("-A FORWARD -j REJECT"))
    #expect(untracked.lan(sender.syn()).left.isEmpty)
    #expect(untracked.lan(client.syn()).left.count == 1)
  }

  // MARK: Source routes

  @Test func sourceRoutes() {
    for options in ["830704c6336403", "830708c6336403", "890704c6336403", "830304"] {
      let seen = FirewallLab().lan(packet(options))
      #expect(seen.outcome.reason == .sourceRouteRefused)
      #expect(seen.outcome.hook == nil && seen.left.isEmpty)
    }
  }

  @Test func sourceRoutesWhereAccepted() {
    let lab = FirewallLab(sysctls: [
      "net.ipv4.conf.all.accept_source_route": "1", "net.ipv4.conf.lan0.accept_source_route": "1",
    ])
    let loose = packet("830704c6336403")
    #expect(lab.lan(loose).left == [Departure("wan0", loose.hopped())])
    #expect(lab.lan(packet("890704c6336403")).outcome.reason == .badIPOption(offset: 16))
  }

  // MARK: Order

  @Test func impossibleAddressesComeFirstAndMissingRoutesLast() {
    let lab = FirewallLab(routes: [
      Route(IPPrefix(Address("100.64.1.0").value, length: 24, family: .ipv4), type: .blackhole)
    ])
    let options = HeaderFields(options: hex("0707030000000000"))
    func reason(_ source: String, _ destination: String) -> OutcomeReason {
      lab.lan(Socket(Address(source), 1).udp(to: Socket(Address(destination), 2), [], options))
        .outcome.reason
    }
    #expect(reason("198.51.100.1", "198.51.100.2") == .routing(.ownSource))
    #expect(reason("10.0.1.2", "239.1.1.1") == .routing(.multicastNotJoined))
    #expect(reason("10.0.1.2", "100.64.1.1") == .badIPOption(offset: 22))
  }
}
