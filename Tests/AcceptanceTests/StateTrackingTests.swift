// The samples of the user's notes, section 3 (docs/seed.md): how an entry's state follows its packets,
// and rule pairs that let a client connect and the server never.

import Conntrack
import Firewall
import ReplayTestSupport
import Testing
import Wire

@Suite struct StateTrackingTests {
  // MARK: TCP

  @Test func theHandshakeInTheTable() throws {
    var router = try Machine()
    var telnet = TCPTalk("192.168.1.5:1031", "192.168.1.7:23")
    #expect(router.sees(telnet.syn()).outcome.ctState == .new)
    router.waits(seconds: 3)
    #expect(
      router.oldProcfs() == [
        "ipv4     2 tcp      6 117 SYN_SENT src=192.168.1.5 dst=192.168.1.7 sport=1031 dport=23 [UNREPLIED] src=192.168.1.7 dst=192.168.1.5 sport=23 dport=1031 use=1"
      ])
    #expect(router.sees(telnet.synAck()).outcome.ctState == .established)
    router.waits(seconds: 3)
    #expect(
      router.oldProcfs() == [
        "ipv4     2 tcp      6 57 SYN_RECV src=192.168.1.5 dst=192.168.1.7 sport=1031 dport=23 src=192.168.1.7 dst=192.168.1.5 sport=23 dport=1031 use=1"
      ])
    #expect(router.sees(telnet.ack()).outcome.ctState == .established)
    router.waits(seconds: 1)
    #expect(
      router.oldProcfs() == [
        "ipv4     2 tcp      6 431999 ESTABLISHED src=192.168.1.5 dst=192.168.1.7 sport=1031 dport=23 src=192.168.1.7 dst=192.168.1.5 sport=23 dport=1031 [ASSURED] use=1"
      ])
  }

  /// Todays's form of the same entry, in both listings.
  @Test func theHandshakeAsConntrackListsIt() throws {
    var router = try Machine()
    var telnet = TCPTalk("192.168.1.5:1031", "192.168.1.7:23")
    router.sees(telnet.syn())
    router.sees(telnet.synAck())
    router.sees(telnet.ack())
    let facts =
      "tcp      6 432000 ESTABLISHED src=192.168.1.5 dst=192.168.1.7 sport=1031 dport=23 src=192.168.1.7 dst=192.168.1.5 sport=23 dport=1031 [ASSURED] mark=0 use=1"
    #expect(try router.conntrack() == [facts])
    #expect(try router.conntrack(extended: true) == ["ipv4     2 \(facts)"])
  }

  private static func pair(_ number: String) -> String {
    """
    iptables -P INPUT DROP
    iptables -P OUTPUT DROP
    iptables -A INPUT -s 192.168.1.7 -p \(number) --dport 1031 --sport 23 -m conntrack --ctstate ESTABLISHED -j ACCEPT
    iptables -A OUTPUT -d 192.168.1.7 -p \(number) --sport 1031 --dport 23 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT
    """
  }

  @Test func tcpRulesLetTheClientConnect() throws {
    var client = try Machine(rules: Self.pair("tcp"), local: ["192.168.1.5"])
    var talk = TCPTalk("192.168.1.5:1031", "192.168.1.7:23")
    let packets = [
      talk.syn(), talk.synAck(), talk.ack(), talk.fromClient([.psh, .ack], data: 3),
      talk.fromServer([.psh, .ack], data: 30), talk.fromServer([.fin, .ack]),
      talk.fromClient([.fin, .ack]), talk.fromServer(.ack),
    ]
    for packet in packets {
      let report = client.sees(packet)
      #expect(report.outcome.verdict == .accept, "\(report.reason)")
    }
  }

  @Test func tcpRulesNeverLetTheServerConnect() throws {
    var client = try Machine(rules: Self.pair("tcp"), local: ["192.168.1.5"])
    let report = client.sees(
      PacketBuilder.tcp(from: "192.168.1.7:23", to: "192.168.1.5:1031", flags: .syn))
    #expect(report.outcome.ctState == .new)
    #expect(report.outcome.verdict == .drop)
    #expect(report.reason == "dropped by the policy of filter INPUT")
    #expect(try client.conntrack() == [])
    // Nor to other ports, nor with segments out of nowhere.
    for flags: TCPFlags in [.syn, .ack, [.syn, .ack], .rst] {
      let other = client.sees(
        PacketBuilder.tcp(from: "192.168.1.7:23", to: "192.168.1.5:1032", flags: flags))
      #expect(other.outcome.verdict == .drop)
    }
    #expect(try client.conntrack() == [])
  }

  // MARK: UDP

  private let older = [
    "weir.udp_stream_delay=0", "net.netfilter.nf_conntrack_udp_timeout_stream=180",
  ]

  @Test func udpInTheTableOfOlderKernels() throws {
    var router = try Machine(settings: older)
    let question = PacketBuilder.udp(from: "192.168.1.2:137", to: "192.168.1.5:1025")
    let answer = PacketBuilder.udp(from: "192.168.1.5:1025", to: "192.168.1.2:137")
    #expect(router.sees(question).outcome.ctState == .new)
    router.waits(seconds: 10)
    #expect(
      router.oldProcfs() == [
        "ipv4     2 udp      17 20 src=192.168.1.2 dst=192.168.1.5 sport=137 dport=1025 [UNREPLIED] src=192.168.1.5 dst=192.168.1.2 sport=1025 dport=137 use=1"
      ])
    #expect(router.sees(answer).outcome.ctState == .established)
    #expect(router.sees(question).outcome.ctState == .established)
    router.waits(seconds: 10)
    #expect(
      router.oldProcfs() == [
        "ipv4     2 udp      17 170 src=192.168.1.2 dst=192.168.1.5 sport=137 dport=1025 src=192.168.1.5 dst=192.168.1.2 sport=1025 dport=137 [ASSURED] use=1"
      ])
  }

  @Test func everyPacketRefreshesAStream() throws {
    var router = try Machine(settings: older)
    let question = PacketBuilder.udp(from: "192.168.1.5:1025", to: "195.22.79.2:53")
    let answer = PacketBuilder.udp(from: "195.22.79.2:53", to: "192.168.1.5:1025")
    router.sees(question)
    router.sees(answer)
    router.sees(question)
    router.waits(seconds: 100)
    router.sees(answer)
    router.waits(seconds: 5)
    #expect(
      router.oldProcfs() == [
        "ipv4     2 udp      17 175 src=192.168.1.5 dst=195.22.79.2 sport=1025 dport=53 src=195.22.79.2 dst=192.168.1.5 sport=53 dport=1025 [ASSURED] use=1"
      ])
    router.waits(seconds: 176)
    #expect(router.oldProcfs() == [])
  }

  /// Today's kernels call a flow a stream only when it is active two seconds after it began.
  @Test func udpInTheTableOfTodaysKernels() throws {
    var router = try Machine()
    let question = PacketBuilder.udp(from: "192.168.1.2:137", to: "192.168.1.5:1025")
    let answer = PacketBuilder.udp(from: "192.168.1.5:1025", to: "192.168.1.2:137")
    router.sees(question)
    router.sees(answer)
    router.sees(question)
    #expect(try router.conntrack().map { $0.contains("[ASSURED]") } == [false])
    router.waits(seconds: 3)
    router.sees(question)
    #expect(
      try router.conntrack() == [
        "udp      17 120 src=192.168.1.2 dst=192.168.1.5 sport=137 dport=1025 src=192.168.1.5 dst=192.168.1.2 sport=1025 dport=137 [ASSURED] mark=0 use=1"
      ])
  }

  @Test func udpRulesLetTheClientAskAndTheServerNever() throws {
    var client = try Machine(rules: Self.pair("udp"), local: ["192.168.1.5"])
    let question = PacketBuilder.udp(from: "192.168.1.5:1031", to: "192.168.1.7:23")
    let answer = PacketBuilder.udp(from: "192.168.1.7:23", to: "192.168.1.5:1031")
    // The server alone: refused, and no entry.
    let uncalled = client.sees(answer)
    #expect(uncalled.outcome.ctState == .new)
    #expect(uncalled.outcome.verdict == .drop)
    #expect(try client.conntrack() == [])
    // After the client has asked, the same packet is an answer.
    #expect(client.sees(question).outcome.verdict == .accept)
    let called = client.sees(answer)
    #expect(called.outcome.ctState == .established)
    #expect(called.outcome.verdict == .accept)
    // Until the entry is gone.
    client.waits(seconds: 31)
    #expect(client.sees(answer).outcome.verdict == .drop)
  }

  // MARK: The idea behind it

  @Test func twoPacketsStandForTheTwoDirections() throws {
    var router = try Machine()
    let request = PacketBuilder.echo(
      from: "192.168.1.5", to: "192.168.1.7", identifier: 9, sequence: 1)
    let reply = PacketBuilder.echo(
      from: "192.168.1.7", to: "192.168.1.5", reply: true, identifier: 9, sequence: 1)
    #expect(router.sees(request).outcome.ctState == .new)
    #expect(router.sees(reply).outcome.ctState == .established)
    #expect(router.sees(request).outcome.ctState == .established)
    let error = PacketBuilder.icmpError(
      from: "192.168.1.1", to: "192.168.1.5", type: 3, code: 1, quoting: request)
    #expect(router.sees(error).outcome.ctState == .related)
  }
}
