// The IP headers of packets that are built, and what may be said of them beyond the usual.

/// What the IP header of a built packet says beyond addresses, protocol and lengths.
public struct IPFields: Hashable, Sendable {
  /// IPv4's time to live, IPv6's hop limit.
  public var hopLimit: UInt8
  public var trafficClass: UInt8
  /// IPv4: the low 16 bits count. IPv6: of the fragment header, if there is one.
  public var identification: UInt32
  /// IPv4 only.
  public var dontFragment: Bool
  public var moreFragments: Bool
  /// Bytes, a multiple of 8.
  public var fragmentOffset: Int
  /// IPv4: the options' bytes, padded with zeros to a multiple of four; 40 bytes at most.
  public var options: [UInt8]
  /// IPv6: 20 bits.
  public var flowLabel: UInt32
  /// IPv6: in the order they shall stand. When this is a fragment, its header comes behind them.
  public var extensionHeaders: [IPv6ExtensionHeader]

  public init(
    hopLimit: UInt8 = 64, trafficClass: UInt8 = 0, identification: UInt32 = 0,
    dontFragment: Bool = false, moreFragments: Bool = false, fragmentOffset: Int = 0,
    options: [UInt8] = [], flowLabel: UInt32 = 0, extensionHeaders: [IPv6ExtensionHeader] = []
  ) {
    self.hopLimit = hopLimit
    self.trafficClass = trafficClass
    self.identification = identification
    self.dontFragment = dontFragment
    self.moreFragments = moreFragments
    self.fragmentOffset = fragmentOffset
    self.options = options
    self.flowLabel = flowLabel
    self.extensionHeaders = extensionHeaders
  }

  var isFragment: Bool { moreFragments || fragmentOffset != 0 }
}

/// An IPv6 extension header to be built.
public struct IPv6ExtensionHeader: Hashable, Sendable {
  /// Its own number; the next header's is filled in.
  public var number: UInt8
  /// The whole header; the first byte, where the next header's number goes, is overwritten.
  public var bytes: [UInt8]

  /// A header whose bytes are all given: `bytes[1]` must say the length that its kind asks for.
  public init(number: UInt8, bytes: [UInt8]) {
    precondition(!bytes.isEmpty, "an extension header has at least one byte")
    self.number = number
    self.bytes = bytes
  }

  /// A hop-by-hop or destination options header: the length is put in, and zeros (Pad1) at the end.
  public static func options(_ number: UInt8, _ options: [UInt8]) -> IPv6ExtensionHeader {
    let length = (options.count + 2 + 7) / 8 * 8
    var bytes: [UInt8] = [0, UInt8(length / 8 - 1)] + options
    bytes.pad(to: length)
    return IPv6ExtensionHeader(number: number, bytes: bytes)
  }

  public static func hopByHop(_ options: [UInt8] = []) -> IPv6ExtensionHeader {
    .options(IPProtocolNumber.hopByHop, options)
  }

  public static func destinationOptions(_ options: [UInt8] = []) -> IPv6ExtensionHeader {
    .options(IPProtocolNumber.destinationOptions, options)
  }

  /// RFC 8200 section 4.5. `offset` is in bytes, a multiple of 8.
  public static func fragment(
    offset: Int, more: Bool, identification: UInt32
  ) -> IPv6ExtensionHeader {
    precondition(offset >= 0 && offset < 65_536 && offset % 8 == 0, "no fragment offset")
    var bytes: [UInt8] = [0, 0]
    bytes.append16(UInt16(offset) | (more ? 1 : 0))
    bytes.append32(identification)
    return IPv6ExtensionHeader(number: IPProtocolNumber.fragment, bytes: bytes)
  }
}

