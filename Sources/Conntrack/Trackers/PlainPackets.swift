// Plain packets in the middle of a confirmed connection. What `TCPTracker`, `TCPWindow` and
// `UDPTracker` say of such a packet, said at once and in place; for anything else this says nothing,
// and they are asked. That both say the same is a test of its own (`PlainPacketTests`).

import Wire

extension ConnectionTracker {
  /// Whether the packet belongs to a connection that is confirmed and assured, and nothing about it is
  /// out of the ordinary. Changes nothing in the table; `packet` then tells which connection it is.
  /// - Complexity: O(1) expected.
  @inline(__always)
  public mutating func findPlain(_ bytes: RawSpan, _ packet: inout PlainPacket) -> Bool {
    isPlain(bytes, packet)
      || (packet.isPlain && !packet.isUnknown && findFurther(bytes, &packet))
  }

  /// What `fetch` found was another with the same tag, or nothing: looks on.
  @inline(never)
  private mutating func findFurther(_ bytes: RawSpan, _ packet: inout PlainPacket) -> Bool {
    var candidate = packet
    let found = table.index.find(packet.hash) { reference in
      candidate.reference = reference.rawValue
      return isPlain(bytes, candidate)
    }
    guard let found else { return false }
    packet.reference = found.rawValue
    return true
  }

  /// Whether the record `packet` names is the packet's, and as `findPlain` says.
  @inline(__always)
  private func isPlain(_ bytes: RawSpan, _ packet: PlainPacket) -> Bool {
    // With zones of one direction several connections may have the tuple.
    guard packet.isFound, !table.hasZonesOfOneDirection else { return false }
    let isOriginal = packet.direction == .original
    // In bounds: the table's own references are, and no record ever goes away.
    let record = unsafe table.records.pointer(packet.connection.index)
    let sourcePort =
      unsafe isOriginal
      ? record.pointee.originalSourcePort : record.pointee.replySourcePort
    let destinationPort =
      unsafe isOriginal
      ? record.pointee.originalDestinationPort : record.pointee.replyDestinationPort
    let needed: ConnectionStatus = [.seenReply, .assured, .confirmed]
    guard UInt32(sourcePort) << 16 | UInt32(destinationPort) == packet.ports,
      unsafe record.pointee.protocolNumber == packet.protocolNumber,
      unsafe record.pointee.family == packet.family.rawValue,
      unsafe record.pointee.zone == 0,
      unsafe record.pointee.status.intersection(needed.union([.dying, .fixedTimeout])) == needed,
      unsafe record.pointee.extensions.isSubset(of: .plain),
      unsafe record.pointee.pendingEvents.isEmpty,
      unsafe record.pointee.deadline > now
    else { return false }
    if packet.family == .ipv4 {
      let source = unsafe isOriginal ? record.pointee.originalSource : record.pointee.replySource
      let destination =
        unsafe isOriginal
        ? record.pointee.originalDestination : record.pointee.replyDestination
      return UInt64(source) << 32 | UInt64(destination) == packet.addresses
    }
    let wide = unsafe table.wide.pointer(packet.connection.index)
    let source = IPAddress(
      high: bytes.uint64(at: IPv6Field.source), low: bytes.uint64(at: IPv6Field.source + 8))
    let destination = IPAddress(
      high: bytes.uint64(at: IPv6Field.destination),
      low: bytes.uint64(at: IPv6Field.destination + 8))
    return unsafe isOriginal
      ? wide.pointee.originalSource == source && wide.pointee.originalDestination == destination
      : wide.pointee.replySource == source && wide.pointee.replyDestination == destination
  }

  /// Tracks a packet that `findPlain` has found: its checksum, its window, the connection's deadline and
  /// counters.
  /// - Returns: false, with nothing changed, where `track` must be asked.
  @inline(__always)
  public mutating func trackPlain(_ bytes: RawSpan, _ packet: PlainPacket) -> Bool {
    if packet.family == .ipv4 {
      packet.protocolNumber == IPProtocolNumber.tcp
        ? trackPlainTCP(bytes, packet, at: IPv4Field.minimumLength, .ipv4)
        : trackPlainUDP(bytes, packet, at: IPv4Field.minimumLength, .ipv4)
    } else {
      packet.protocolNumber == IPProtocolNumber.tcp
        ? trackPlainTCP(bytes, packet, at: IPv6Field.length, .ipv6)
        : trackPlainUDP(bytes, packet, at: IPv6Field.length, .ipv6)
    }
  }

