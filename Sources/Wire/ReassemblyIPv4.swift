// Reassembly of IPv4 (RFC 791 section 3.2) as Linux does it: which fragments fit, and the header of
// the whole packet. Part of `Reassembler`.

extension Reassembler {
  mutating func addIPv4(
    _ packet: inout PacketBuffer, headers: PacketHeaders, now: Int64, user: UInt32,
    _ origin: FragmentOrigin
  ) -> ReassemblyResult {
    guard ipv4.hasRoom else { return .dropped(.noRoom) }
    let key = FragmentKey(
      source: headers.source, destination: headers.destination,
      identification: headers.identification, user: user,
      transportProtocol: headers.transportProtocol)
    let queue = ipv4.queue(key, now: now)
    restartWhenTooFar(queue, now: now)

    let headerLength = headers.networkHeaderLength
    let offset = headers.fragmentOffset
    var end = offset + headers.end - headerLength
    // A tail that does not fill 8 bytes is cut off, not refused.
    if headers.moreFragments { end &= ~7 }
    guard ipv4[queue].accept(end: end, isLast: !headers.moreFragments), end > offset else {
      ipv4.remove(queue)
      return .dropped(.badLength)
    }
    let previous: Int32
    switch ipv4.place(queue, offset: offset, end: end) {
    case .after(let fragment): previous = fragment
    case .duplicate: return .dropped(.duplicate)
    case .overlap:
      ipv4.remove(queue)
      return .dropped(.overlap)
    }
    let length = end - offset
    let keptStart = offset == 0 ? 0 : headerLength
    guard
      ipv4.insert(
        queue, after: previous, kept: packet.bytes.slice(keptStart..<headerLength + length),
        keptHeader: headerLength - keptStart, offset: offset, headerLength: headerLength,
        packetLength: packet.count)
    else { return .dropped(.noRoom) }
    ipv4[queue].lastOrigin = origin
    if offset == 0 { ipv4[queue].firstOrigin = origin }
    ipv4[queue].note(
      size: headerLength + length, dontFragment: headers.dontFragment, offset: offset,
      trafficClass: headers.trafficClass)
    guard ipv4[queue].isComplete else { return .held }
    return completeIPv4(&packet, queue)
  }

  /// Discards what a queue holds when too many other fragments of its source came since its latest.
  private mutating func restartWhenTooFar(_ queue: Int32, now: Int64) {
    guard settings.ipv4MaxDistance > 0 else { return }
    let distance = ipv4.countFragment(queue)
    guard ipv4[queue].last != FragmentPool.none, distance > settings.ipv4MaxDistance else {
      return
    }
    ipv4.restart(queue, now: now)
  }

  private mutating func completeIPv4(
    _ packet: inout PacketBuffer, _ number: Int32
  ) -> ReassemblyResult {
    let queue = ipv4[number]
    defer { ipv4.remove(number) }
    guard let ecn = FragmentECN.combined(queue.ecnSet) else { return .dropped(.mixedECN) }
    let headerLength = ipv4.fragment(queue.first).headerLength
    let totalLength = headerLength + queue.length
    guard totalLength <= 65_535 else { return .dropped(.tooLong) }
    packet.removeAll()
    var at = queue.first
    while at != FragmentPool.none {
      let fragment = ipv4.fragment(at)
      guard ipv4.append(fragment, to: &packet) else {
        packet.removeAll()
        return .dropped(.noRoom)
      }
      at = fragment.next
    }
    let dontFragment = queue.maxSizeDontFragment == queue.maxSize
    packet.store8(packet.uint8(at: IPv4Field.trafficClass) | ecn, at: IPv4Field.trafficClass)
    packet.store16(UInt16(totalLength), at: IPv4Field.totalLength)
    packet.store16(dontFragment ? IPv4Field.dontFragmentBit : 0, at: IPv4Field.fragment)
    packet.fillIPv4Checksum(headerLength: headerLength)
    return .complete(
      ipv4.info(
        queue, maxFragmentSize: Swift.max(queue.maxSize, queue.maxSizeDontFragment),
        dontFragment: dontFragment, headroom: settings.receiveHeadroom))
  }
}

extension PacketBuffer {
  /// Computes the checksum of the IPv4 header at the start. Traps when it is not in `count`.
  mutating func fillIPv4Checksum(headerLength: Int) {
    store16(0, at: IPv4Field.checksum)
    let sum = InternetChecksum.sum(bytes, from: 0, to: headerLength)
    store16(InternetChecksum.checksum(sum), at: IPv4Field.checksum)
  }
}

extension FragmentQueue {
  /// Takes note of a fragment's end. False when it contradicts what is known of the packet's end.
  mutating func accept(end: Int, isLast: Bool) -> Bool {
    if isLast {
      guard end >= length, !hasLast || end == length else { return false }
      hasLast = true
      length = end
    } else if end > length {
      guard !hasLast else { return false }
      length = end
    }
    return true
  }

  /// Takes note of a fragment that was kept.
  mutating func note(size: Int, dontFragment: Bool, offset: Int, trafficClass: UInt8) {
    ecnSet |= FragmentECN.member(trafficClass)
    maxSize = Swift.max(maxSize, size)
    if dontFragment { maxSizeDontFragment = Swift.max(maxSizeDontFragment, size) }
    if offset == 0 { hasFirst = true }
  }
}
