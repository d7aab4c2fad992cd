// What leaves during a replay, and where it is put: whole, or as a number.

import Firewall
import Ruleset
import Wire

/// One packet that left.
public struct EmittedPacket: Hashable, Sendable {
  public var interface: InterfaceID
  /// Layer 3.
  public var bytes: [UInt8]
  /// Weir made it, in answer to another.
  public var isAnswer: Bool
}

/// What led to a frame that leaves.
public struct EmittedCause: Hashable, Sendable {
  /// The number of the captured packet.
  public var number: Int
  /// The frame answers that packet; else it is that packet.
  public var isAnswer: Bool
}

/// Collects what one packet's way sends.
struct EmittedCollector: PacketSink {
  var packets: [EmittedPacket] = []

  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    packets.append(
      EmittedPacket(interface: interface, bytes: bytes.array, isAnswer: isAnswer))
  }
}

/// Takes note of what leaves, for totals alone.
struct EmittedTotals: PacketSink, ~Copyable {
  var memory = EmittedMemory()
  private(set) var count = 0
  private var time: Int64 = 0
  private var number = 0

  mutating func begin(_ arrival: Arrival) {
    time = arrival.timeNanoseconds
    number = Int(arrival.number)
  }

  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    count += 1
    memory.add(bytes, interface, isAnswer: isAnswer, cause: number, at: time)
  }

  /// Gives back how many have left since the last call.
  mutating func takeCount() -> Int {
    defer { count = 0 }
    return count
  }
}
