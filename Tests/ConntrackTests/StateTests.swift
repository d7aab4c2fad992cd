// The table as bytes and back: what a restarted gateway knows is what the old one knew, and a file that is
// anything else stops at the fault.

import Conntrack
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct StateTests {
  /// A TCP connection in the middle, a UDP flow over IPv6, a query.
  private func filled() -> (lab: TrackerLab, client: Peer, server: Peer) {
    let lab = TrackerLab(test: "state") {
      $0.acct = 1
      $0.timestamp = 1
    }
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.synAck())
    lab.sees(client.ack())
    let near = Socket(Address("2001:db8::1"), 4000)
    let far = Socket(Address("2001:db8::2"), 53)
    lab.sees(near.udp(to: far))
    lab.sees(far.udp(to: near))
    // What lies beside a record.
    let first = ConnectionNumber(rawValue: 0)
    lab.tracker.assignHelper(.ftp, to: first)
    var change = ConnectionChange()
    change.labels = ConnectionLabels(low: 1 << 7, high: 1 << 40)
    #expect(lab.tracker.change(first, change, by: nil) == nil)
    return (lab, client, server)
  }

  private func bytes(_ lab: TrackerLab) -> [UInt8] {
    var bytes: [UInt8] = []
    var next: Int? = 0
    // In slices, as a gateway does.
    while let first = next {
      next = lab.tracker.appendState(from: first, limit: 1, to: &bytes)
    }
    return bytes
  }

  private func other() -> TrackerLab {
    TrackerLab(seed: 2, test: "state2") {
      $0.acct = 1
      $0.timestamp = 1
    }
  }

  @Test func goesOnWhereItStopped() {
    let (lab, client, server) = filled()
    let saved = bytes(lab)
    let again = other()
    #expect(again.tracker.restoreState(saved.rawSpan, isLast: true) { $0 } == 2)
    #expect(again.tracker.connections().count == lab.tracker.connections().count)
    for (old, new) in zip(lab.tracker.connections(), again.tracker.connections()) {
      var new = new
      new.id = old.id
      #expect(new == old)
    }
    #expect(again.tracker.connections().contains { $0.helperName == "ftp" && $0.labels != nil })
    // The windows too: what is past them is not believed.
    #expect(again.sees(client.data(500)) == "ESTABLISHED/o")
    #expect(again.sees(server.ack()) == "ESTABLISHED/r")
    #expect(again.sees(client.ack(seq: 1501 + 2 * 64_240)) == "INVALID")
    #expect(bytes(lab) == saved)
  }

  /// Of a file older than the last packet the windows are learnt again, and the connection goes on wherever
  /// it is by then.
  @Test func goesOnBeyondAnOlderState() {
    let (lab, client, server) = filled()
    let saved = bytes(lab)
    let again = other()
    #expect(again.tracker.restoreState(saved.rawSpan, isLast: false) { $0 } == 2)
    let (here, there): (UInt32, UInt32) = (1001 + 4_000_000, 5001 + 9_000_000)
    #expect(again.sees(server.data(500, seq: there, ack: here)) == "ESTABLISHED/r")
    // It has what was sent while no one looked.
    #expect(again.sees(client.ack(seq: here, ack: there + 100_000)) == "ESTABLISHED/o")
    #expect(again.sees(server.data(500, seq: there + 100_000, ack: here)) == "ESTABLISHED/r")
    #expect(again.tracker.connections()[0].protocolState == .tcp(.established))

    // A handshake's numbers stand.
    let young = TrackerLab(test: "young")
    let (caller, callee) = tcp(lan, 1001, wan, 80)
    young.sees(caller.syn())
    let begun = bytes(young)
    let after = other()
    #expect(after.tracker.restoreState(begun.rawSpan, isLast: false) { $0 } == 1)
    #expect(after.sees(callee.synAck()) == "ESTABLISHED/r")
    #expect(after.sees(caller.ack()) == "ESTABLISHED/o")
  }

  @Test func whatIsOverIsNotKept() {
    let (lab, _, _) = filled()
    let saved = bytes(lab)
    let again = other()
    again.wait(200)
    // The UDP flow's time has passed.
    #expect(again.tracker.restoreState(saved.rawSpan, isLast: true) { $0 } == 1)
  }

  @Test func anythingElseStopsAtTheFault() {
    let saved = bytes(filled().lab)
    for length in stride(from: 1, to: saved.count, by: 5) {
      let again = other()
      let count = again.tracker.restoreState(Array(saved[..<length]).rawSpan, isLast: true) { $0 }
      #expect(count == nil || count == 1)
    }
    var state: UInt64 = 7
    for _ in 0..<3000 {
      var bytes = saved
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 24)
      }
      let again = fuzzed
      _ = again.tracker.restoreState(bytes.rawSpan, isLast: true) { $0 }
      // Whatever it holds now can be listed and lives on.
      _ = again.tracker.connections()
      again.wait(0.01)
    }
    #expect(fuzzed.tracker.count <= 4096)
  }

  private let fuzzed = TrackerLab(seed: 3, test: "state3")
}
