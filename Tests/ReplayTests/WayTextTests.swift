// The whole way of one packet, as `--packet` prints it, and the closing summary.

import Firewall
import Replay
import ReplayTestSupport
import Testing
import Wire

@Suite struct WayTextTests {
  private static let rules = """
    iptables -N guard
    iptables -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
    iptables -A FORWARD -i eth9 -j ACCEPT
    iptables -A FORWARD -p tcp -j guard
    iptables -A guard -s 10.0.0.0/8 -j DROP
    iptables -A guard -p tcp --dport 81:90 -j DROP
    iptables -A guard -p tcp --dport 80 -j REJECT --reject-with tcp-reset
    """

  private func way(
    _ machine: inout Machine, _ packet: [UInt8], on interface: String = "eth0"
  ) -> String {
    machine.session.recorder.keepsSteps = true
    let report = machine.sees(packet, on: interface)
    var text: [UInt8] = []
    WayText(startNanoseconds: machine.now).append(report, machine.session.firewall, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  @Test func everyRuleAndWhatFailed() throws {
    var router = try Machine(rules: Self.rules)
    let text = way(
      &router,
      PacketBuilder.tcp(from: "192.168.1.5:4000", to: "203.0.113.2:80", flags: .syn, sequence: 7))
    #expect(
      text == """
        Packet 1 at 0.000000 s, 2023-11-14 22:13:20.000000 UTC
          192.168.1.5.4000 > 203.0.113.2.80: Flags [S], seq 7, win 65535, length 0
          came in by eth0, 40 bytes, ttl 64
        PREROUTING
          conntrack: NEW, original direction
            before  no entry
            after   no entry: the packet does not get through
          routing: to be forwarded
        FORWARD
          filter FORWARD
            ·  1  -m conntrack --ctstate ESTABLISHED -j ACCEPT  # it is NEW
            ·  2  -i eth9 -j ACCEPT  # it came in by eth0
            ✓  3  -p tcp -j guard
            chain guard
              ·  1  -s 10.0.0.0/8 -j DROP  # the source is 192.168.1.5
              ·  2  -p tcp -m tcp --dport 81:90 -j DROP  # the destination port is 80
              ✓  3  -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset
        The answer: 203.0.113.2.80 > 192.168.1.5.4000: Flags [R.], seq 0, ack 8, win 0, length 0
        OUTPUT
          filter OUTPUT
            ✓     policy ACCEPT
        REJECT: rejected by rule 3 of filter guard: -A guard -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset
        answered by eth0: 203.0.113.2.80 > 192.168.1.5.4000: Flags [R.], seq 0, ack 8, win 0, length 0

        """)
  }

  @Test func theEntryBeforeAndAfter() throws {
    var router = try Machine(rules: Self.rules)
    router.session.firewall.tracker.recordsEvents = true
    router.sees(PacketBuilder.udp(from: "192.168.1.5:4000", to: "203.0.113.2:53"))
    router.waits(seconds: 2)
    let text = way(&router, PacketBuilder.udp(from: "203.0.113.2:53", to: "192.168.1.5:4000"))
    let tuple = "src=192.168.1.5 dst=203.0.113.2 sport=4000 dport=53"
    let reply = "src=203.0.113.2 dst=192.168.1.5 sport=53 dport=4000"
    #expect(
      text.contains(
        "    before  ipv4     2 udp      17 28 \(tuple) [UNREPLIED] \(reply) mark=0 use=1\n"))
    #expect(text.contains("    after   ipv4     2 udp      17 30 \(tuple) \(reply) mark=0 use=1\n"))
    #expect(text.contains("event  [UPDATE] udp      17 30 \(tuple) \(reply)\n"))
  }

  @Test func theSummaryCountsAndHints() throws {
    var router = try Machine(rules: Self.rules)
    let bad = PacketBuilder.tcp(from: "192.168.1.5:4000", to: "203.0.113.2:80", flags: .syn)
    router.sees(bad)
    router.sees(bad)
    router.sees(PacketBuilder.udp(from: "192.168.1.5:4000", to: "203.0.113.2:53"))
    let long = PacketBuilder.udp(
      from: "192.168.1.5:4000", to: "203.0.113.2:53", payload: [UInt8](repeating: 1, count: 99))
    router.sees(Array(long.prefix(50)), originalLength: long.count)
    var text: [UInt8] = []
    TextSummary().append(router.session.finish(), to: &text)
    #expect(
      String(decoding: text, as: UTF8.self) == """
        4 frames, 235 bytes, in 0.000000 s from 2023-11-14 22:13:20.000000 UTC
                1  accepted
                1  dropped
                2  rejected
        Dropped or rejected, by reason
                2  rejected by rule 3 of filter guard: -A guard -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset (first: packet 1)
                1  dropped before any hook: the packet is shorter than its IP header says (packet 4)
                   (--packet N shows every rule a packet met)
        Connections
                1  begun
                1  in the table at the end
        note: the capture holds only the beginning of 1 frame, and such packets are dropped; --fill-truncated fills them up instead

        """)
  }
}
