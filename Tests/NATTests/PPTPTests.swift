// NAT of PPTP's GRE: addresses change, call ids do not (that is the helper's work).

import NAT
import PacketForge
import TestLab
import Testing

@Suite struct PPTPTests {
  @Test func callsKeepTheirNumber() {
    let lab = TrackerLab()
    let outside = Address("198.51.100.1").value
    let packet = Packet(
      47, from: "10.0.1.2", to: "198.51.100.2",
      payload: [0x30, 0x01, 0x88, 0x0b, 0, 4, 0, 7, 0, 0, 0, 0])
    lab.passes(
      packet,
      to: NATRange(options: .mapAddresses, minAddress: outside, maxAddress: outside))
    #expect(
      lab.table == [
        "gre      47 30 src=10.0.1.2 dst=198.51.100.2 srckey=0x0 dstkey=0x7 [UNREPLIED] "
          + "src=198.51.100.2 dst=198.51.100.1 srckey=0x7 dstkey=0x0 mark=0 use=1"
      ])
  }
}
