// Splitting a packet on the way out, as Linux's ip_output and ip6_output do: whether it must be, the
// sizes of the pieces, and the pieces. For what follows POSTROUTING in `Firewall`.

/// Splits packets that are too long, and those that came in as fragments.
///
/// First ask `way`, then `split` when it says `pieces`.
public enum Fragmentation {
  /// How a packet leaves.
  public enum Way: Equatable, Sendable {
    /// As it is.
    case whole
    /// As what `split` makes of it.
    case pieces
    /// Not at all: the sender is to be told of the MTU (ICMP 3/4, ICMPv6 2/0).
    case tooBig
  }

  /// How a packet that is forwarded leaves over a link of `mtu` bytes of IP. The kernel asks whether
  /// it is `tooBig` before FORWARD, the rest after POSTROUTING.
  ///
  /// - Parameters:
  ///   - headers: as decoded from the packet.
  ///   - longestFragment: `ReassembledInfo.maxFragmentSize`, when the packet came in fragments.
  public static func way(
    headers: PacketHeaders, mtu: Int, longestFragment: Int?
  ) -> Way {
    let length = headers.end
    switch headers.family {
    case .ipv4:
      guard length > mtu || longestFragment != nil else { return .whole }
      guard headers.dontFragment else { return .pieces }
      guard let longestFragment, longestFragment <= mtu else { return .tooBig }
      return .pieces
    case .ipv6:
      guard let longestFragment else { return length > mtu ? .tooBig : .whole }
      guard length > Swift.min(mtu, longestFragment) else { return .whole }
      return longestFragment > mtu ? .tooBig : .pieces
    }
  }

  /// Gives the pieces of a packet, in order, to `body`. DF is not asked: that is `way`'s to say, and
  /// the host's own packets may be split where forwarded ones may not.
  ///
  /// - Parameters:
  ///   - packet: the packet; bytes beyond `headers.end` are not looked at.
  ///   - headers: as decoded from `packet`.
  ///   - mtu: bytes of IP.
  ///   - reassembled: as for `way`. When the packet's length has changed since, the pieces' sizes
  ///     are chosen anew.
  ///   - identification: for IPv6, the same in all pieces. IPv4 keeps the packet's.
  ///   - scratch: where the pieces are built, one after the other.
  /// - Returns: false, with `body` not called, when the pieces cannot be made: the MTU leaves no
  ///   room behind the headers, `scratch` is smaller than the longest piece, or (IPv6) the packet
  ///   ends within its extension headers.
  @discardableResult
  public static func split(
    _ packet: RawSpan, headers: PacketHeaders, mtu: Int, reassembled: ReassembledInfo?,
    identification: UInt32, into scratch: inout PacketBuffer, _ body: (RawSpan) -> Void
  ) -> Bool {
    guard headers.end <= packet.byteCount, headers.networkHeaderLength <= headers.end else {
      return false
    }
    switch headers.family {
    case .ipv4:
      return splitIPv4(packet, headers, mtu, reassembled, &scratch, body)
    case .ipv6:
      return splitIPv6(packet, headers, mtu, reassembled, identification, &scratch, body)
    }
  }

  /// As above, for whoever holds packet and scratch in one value: a span of the one would claim both.
  @discardableResult
  public static func split(
    _ packet: borrowing PacketBuffer, headers: PacketHeaders, mtu: Int,
    reassembled: ReassembledInfo?, identification: UInt32, into scratch: inout PacketBuffer,
    _ body: (RawSpan) -> Void
  ) -> Bool {
    split(
      packet.bytes, headers: headers, mtu: mtu, reassembled: reassembled,
      identification: identification, into: &scratch, body)
  }

  /// The pieces of a packet whose header, repeated in each, has `headerLength` bytes: with the sizes
  /// that came in when they are known, make up the whole, and fit behind the header, and when the
  /// kernel finds room for that header before the data of each; cut anew otherwise.
  static func pieces(
    _ reassembled: ReassembledInfo?, headerLength: Int, dataLength: Int, room: Int
  ) -> FragmentPieces {
    guard let reassembled, reassembled.sizes.isComplete, reassembled.sizes.count > 1,
      reassembled.longestHeader >= headerLength
    else { return FragmentPieces(dataLength: dataLength, sizes: nil, firstExtra: 0, room: room) }
    // IPv6: headers that came behind the fragment header may now stand before it.
    let extra = reassembled.dataOffset - headerLength
    let stay =
      reassembled.sizes.total + extra == dataLength
      && reassembled.sizes.fit(room, extra: extra)
    return FragmentPieces(
      dataLength: dataLength, sizes: stay ? reassembled.sizes : nil, firstExtra: extra,
      room: room)
  }
}

/// The sizes of the pieces of a packet, one after the other: those that came in, or what fits.
struct FragmentPieces {
  private let sizes: FragmentSizes?
  private let room: Int
  /// What the first piece has more than the first of `sizes`.
  private var extra: Int
  private var cursor = FragmentSizes.Cursor()
  private var left: Int

  /// - Parameters:
  ///   - sizes: of the pieces; nil for as much as fits into each.
  ///   - firstExtra: what the first piece has more than the first of `sizes`; may be negative.
  ///   - room: bytes of data for which there is room in a piece.
  init(dataLength: Int, sizes: FragmentSizes?, firstExtra: Int, room: Int) {
    self.sizes = sizes
    self.room = room
    extra = firstExtra
    left = dataLength
  }

  /// Whether the pieces have the sizes that came in.
  var keepSizes: Bool { sizes != nil }

  /// The next piece's length in bytes, nil when nothing is left.
  mutating func next() -> (length: Int, isLast: Bool)? {
    guard left > 0 else { return nil }
    var length = Swift.min(left, room)
    if let sizes, let size = cursor.next(sizes) {
      length = Swift.min(left, size + extra)
      extra = 0
    } else if length < left {
      length &= ~7
    }
    left -= length
    return (length, left == 0)
  }
}
