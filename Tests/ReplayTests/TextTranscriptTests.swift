// The lines a person reads: what stands in them, for packets of every fate.

import Conntrack
import Firewall
import Replay
import ReplayTestSupport
import Testing
import Wire

@Suite struct TextTranscriptTests {
  /// The line of a report, columns closed up.
  private func line(_ report: PacketReport) -> String {
    var transcript = TextTranscript()
    var bytes: [UInt8] = []
    transcript.append(report, to: &bytes)
    #expect(bytes.last == UInt8(ascii: "\n"))
    let text = String(decoding: bytes.dropLast(), as: UTF8.self)
    return text.split(separator: " ").joined(separator: " ")
  }

  @Test func anAcceptedSYN() throws {
    var router = try Machine(rules: "iptables -A FORWARD -p tcp --dport 80 -j ACCEPT")
    let packet = PacketBuilder.tcp(
      from: "192.168.1.5:40000", to: "203.0.113.2:80", flags: .syn, sequence: 77, window: 64240,
      options: [.maximumSegmentSize(1460)])
    #expect(
      line(router.sees(packet))
        == "1 0.000000 eth0 > FORWARD NEW ACCEPT 192.168.1.5.40000 > 203.0.113.2.80: Flags [S], "
        + "seq 77, win 64240, mss 1460, length 0 "
        + "# filter FORWARD rule 1 -p tcp -m tcp --dport 80 -j ACCEPT")
  }

  @Test func aCommentStandsForItsRule() throws {
    var router = try Machine(
      rules: #"iptables -A FORWARD -m comment --comment "say \"hi\" to all" -j ACCEPT"#)
    let packet = PacketBuilder.udp(from: "192.168.1.5:40000", to: "203.0.113.2:53")
    #expect(line(router.sees(packet)).hasSuffix(#"# filter FORWARD rule 1 "say "hi" to all""#))
  }

  @Test func aDroppedPacketSaysWhy() throws {
    var host = try Machine(rules: "iptables -P INPUT DROP", local: ["192.168.1.5"])
    let packet = PacketBuilder.udp(
      from: "203.0.113.2:53", to: "192.168.1.5:40000", payload: [1, 2, 3])
    #expect(
      line(host.sees(packet))
        == "1 0.000000 eth0 > INPUT NEW DROP 203.0.113.2.53 > 192.168.1.5.40000: UDP, length 3 "
        + "# dropped by the policy of filter INPUT")
  }

  @Test func anInvalidPacketSaysWhy() throws {
    var router = try Machine(
      rules: "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP",
      settings: ["net.netfilter.nf_conntrack_tcp_loose=0"])
    let packet = PacketBuilder.tcp(from: "192.168.1.5:4", to: "203.0.113.2:80", flags: .ack)
    let text = line(router.sees(packet))
    #expect(text.contains(" INVALID DROP "))
    #expect(
      text.hasSuffix(
        "# dropped by rule 1 of filter FORWARD: -A FORWARD -m conntrack --ctstate INVALID -j DROP; "
          + "conntrack calls it INVALID: an ACK belongs to no known connection, and "
          + "nf_conntrack_tcp_loose is 0"))
  }

  @Test func natShowsThePacketAsItLeaves() throws {
    var router = try Machine(
      rules: "iptables -t nat -A POSTROUTING -j SNAT --to-source 198.51.100.1")
    let question = PacketBuilder.udp(from: "192.168.1.5:4000", to: "203.0.113.2:53")
    #expect(
      line(router.sees(question))
        == "1 0.000000 eth0 > FORWARD NEW ACCEPT 192.168.1.5.4000 > 203.0.113.2.53: UDP, length 0 "
        + "-> 198.51.100.1.4000 > 203.0.113.2.53 "
        + "# nat POSTROUTING rule 1 -j SNAT --to-source 198.51.100.1")
    let answer = PacketBuilder.udp(from: "203.0.113.2:53", to: "198.51.100.1:4000")
    #expect(
      line(router.sees(answer))
        == "2 0.000000 eth0 > FORWARD ESTABLISHED reply ACCEPT 203.0.113.2.53 > 198.51.100.1.4000: "
        + "UDP, length 0 -> 203.0.113.2.53 > 192.168.1.5.4000")
    // An ICMP error changes inside as well: it stands there whole.
    let error = PacketBuilder.icmpError(
      from: "203.0.113.9", to: "198.51.100.1", type: 3, code: 3,
      quoting: PacketBuilder.udp(from: "198.51.100.1:4000", to: "203.0.113.2:53"))
    #expect(
      line(router.sees(error)).contains(
        "ICMP port unreachable, about 198.51.100.1.4000 > 203.0.113.2.53 UDP -> 203.0.113.9 > "
          + "192.168.1.5: ICMP port unreachable, about 192.168.1.5.4000 > 203.0.113.2.53 UDP"))
  }

  @Test func aRejectShowsItsAnswer() throws {
    var host = try Machine(
      rules: "iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset", local: ["192.168.1.5"])
    let packet = PacketBuilder.tcp(
      from: "203.0.113.2:5", to: "192.168.1.5:22", flags: .syn, sequence: 8)
    #expect(
      line(host.sees(packet)).contains(
        "; answered: 192.168.1.5.22 > 203.0.113.2.5: Flags [R.], seq 0, ack 9, win 0, length 0"))
  }

  @Test func framesOutsideTheFirewall() throws {
    var host = try Machine(local: ["192.168.1.5"])
    var arp: [UInt8] = [
      0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 192, 168, 1, 7, 0, 0, 0, 0, 0, 0, 192, 168, 1, 5,
    ]
    let frame = [UInt8](repeating: 0xff, count: 6) + [2, 0, 0, 0, 0, 1, 8, 6]
    #expect(
      line(host.sees(frame + arp, linkType: 1))
        == "1 0.000000 eth0 ARP who-has 192.168.1.5 tell 192.168.1.7")
    arp[7] = 2
    #expect(
      line(host.sees(frame + arp, linkType: 1))
        == "2 0.000000 eth0 ARP 192.168.1.7 is-at 02:00:00:00:00:01")
    #expect(
      line(host.sees(frame.dropLast(2) + [0x88, 0xcc, 1], linkType: 1))
        == "3 0.000000 eth0 not IP: EtherType 0x88cc")
  }

  @Test func packetsSeenLeaving() throws {
    var router = try Machine(
      rules: "iptables -t nat -A POSTROUTING -o wan0 -j SNAT --to-source 198.51.100.1")
    let question = PacketBuilder.udp(
      from: "192.168.1.5:4000", to: "203.0.113.2:53", .init(hopLimit: 64))
    // Two interfaces, no routes: what comes in by one leaves by the other.
    router.sees(PacketBuilder.udp(from: "203.0.113.2:1", to: "192.168.1.5:1"), on: "wan0")
    let report = router.sees(question, on: "lan0")
    let left = try #require(report.emitted.first)
    #expect(left.interface == "wan0")
    #expect(
      line(router.sees(left.packet.bytes, on: "wan0", direction: .outbound))
        == "3 0.000000 > wan0 packet 2, seen leaving")
    #expect(
      line(router.sees(question, on: "wan0", direction: .outbound)).hasSuffix(
        "# unexplained: the machine sent this, Weir would not have"))
  }

  @Test func brokenPacketsAreStillToldOf() throws {
    var router = try Machine()
    let whole = PacketBuilder.tcp(
      from: "192.168.1.5:4", to: "203.0.113.2:80", flags: .ack,
      payload: [UInt8](repeating: 1, count: 100))
    for length in 1...whole.count {
      let text = line(router.sees(Array(whole.prefix(length))))
      #expect(!text.isEmpty)
    }
    #expect(
      line(router.sees(Array(whole.prefix(60)))).contains(
        "192.168.1.5.4 > 203.0.113.2.80: Flags [.], seq 0:100, ack 0, win 65535, length 100 "
          + "(cut short) # dropped before any hook: the packet is shorter than its IP header says"))
  }

  @Test func noBytesMakeItFail() throws {
    var router = try Machine(rules: "iptables -A FORWARD -p icmp -j REJECT")
    var generator = SeededGenerator(seed: 42)
    let seeds = [
      PacketBuilder.echo(from: "192.168.1.5", to: "203.0.113.2", payload: [1, 2, 3]),
      PacketBuilder.icmpError(
        from: "2001:db8::1", to: "2001:db8::2", type: 1, code: 4,
        quoting: PacketBuilder.udp(from: "[2001:db8::2]:1", to: "[2001:db8::3]:2")),
      PacketBuilder.tcp(
        from: "192.168.1.5:1", to: "203.0.113.2:2", flags: .syn,
        options: [.maximumSegmentSize(9), .sackPermitted]),
    ]
    for round in 0..<3000 {
      var packet = seeds[round % seeds.count]
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = Int.random(in: packet.indices, using: &generator)
        packet[place] = .random(in: .min ... .max, using: &generator)
      }
      packet.removeLast(Int.random(in: 0..<min(packet.count, 30), using: &generator))
      #expect(!line(router.sees(packet)).isEmpty, "\(packet)")
    }
  }
}
