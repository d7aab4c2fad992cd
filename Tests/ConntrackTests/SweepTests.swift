// Expiry by sweeping: what is over counts as gone at once, and leaves memory within a sweep's time, a
// bounded number with each packet.

import Conntrack
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct SweepTests {
  private let client = Address("10.0.1.2")
  private let server = Address("203.0.113.1")

  private func lab(connections: Int) -> TrackerLab {
    let lab = TrackerLab(test: "sweep")
    lab.tracker.expiry = .swept
    for number in 0..<connections {
      let packet = Socket(client, UInt16(1024 + number)).udp(to: Socket(server, 53))
      #expect(lab.sees(packet) == "NEW/o")
    }
    return lab
  }

  @Test func overIsGoneAtOnceAndLeavesWithinASweep() {
    let lab = lab(connections: 3000)
    #expect(lab.tracker.count == 3000)
    lab.wait(29.9)
    #expect(lab.tracker.connections().count == 3000)
    lab.wait(0.2)
    // Nobody sees them, though they are still there.
    #expect(lab.tracker.connections().isEmpty)
    #expect(lab.tracker.count > 2700)
    #expect(lab.sees(Socket(client, 1024).udp(to: Socket(server, 53))) == "NEW/o")
    var most = 0
    for _ in 0..<900 {
      let before = lab.tracker.count
      lab.wait(0.01)
      most = max(most, before - lab.tracker.count)
    }
    #expect(lab.tracker.count == 1)
    #expect(most <= 256)
    #expect(lab.tracker.takeEvents().filter { $0.kind == .destroy }.count == 3000)
  }

  @Test func aLongPauseEndsNoMoreAtOnce() {
    let lab = lab(connections: 2000)
    lab.wait(1_000_000)
    #expect(lab.tracker.count >= 2000 - 256)
  }

  @Test func aFullTableTakesTheNewInTheOldOnesPlace() {
    let lab = lab(connections: 4096)
    lab.wait(31)
    // However few of them the sweep has come to: one that is over makes room where it is met.
    var taken = 0
    for number in 0..<200 {
      let packet = Socket(client, UInt16(20_000 + number)).udp(to: Socket(server, 53))
      if lab.sees(packet) == "NEW/o" { taken += 1 }
    }
    #expect(taken == 200)
    #expect(lab.tracker.statistics.earlyDrop == 0)
  }
}
