// ICMP and ICMPv6: queries are connections of their own; errors belong to the connection of the
// packet they quote.

import Wire

/// What is to be done with an ICMP message before it is looked up as a query.
enum ICMPDisposition {
  /// Look it up by its own tuple.
  case query
  case decided(Tracking)
}

extension ConnectionTracker {
  mutating func judgeICMP(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook,
    _ zone: TrackingZone
  ) -> ICMPDisposition {
    let number = headers.transportProtocol
    guard let message = ICMPHeader(bytes, at: headers.transportOffset, end: headers.end) else {
      return .decided(.invalid(.truncated(protocolNumber: number)))
    }
    if hook == .prerouting && settings.checksum != 0
      && !InternetChecksum.transportIsValid(bytes, headers: headers)
    {
      return .decided(.invalid(.badChecksum(protocolNumber: number)))
    }
    if number == IPProtocolNumber.icmp {
      if message.type > ICMPType.highestKnown {
        return .decided(
          .invalid(.icmpTypeNotTracked(type: message.type, code: message.code)))
      }
      if !ICMPType.isError(message.type) { return .query }
    } else {
      if ICMPQuery.isLinkBusiness(message.type) { return .decided(Tracking()) }
      if message.type == ICMPv6Type.redirect { return judgeRedirect(bytes, headers, zone) }
      if !ICMPv6Type.isError(message.type) { return .query }
    }
    return .decided(
      trackICMPError(bytes, headers, zone, quoteAt: headers.transportOffset + ICMPField.inner))
  }

  /// An ICMPv6 redirect (RFC 4861 sections 4.5, 4.6.3 and 8.1) is an error about the packet it quotes, if
  /// it comes from a router of this link and its first option is the one that quotes.
  private mutating func judgeRedirect(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ zone: TrackingZone
  ) -> ICMPDisposition {
    let start = headers.transportOffset
    let option = start + ICMPv6Redirect.options
    guard option <= headers.end else {
      return .decided(.invalid(.truncated(protocolNumber: headers.transportProtocol)))
    }
    if bytes.uint8(at: start + ICMPField.code) != 0 { return .query }
    guard bytes.uint8(at: IPv6Field.hopLimit) == 255, headers.source.high >> 54 == 0xfe80 >> 6
    else {
      return .decided(.invalid(.icmpRedirectFromAfar))
    }
    guard option + 2 <= headers.end, bytes.uint8(at: option + 1) != 0 else {
      return .decided(.invalid(.icmpErrorUnreadable))
    }
    if bytes.uint8(at: option) != ICMPv6Redirect.redirectedHeader { return .query }
    return .decided(
      trackICMPError(bytes, headers, zone, quoteAt: option + ICMPv6Redirect.redirectedHeaderLength))
  }

  /// An error: RELATED to the connection of the packet it quotes, in the direction the error itself
  /// travels.
  private mutating func trackICMPError(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ zone: TrackingZone, quoteAt inner: Int
  ) -> Tracking {
    guard let quoted = quotedTuple(bytes, headers, at: inner), let inverse = quoted.inverted else {
      return .invalid(.icmpErrorUnreadable)
    }
    guard let found = findLiving(inverse, zone: zone) else {
      return .invalid(.icmpErrorForNothing)
    }
    if table.tuple(found.record, found.direction).destination != headers.destination {
      return .invalid(.icmpErrorMisaddressed)
    }
    var tracking = Tracking()
    tracking.connection = ConnectionNumber(rawValue: UInt32(found.record))
    tracking.state = .related
    tracking.direction = found.direction
    return tracking
  }

  /// The tuple of the packet an ICMP error quotes, as far as it can be read.
  private func quotedTuple(
    _ bytes: RawSpan, _ headers: PacketHeaders, at inner: Int
  ) -> Tuple? {
    let end = headers.end
    if headers.family == .ipv4 {
      guard inner + IPv4Field.minimumLength <= end else { return nil }
      let headerLength = Int(bytes.uint8(at: inner) & 0x0f) * 4
      let fragment = bytes.uint16(at: inner + IPv4Field.fragment)
      // Only a first fragment has the ports; and the header itself must be there, options and all.
      guard fragment & IPv4Field.offsetMask == 0, inner + headerLength <= end else { return nil }
      let offset = inner + headerLength
      guard
        var tuple = Tuple(
          bytes, source: IPAddress(ipv4: bytes.uint32(at: inner + IPv4Field.source)),
          destination: IPAddress(ipv4: bytes.uint32(at: inner + IPv4Field.destination)),
          family: .ipv4,
          protocolNumber: bytes.uint8(at: inner + IPv4Field.transportProtocol),
          at: offset, end: end)
      else { return nil }
      table.completeCall(&tuple, bytes, at: offset, end: end)
      return tuple
    }
    guard inner + IPv6Field.length <= end else { return nil }
    let nextHeader = bytes.uint8(at: inner + IPv6Field.nextHeader)
    let walk = IPv6ExtensionWalk(
      bytes, nextHeader: nextHeader, nextHeaderOffset: inner + IPv6Field.nextHeader,
      at: inner + IPv6Field.length, end: end)
    guard walk.transportOffset >= 0 else { return nil }
    return Tuple(
      bytes,
      source: IPAddress(
        high: bytes.uint64(at: inner + 8), low: bytes.uint64(at: inner + 16)),
      destination: IPAddress(
        high: bytes.uint64(at: inner + 24), low: bytes.uint64(at: inner + 32)),
      family: .ipv6, protocolNumber: walk.transportProtocol, at: walk.transportOffset, end: end)
  }

  /// One query or answer.
  mutating func trackICMPQuery(
    _ record: Int, _ direction: Direction, _ headers: PacketHeaders
  ) -> TrackerVerdict {
    // The entry outlives the answer, so that a duplicate of it still belongs.
    let isIPv4 = headers.family == .ipv4
    refresh(
      record, direction, timeout(record) { isIPv4 ? $0.icmpTimeout : $0.icmpv6Timeout },
      bytes: headers.end)
    return .accept
  }
}
