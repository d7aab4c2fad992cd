// What the host sends itself, and answers that end at the host: each as Linux 6.18 was asked for it in
// Tests/KernelConformance/Cases (loopback, reset-over-loopback, output-route, answer-to-host).

import PacketForge
import TestLab
import Testing
import Wire

@Suite struct LoopbackTests {
  private let own = Socket("198.51.100.1", 1000)
  private let lan = Socket("10.0.1.1", 53)

  @Test func bothHalvesAreOneConnection() {
    let lab = FirewallLab(
      """
      *raw
      :PREROUTING ACCEPT [0:0]
      -A PREROUTING -i lo -j CT --notrack
      COMMIT
      *filter
      :INPUT ACCEPT [0:0]
      :OUTPUT ACCEPT [0:0]
      -A OUTPUT -o lo -j LOG --log-prefix out
      -A INPUT -i lo -m conntrack --ctstate NEW --ctstatus CONFIRMED -j LOG --log-prefix in
      COMMIT

      """)
    let seen = lab.own(own.udp(to: lan, [1]))
    #expect(seen.text == "ACCEPT NEW/o")
    #expect(seen.outcome.hook == .output)
    #expect(seen.left.map(\.port) == ["lo"])
    #expect(seen.delivered == seen.left.map(\.packet))
    #expect(seen.logs == ["out", "in"])
    #expect(lab.heard().count == 1)
    #expect(lab.own(lan.udp(to: own, [2])).text == "ACCEPT ESTABLISHED/r")
    #expect(lab.table.count == 1)
  }

  /// (`broadcast-of-own.case`)
  @Test(arguments: ["198.51.100.255", "255.255.255.255", "224.0.0.1", "224.0.0.9"])
  func whatGoesToEveryoneComesBack(_ address: String) {
    let lab = FirewallLab(
      """
      *mangle
      :PREROUTING ACCEPT [0:0]
      :POSTROUTING ACCEPT [0:0]
      -A POSTROUTING -o wan0 -j LOG --log-prefix out
      -A PREROUTING -i wan0 -m conntrack --ctstate NEW -j LOG --log-prefix in
      COMMIT

      """)
    let packet = own.udp(to: Socket(Address(address), 53), [1])
    let seen = lab.own(packet)
    let isHeard = address != "224.0.0.9"
    #expect(seen.logs == (isHeard ? ["out", "out", "in"] : ["out"]))
    #expect(seen.left.map(\.port) == ["wan0"])
    #expect(seen.delivered == (isHeard ? [packet] : []))
    #expect(lab.table.count == 1)
    // Only once is the connection told of.
    #expect(lab.heard().count == 1)
  }

  /// A copy that is dropped leaves the packet its new connection.
  @Test func copyMayBeDropped() {
    let lab = FirewallLab(
      """
      *mangle
      :POSTROUTING ACCEPT [0:0]
      -A POSTROUTING -m limit --limit 1/hour --limit-burst 1 -j DROP
      COMMIT

      """)
    let seen = lab.own(own.udp(to: Socket("198.51.100.255", 53), [1]))
    #expect(seen.text == "ACCEPT NEW/o")
    #expect(seen.left.count == 1 && seen.delivered.isEmpty)
    #expect(lab.table.count == 1)
  }

  @Test func inputMayDropWhatHasLeft() {
    let lab = FirewallLab(filter("-A INPUT -i lo -j DROP"))
    let seen = lab.own(own.udp(to: lan, [1]))
    #expect(seen.text == "DROP NEW/o")
    #expect(seen.left.count == 1 && seen.delivered.isEmpty)
    // POSTROUTING confirmed it.
    #expect(lab.table.count == 1)
  }

  @Test func redirectInOutputEndsHere() {
    let lab = FirewallLab(
      nat("-A OUTPUT -p udp --dport 53 -j REDIRECT --to-ports 5353")
        + filter(
          "-A OUTPUT -o wan0 -j LOG --log-prefix old", "-A INPUT -i lo -j LOG --log-prefix in"))
    let seen = lab.own(own.udp(to: Socket("203.0.113.1", 53), [1]))
    #expect(seen.logs == ["old", "in"])
    #expect(seen.left.map(\.port) == ["lo"])
    #expect(
      seen.delivered.map(\.masked) == [own.udp(to: Socket("127.0.0.1", 5353), [1]).masked])
    // The answer comes from where the host believes it sent to.
    let answer = lab.own(Socket("127.0.0.1", 5353).udp(to: own, [2]))
    #expect(
      answer.delivered.map(\.masked) == [Socket("203.0.113.1", 53).udp(to: own, [2]).masked])
  }

  @Test func fromTheLoopbackNothingLeaves() {
    let lab = FirewallLab(nat("-A OUTPUT -p udp -j DNAT --to-destination 203.0.113.1"))
    let seen = lab.own(Socket("127.0.0.1", 9).udp(to: Socket("127.0.0.1", 53), [1]))
    #expect(seen.left.isEmpty && seen.delivered.isEmpty)
    #expect(seen.outcome.reason == .routing(.martianSource))
    #expect(lab.table.isEmpty)
  }

  /// The reset comes from the address the host wrote to; its checksum is left to hardware, and none
  /// comes by.
  @Test func rejectInOutputAnswersTheHost() {
    let lab = FirewallLab(filter("-A OUTPUT -p tcp --syn -j REJECT --reject-with tcp-reset"))
    let seen = lab.own(tcp("198.51.100.1", 1000, "203.0.113.1", 80).0.syn())
    #expect(seen.text == "REJECT NEW/o")
    #expect(seen.left.map(\.port) == ["lo"])
    #expect(seen.delivered == seen.left.map(\.packet))
    #expect(seen.delivered.first?.bytes[12..<16] == [203, 0, 113, 1])
    #expect(seen.delivered.first?.transportChecksumIsRight == false)
    #expect(lab.table.isEmpty)
  }

  /// A reset that a rule of OUTPUT rejects is answered with an error, which goes in the original
  /// direction and so confirms the connection; the error itself is never answered.
  @Test func answerToAnAnswer() {
    let lab = FirewallLab(
      filter(
        "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset", "-A OUTPUT -j REJECT"))
    let seen = lab.wan(tcp("203.0.113.1", 1000, "10.0.1.2", 80).0.syn())
    #expect(seen.text == "REJECT NEW/o")
    #expect(seen.left.isEmpty && seen.delivered.isEmpty)
    #expect(lab.table.isEmpty)
    let other = FirewallLab(
      filter(
        "-A FORWARD -p tcp -j REJECT --reject-with tcp-reset", "-A OUTPUT -p tcp -j REJECT"))
    let answered = other.wan(tcp("203.0.113.1", 1000, "10.0.1.2", 80).0.syn())
    #expect(answered.left.map(\.port) == ["lan0"])
    #expect(other.table.count == 1)
  }
}
