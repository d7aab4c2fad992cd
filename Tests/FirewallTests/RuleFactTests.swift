// What rules ask about a packet beside its headers: kinds of address, TCP options, the time a
// connection has left. Answers are those of Linux 6.18.

import Firewall
import PacketForge
import Ruleset
import TestLab
import Testing
import Wire

@Suite struct RuleFactTests {
  private static let kinds4 = ["UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST"]
  private static let kinds6 = ["UNSPEC", "UNICAST", "LOCAL", "ANYCAST", "MULTICAST", "UNREACHABLE"]

  /// One LOG rule a kind, which says its name.
  private static func table(_ kinds: [String], _ options: String) -> String {
    "*raw\n:PREROUTING ACCEPT [0:0]\n"
      + kinds.map {
        "-A PREROUTING -m addrtype --dst-type \($0) \(options) -j LOG --log-prefix \($0)\n"
      }.joined() + "COMMIT\n"
  }

  @Test(
    arguments: [
      ("10.0.1.2", "UNICAST", "UNICAST"), ("10.0.1.1", "LOCAL", "LOCAL"),
      ("198.51.100.1", "LOCAL", "UNICAST"), ("203.0.113.9", "UNICAST", "UNICAST"),
      ("10.0.1.255", "BROADCAST", "BROADCAST"), ("198.51.100.255", "BROADCAST", "UNICAST"),
      ("255.255.255.255", "BROADCAST", "BROADCAST"), ("0.0.0.0", "BROADCAST", "BROADCAST"),
      ("127.0.0.1", "LOCAL", "UNICAST"), ("224.0.0.1", "MULTICAST", "MULTICAST"),
      ("240.0.0.1", "UNICAST", "UNICAST"),
    ])
  func ipv4(_ address: String, _ kind: String, _ onLan: String) {
    let packet = lanClient.udp(to: Socket(Address(address), 53))
    func seen(_ options: String) -> [String] {
      FirewallLab(RuleFactTests.table(RuleFactTests.kinds4, options)).lan(packet).logs
    }
    #expect(seen("") == [kind])
    #expect(seen("--limit-iface-in") == [onLan])
  }

  @Test(
    arguments: [
      ("fd00:1::2", "UNICAST", "UNICAST"), ("fd00:1::1", "UNICAST LOCAL", "UNICAST LOCAL"),
      ("2001:db8:9::1", "UNICAST LOCAL", "UNICAST UNREACHABLE"),
      ("2001:db8:77::9", "UNICAST", "UNICAST UNREACHABLE"),
      ("fd00:1::", "UNICAST ANYCAST", "UNICAST ANYCAST"), ("ff02::1", "MULTICAST", "MULTICAST"),
      ("::a00:109", "UNICAST", "UNICAST UNREACHABLE"), ("::ffff:a00:109", "", "UNREACHABLE"),
    ])
  func ipv6(_ address: String, _ kinds: String, _ onLan: String) {
    let packet = lanClient6.udp(to: Socket(Address(address), 53))
    func seen(_ options: String) -> String {
      FirewallLab(ipv6: RuleFactTests.table(RuleFactTests.kinds6, options)).lan(packet).logs
        .joined(separator: " ")
    }
    #expect(seen("") == kinds)
    #expect(seen("--limit-iface-in") == onLan)
  }

  /// In FORWARD either interface may be asked about.
  @Test func bothInterfaces() {
    func logs(_ limit: String) -> Int {
      FirewallLab(
        filter("-A FORWARD -m addrtype --src-type BROADCAST \(limit) -j LOG --log-prefix x")
      ).lan(Socket("10.0.1.255", 1).udp(to: wanServer)).logs.count
    }
    #expect(logs("--limit-iface-in") == 1)
    #expect(logs("--limit-iface-out") == 0)
  }

  /// Of IPv6 the kernel wants every kind the address tells, and one of those the route tells.
  @Test func severalKinds() {
    func drops(_ kinds: String, _ address: String) -> Bool {
      FirewallLab(
        ipv6:
          "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m addrtype --dst-type \(kinds) -j DROP\n"
          + "COMMIT\n"
      ).lan(lanClient6.udp(to: Socket(Address(address), 53))).outcome.verdict == .drop
    }
    #expect(drops("UNICAST,LOCAL", "fd00:1::1"))
    #expect(!drops("UNICAST,LOCAL", "2001:db8:9::2"))
    #expect(!drops("UNICAST,MULTICAST", "fd00:1::1"))
    #expect(drops("LOCAL,ANYCAST", "fd00:1::1"))
  }

  @Test func tcpOptions() {
    let lab = FirewallLab(
      filter(
        "-A FORWARD -p tcp -m tcp --tcp-option 8 -j DROP",
        "-A FORWARD -p tcp -m tcpmss --mss 1000:1300 -j DROP"))
    let client = tcp("10.0.1.2", 1000, "198.51.100.2", 80).client
    func verdict(_ options: [SegmentOption]) -> PacketVerdict {
      lab.lan(client.syn(options: options)).outcome.verdict
    }
    #expect(verdict([.mss(1460)]) == .accept)
    #expect(verdict([.mss(1460), .timestamp(1, echo: 0)]) == .drop)
    #expect(verdict([.mss(1200)]) == .drop)
  }

  /// A connection's time runs from when it is confirmed.
  @Test func timeLeft() {
    let lab = FirewallLab(filter("-A FORWARD -m conntrack --ctexpire 20:40 -j LOG --log-prefix x"))
    #expect(lab.lan(lanClient.udp(to: wanServer)).logs.isEmpty)
    #expect(lab.lan(lanClient.udp(to: wanServer)).logs == ["x"])
  }
}

@Suite struct AnswersWithoutConnectionTests {
  private static let rawReplies =
    "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    + "-A PREROUTING -p tcp -m tcp --sport 80 -j CT --notrack\nCOMMIT\n"
  private static var ends: (client: Peer, server: Peer) {
    tcp("10.0.1.2", 1000, "198.51.100.2", 80)
  }

  /// The reset is looked up by itself, and ends the connection it belongs to.
  @Test func aResetBelongsToItsEnds() {
    let lab = FirewallLab(
      AnswersWithoutConnectionTests.rawReplies
        + filter("-A FORWARD -p tcp -m tcp --sport 80 -j REJECT --reject-with tcp-reset"))
    let (client, server) = AnswersWithoutConnectionTests.ends
    lab.lan(client.syn(seq: 1000))
    #expect(lab.table.count == 1)
    let seen = lab.wan(server.synAck(ack: 1001))
    #expect(seen.text == "REJECT UNTRACKED")
    #expect(seen.left.count == 1)
    #expect(lab.table.isEmpty)
  }

  /// An ICMP error about a packet nobody knows is INVALID, about one of a known flow RELATED.
  @Test func anErrorBelongsToWhatItQuotes() {
    let states = filter(
      "-A FORWARD -p tcp -m tcp --sport 80 -j REJECT",
      "-A OUTPUT -m conntrack --ctstate INVALID -j LOG --log-prefix invalid",
      "-A OUTPUT -m conntrack --ctstate RELATED -j LOG --log-prefix related")
    let lab = FirewallLab(AnswersWithoutConnectionTests.rawReplies + states)
    let (client, server) = AnswersWithoutConnectionTests.ends
    #expect(lab.wan(server.synAck(ack: 1001)).logs == ["invalid"])
    lab.lan(client.syn(seq: 1000))
    #expect(lab.wan(server.synAck(ack: 1001)).logs == ["related"])
  }
}
