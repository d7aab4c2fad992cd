// Packets that leave by the port they came in on, and the redirects their senders get; bytes and times
// as Linux 6.18 sent them.

import Firewall
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct RedirectTests {
  private let packet = Socket("10.0.1.2", 1000).udp(
    to: Socket("10.0.1.3", 53), Array("hi".utf8), HeaderFields(id: 1))

  @Test func toTheDestinationItself() {
    let seen = FirewallLab(filter("-A FORWARD -j DROP")).lan(packet)
    #expect(
      seen.left.map(\.masked) == [
        departure(
          "lan0",
          """
          45c0003aa90d00004001baf30a0001010a0001020501061c0a000103
          4500001e000100003f1165ca0a0001020a00010303e80035000a7d4f6869
          """)
      ])
    #expect(FirewallLab().lan(packet).left.last == Departure("lan0", packet.hopped()))
  }

  @Test func toTheNextHop() {
    let lab = FirewallLab(routes: [
      Route(
        IPPrefix(Address("10.55.0.0").value, length: 16, family: .ipv4),
        hops: [RouteHop(interface: 0, gateway: Address("10.0.1.7").value)])
    ])
    let there = Socket("10.0.1.2", 1000).udp(to: Socket("10.55.0.1", 53))
    #expect(lab.lan(there).left.first.map { Array($0.packet.bytes[24..<28]) } == [10, 0, 1, 7])
    // Who is not on the link is told nothing.
    #expect(lab.lan(Socket("10.55.0.1", 1).udp(to: Socket("10.0.1.3", 2))).left.count == 1)
  }

  @Test func sysctl() {
    let off = ["net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.lan0.send_redirects": "0"]
    #expect(FirewallLab(sysctls: off).lan(packet).left.count == 1)
    let one = ["net.ipv4.conf.all.send_redirects": "0", "net.ipv4.conf.lan0.send_redirects": "1"]
    #expect(FirewallLab(sysctls: one).lan(packet).left.count == 2)
  }

  @Test func underNATNoneLeaves() {
    let lab = FirewallLab(nat("-A POSTROUTING -o lan0 -j MASQUERADE"))
    #expect(lab.lan(packet).left.count == 1)
    #expect(lab.lan(packet).left.count == 1)
  }

  /// The first at once, each then twice as long after the one before, nine in all; and again after
  /// 20.48 s of silence.
  @Test func rarer() {
    let lab = FirewallLab()
    var sent: [Int] = []
    for step in 0..<800 {
      if lab.lan(packet).left.count == 2 { sent.append(step) }
      lab.wait(0.02)
    }
    let waits = zip(sent, sent.dropFirst()).map { $1 - $0 }
    #expect(sent.count == 9)
    #expect(waits == [3, 5, 9, 17, 33, 65, 129, 257])
    lab.wait(20.4)
    #expect(lab.lan(packet).left.count == 1)
    lab.wait(20.5)
    #expect(lab.lan(packet).left.count == 2)
  }

  /// The bucket of ICMP errors is the redirects' as well, and the first one empties it.
  @Test func errorsAfterARedirectWait() {
    let lab = FirewallLab()
    let last = Socket("10.0.1.2", 1000).udp(to: Socket("10.0.1.3", 53), [], HeaderFields(ttl: 1))
    #expect(lab.lan(packet).left.count == 2)
    #expect(lab.lan(last).left.isEmpty)
    lab.wait(1.1)
    #expect(lab.lan(last).left.count == 1)
  }
}
