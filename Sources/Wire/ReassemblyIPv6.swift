// Reassembly of IPv6 (RFC 8200 section 4.5) as Linux's connection tracking does it: which fragments
// fit, and the packet without the fragment header. Part of `Reassembler`.

extension Reassembler {
  mutating func addIPv6(
    _ packet: inout PacketBuffer, headers: PacketHeaders, now: Int64, user: UInt32,
    _ origin: FragmentOrigin
  ) -> ReassemblyResult {
    // A jumbogram is never a fragment (RFC 2675 section 4).
    guard packet.uint16(at: IPv6Field.payloadLength) != 0 else { return .notAFragment }
    if headers.lacksTransportHeader { return .notAFragment }
    let walk = IPv6ExtensionWalk(
      packet.bytes, nextHeader: packet.uint8(at: IPv6Field.nextHeader),
      nextHeaderOffset: IPv6Field.nextHeader, at: IPv6Field.length, end: headers.end)
    let headerOffset = walk.fragmentHeaderOffset
    guard headerOffset >= 0 else { return .notAFragment }
    let dataOffset = headerOffset + IPv6Field.fragmentHeaderLength
    guard dataOffset <= headers.end else { return .dropped(.malformed) }
    guard ipv6.hasRoom else { return .dropped(.noRoom) }

    let word = packet.uint16(at: headerOffset + 2)
    let offset = Int(word & 0xfff8)
    let moreFragments = word & 1 != 0
    let key = FragmentKey(
      source: headers.source, destination: headers.destination,
      identification: packet.uint32(at: headerOffset + 4), user: user, transportProtocol: 0)
    let queue = ipv6.queue(key, now: now)
    let end = offset + headers.end - dataOffset
    guard end <= 65_535 else { return .dropped(.tooLong) }
    if moreFragments, end & 7 != 0 {
      // Not taken for reassembly, and the end of it for those that were.
      ipv6.remove(queue)
      return .notAFragment
    }
    guard ipv6[queue].accept(end: end, isLast: !moreFragments), end > offset else {
      return .dropped(.badLength)
    }
    let previous: Int32
    switch ipv6.place(queue, offset: offset, end: end) {
    case .after(let fragment): previous = fragment
    case .duplicate: return .dropped(.duplicate)
    case .overlap:
      ipv6.remove(queue)
      return .dropped(.overlap)
    }
    let keptStart = offset == 0 ? 0 : dataOffset
    guard
      ipv6.insert(
        queue, after: previous, kept: packet.bytes.slice(keptStart..<headers.end),
        keptHeader: dataOffset - keptStart, offset: offset, headerLength: headerOffset,
        packetLength: packet.count)
    else { return .dropped(.noRoom) }
    ipv6[queue].lastOrigin = origin
    if offset == 0 { ipv6[queue].firstOrigin = origin }
    ipv6[queue].note(
      size: headers.end, dontFragment: false, offset: offset, trafficClass: headers.trafficClass)
    if offset == 0 { ipv6[queue].nextHeaderOffset = walk.fragmentNextHeaderOffset }
    guard ipv6[queue].isComplete else { return .held }
    return completeIPv6(&packet, queue)
  }

  private mutating func completeIPv6(
    _ packet: inout PacketBuffer, _ number: Int32
  ) -> ReassemblyResult {
    let queue = ipv6[number]
    defer { ipv6.remove(number) }
    guard let ecn = FragmentECN.combined(queue.ecnSet) else { return .dropped(.mixedECN) }
    let first = ipv6.fragment(queue.first)
    let payloadLength = first.headerLength - IPv6Field.length + queue.length
    guard payloadLength <= 65_535 else { return .dropped(.tooLong) }
    packet.removeAll()
    guard ipv6.append(first, to: &packet) else { return .dropped(.noRoom) }
    packet.removeFragmentHeader(
      at: first.headerLength, nextHeaderOffset: queue.nextHeaderOffset)
    var at = first.next
    while at != FragmentPool.none {
      let fragment = ipv6.fragment(at)
      guard ipv6.append(fragment, to: &packet) else {
        packet.removeAll()
        return .dropped(.noRoom)
      }
      at = fragment.next
    }
    packet.store16(UInt16(payloadLength), at: IPv6Field.payloadLength)
    // The traffic class lies across two bytes; its lowest two bits are ECN.
    packet.store8(packet.uint8(at: 1) | ecn << 4, at: 1)
    return .complete(
      ipv6.info(
        queue, maxFragmentSize: queue.maxSize, dontFragment: false,
        headroom: settings.receiveHeadroom))
  }
}

extension PacketHeaders {
  /// Whether a fragment at offset 0 (also an atomic one) ends before its transport header does, of
  /// which Linux wants 20 bytes for TCP, 8 for UDP and ICMPv6, 1 for all others. RFC 8200 section 4.5
  /// would have it discarded; Linux hands it on as it is.
  fileprivate var lacksTransportHeader: Bool {
    guard fragmentHeaderOffset >= 0, transportOffset >= 0 else { return false }
    let needed =
      switch transportProtocol {
      case IPProtocolNumber.tcp: TCPField.minimumLength
      case IPProtocolNumber.udp: UDPField.headerLength
      case IPProtocolNumber.icmpv6: ICMPField.headerLength
      default: 1
      }
    return transportOffset + needed > end
  }
}

extension PacketBuffer {
  /// Takes the fragment header at `offset` out and lets the header before it name what follows.
  fileprivate mutating func removeFragmentHeader(at offset: Int, nextHeaderOffset: Int) {
    let length = IPv6Field.fragmentHeaderLength
    store8(uint8(at: offset), at: nextHeaderOffset)
    move(offset + length..<count, to: offset)
    resize(to: count - length)
  }
}
