// What commands do to the table, as ctnetlink does it: which status bits change, what a fixed timeout is,
// what listeners hear, and slices of a table that changes.

import Conntrack
import ConntrackFormat
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct ControlTests {
  private let client = Socket(Address("10.0.1.2"), 1000)
  private let server = Socket(Address("203.0.113.1"), 53)

  private var tuple: Tuple {
    Tuple(
      source: IPAddress.parse("10.0.1.2")!.0, destination: IPAddress.parse("203.0.113.1")!.0,
      sourcePort: 1000, destinationPort: 53, protocolNumber: 17, family: .ipv4)
  }

  private func change(_ set: (inout ConnectionChange) -> Void) -> ConnectionChange {
    var change = ConnectionChange()
    set(&change)
    return change
  }

  private func insert(
    _ lab: TrackerLab, _ set: (inout ConnectionChange) -> Void = { _ in }
  ) -> ConnectionNumber? {
    let wanted = change {
      $0.timeoutNanoseconds = 100_000_000_000
      set(&$0)
    }
    guard
      case .success(let number) = lab.tracker.begin(
        tuple, reply: tuple.inverted!, zone: TrackingZone(), wanted)
    else { return nil }
    return lab.tracker.settle(number, by: EventRequester(portID: 7)) ? number : nil
  }

  private func lastEvent(_ lab: TrackerLab) -> String? {
    lab.tracker.takeEvents().last.map { ConnectionWriter().line($0) }
  }

  @Test func anInsertedConnectionIsMetByPackets() {
    let lab = TrackerLab()
    #expect(insert(lab) { $0.mark = 5 } != nil)
    #expect(
      lastEvent(lab)
        == "    [NEW] udp      17 100 src=10.0.1.2 dst=203.0.113.1 sport=1000 dport=53 [UNREPLIED] "
        + "src=203.0.113.1 dst=10.0.1.2 sport=53 dport=1000 mark=5 [USERSPACE] portid=7")
    #expect(insert(lab) == nil)
    #expect(lab.sees(server.udp(to: client)) == "ESTABLISHED/r")
    #expect(lab.tracker.statistics.insert == 1)
  }

  @Test func whatWasSeenIsNotUnseen() throws {
    let lab = TrackerLab()
    let number = try #require(insert(lab) { $0.status = [.seenReply, .confirmed] })
    #expect(
      lab.tracker.change(number, change { $0.status = [.confirmed] }, by: nil) == .busy)
    #expect(
      lab.tracker.change(
        number, change { $0.status = [.seenReply, .confirmed, .expected] }, by: nil) == .busy)
    #expect(
      lab.tracker.change(
        number, change { $0.status = [.seenReply, .confirmed, .assured] }, by: nil) == nil)
    #expect(lab.tracker.status(number).contains(.assured))
    guard
      case .failure(.busy) = lab.tracker.begin(
        tuple.inverted!, reply: tuple, zone: TrackingZone(id: 3), change { $0.status = .expected })
    else { return #expect(Bool(false), "an expected connection is nobody's to make") }
  }

  /// As the kernel: the timeout is changed before the status is refused.
  @Test func aRefusalLeavesWhatWasDoneBefore() throws {
    let lab = TrackerLab()
    let number = try #require(insert(lab))
    let wanted = change {
      $0.timeoutNanoseconds = 44_000_000_000
      $0.status = [.confirmed, .expected]
      $0.mark = 6
    }
    #expect(lab.tracker.change(number, wanted, by: nil) == .busy)
    #expect(lab.tracker.timeoutSeconds(number) == 44)
    #expect(lab.tracker.mark(number) == 0)
  }

  @Test func aFixedTimeoutHoldsAgainstPacketsAndCommands() throws {
    let lab = TrackerLab()
    let number = try #require(
      insert(lab) { $0.status = [.seenReply, .assured, .fixedTimeout, .confirmed] })
    lab.wait(10)
    #expect(lab.sees(client.udp(to: server)) == "ESTABLISHED/o")
    #expect(lab.tracker.timeoutSeconds(number) == 90)
    #expect(
      lab.tracker.change(number, change { $0.timeoutNanoseconds = 1 }, by: nil) == .notPermitted)
    lab.wait(91)
    #expect(lab.table.isEmpty)
  }

  @Test func aTimeoutOfNothingEndsIt() throws {
    let lab = TrackerLab()
    let number = try #require(insert(lab))
    #expect(lab.tracker.change(number, change { $0.timeoutNanoseconds = 0 }, by: nil) == nil)
    #expect(lab.tracker.find(tuple, zone: TrackingZone()) == nil)
  }

  @Test func updatesAndEndsAreTold() throws {
    let lab = TrackerLab()
    let number = try #require(insert(lab))
    #expect(
      lab.tracker.change(number, change { $0.mark = 9 }, by: EventRequester(portID: 8)) == nil)
    #expect(
      lastEvent(lab)
        == " [UPDATE] udp      17 100 src=10.0.1.2 dst=203.0.113.1 sport=1000 dport=53 [UNREPLIED] "
        + "src=203.0.113.1 dst=10.0.1.2 sport=53 dport=1000 mark=9 [USERSPACE] portid=8")
    lab.tracker.remove(number, by: EventRequester(portID: 9))
    #expect(
      lastEvent(lab)
        == "[DESTROY] udp      17 100 src=10.0.1.2 dst=203.0.113.1 sport=1000 dport=53 [UNREPLIED] "
        + "src=203.0.113.1 dst=10.0.1.2 sport=53 dport=1000 mark=9 [USERSPACE] portid=9")
    #expect(lab.table.isEmpty)
  }

  @Test func labelsAreSetByTheirMask() throws {
    let lab = TrackerLab()
    let number = try #require(insert(lab) { $0.labels = ConnectionLabels(low: 0b110) })
    let wanted = change {
      $0.labels = ConnectionLabels(low: 0b001, high: 1)
      $0.labelMask = ConnectionLabels(low: 0b011, high: 1)
    }
    #expect(lab.tracker.change(number, wanted, by: nil) == nil)
    #expect(
      lab.tracker.connection(number)?.labels == ConnectionLabels(low: 0b101, high: 1))
  }

  @Test func slicesMeetWhatStaysOnce() {
    let lab = TrackerLab()
    for port in UInt16(0)..<100 {
      _ = lab.sees(Socket(Address("10.0.1.2"), 2000 + port).udp(to: server))
    }
    var copies: [Connection] = []
    var position: Int? = 0
    while let from = position {
      position = lab.tracker.copy(from: from, count: 7, to: &copies)
      // One goes that was met, one that was not, and one comes.
      if from == 28 {
        for port in [UInt16(2003), 2090] {
          var gone = tuple
          gone.sourcePort = port
          if let found = lab.tracker.find(gone, zone: TrackingZone()) {
            lab.tracker.remove(found.connection, by: nil)
          }
        }
        _ = lab.sees(Socket(Address("10.0.1.2"), 3000).udp(to: server))
      }
    }
    let ports = copies.map(\.original.sourcePort).filter { $0 < 3000 && $0 != 2090 }
    #expect(ports.sorted() == (UInt16(2000)..<2100).filter { $0 != 2090 })
  }
}
