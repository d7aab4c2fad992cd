// The packets Weir sent lately, to be recognised when the capture shows them leaving.

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

/// Counts what leaves and forgets it.
struct EmittedCounter: PacketSink {
  var count = 0
  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    count += 1
  }
}

/// What was sent within the last second and has not been seen leaving yet.
struct EmittedMemory {
  private struct Entry {
    var time: Int64
    /// The number of the captured packet that led to it.
    var cause: Int
    var packet: EmittedPacket
    var isSeen = false
  }

  static let windowNanoseconds: Int64 = 1_000_000_000
  /// Beyond so many waiting, the oldest counts as not seen.
  static let most = 65_536

  private var entries: [Entry] = []
  /// The oldest that still counts.
  private var first = 0
  /// How many entries have been taken out in front; places count from the very first.
  private var removed = 0
  /// Places in `entries` by a hash of what is compared.
  private var places: [Int: [Int]] = [:]
  /// Sent and never seen leaving, by interface.
  private(set) var unseen: [InterfaceID: Int] = [:]
  private(set) var seen: [InterfaceID: Int] = [:]

  mutating func add(_ packet: EmittedPacket, cause: Int, at time: Int64) {
    forget(before: time - EmittedMemory.windowNanoseconds)
    if entries.count - first >= EmittedMemory.most { forgetFirst() }
    places[EmittedMemory.hash(packet.bytes, packet.interface), default: []]
      .append(removed + entries.count)
    entries.append(Entry(time: time, cause: cause, packet: packet))
  }

  /// The packet that led to an outbound frame, which is ticked off; nil for a frame that is none of
  /// those sent.
  mutating func cause(
    of bytes: [UInt8], on interface: InterfaceID, at time: Int64
  ) -> EmittedCause? {
    forget(before: time - EmittedMemory.windowNanoseconds)
    let key = EmittedMemory.hash(bytes, interface)
    guard let candidates = places[key] else { return nil }
    for candidate in candidates {
      let place = candidate - removed
      guard place >= first && !entries[place].isSeen else { continue }
      let entry = entries[place]
      guard entry.packet.interface == interface,
        EmittedMemory.isSame(entry.packet, bytes)
      else { continue }
      entries[place].isSeen = true
      seen[interface, default: 0] += 1
      return EmittedCause(number: entry.cause, isAnswer: entry.packet.isAnswer)
    }
    return nil
  }

  /// Everything still waiting counts as not seen.
  mutating func finish() {
    forget(before: .max)
  }

  private mutating func forget(before time: Int64) {
    while first < entries.count && entries[first].time < time { forgetFirst() }
    if first > 4096 && first * 2 > entries.count {
      entries.removeFirst(first)
      removed += first
      first = 0
    }
  }

  private mutating func forgetFirst() {
    let entry = entries[first]
    if !entry.isSeen { unseen[entry.packet.interface, default: 0] += 1 }
    let key = EmittedMemory.hash(entry.packet.bytes, entry.packet.interface)
    places[key]?.removeAll { $0 == removed + first }
    if places[key]?.isEmpty ?? false { places[key] = nil }
    first += 1
  }

  /// The fields the sender's kernel numbers as it likes are left out: an IPv4 packet's
  /// identification with the checksum over it, an IPv6 packet's flow label, and all behind the first
  /// 64 bytes.
  private static func hash(_ bytes: [UInt8], _ interface: InterfaceID) -> Int {
    // FNV-1a. Who floods this table with equal hashes floods their own replay only.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    func take(_ value: UInt64) { hash = (hash ^ value) &* 0x100_0000_01b3 }
    take(UInt64(truncatingIfNeeded: interface.rawValue))
    take(UInt64(bytes.count))
    for index in 0..<min(bytes.count, 64) where !isFree(index, bytes) {
      take(UInt64(bytes[index]))
    }
    return Int(truncatingIfNeeded: hash)
  }

  private static func isFree(_ index: Int, _ bytes: [UInt8]) -> Bool {
    bytes[0] >> 4 == 4 ? index == 4 || index == 5 || index == 10 || index == 11 : index < 4
  }

  private static func isSame(_ packet: EmittedPacket, _ bytes: [UInt8]) -> Bool {
    if packet.bytes == bytes { return true }
    guard packet.isAnswer, packet.bytes.count == bytes.count else { return false }
    return bytes.indices.allSatisfy { isFree($0, bytes) || packet.bytes[$0] == bytes[$0] }
  }
}
