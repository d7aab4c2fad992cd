// Which way a frame went, one line for each sentence of contracts/host-snapshot.md.

import Firewall
import Testing

@Suite struct FrameWayTests {
  private static let own: UInt64 = 0x0200_0000_0001
  private static let other: UInt64 = 0x0200_0000_0002
  private static let third: UInt64 = 0x0200_0000_0003
  private static let broadcast: UInt64 = 0xffff_ffff_ffff
  private static let multicast: UInt64 = 0x0100_5e00_0001

  @Test(
    arguments: [
      // On the loopback all is the host's own, whatever a capture says.
      (FrameEvidence(captureSays: .inbound, isOnLoopback: true), .outbound),
      (FrameEvidence(cookedPacketType: 0, isOnLoopback: true), .outbound),
      // The capture says so.
      (FrameEvidence(captureSays: .outbound, sourceMAC: other, interfaceMAC: own), .outbound),
      (FrameEvidence(captureSays: .outbound), .outbound),
      (FrameEvidence(cookedPacketType: 4, sourceMAC: other, interfaceMAC: own), .outbound),
      (FrameEvidence(captureSays: .inbound, sourceIsLocal: true), .inbound),
      (FrameEvidence(captureSays: .inbound, sourceMAC: own, interfaceMAC: own), .inbound),
      (FrameEvidence(cookedPacketType: 0, sourceIsLocal: true), .inbound),
      (FrameEvidence(cookedPacketType: 1), .inbound),
      // The source is the interface's own.
      (FrameEvidence(sourceMAC: own, destinationMAC: other, interfaceMAC: own), .outbound),
      (FrameEvidence(sourceMAC: 0, destinationMAC: 0, interfaceMAC: 0), .outbound),
      // Else inbound, local source or not.
      (
        FrameEvidence(
          sourceMAC: other, destinationMAC: own, interfaceMAC: own, sourceIsLocal: true),
        .inbound
      ),
      (FrameEvidence(sourceMAC: other, destinationMAC: broadcast, interfaceMAC: own), .inbound),
      (FrameEvidence(sourceMAC: other, destinationMAC: multicast, interfaceMAC: own), .inbound),
      // To another machine's unicast address.
      (FrameEvidence(sourceMAC: other, destinationMAC: third, interfaceMAC: own), .forAnotherHost),
      (
        FrameEvidence(
          captureSays: .inbound, sourceMAC: other, destinationMAC: third, interfaceMAC: own),
        .forAnotherHost
      ),
      (FrameEvidence(cookedPacketType: 3), .forAnotherHost),
      // Without MACs, or a snapshot's, the addresses decide.
      (FrameEvidence(sourceIsLocal: true), .outbound),
      (FrameEvidence(sourceIsLocal: false), .inbound),
      (FrameEvidence(sourceMAC: other, destinationMAC: third, sourceIsLocal: true), .outbound),
      (FrameEvidence(sourceMAC: other, destinationMAC: third), .inbound),
    ] as [(FrameEvidence, FrameWay)])
  func way(evidence: FrameEvidence, expected: FrameWay) {
    #expect(FrameWay(evidence) == expected)
  }
}
