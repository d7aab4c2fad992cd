// The sizes with which fragments leave a router, where the first one that came did not hold the whole
// transport header; as Linux 6.18 sent them.

import Firewall
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct FragmentSizeTests {
  /// Protocol, bytes of data in the fragments that come, in those that leave.
  @Test(
    arguments: [
      (IPProtocolNumber.tcp, [8, 40, 52], [48, 52]),
      (IPProtocolNumber.tcp, [16, 40, 44], [40, 40, 20]),
      (IPProtocolNumber.tcp, [24, 40, 36], [24, 40, 36]),
      (IPProtocolNumber.udp, [8, 40, 52], [8, 40, 52]),
      (IPProtocolNumber.sctp, [8, 40, 52], [48, 52]),
      (IPProtocolNumber.sctp, [16, 40, 44], [16, 40, 44]),
    ])
  func sizes(_ number: UInt8, _ came: [Int], _ left: [Int]) {
    let lab = FirewallLab()
    let data = [UInt8](repeating: 1, count: 100)
    var at = 0
    var seen: [Departure] = []
    for size in came {
      var fields = HeaderFields(id: 77)
      fields.fragmentOffset = at
      fields.moreFragments = at + size < data.count
      seen +=
        lab.lan(
          Packet(
            number, from: "10.0.1.2", to: "198.51.100.2", fields,
            payload: Array(data[at..<at + size]))
        ).left
      at += size
    }
    #expect(seen.map { $0.packet.bytes.count - 20 } == left)
  }
}
