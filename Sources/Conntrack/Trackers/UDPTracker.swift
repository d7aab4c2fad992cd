// UDP and UDP-Lite: no handshake, so a flow is a stream once it is answered and lasts.

import Wire

extension ConnectionTracker {
  @inline(__always)
  func udpError(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook
  ) -> InvalidReason? {
    guard let datagram = UDPHeader(bytes, at: headers.transportOffset, end: headers.end) else {
      return .truncated(protocolNumber: IPProtocolNumber.udp)
    }
    let available = headers.end - headers.transportOffset
    if Int(datagram.length) > available || datagram.length < 8 {
      return .badLength(
        protocolNumber: IPProtocolNumber.udp, said: Int(datagram.length), available: available)
    }
    // A checksum of zero says that there is none.
    if datagram.checksum != 0 && hook == .prerouting && settings.checksum != 0
      && !InternetChecksum.transportIsValid(bytes, headers: headers)
    {
      return .badChecksum(protocolNumber: IPProtocolNumber.udp)
    }
    return nil
  }

  func udpLiteError(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook
  ) -> InvalidReason? {
    guard let datagram = UDPHeader(bytes, at: headers.transportOffset, end: headers.end) else {
      return .truncated(protocolNumber: IPProtocolNumber.udpLite)
    }
    // Where UDP has its length, UDP-Lite has how far the checksum covers (RFC 3828 3.1).
    let available = headers.end - headers.transportOffset
    let coverage = datagram.length == 0 ? available : Int(datagram.length)
    if coverage < 8 || coverage > available {
      return .badLength(
        protocolNumber: IPProtocolNumber.udpLite, said: coverage, available: available)
    }
    // UDP-Lite has no "no checksum".
    if datagram.checksum == 0 { return .badChecksum(protocolNumber: IPProtocolNumber.udpLite) }
    if hook == .prerouting && settings.checksum != 0
      && !InternetChecksum.transportIsValid(bytes, headers: headers)
    {
      return .badChecksum(protocolNumber: IPProtocolNumber.udpLite)
    }
    return nil
  }

  /// One datagram of a flow.
  mutating func trackUDP(
    _ record: Int, _ direction: Direction, isNew: Bool, _ headers: PacketHeaders
  ) -> TrackerVerdict {
    if isNew { table.records[record].streamStart = now + settings.udpStreamDelay }
    let status = table.records[record].status
    guard status.contains(.seenReply) else {
      refresh(record, direction, timeout(record) { $0.udpTimeout }, bytes: headers.end)
      return .accept
    }
    // Answered; a stream if it is still active some time after it began. UDP-Lite is one at once.
    let isStream =
      now > table.records[record].streamStart || settings.udpStreamDelay == 0
      || headers.transportProtocol == IPProtocolNumber.udpLite
    refresh(
      record, direction, timeout(record) { isStream ? $0.udpTimeoutStream : $0.udpTimeout },
      bytes: headers.end)
    if isStream && !status.contains(.assured) {
      table.records[record].status.insert(.assured)
      note(record, .assured)
    }
    return .accept
  }
}
