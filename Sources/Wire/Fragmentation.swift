// Cutting a packet that leaves by a link with a smaller MTU, or that came in fragments, as Linux
// does: the same lengths, offsets, flags and options. For the firewall's way out.

/// Receives the fragments of a packet, in order.
public protocol FragmentSink {
  /// Takes one packet as it leaves; the bytes are valid during the call.
  mutating func take(_ packet: RawSpan)
}

/// What `Fragmentation.send` did.
@frozen
public enum FragmentationResult: BitwiseCopyable, Hashable, Sendable {
  /// The packet left in so many pieces; 1: unchanged.
  case sent(Int)
  /// It cannot be cut and is too big for the link: the sender is owed an ICMP error.
  case tooBig
  /// Its headers cannot be cut: it is dropped without a word.
  case malformed
}

public enum Fragmentation {
  /// Whether forwarding refuses the packet with an ICMP error (fragmentation needed, packet too
  /// big) before the FORWARD hook: it is longer than `mtu` and may not be cut, or a fragment it
  /// came in was.
  public static func isTooBig(
    _ headers: PacketHeaders, mtu: Int, reassembled: ReassembledPacket?
  ) -> Bool {
    guard headers.end > mtu, headers.family == .ipv6 || headers.dontFragment else {
      return false
    }
    guard let reassembled else { return true }
    return reassembled.maximumFragmentSize > mtu
  }

  /// Hands the packet to `sink`, whole or in fragments.
  ///
  /// - Parameters:
  ///   - packet: with correct headers; the bytes beyond its IP length do not leave.
  ///   - headers: of `packet`, decoded after its last change of length.
  ///   - mtu: of the link it leaves by, in bytes.
  ///   - reassembled: what `Reassembler` said of it, nil when it came whole.
  ///   - identification: for the IPv6 fragment header; the kernel takes a random one, not 0, a
  ///     packet.
  ///   - scratch: where fragments are put together; must hold `mtu` bytes.
  public static func send<Sink: FragmentSink>(
    _ packet: borrowing PacketBuffer, headers: PacketHeaders, mtu: Int,
    reassembled: ReassembledPacket?, identification: UInt32, scratch: inout PacketBuffer,
    to sink: inout Sink
  ) -> FragmentationResult {
    let bytes = packet.bytes.slice(0..<headers.end)
    switch headers.family {
    case .ipv4:
      guard headers.end > mtu || reassembled != nil else {
        sink.take(bytes)
        return .sent(1)
      }
      if isTooBig(headers, mtu: mtu, reassembled: reassembled) { return .tooBig }
      return sendIPv4(bytes, headers, mtu, reassembled, &scratch, &sink)
    case .ipv6:
      let largest = reassembled?.maximumFragmentSize ?? Int.max
      guard headers.end > mtu || headers.end > largest else {
        sink.take(bytes)
        return .sent(1)
      }
      if reassembled == nil || largest > mtu { return .tooBig }
      return sendIPv6(
        bytes, max(largest, ipv6MinimumMTU), reassembled, identification, &scratch, &sink)
    }
  }

  /// RFC 8200 section 5: no IPv6 link carries less.
  static let ipv6MinimumMTU = 1280

  /// The lengths of the pieces: those the packet came in as long as each fits, even ones otherwise.
  struct Cuts {
    private let geometry: FragmentGeometry?
    /// What the first piece of `geometry` has more than it had when it came in: headers that
    /// were part of the unfragmentable part then and are not now.
    private let firstExtra: Int
    private let space: Int

    /// True when the lengths are those the packet came in.
    var keepsLengths: Bool { geometry != nil }

    /// - Parameter space: for the payload of one fragment, in bytes: 8 or more.
    init(_ reassembled: ReassembledPacket?, headerLength: Int, space: Int) {
      self.space = space
      firstExtra = (reassembled?.payloadOffset ?? 0) - headerLength
      if let geometry = reassembled?.geometry,
        Cuts.fit(geometry, firstExtra: firstExtra, space: space)
      {
        self.geometry = geometry
      } else {
        geometry = nil
      }
    }

    private static func fit(
      _ geometry: FragmentGeometry, firstExtra: Int, space: Int
    ) -> Bool {
      guard geometry.isUsable, geometry.count > 1 else { return false }
      for index in 0..<geometry.count {
        let length = Int(geometry.lengths[index]) + (index == 0 ? firstExtra : 0)
        guard length > 0, length <= space else { return false }
        guard length & 7 == 0 || index == geometry.count - 1 else { return false }
      }
      return true
    }

    /// The length of piece `index`, of `left` bytes that remain.
    func length(_ index: Int, left: Int) -> Int {
      guard let geometry else { return left <= space ? left : space & ~7 }
      // The last piece takes what remains, should the packet's length have changed.
      guard index < geometry.count - 1 else { return left }
      return min(left, Int(geometry.lengths[index]) + (index == 0 ? firstExtra : 0))
    }
  }

  // MARK: IPv4

