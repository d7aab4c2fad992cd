// Moving sequence numbers, acknowledgements and selective acknowledgements (RFC 2018) of connections
// whose payload NAT has made longer or shorter.

import Conntrack
import Wire

public enum SequenceRewriter {
  /// Moves the numbers of one TCP segment.
  ///
  /// An ICMP error about the connection that goes its original way is taken for a segment too, as the
  /// kernel takes it: the numbers are sought where a TCP header would have them, and spoil the quote.
  /// - Returns: false where the packet must be dropped: its options cannot be read.
  public static func rewrite(
    _ packet: inout PacketBuffer, _ headers: PacketHeaders,
    _ tracker: borrowing ConnectionTracker, _ tracking: Tracking
  ) -> Bool {
    guard let own = tracker.sequenceShift(tracking.connection, tracking.direction),
      let other = tracker.sequenceShift(tracking.connection, tracking.direction.opposite)
    else { return true }
    let at = headers.transportOffset
    guard at >= 0, at + TCPField.minimumLength <= headers.end else { return false }
    let sequence = packet.uint32(at: at + TCPField.sequence)
    store(
      sequence &+ own.difference(at: sequence), &packet, at + TCPField.sequence,
      checksum: at + TCPField.checksum)
    guard TCPFlags(rawValue: packet.uint8(at: at + TCPField.flags)).contains(.ack) else {
      return true
    }
    let acknowledgement = packet.uint32(at: at + TCPField.acknowledgement)
    store(
      acknowledgement &- other.difference(atTranslated: acknowledgement), &packet,
      at + TCPField.acknowledgement, checksum: at + TCPField.checksum)
    let headerLength = Int(packet.uint8(at: at + TCPField.dataOffset) >> 4) * 4
    guard at + headerLength <= headers.end else { return false }
    return rewriteBlocks(&packet, at, headerLength, other)
  }

  private static func rewriteBlocks(
    _ packet: inout PacketBuffer, _ start: Int, _ headerLength: Int, _ shift: SequenceShift
  ) -> Bool {
    var at = start + TCPField.options
    let end = start + headerLength
    while at < end {
      let kind = packet.uint8(at: at)
      if kind == TCPOptions.Kind.end { return true }
      if kind == TCPOptions.Kind.noOperation {
        at += 1
        continue
      }
      guard at + 1 < end else { return true }
      let length = Int(packet.uint8(at: at + 1))
      guard length >= 2, at + length <= end else { return false }
      if kind == TCPOptions.Kind.sack && length >= 10
        && (length - 2) % 8 == 0
      {
        for field in stride(from: at + 2, to: at + length, by: 4) {
          let number = packet.uint32(at: field)
          store(
            number &- shift.difference(atTranslated: number), &packet, field,
            checksum: start + TCPField.checksum)
        }
      }
      at += length
    }
    return true
  }

  /// Writes a number and brings the checksum after it as if it stood at an even place, as the kernel
  /// does wherever it stands.
  private static func store(
    _ value: UInt32, _ packet: inout PacketBuffer, _ field: Int, checksum: Int
  ) {
    let old = packet.uint32(at: field)
    if old == value { return }
    packet.store32(value, at: field)
    packet.store16(
      InternetChecksum.updated(packet.uint16(at: checksum), from: old, to: value), at: checksum)
  }
}
