// What REJECT sends, byte for byte as Linux 6.18 sent it for the same packet. Identification and flow
// label, which are drawn at random, are masked.

import PacketForge
import Ruleset
import TestLab
import Testing
import Wire

let lanClient = Socket("10.0.1.2", 1000)
let wanServer = Socket("198.51.100.2", 53)
let lanClient6 = Socket("fd00:1::2", 1000)
let wanServer6 = Socket("2001:db8:9::2", 53)

let lan6 = "fd000001000000000000000000000002"
let own6 = "fd000001000000000000000000000001"
let wan6 = "20010db8000900000000000000000002"

func filter(_ rules: String...) -> String {
  "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    + rules.map { $0 + "\n" }.joined() + "COMMIT\n"
}

func nat(_ rules: String...) -> String {
  "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    + ":POSTROUTING ACCEPT [0:0]\n" + rules.map { $0 + "\n" }.joined() + "COMMIT\n"
}

func departure(_ port: String, _ text: String) -> Departure {
  Departure(port, Packet(bytes: hex(text))).masked
}

@Suite struct RejectTests {
  @Test func icmp() {
    let lab = FirewallLab(filter("-A FORWARD -j REJECT --reject-with icmp-admin-prohibited"))
    let seen = lab.lan(
      lanClient.udp(
        to: wanServer, Array("hello".utf8), HeaderFields(tos: 0x28, id: 0x1234, df: true)))
    #expect(seen.text == "REJECT NEW/o")
    #expect(
      seen.left.map(\.masked) == [
        departure(
          "lan0",
          """
          45c8003d239a00004001405c0a0001010a000102 030d324900000000
          45280021123440003f11f4380a000102c633640203e80035000d82ad68656c6c6f
          """)
      ])
    #expect(lab.table.isEmpty)
    #expect(lab.heard().isEmpty)
  }

  /// The answer leaves, so listeners hear what the packet itself changed.
  @Test func errorsTellWhatARejectedPacketChanged() {
    let lab = FirewallLab(filter("-A FORWARD -o lan0 -j REJECT"))
    lab.lan(lanClient.udp(to: wanServer, [1]))
    _ = lab.heard()
    lab.wan(wanServer.udp(to: lanClient, [2]))
    #expect(
      lab.heard() == [
        " [UPDATE] udp      17 30 src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=53 "
          + "src=198.51.100.2 dst=10.0.1.2 sport=53 dport=1000"
      ])
  }

  @Test func icmp6() {
    let lab = FirewallLab(
      ipv6: filter("-A FORWARD -j REJECT --reject-with icmp6-reject-route"))
    let seen = lab.lan(
      lanClient6.udp(
        to: wanServer6, Array("hello".utf8), HeaderFields(tos: 0x28, flowLabel: 0x12345)))
    #expect(
      seen.left.map(\.masked) == [
        departure(
          "lan0",
          """
          60018e82003d3a40 \(own6) \(lan6) 0106 6d87 00000000
          62812345000d113f \(lan6) \(wan6) 03e80035000d8d1d68656c6c6f
          """)
      ])
  }

  @Test func tcpReset() {
    let lab = FirewallLab(filter("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"))
    let (client, _) = tcp("10.0.1.2", 1000, "198.51.100.2", 80)
    let seen = lab.lan(client.syn())
    // Nothing in it is drawn at random: no mask.
    #expect(
      seen.left == [
        Departure(
          "lan0",
          Packet(
            bytes: hex(
              """
              45000028 0000 4000 4006 0599 c6336402 0a000102
              0050 03e8 00000000 000003e9 5014 0000 7278 0000
              """)))
      ])
    #expect(lab.table.isEmpty)
  }

  /// Flags, bytes of data; then the reset's flags, its sequence number and acknowledgement. The
  /// segment has sequence number 1000, and acknowledges 5000.
  static let resets: [(TCPFlags, Int, TCPFlags?, UInt32, UInt32)] = [
    (.syn, 0, [.rst, .ack], 0, 1001),
    (.syn, 10, [.rst, .ack], 0, 1011),
    ([.syn, .fin], 0, [.rst, .ack], 0, 1002),
    (.fin, 0, [.rst, .ack], 0, 1001),
    ([], 0, [.rst, .ack], 0, 1000),
    ([], 4, [.rst, .ack], 0, 1004),
    (.psh, 4, [.rst, .ack], 0, 1004),
    (.ack, 0, .rst, 5000, 0),
    ([.ack, .psh], 4, .rst, 5000, 0),
    ([.fin, .ack], 0, .rst, 5000, 0),
    ([.syn, .ack], 0, .rst, 5000, 0),
    ([.urg, .ack], 0, .rst, 5000, 0),
    (.rst, 0, nil, 0, 0),
    ([.rst, .ack], 0, nil, 0, 0),
  ]

  @Test(arguments: resets)
  func resetAnswersBySegment(
    flags: TCPFlags, data: Int, answer: TCPFlags?, sequence: UInt32, acknowledgement: UInt32
  ) {
    let lab = FirewallLab(filter("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"))
    let (client, server) = tcp("10.0.1.2", 1000, "198.51.100.2", 80)
    let segment = client.segment(flags, seq: 1000, ack: 5000, data: data)
    var reset: [Departure] = []
    if let answer {
      let packet = Packet(
        IPProtocolNumber.tcp, from: server.socket.address, to: client.socket.address,
        HeaderFields(df: true),
        payload: bigEndian(UInt16(80)) + bigEndian(UInt16(1000)) + bigEndian(sequence)
          + bigEndian(acknowledgement) + [0x50, answer.rawValue, 0, 0, 0, 0, 0, 0])
      reset = [Departure("lan0", packet)]
    }
    #expect(lab.lan(segment).left == reset)
  }

  @Test func resetsClosesAConfirmedConnection() {
    let lab = FirewallLab(
      filter("-A FORWARD -p tcp -m length --length 100:200 -j REJECT --reject-with tcp-reset"))
    let (client, server) = tcp("10.0.1.2", 1000, "198.51.100.2", 80)
    lab.lan(client.syn())
    lab.wan(server.synAck())
    lab.lan(client.ack())
    #expect(lab.lan(client.data(100)).text == "REJECT ESTABLISHED/o")
    #expect(
      lab.table == [
        "tcp      6 10 CLOSE src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 src=198.51.100.2 "
          + "dst=10.0.1.2 sport=80 dport=1000 [ASSURED] mark=0 use=1"
      ])
    #expect(lab.lan(client.ack()).text == "ACCEPT ESTABLISHED/o")
  }

  @Test func theAnswersTrafficClass() {
    for tos in UInt8.min...UInt8.max {
      let lab = FirewallLab(filter("-A FORWARD -j REJECT"))
      let left = lab.lan(lanClient.udp(to: wanServer, [], HeaderFields(tos: tos))).left
      #expect(left.first?.packet.bytes[1] == tos & 0x1e | 0xc0)
    }
  }

  @Test func quotesAreCut() {
    let lab = FirewallLab(filter("-A FORWARD -j REJECT"), ipv6: filter("-A FORWARD -j REJECT"))
    let data = [UInt8](repeating: 7, count: 1400)
    let left = lab.lan(lanClient.udp(to: wanServer, data)).left
    #expect(left.map(\.packet.bytes.count) == [576])
    let left6 = lab.lan(lanClient6.udp(to: wanServer6, data)).left
    #expect(left6.map(\.packet.bytes.count) == [1280])
  }

  // MARK: NAT

  @Test func answersToTranslatedPacketsAreTranslatedBack() {
    let lab = FirewallLab(
      nat("-A PREROUTING -p udp -m udp --dport 8053 -j DNAT --to-destination 10.0.1.9:53")
        + filter("-A FORWARD -j REJECT"))
    let packet = Socket("198.51.100.2", 5000).udp(
      to: Socket("198.51.100.1", 8053), Array("hello".utf8), HeaderFields(id: 1))
    let seen = lab.wan(packet)
    #expect(
      seen.left.map(\.masked) == [
        departure(
          "wan0",
          """
          45c0003d56af00004001cee6c6336401c6336402 0303518600000000
          45000021000100003f112761c6336402c6336401 13881f75000d349a68656c6c6f
          """)
      ])
    #expect(lab.table.isEmpty)
  }

  @Test func theAnswerComesInTheNameOfTheTranslatedAddress() {
    let lab = FirewallLab(
      nat("-A PREROUTING -d 198.51.100.50/32 -j DNAT --to-destination 10.0.1.9")
        + filter("-A FORWARD -j REJECT"))
    let packet = Socket("198.51.100.2", 5000).udp(
      to: Socket("198.51.100.50", 53), Array("hello".utf8), HeaderFields(id: 1))
    #expect(
      lab.wan(packet).left.map(\.masked) == [
        departure(
          "wan0",
          """
          45c0003d5ef900004001c66bc6336432c6336402 030351b700000000
          45000021000100003f112730c6336402c6336432 13880035000d53a968656c6c6f
          """)
      ])
  }

  // MARK: Whom it does not answer

  @Test func silence() {
    let lab = FirewallLab(filter("-A INPUT -j REJECT", "-A FORWARD -j REJECT"))
    func answers(_ packet: Packet, _ type: PacketType = .unicast) -> Int {
      lab.wait(10)
      return lab.lan(packet, type).left.count
    }
    let router = Socket("10.0.1.1", 53)
    #expect(answers(lanClient.udp(to: router)) == 1)
    #expect(answers(lanClient.udp(to: router), .broadcast) == 0)
    #expect(answers(lanClient.udp(to: Socket("255.255.255.255", 53)), .broadcast) == 0)
    #expect(answers(lanClient.udp(to: Socket("10.0.1.255", 53)), .broadcast) == 0)
    #expect(answers(lanClient.udp(to: Socket("224.0.0.1", 53)), .multicast) == 0)
    #expect(answers(lanClient.udp(to: wanServer).damaged(at: 30)) == 0)
    #expect(answers(lanClient.udp(to: wanServer, checksum: 0)) == 1)
    #expect(answers(lanClient.udp(to: wanServer).cut(to: 27)) == 0)
    #expect(answers(.icmp(3, 3, from: "10.0.1.2", to: "198.51.100.2")) == 0)
    #expect(answers(.icmp(200, from: "10.0.1.2", to: "198.51.100.2")) == 0)
    #expect(answers(.echoReply(from: "10.0.1.2", to: "198.51.100.2", id: 1)) == 1)
    // Protocols without a checksum everyone knows, and one that would have to have ICMP's.
    #expect(answers(Packet(47, from: "10.0.1.2", to: "198.51.100.2", payload: [0, 0, 8, 0])) == 1)
    #expect(answers(Packet(50, from: "10.0.1.2", to: "198.51.100.2", payload: [1, 2, 3])) == 1)
    #expect(answers(Packet(99, from: "10.0.1.2", to: "198.51.100.2", payload: [1, 2, 3])) == 0)
    #expect(answers(Packet(99, from: "10.0.1.2", to: "198.51.100.2", payload: [])) == 1)
    #expect(answers(Packet(99, from: "10.0.1.2", to: "198.51.100.2", payload: [0, 0])) == 1)
  }

  @Test func anAnswerMeetsTheOutputRules() {
    let lab = FirewallLab(
      filter(
        "-A FORWARD -j REJECT",
        "-A OUTPUT -m conntrack --ctstate RELATED -j LOG --log-prefix \"r \"",
        "-A OUTPUT -m conntrack --ctstate RELATED -j DROP"))
    let seen = lab.lan(lanClient.udp(to: wanServer))
    #expect(seen.text == "REJECT NEW/o")
    #expect(seen.left.isEmpty)
    #expect(seen.logs == ["r "])
  }

  // MARK: Rate limit

  @Test func sixAnswersThenOneASecond() {
    let lab = FirewallLab(filter("-A FORWARD -j REJECT"))
    func answered() -> Int { lab.lan(lanClient.udp(to: wanServer)).left.count }
    #expect(
      (0..<20).map { _ in answered() } == Array(repeating: 1, count: 6)
        + Array(repeating: 0, count: 14))
    lab.wait(1)
    #expect((0..<3).map { _ in answered() } == [1, 0, 0])
    lab.wait(3)
    #expect((0..<5).map { _ in answered() } == [1, 1, 1, 0, 0])
    lab.wait(60)
    #expect((0..<8).map { _ in answered() } == [1, 1, 1, 1, 1, 1, 0, 0])
    // Another destination has a bucket of its own; resets are not limited.
    #expect(lab.lan(Socket("10.0.1.3", 1).udp(to: wanServer)).left.count == 1)
  }

  @Test func sixAnswersThenTenASecond6() {
    let lab = FirewallLab(ipv6: filter("-A FORWARD -j REJECT"))
    func answered() -> Int { lab.lan(lanClient6.udp(to: wanServer6)).left.count }
    #expect((0..<8).map { _ in answered() } == [1, 1, 1, 1, 1, 1, 0, 0])
    lab.wait(0.1)
    #expect((0..<2).map { _ in answered() } == [1, 0])
  }

  @Test func resetsAreNotLimited() {
    let lab = FirewallLab(filter("-A FORWARD -p tcp -j REJECT --reject-with tcp-reset"))
    let (client, _) = tcp("10.0.1.2", 1000, "198.51.100.2", 80)
    #expect((0..<30).allSatisfy { _ in lab.lan(client.syn(seq: 1000)).left.count == 1 })
  }
}
