// Fuzz target (f): any frames on a router's wire, with any offload headers, and packets back to whoever sent
// them. What the port says of itself must be whole frames of its own, and nothing may wait for ever.

import Firewall
import Gateway
import PacketForge
import Ruleset
import Wire

extension FuzzTarget {
  #if os(Linux)
    static func runNeighbours(_ bytes: [UInt8]) -> UInt64 {
      var run = NeighboursRun()
      for record in FrameRecord.records(bytes) { run.show(record) }
      run.letAllEnd()
      return run.digest
    }
  #else
    /// There are no ports.
    static func runNeighbours(_ bytes: [UInt8]) -> UInt64 { 0 }
  #endif
}

#if os(Linux)
  /// One port with the addresses of `FuzzHost`'s first interface.
  private struct NeighboursRun: ~Copyable {
    private static let mac: UInt64 = 0x0200_0000_0101
    private var router = RouterLink(InterfaceID(rawValue: 0))
    private var burst = PacketBurst()
    private var long = LongPacket()
    private var revived = TransmitQueue()
    private var queue = TransmitQueue()
    private var time: Int64 = 1_000_000_000
    private var waiting = 0
    private(set) var digest: UInt64 = 0xcbf2_9ce4_8422_2325

    init() {
      router.mac = NeighboursRun.mac
      router.hostChanged(FuzzHost.configuration)
    }

    private mutating func note(_ value: some BinaryInteger) {
      digest = (digest ^ UInt64(truncatingIfNeeded: value)) &* 0x100_0000_01b3
    }

    mutating func show(_ record: FrameRecord) {
      time += record.pause
      router.tick(at: time)
      checkFrames()
      var frame = record.frame
      var offload = OffloadHeader([UInt8](repeating: 0, count: 10).rawSpan, at: 0)
      // `isOutput`: an offload header stands before the frame; else it is looked for in the frame.
      if record.flags.contains(.isOutput) {
        guard frame.count > OffloadHeader.length else { return }
        offload = OffloadHeader(frame.rawSpan, at: 0)
        frame.removeFirst(OffloadHeader.length)
      }
      if record.flags.contains(.repairsChecksums), frame.count > 14 {
        var packet = Packet(bytes: Array(frame[14...]))
        packet.repairChecksums()
        frame.replaceSubrange(14..., with: packet.bytes)
      }
      if !record.flags.contains(.isOutput) { offload = OffloadHeader(unfinished: frame.rawSpan) }
      router.take(
        frame.rawSpan, FrameNote(offload: offload, packetType: .unicast), into: &burst, &long,
        revived: &revived, at: time)
      note(burst.count)
      burst.removeAll()
      if long.arrival != nil {
        if long.buffer.count != frame.count - 14 { fatalError("a packet of another length") }
        for place in 0..<long.buffer.count { note(long.buffer.uint8(at: place)) }
        long.arrival = nil
      }
      // What waited leaves; what has waited is less.
      let count = revived.count
      if count > waiting { fatalError("\(count) packets came back, \(waiting) waited") }
      waiting -= count
      swap(&revived, &queue)
      send()
      answer(frame)
    }

    /// A packet to whoever sent the frame.
    private mutating func answer(_ frame: [UInt8]) {
      guard frame.count > 14 else { return }
      let type = UInt16(frame[12]) << 8 | UInt16(frame[13])
      var packet: [UInt8]
      switch type {
      case 0x0800 where frame.count >= 34: packet = Array(frame[14..<34])
      case 0x0806 where frame.count >= 42:
        packet = [0x45] + [UInt8](repeating: 0, count: 19)
        packet.replaceSubrange(12..<16, with: frame[28..<32])
      case 0x86dd where frame.count >= 54: packet = Array(frame[14..<54])
      default: return
      }
      if type == 0x86dd {
        packet[0] = 0x60
        packet.replaceSubrange(24..<40, with: packet[8..<24])
      } else {
        packet[0] = 0x45
        packet.replaceSubrange(16..<20, with: packet[12..<16])
      }
      queue.append(packet.rawSpan, segmentSize: UInt16(frame[6]))
      send()
    }

    private mutating func send() {
      let count = queue.count
      let ready = router.address(queue, at: time)
      if ready > count { fatalError("more packets leave than were there") }
      waiting += count - ready
      for index in 0..<ready {
        let (start, length) = router.place(index)
        let bytes = queue.bytes(start, length).array
        if Array(bytes[16..<22]) != [2, 0, 0, 0, 1, 1] {
          fatalError("a packet leaves from another's address")
        }
        for byte in bytes { note(byte) }
      }
      queue.removeAll()
      checkFrames()
    }

    /// Questions and answers are the port's own.
    private mutating func checkFrames() {
      // Questions that become due together come in any order.
      for frame in router.takeFrames().sorted(by: { $0.lexicographicallyPrecedes($1) }) {
        let type = UInt16(frame[12]) << 8 | UInt16(frame[13])
        guard type == 0x0806 && frame.count == 42 || type == 0x86dd && frame.count == 86 else {
          fatalError("no question or answer: \(frame)")
        }
        if Array(frame[6..<12]) != [2, 0, 0, 0, 1, 1] {
          fatalError("a frame of another's: \(frame)")
        }
        if type == 0x86dd {
          var packet = Packet(bytes: Array(frame[14...]))
          packet.repairChecksums()
          if packet.bytes != Array(frame[14...]) { fatalError("a wrong checksum: \(frame)") }
        }
        for byte in frame { note(byte) }
      }
      let refused = router.takeUnreachable()
      if refused.count > waiting { fatalError("more packets are refused than waited") }
      waiting -= refused.count
    }

    /// Nobody answers any more: nothing waits then.
    mutating func letAllEnd() {
      for _ in 0..<300 {
        time += 1_000_000_000
        router.tick(at: time)
        checkFrames()
      }
      note(router.counts.receivedPackets)
      note(router.counts.ignoredFrames)
      // The rest there was no room for.
      if UInt64(waiting) != router.counts.sendFailures {
        fatalError("\(waiting) packets still wait; \(router.counts.sendFailures) were lost")
      }
    }
  }
#endif
