// What programs of the host's hear of packets that cannot leave, where they are not told by a socket.

import Conntrack
import Firewall
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct OwnPacketTests {
  private func icmp(_ seen: Seen) -> String {
    let answers = seen.delivered.map { packet -> String in
      let at = packet.family == .ipv4 ? 20 : 40
      let rest = packet.bytes[(at + 4)..<(at + 8)].reduce(0) { $0 << 8 | Int($1) }
      return "\(packet.bytes[at])/\(packet.bytes[at + 1]) \(rest)"
    }
    return ([seen.outcome.verdict.name] + answers).joined(separator: ", ")
  }

  @Test func noWay() {
    let lab = FirewallLab("*filter\n:INPUT DROP [0:0]\nCOMMIT\n")
    #expect(lab.program(Socket("198.51.100.1", 1000).udp(to: wanServer)).left.count == 1)
    // What the kernel answers in the call itself no rule keeps from the program.
    let packet = Socket("198.51.100.1", 1000).udp(to: Socket("192.0.2.9", 9))
    let refusing = FirewallLab(
      "*filter\n:INPUT DROP [0:0]\nCOMMIT\n",
      routes: [
        Route(
          IPPrefix(Address("192.0.2.0").value, length: 24, family: .ipv4), type: .unreachable)
      ])
    #expect(icmp(refusing.program(packet)) == "DROP, 3/1 0")
  }

  @Test func tooLong() {
    let lab = FirewallLab()
    let long = [UInt8](repeating: 7, count: 1600)
    let own = Socket("198.51.100.1", 1000)
    #expect(lab.program(own.udp(to: wanServer, long)).left.count == 2)
    var whole = HeaderFields()
    whole.dontFragment = true
    let seen = lab.program(own.udp(to: wanServer, long, whole))
    #expect(icmp(seen) == "DROP, 3/4 1500", "\(seen.outcome)")
    #expect(seen.left.isEmpty)
  }
}
