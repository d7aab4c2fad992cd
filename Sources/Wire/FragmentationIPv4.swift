// Splitting an IPv4 packet (RFC 791 section 3.2). Part of `Fragmentation`.

extension Fragmentation {
  static func splitIPv4(
    _ packet: RawSpan, _ headers: PacketHeaders, _ mtu: Int, _ reassembled: ReassembledInfo?,
    _ scratch: inout PacketBuffer, _ body: (RawSpan) -> Void
  ) -> Bool {
    let headerLength = headers.networkHeaderLength
    // Never longer than what came in, so that a smaller MTU behind us is not hit again.
    let limit = Swift.min(mtu, reassembled?.maxFragmentSize ?? mtu)
    let room = limit - headerLength
    let dataLength = headers.end - headerLength
    guard room >= 8 || room >= dataLength, scratch.capacity >= Swift.min(limit, headers.end)
    else { return false }
    var pieces = pieces(
      reassembled, headerLength: headerLength, dataLength: dataLength, room: room)
    // A fragment that is split again (its packet never was whole here) keeps its place, and Linux
    // leaves the options of all but a first one alone.
    let base = headers.fragmentOffset
    // DF is gone from pieces that keep their sizes, and stays where they are cut anew.
    let keepsDontFragment = !pieces.keepSizes && reassembled?.dontFragment == true
    var at = headerLength
    while let piece = pieces.next() {
      scratch.removeAll()
      guard scratch.append(packet.slice(0..<headerLength)),
        scratch.append(packet.slice(at..<at + piece.length))
      else { return false }
      if at > headerLength, base == 0 {
        blankUncopiedOptions(&scratch, headerLength: headerLength)
      }
      var word = UInt16((base + at - headerLength) / 8)
      if !piece.isLast || headers.moreFragments { word |= IPv4Field.moreFragmentsBit }
      if keepsDontFragment { word |= IPv4Field.dontFragmentBit }
      scratch.store16(UInt16(scratch.count), at: IPv4Field.totalLength)
      scratch.store16(word, at: IPv4Field.fragment)
      scratch.fillIPv4Checksum(headerLength: headerLength)
      body(scratch.bytes)
      at += piece.length
    }
    return true
  }

  /// Turns the options that only the first fragment carries into no-operations (RFC 791 section 3.1:
  /// those without the copied flag). Stops at the end of the list or where it is broken.
  static func blankUncopiedOptions(_ packet: inout PacketBuffer, headerLength: Int) {
    var at = IPv4Field.options
    while at < headerLength {
      let type = packet.uint8(at: at)
      if type == IPv4Option.end { return }
      if type == IPv4Option.noOperation {
        at += 1
        continue
      }
      guard at + 1 < headerLength else { return }
      let length = Int(packet.uint8(at: at + 1))
      guard length >= 2, length <= headerLength - at else { return }
      if type & IPv4Option.copiedBit == 0 {
        for byte in at..<at + length { packet.store8(IPv4Option.noOperation, at: byte) }
      }
      at += length
    }
  }
}

/// What splitting asks of IPv4 options (RFC 791 section 3.1).
enum IPv4Option {
  static let end: UInt8 = 0
  static let noOperation: UInt8 = 1
  static let copiedBit: UInt8 = 0x80
}
