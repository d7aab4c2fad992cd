// The order of the hooks, policies, user chains, marks, and connections that are not tracked.

import PacketForge
import TestLab
import Testing

@Suite struct HookTests {
  /// A LOG rule in every chain there is, which says where it stands.
  static let everywhere = [
    ("raw", ["PREROUTING", "OUTPUT"]),
    ("mangle", ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
    ("nat", ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("filter", ["INPUT", "FORWARD", "OUTPUT"]),
  ].map { table, chains in
    "*\(table)\n" + chains.map { ":\($0) ACCEPT [0:0]\n" }.joined()
      + chains.map { "-A \($0) -j LOG --log-prefix \"\(table) \($0)\"\n" }.joined() + "COMMIT\n"
  }.joined()

  @Test func forwarded() {
    let lab = FirewallLab(HookTests.everywhere)
    #expect(
      lab.lan(lanClient.udp(to: wanServer)).logs == [
        "raw PREROUTING", "mangle PREROUTING", "nat PREROUTING", "mangle FORWARD",
        "filter FORWARD", "mangle POSTROUTING", "nat POSTROUTING",
      ])
    // The nat table is asked once a connection.
    #expect(
      lab.wan(wanServer.udp(to: lanClient)).logs == [
        "raw PREROUTING", "mangle PREROUTING", "mangle FORWARD", "filter FORWARD",
        "mangle POSTROUTING",
      ])
  }

