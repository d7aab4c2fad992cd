// A TCP connection that finds no port but one of a connection that is over: who gives way, and when, as
// measured on Linux 6.18.

import Conntrack
import NAT
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct EvictionTests {
  static let server: Address = "198.51.100.2"
  let range = ports(router, 7000...7000)

  enum Ending: CaseIterable {
    case answered, established, finWait, lastAck
    case timeWait, closed, bothSynSent

    var givesWay: Bool { [.timeWait, .closed, .bothSynSent].contains(self) }
  }

  /// Brings a connection with NAT's port 7000 to where `ending` says; its client has sent up to 1,002.
  func bring(_ lab: TrackerLab, to ending: Ending) {
    let (client, _) = tcp("10.0.1.4", 2002, EvictionTests.server, 80)
    let (_, server) = tcp(router, 7000, EvictionTests.server, 80)
    lab.passes(client.syn(seq: 1000), to: range)
    if ending == .bothSynSent {
      lab.passes(server.syn(seq: 5000), to: nil)
      return
    }
    lab.passes(server.synAck(seq: 5000, ack: 1001), to: nil)
    if ending == .answered { return }
    lab.passes(client.ack(seq: 1001, ack: 5001), to: nil)
    if ending == .established { return }
    if ending == .closed {
      lab.passes(client.rst(seq: 1001), to: nil)
      return
    }
    lab.passes(client.fin(seq: 1001, ack: 5001), to: nil)
    if ending == .finWait { return }
    lab.passes(server.fin(seq: 5001, ack: 1002), to: nil)
    if ending == .lastAck { return }
    lab.passes(client.ack(seq: 1002, ack: 5002), to: nil)
  }

  func newcomer(_ sequence: UInt32) -> Packet {
    tcp("10.0.1.5", 2021, EvictionTests.server, 80).client.syn(seq: sequence)
  }

  @Test(arguments: Ending.allCases)
  func whatIsOverGivesWay(ending: Ending) {
    let lab = TrackerLab()
    bring(lab, to: ending)
    #expect(
      lab.passes(newcomer(70_000), to: range) == (ending.givesWay ? "NEW/o" : "clash"),
      "\(lab.table)")
    #expect(lab.tracker.count == 1)
    let source = lab.tracker.connections().first?.original.source
    #expect(source == Address(ending.givesWay ? "10.0.1.5" : "10.0.1.4").value)
  }

  @Test(
    arguments: [
      (1000, false), (1001, false), (1002, true), (1003, true), (0x8000_03e8, true),
      (0x8000_03e9, false), (0xffff_ffff, false),
    ] as [(UInt32, Bool)])
  func sequenceNumbersMustGoOn(sequence: UInt32, begins: Bool) {
    let lab = TrackerLab()
    bring(lab, to: .timeWait)
    #expect(lab.passes(newcomer(sequence), to: range) == (begins ? "NEW/o" : "clash"))
  }

  @Test func onlyASynEvicts() {
    let lab = TrackerLab()
    bring(lab, to: .timeWait)
    let other = tcp("10.0.1.5", 2021, EvictionTests.server, 80).client
    #expect(lab.passes(other.ack(seq: 70_000, ack: 5), to: range) == "clash")
  }

  /// Without a translated source it is no rival for NAT's ports.
  @Test func whatHasItsOwnSourceStays() {
    let lab = TrackerLab()
    let (client, server) = tcp(router, 7000, EvictionTests.server, 80)
    for packet in [
      client.syn(), server.synAck(), client.ack(), client.fin(), server.fin(), client.ack(),
    ] {
      lab.passes(packet, to: nil)
    }
    #expect(lab.passes(newcomer(70_000), to: range) == "clash")
  }
}