  @inline(__always)
  private mutating func trackPlainTCP(
    _ bytes: RawSpan, _ packet: PlainPacket, at: Int, _ family: AddressFamily
  ) -> Bool {
    let end = packet.length
    guard end <= bytes.byteCount, at &+ TCPField.minimumLength <= end else { return false }
    let offsetAndFlags = bytes.uint16(at: at &+ TCPField.dataOffset)
    // ACK, and beside it at most PSH, ECE and CWR.
    guard offsetAndFlags & 0x37 == 0x10 else { return false }
    let headerLength = Int(offsetAndFlags >> 12) &* 4
    if headerLength != TCPField.minimumLength {
      // Of options, only a timestamp as nearly everyone sends it.
      guard headerLength == TCPField.minimumLength &+ 12, at &+ headerLength <= end,
        bytes.uint32(at: at &+ TCPField.options) == 0x0101_080a
      else { return false }
    }
    // In bounds: `findPlain` has looked at it.
    let record = unsafe table.records.pointer(packet.connection.index)
    guard unsafe record.pointee.tcp.state == .established else { return false }
    let sequence = bytes.uint32(at: at &+ TCPField.sequence)
    let acknowledgement = bytes.uint32(at: at &+ TCPField.acknowledgement)
    let rawWindow = bytes.uint16(at: at &+ TCPField.window)
    let sequenceEnd =
      sequence &+ UInt32(truncatingIfNeeded: end &- at &- headerLength)
    let direction = packet.direction
    // Both lie in the record, side by side.
    let sender = unsafe TCPPeer.pointer(in: record, direction)
    // As above.
    let receiver = unsafe TCPPeer.pointer(in: record, direction.opposite)
    let senderEnd = unsafe sender.pointee.end
    let senderMaxEnd = unsafe sender.pointee.maxEnd
    let senderWindow = unsafe sender.pointee.maxWindow
    let receiverEnd = unsafe receiver.pointee.end
    let receiverWindow = unsafe receiver.pointee.maxWindow
    var senderFlags = unsafe sender.pointee.flags
    var receiverFlags = unsafe receiver.pointee.flags
    // Both sides are known, and the four bounds hold (`TCPWindow`).
    guard senderWindow != 0, receiverWindow != 0, senderFlags.contains(.sentAcknowledgement),
      sequence.isBefore(senderMaxEnd &+ 1),
      acknowledgement.isBefore(receiverEnd &+ 1),
      sequenceEnd.isAfter(senderEnd &- receiverWindow &- 1),
      acknowledgement.isAfter(receiverEnd &- max(senderWindow, 66_000) &- 1),
      settings.checksum == 0
        || InternetChecksum.addsUp(
          bytes, at: at, end: end, packet.protocolNumber, family)
    else { return false }

    let window = UInt32(rawWindow) << UInt32(unsafe sender.pointee.windowScale)
    if window > senderWindow { unsafe sender.pointee.maxWindow = window }
    if sequenceEnd.isAfter(senderEnd) {
      unsafe sender.pointee.end = sequenceEnd
      senderFlags.insert(.unacknowledged)
      unsafe sender.pointee.flags = senderFlags
    }
    if acknowledgement.isAfter(unsafe sender.pointee.maxAcknowledgement) {
      unsafe sender.pointee.maxAcknowledgement = acknowledgement
    }
    if sequenceEnd.isAfter(senderMaxEnd) {
      unsafe receiver.pointee.maxWindow = receiverWindow &+ (sequenceEnd &- senderMaxEnd)
    }
    if (acknowledgement &+ window).isAfter(unsafe receiver.pointee.maxEnd &- 1) {
      unsafe receiver.pointee.maxEnd = acknowledgement &+ window &+ (window == 0 ? 1 : 0)
    }
    if acknowledgement == receiverEnd && receiverFlags.contains(.unacknowledged) {
      receiverFlags.remove(.unacknowledged)
      unsafe receiver.pointee.flags = receiverFlags
    }

    var timeout = settings.tcpTimeoutEstablished
    if unsafe record.pointee.tcp.lastSequence == sequence
      && record.pointee.tcp.lastEnd == sequenceEnd
      && record.pointee.tcp.lastAcknowledgement == acknowledgement
      && record.pointee.tcp.lastWindow == rawWindow
      && record.pointee.tcp.lastDirection == direction
    {
      let before = unsafe record.pointee.tcp.retransmissions
      let retransmissions = before < .max ? before &+ 1 : before
      unsafe record.pointee.tcp.retransmissions = retransmissions
      timeout = plainTimeout(
        senderFlags.union(receiverFlags), window: rawWindow, retransmissions)
    } else {
      unsafe record.pointee.tcp.lastSequence = sequence
      unsafe record.pointee.tcp.lastAcknowledgement = acknowledgement
      unsafe record.pointee.tcp.lastEnd = sequenceEnd
      unsafe record.pointee.tcp.lastWindow = rawWindow
      unsafe record.pointee.tcp.lastDirection = direction
      unsafe record.pointee.tcp.retransmissions = 0
      timeout = plainTimeout(senderFlags.union(receiverFlags), window: rawWindow, 0)
    }
    unsafe record.pointee.tcp.lastSegment = .ack
    refresh(packet.connection.index, direction, timeout, bytes: end)
    return true
  }