  @Test func takenByTheHost() {
    let lab = FirewallLab(HookTests.everywhere)
    let seen = lab.lan(lanClient.udp(to: Socket("10.0.1.1", 53)))
    #expect(
      seen.logs == [
        "raw PREROUTING", "mangle PREROUTING", "nat PREROUTING", "mangle INPUT", "filter INPUT",
        "nat INPUT",
      ])
    #expect(seen.left.isEmpty)
    #expect(
      lab.own(Socket("10.0.1.1", 53).udp(to: lanClient)).logs == [
        "raw OUTPUT", "mangle OUTPUT", "filter OUTPUT", "mangle POSTROUTING",
      ])
  }

  @Test func sentByTheHost() {
    let lab = FirewallLab(HookTests.everywhere)
    let packet = Socket("198.51.100.1", 1000).udp(to: wanServer)
    let seen = lab.own(packet)
    #expect(
      seen.logs == [
        "raw OUTPUT", "mangle OUTPUT", "nat OUTPUT", "filter OUTPUT", "mangle POSTROUTING",
        "nat POSTROUTING",
      ])
    #expect(seen.left == [Departure("wan0", packet)])
  }

  @Test func aDroppedFirstPacketAsksTheNATTableAgain() {
    let lab = FirewallLab(
      nat("-A PREROUTING -j LOG --log-prefix \"nat\"") + filter("-A FORWARD -j DROP"))
    #expect(lab.lan(lanClient.udp(to: wanServer)).logs == ["nat"])
    #expect(lab.lan(lanClient.udp(to: wanServer)).logs == ["nat"])
    #expect(lab.table.isEmpty)
  }

  @Test func policies() {
    let lab = FirewallLab(
      """
      *filter
      :INPUT DROP [0:0]
      :FORWARD DROP [0:0]
      :OUTPUT DROP [0:0]
      -A FORWARD -p udp -m udp --dport 53 -j ACCEPT
      COMMIT
      """)
    #expect(lab.lan(lanClient.udp(to: wanServer)).text == "ACCEPT NEW/o")
    #expect(lab.lan(lanClient.udp(to: Socket("198.51.100.2", 54))).text == "DROP NEW/o")
    #expect(lab.lan(lanClient.udp(to: Socket("10.0.1.1", 53))).text == "DROP NEW/o")
    #expect(lab.own(Socket("10.0.1.1", 53).udp(to: lanClient)).text == "DROP NEW/o")
    #expect(lab.table.count == 1)
  }

  @Test func userChains() {
    let lab = FirewallLab(
      """
      *filter
      :INPUT ACCEPT [0:0]
      :FORWARD DROP [0:0]
      :OUTPUT ACCEPT [0:0]
      :a - [0:0]
      :b - [0:0]
      :c - [0:0]
      -A FORWARD -p udp -m udp --dport 1 -j a
      -A FORWARD -p udp -m udp --dport 2 -g b
      -A FORWARD -j LOG --log-prefix "back"
      -A FORWARD -j ACCEPT
      -A a -j LOG --log-prefix "a"
      -A a -j c
      -A a -j LOG --log-prefix "a again"
      -A b -j c
      -A c -j LOG --log-prefix "c"
      -A c -p udp -j RETURN
      -A c -j DROP
      COMMIT
      """)
    func sent(_ port: UInt16) -> Seen { lab.lan(lanClient.udp(to: Socket("198.51.100.2", port))) }
    #expect(sent(1).logs == ["a", "c", "a again", "back"])
    #expect(sent(1).text == "ACCEPT NEW/o")
    // Nobody comes back from where `-g` went: the policy decides.
    #expect(sent(2).logs == ["c"])
    #expect(sent(2).text == "DROP NEW/o")
    #expect(sent(3).logs == ["back"])
  }

  @Test func states() {
    let lab = FirewallLab(
      filter(
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A FORWARD -i lan0 -m conntrack --ctstate NEW -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate INVALID -j LOG --log-prefix \"invalid\"",
        "-A FORWARD -j DROP"))
    #expect(lab.wan(wanServer.udp(to: lanClient)).text == "DROP NEW/o")
    let question = lanClient.udp(to: wanServer)
    #expect(lab.lan(question).text == "ACCEPT NEW/o")
    #expect(lab.wan(wanServer.udp(to: lanClient)).text == "ACCEPT ESTABLISHED/r")
    #expect(
      lab.wan(.error(3, 3, about: question, from: "198.51.100.2", to: "10.0.1.2")).text
        == "ACCEPT RELATED/r")
    let stray = lab.wan(.echoReply(from: "198.51.100.2", to: "10.0.1.2", id: 9))
    #expect(stray.text == "DROP INVALID")
    #expect(stray.logs == ["invalid"])
  }

  @Test func marksOfPacketsAndConnections() {
    let lab = FirewallLab(
      """
      *mangle
      :PREROUTING ACCEPT [0:0]
      :INPUT ACCEPT [0:0]
      :FORWARD ACCEPT [0:0]
      :OUTPUT ACCEPT [0:0]
      :POSTROUTING ACCEPT [0:0]
      -A PREROUTING -j CONNMARK --restore-mark
      -A PREROUTING -m mark --mark 0x7 -j LOG --log-prefix "seven"
      -A PREROUTING -i lan0 -m mark --mark 0x0 -j MARK --set-xmark 0x7/0xffffffff
      -A POSTROUTING -j CONNMARK --save-mark
      COMMIT
      """)
    #expect(lab.lan(lanClient.udp(to: wanServer)).logs.isEmpty)
    #expect(lab.table[0].hasSuffix("mark=7 use=1"))
    #expect(lab.wan(wanServer.udp(to: lanClient)).logs == ["seven"])
  }

  @Test func notTracked() {
    let lab = FirewallLab(
      """
      *raw
      :PREROUTING ACCEPT [0:0]
      :OUTPUT ACCEPT [0:0]
      -A PREROUTING -p udp -m udp --dport 53 -j CT --notrack
      COMMIT
      """
        + "\n" + nat("-A POSTROUTING -o wan0 -j MASQUERADE")
        + filter("-A FORWARD -m conntrack --ctstate UNTRACKED -j LOG --log-prefix \"untracked\""))
    let packet = lanClient.udp(to: wanServer)
    let seen = lab.lan(packet)
    #expect(seen.text == "ACCEPT UNTRACKED")
    #expect(seen.logs == ["untracked"])
    // No connection, no translation.
    #expect(seen.left == [Departure("wan0", packet.hopped())])
    #expect(lab.table.isEmpty)
    #expect(lab.lan(lanClient.udp(to: Socket("198.51.100.2", 54))).text == "ACCEPT NEW/o")
  }

  @Test func limit() {
    let lab = FirewallLab(
      filter("-A FORWARD -m limit --limit 1/sec --limit-burst 3 -j ACCEPT", "-A FORWARD -j DROP"))
    func verdicts(_ count: Int) -> [String] {
      (0..<count).map { _ in lab.lan(lanClient.udp(to: wanServer)).outcome.verdict.name }
    }
    #expect(verdicts(5) == ["ACCEPT", "ACCEPT", "ACCEPT", "DROP", "DROP"])
    lab.wait(1)
    #expect(verdicts(2) == ["ACCEPT", "DROP"])
    lab.wait(60)
    #expect(verdicts(4) == ["ACCEPT", "ACCEPT", "ACCEPT", "DROP"])
  }

  @Test func anOrdinaryFullTable() {
    let lab = FirewallLab("") { $0.max = 1 }
    let (client, server) = tcp("10.0.1.2", 1000, "198.51.100.2", 80)
    lab.lan(client.syn())
    lab.wan(server.synAck())
    lab.lan(client.ack())
    let seen = lab.lan(lanClient.udp(to: wanServer))
    #expect(seen.outcome.verdict == .drop)
    #expect(seen.outcome.reason == .tableFull)
    #expect(seen.left.isEmpty)
  }
}
