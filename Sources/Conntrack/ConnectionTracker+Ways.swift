// The way a connection's packets take, as the firewall numbers ways: kept in the record, one for each
// direction.

import Wire

extension ConnectionTracker {
  /// The way remembered for a packet that `findPlain` has found; 0: none.
  @inline(__always)
  public mutating func way(_ packet: PlainPacket) -> UInt16 {
    // In bounds: `findPlain` has looked at it.
    let ways = unsafe table.records.pointer(packet.connection.index).pointee.ways
    return packet.direction == .original ? ways.0 : ways.1
  }

  /// Whether the connection of a packet that `findPlain` has found has another source or destination on the
  /// other side.
  @inline(__always)
  public mutating func isTranslated(_ packet: PlainPacket) -> Bool {
    // In bounds: `findPlain` has looked at it.
    unsafe !table.records.pointer(packet.connection.index).pointee.status.isDisjoint(
      with: [.sourceNAT, .destinationNAT])
  }

  /// The ends an IPv4 packet that `findPlain` has found has on the other side: source before destination.
  @inline(__always)
  public mutating func ipv4Ends(_ packet: PlainPacket) -> (addresses: UInt64, ports: UInt32) {
    // In bounds: `findPlain` has looked at it.
    let record = unsafe table.records.pointer(packet.connection.index)
    let isOriginal = packet.direction == .original
    let source =
      unsafe isOriginal
      ? record.pointee.replyDestination : record.pointee.originalDestination
    let destination =
      unsafe isOriginal
      ? record.pointee.replySource : record.pointee.originalSource
    let sourcePort =
      unsafe isOriginal
      ? record.pointee.replyDestinationPort : record.pointee.originalDestinationPort
    let destinationPort =
      unsafe isOriginal
      ? record.pointee.replySourcePort : record.pointee.originalSourcePort
    return (
      UInt64(source) << 32 | UInt64(destination),
      UInt32(sourcePort) << 16 | UInt32(destinationPort)
    )
  }

  /// Remembers the way of a connection's packets in a direction.
  public mutating func setWay(
    _ number: ConnectionNumber, _ direction: Direction, _ way: UInt16
  ) {
    if direction == .original {
      table.records[number.index].ways.0 = way
    } else {
      table.records[number.index].ways.1 = way
    }
  }

  /// Forgets every connection's ways. O(connections).
  public mutating func forgetWays() {
    for record in 0..<table.used { table.records[record].ways = (0, 0) }
  }

  /// Whether a packet just tracked was a plain one of a connection whose other plain packets are treated
  /// alike: established both ways, and nothing out of the ordinary about it.
  public mutating func isSteady(
    _ number: ConnectionNumber, _ bytes: RawSpan, _ packet: PlainPacket
  ) -> Bool {
    let record = table.records[number.index]
    guard packet.isPlain, record.zone == 0, record.extensions.isSubset(of: .plain),
      record.status.isSuperset(of: [.seenReply, .assured, .confirmed]),
      !record.status.contains(.dying)
    else { return false }
    if packet.protocolNumber == IPProtocolNumber.udp { return true }
    let at = packet.transportOffset(packet.family)
    return record.tcp.state == .established && bytes.byteCount >= at + TCPField.minimumLength
      && bytes.uint8(at: at + TCPField.flags) & 0x37 == TCPFlags.ack.rawValue
  }
}