  /// `tcpTimeout` for an established connection's ACK.
  @inline(__always)
  private func plainTimeout(
    _ flags: TCPPeerFlags, window: UInt16, _ retransmissions: UInt8
  ) -> Int64 {
    let usual = settings.tcpTimeoutEstablished
    if Int64(retransmissions) >= settings.tcpMaxRetransmissions
      && usual > settings.tcpTimeoutMaxRetransmissions
    {
      return settings.tcpTimeoutMaxRetransmissions
    }
    if flags.contains(.unacknowledged) && usual > settings.tcpTimeoutUnacknowledged {
      return settings.tcpTimeoutUnacknowledged
    }
    if window == 0 && usual > settings.tcpTimeoutMaxRetransmissions {
      return settings.tcpTimeoutMaxRetransmissions
    }
    return usual
  }

  @inline(__always)
  private mutating func trackPlainUDP(
    _ bytes: RawSpan, _ packet: PlainPacket, at: Int, _ family: AddressFamily
  ) -> Bool {
    let end = packet.length
    guard end <= bytes.byteCount, at &+ UDPField.headerLength <= end else { return false }
    let length = Int(bytes.uint16(at: at &+ UDPField.length))
    guard length >= UDPField.headerLength, length <= end &- at,
      settings.checksum == 0 || bytes.uint16(at: at &+ UDPField.checksum) == 0
        || InternetChecksum.addsUp(bytes, at: at, end: end, packet.protocolNumber, family)
    else { return false }
    // In bounds: `findPlain` has looked at it.
    let start = unsafe table.records.pointer(packet.connection.index).pointee.streamStart
    guard now > start || settings.udpStreamDelay == 0 else { return false }
    refresh(packet.connection.index, packet.direction, settings.udpTimeoutStream, bytes: end)
    return true
  }
}

extension TCPPeer {
  /// The peer of a record's TCP state that sends in `direction`.
  @inline(__always)
  @unsafe
  static func pointer(
    in record: UnsafeMutablePointer<Record>, _ direction: Direction
  ) -> UnsafeMutablePointer<TCPPeer> {
    // The second line of a record begins with the peers, one after the other (`Record.isLaidOut`).
    let line = unsafe UnsafeMutableRawPointer(record) + Record.tcpOffset
    return unsafe line.assumingMemoryBound(to: TCPPeer.self) + Int(direction.rawValue)
  }
}

extension Record {
  static var tcpOffset: Int { 64 }

  /// Whether the compiler has laid a record out as `TCPPeer.pointer` takes it to.
  static var isLaidOut: Bool {
    MemoryLayout<Record>.offset(of: \.tcp) == tcpOffset
      && MemoryLayout<TCPRecord>.offset(of: \.peers) == 0
      && MemoryLayout<TCPPeer>.stride == 20
  }
}
