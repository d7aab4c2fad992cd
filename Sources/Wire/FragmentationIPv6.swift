// Splitting an IPv6 packet (RFC 8200 section 4.5). Part of `Fragmentation`.

extension Fragmentation {
  static func splitIPv6(
    _ packet: RawSpan, _ headers: PacketHeaders, _ mtu: Int, _ reassembled: ReassembledInfo?,
    _ identification: UInt32, _ scratch: inout PacketBuffer, _ body: (RawSpan) -> Void
  ) -> Bool {
    // The kernel looks for extension headers only in what the first fragment brought.
    let seen = reassembled.flatMap { info in info.sizes.first.map { info.dataOffset + $0 } }
    let end = headers.end
    guard let part = UnfragmentablePart(packet, end: Swift.min(end, seen ?? end)) else {
      return false
    }
    // Not longer than what came in, but at least what every link carries (RFC 8200 section 5).
    let longest = IPv6Field.length + 65_535
    let limit = Swift.min(reassembled.map { Swift.max($0.maxFragmentSize, 1280) } ?? mtu, longest)
    let overhead = part.length + IPv6Field.fragmentHeaderLength
    let room = limit - overhead
    guard end <= longest, room >= 8,
      scratch.capacity >= Swift.min(limit, end + IPv6Field.fragmentHeaderLength)
    else { return false }
    let dataLength = end - part.length
    var pieces = pieces(
      reassembled, headerLength: part.length, dataLength: dataLength, room: room)
    var at = part.length
    while let piece = pieces.next() {
      scratch.removeAll()
      guard scratch.append(packet.slice(0..<part.length)) else { return false }
      scratch.resize(to: overhead)
      guard scratch.append(packet.slice(at..<at + piece.length)) else { return false }
      let offset = UInt16(at - part.length)
      scratch.store8(IPProtocolNumber.fragment, at: part.nextHeaderOffset)
      scratch.store8(part.nextHeader, at: part.length)
      scratch.store8(0, at: part.length + 1)
      scratch.store16(offset | (piece.isLast ? 0 : 1), at: part.length + 2)
      scratch.store32(identification, at: part.length + 4)
      scratch.store16(
        UInt16(scratch.count - IPv6Field.length), at: IPv6Field.payloadLength)
      body(scratch.bytes)
      at += piece.length
    }
    return true
  }
}

/// What every fragment of an IPv6 packet carries (RFC 8200 section 4.5): the header and the extension
/// headers that routers on the way look at.
struct UnfragmentablePart {
  /// Bytes; where the fragment header goes.
  var length: Int
  /// Where the next header field is that is to name the fragment header.
  var nextHeaderOffset: Int
  /// What that field names now.
  var nextHeader: UInt8

  /// Hop-by-hop options, routing headers, and destination options that stand before a routing
  /// header; Linux counts all destination options but those behind a routing header. Nil when the
  /// packet ends within or right behind them.
  init?(_ packet: RawSpan, end: Int) {
    length = IPv6Field.length
    nextHeaderOffset = IPv6Field.nextHeader
    nextHeader = packet.uint8(at: nextHeaderOffset)
    var routed = false
    while length <= end {
      switch nextHeader {
      case IPProtocolNumber.hopByHop: break
      case IPProtocolNumber.routing: routed = true
      case IPProtocolNumber.destinationOptions where !routed: break
      default: return
      }
      guard length + 2 <= end else { return nil }
      nextHeaderOffset = length
      nextHeader = packet.uint8(at: length)
      length += (Int(packet.uint8(at: length + 1)) + 1) * 8
    }
    return nil
  }
}