extension PacketBuilder {
  /// RFC 791 section 3.1.
  static func ipv4(
    from source: IPAddress, to destination: IPAddress, transportProtocol: UInt8, payload: [UInt8],
    _ ip: IPFields
  ) -> [UInt8] {
    let headerLength = IPv4Field.minimumLength + (ip.options.count + 3) / 4 * 4
    precondition(headerLength <= IPv4Field.maximumLength, "more than 40 bytes of IPv4 options")
    precondition(
      ip.fragmentOffset >= 0 && ip.fragmentOffset < 65_536 && ip.fragmentOffset % 8 == 0,
      "no fragment offset")
    var packet: [UInt8] = []
    packet.reserveCapacity(headerLength + payload.count)
    packet.append(0x40 | UInt8(headerLength / 4))
    packet.append(ip.trafficClass)
    packet.append16(UInt16(headerLength + payload.count))
    packet.append16(UInt16(truncatingIfNeeded: ip.identification))
    packet.append16(
      UInt16(ip.fragmentOffset / 8)
        | (ip.dontFragment ? IPv4Field.dontFragmentBit : 0)
        | (ip.moreFragments ? IPv4Field.moreFragmentsBit : 0))
    packet.append(ip.hopLimit)
    packet.append(transportProtocol)
    packet.append16(0)
    packet.append32(source.ipv4)
    packet.append32(destination.ipv4)
    packet.append(contentsOf: ip.options)
    packet.pad(to: headerLength)
    packet.complete(IPv4Field.checksum, initial: 0)
    packet.append(contentsOf: payload)
    return packet
  }

  /// RFC 8200 section 3.
  static func ipv6(
    from source: IPAddress, to destination: IPAddress, transportProtocol: UInt8, payload: [UInt8],
    _ ip: IPFields
  ) -> [UInt8] {
    var headers = ip.extensionHeaders
    if ip.isFragment {
      headers.append(
        .fragment(
          offset: ip.fragmentOffset, more: ip.moreFragments, identification: ip.identification))
    }
    let extensionLength = headers.reduce(0) { $0 + $1.bytes.count }
    var packet: [UInt8] = []
    packet.reserveCapacity(IPv6Field.length + extensionLength + payload.count)
    packet.append32(6 << 28 | UInt32(ip.trafficClass) << 20 | ip.flowLabel & 0xf_ffff)
    packet.append16(UInt16(extensionLength + payload.count))
    packet.append(headers.first?.number ?? transportProtocol)
    packet.append(ip.hopLimit)
    for half in [source.high, source.low, destination.high, destination.low] {
      packet.append32(UInt32(half >> 32))
      packet.append32(UInt32(truncatingIfNeeded: half))
    }
    for (index, header) in headers.enumerated() {
      let next = index + 1 < headers.count ? headers[index + 1].number : transportProtocol
      packet.append(next)
      packet.append(contentsOf: header.bytes.dropFirst())
    }
    packet.append(contentsOf: payload)
    return packet
  }
}

// MARK: - Bytes

extension [UInt8] {
  mutating func append16(_ value: UInt16) {
    append(UInt8(value >> 8))
    append(UInt8(truncatingIfNeeded: value))
  }

  mutating func append32(_ value: UInt32) {
    append16(UInt16(value >> 16))
    append16(UInt16(truncatingIfNeeded: value))
  }

  mutating func put16(_ value: UInt16, at offset: Int) {
    self[offset] = UInt8(value >> 8)
    self[offset + 1] = UInt8(truncatingIfNeeded: value)
  }

  func uint16(at offset: Int) -> UInt16 { UInt16(self[offset]) << 8 | UInt16(self[offset + 1]) }

  /// Zeros up to a length of `length`.
  mutating func pad(to length: Int) {
    while count < length { append(0) }
  }

  /// Puts the checksum of all bytes, added to `initial`, into the field at `offset`, which is zero.
  mutating func complete(_ offset: Int, initial: UInt64) {
    put16(InternetChecksum.checksum(InternetChecksum.sum(rawSpan, initial: initial)), at: offset)
  }
}