  private static func sendIPv4<Sink: FragmentSink>(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ mtu: Int, _ reassembled: ReassembledPacket?,
    _ scratch: inout PacketBuffer, _ sink: inout Sink
  ) -> FragmentationResult {
    let headerLength = headers.networkHeaderLength
    let space = min(mtu, reassembled?.maximumFragmentSize ?? mtu) - headerLength
    guard space >= 8, headerLength + space <= scratch.capacity else { return .malformed }
    let cuts = Cuts(
      headers.isFragment ? nil : reassembled, headerLength: headerLength, space: space)
    var at = headerLength
    var count = 0
    // Each piece takes 8 bytes at least, so this ends.
    repeat {
      let length = cuts.length(count, left: bytes.byteCount - at)
      let isLast = at + length == bytes.byteCount
      scratch.removeAll()
      // Fits: the space was checked against the scratch buffer's capacity.
      _ = scratch.append(bytes.slice(0..<headerLength))
      _ = scratch.append(bytes.slice(at..<at + length))
      scratch.store16(UInt16(headerLength + length), at: IPv4Field.totalLength)
      let offset = headers.fragmentOffset + at - headerLength
      var word = UInt16(truncatingIfNeeded: offset / 8)
      if !isLast || headers.moreFragments { word |= IPv4Field.moreFragmentsBit }
      // Linux forgets DF where it keeps the lengths.
      if reassembled?.dontFragment == true, !cuts.keepsLengths {
        word |= IPv4Field.dontFragmentBit
      }
      scratch.store16(word, at: IPv4Field.fragment)
      if count > 0 { scratch.blankUncopiedOptions(headerLength) }
      scratch.updateIPv4HeaderChecksum()
      sink.take(scratch.bytes)
      at += length
      count += 1
    } while at < bytes.byteCount
    return .sent(count)
  }

  // MARK: IPv6

  private static func sendIPv6<Sink: FragmentSink>(
    _ bytes: RawSpan, _ limit: Int, _ reassembled: ReassembledPacket?,
    _ identification: UInt32, _ scratch: inout PacketBuffer, _ sink: inout Sink
  ) -> FragmentationResult {
    guard let part = UnfragmentablePart(bytes) else { return .malformed }
    let headerLength = part.length + IPv6Field.fragmentHeaderLength
    let space = limit - headerLength
    guard space >= 8, limit <= scratch.capacity else { return .tooBig }
    let nextHeader = bytes.uint8(at: part.nextHeaderOffset)
    let cuts = Cuts(reassembled, headerLength: part.length, space: space)
    var at = part.length
    var count = 0
    // Each piece takes 8 bytes at least, so this ends.
    repeat {
      let length = cuts.length(count, left: bytes.byteCount - at)
      let isLast = at + length == bytes.byteCount
      scratch.removeAll()
      // Fits: the limit was checked against the scratch buffer's capacity.
      _ = scratch.append(bytes.slice(0..<part.length))
      scratch.resize(to: headerLength)
      scratch.store8(IPProtocolNumber.fragment, at: part.nextHeaderOffset)
      scratch.store16(UInt16(nextHeader) << 8, at: part.length)
      scratch.store16(
        UInt16(truncatingIfNeeded: at - part.length) | (isLast ? 0 : 1), at: part.length + 2)
      scratch.store32(identification, at: part.length + 4)
      _ = scratch.append(bytes.slice(at..<at + length))
      scratch.store16(
        UInt16(scratch.count - IPv6Field.length), at: IPv6Field.payloadLength)
      sink.take(scratch.bytes)
      at += length
      count += 1
    } while at < bytes.byteCount
    return .sent(count)
  }

  /// The IPv6 headers every fragment repeats (RFC 8200 section 4.5), as Linux finds them: hop by
  /// hop, routing, and destination options before or without a routing header.
  struct UnfragmentablePart {
    /// Bytes.
    var length: Int
    /// Where the number of the first header behind it stands.
    var nextHeaderOffset: Int

    /// Nil when the headers run past the packet's end.
    init?(_ bytes: RawSpan) {
      length = IPv6Field.length
      nextHeaderOffset = IPv6Field.nextHeader
      var sawRouting = false
      while length <= bytes.byteCount {
        switch bytes.uint8(at: nextHeaderOffset) {
        case IPProtocolNumber.hopByHop:
          break
        case IPProtocolNumber.routing:
          sawRouting = true
        case IPProtocolNumber.destinationOptions where !sawRouting:
          break
        default:
          return
        }
        guard length + 2 <= bytes.byteCount else { return nil }
        nextHeaderOffset = length
        length += (Int(bytes.uint8(at: length + 1)) + 1) * 8
      }
      return nil
    }
  }
}

extension PacketBuffer {
  /// Replaces by no-operation the IPv4 options that only a first fragment bears (RFC 791 section
  /// 3.1: those without the copied flag).
  fileprivate mutating func blankUncopiedOptions(_ headerLength: Int) {
    var at = IPv4Field.options
    while at < headerLength {
      let type = uint8(at: at)
      if type == 0 { return }
      if type == 1 {
        at += 1
        continue
      }
      guard at + 1 < headerLength else { return }
      let length = Int(uint8(at: at + 1))
      guard length >= 2, length <= headerLength - at else { return }
      if type & 0x80 == 0 {
        for index in at..<at + length { store8(1, at: index) }
      }
      at += length
    }
  }
}
