// From bytes to the one value all layers above read: addresses, lengths, protocol, fragment fields.
// It drops what Linux's IP input drops before the first hook, and nothing else.

/// What the IP header (IPv6: and the extension headers) of one packet says. Offsets count from the
/// first byte of the IP header. 56 bytes, so that one lies in a cache line.
@frozen
public struct PacketHeaders: BitwiseCopyable, Sendable {
  public var source: IPAddress
  public var destination: IPAddress
  @usableFromInline var storedTransportOffset: Int32
  @usableFromInline var storedEnd: Int32
  @usableFromInline var storedFragmentHeaderOffset: Int32
  /// IPv4's 16 bits or the IPv6 fragment header's 32; 0 without one.
  public var identification: UInt32
  /// The flags and the offset as IPv4 has them on the wire, for both families.
  @usableFromInline var fragmentWord: UInt16
  @usableFromInline var storedNetworkHeaderLength: UInt8
  /// The protocol; for IPv6 that behind the extension headers.
  public var transportProtocol: UInt8
  public var trafficClass: UInt8
  public var hopLimit: UInt8
  public var family: AddressFamily
  /// IPv6: there is a whole fragment header, at `fragmentHeaderOffset`.
  public var hasFragmentHeader: Bool
  /// IPv4 options are present; IPv6: extension headers are.
  public var hasOptions: Bool

  /// No packet: a place to decode into.
  @inlinable
  public init() {
    source = .any
    destination = .any
    storedTransportOffset = -1
    storedEnd = 0
    storedFragmentHeaderOffset = -1
    identification = 0
    fragmentWord = 0
    storedNetworkHeaderLength = 0
    transportProtocol = 0
    trafficClass = 0
    hopLimit = 0
    family = .ipv4
    hasFragmentHeader = false
    hasOptions = false
  }

  /// Where the transport header starts; for IPv6 behind the extension headers. -1: none that can be
  /// found. It may equal or, in IPv6, exceed `end` when the packet ends before it.
  @inlinable @inline(__always)
  public var transportOffset: Int { Int(storedTransportOffset) }

  /// The end of the IP packet in the buffer, by its total length; bytes beyond are link padding.
  @inlinable @inline(__always)
  public var end: Int {
    get { Int(storedEnd) }
    set { storedEnd = Int32(truncatingIfNeeded: newValue) }
  }

  /// The packet has been made longer behind its network header; its length field says so already.
  public mutating func grow(by bytes: Int) {
    storedEnd += Int32(bytes)
  }

  /// Bytes of the IPv4 header with options; 40 for IPv6.
  @inlinable @inline(__always)
  public var networkHeaderLength: Int { Int(storedNetworkHeaderLength) }

  /// Of the first IPv6 fragment header, whole or cut short; -1 without one.
  @inlinable @inline(__always)
  public var fragmentHeaderOffset: Int { Int(storedFragmentHeaderOffset) }

  /// Part of a larger packet: its offset is not 0 or more fragments follow. An IPv6 atomic fragment
  /// (RFC 6946) is none, but has `hasFragmentHeader`.
  @inlinable @inline(__always)
  public var isFragment: Bool {
    fragmentWord & (IPv4Field.offsetMask | IPv4Field.moreFragmentsBit) != 0
  }

  /// Where this packet's data belongs in the whole, in bytes.
  @inlinable @inline(__always)
  public var fragmentOffset: Int { Int(fragmentWord & IPv4Field.offsetMask) &* 8 }

  @inlinable @inline(__always)
  public var moreFragments: Bool { fragmentWord & IPv4Field.moreFragmentsBit != 0 }

  /// IPv4's DF. False for IPv6.
  @inlinable @inline(__always)
  public var dontFragment: Bool { fragmentWord & IPv4Field.dontFragmentBit != 0 }
}

extension PacketHeaders {
  /// Reads the headers of the packet that starts at byte 0.
  ///
  /// - Returns: nil, or why the kernel's IP input drops the packet; `headers` is then not
  ///   meaningful. What depends on the interface it came in by is `ipv6InterfaceDrop`.
  @inlinable
  public static func decode(_ bytes: RawSpan, into headers: inout PacketHeaders) -> IPDrop? {
    guard bytes.byteCount > 0, bytes.byteCount <= Int32.max else { return .truncatedHeader }
    switch bytes.uint8(at: 0) >> 4 {
    case 4: return decodeIPv4(bytes, into: &headers)
    case 6: return decodeIPv6(bytes, into: &headers)
    default: return .badVersion
    }
  }

  /// As `decode`, for a frame whose link layer says which family it holds: the other's version is
  /// then a reason to drop.
  @inlinable
  public static func decode(
    _ bytes: RawSpan, family: AddressFamily, into headers: inout PacketHeaders
  ) -> IPDrop? {
    family == .ipv4
      ? decodeIPv4(bytes, into: &headers) : decodeIPv6(bytes, into: &headers)
  }

  /// As above, for a packet that has been let in already and may have changed since: the hop-by-hop
  /// options, which reassembly may have moved to where they are looked at, are not checked again.
  public static func decodeAgain(
    _ bytes: RawSpan, family: AddressFamily, into headers: inout PacketHeaders
  ) -> IPDrop? {
    guard family == .ipv6, let header = IPv6Header(bytes, at: 0, end: bytes.byteCount),
      header.nextHeader == IPProtocolNumber.hopByHop, header.payloadLength > 0
    else { return decode(bytes, family: family, into: &headers) }
    let end = IPv6Field.length &+ header.payloadLength
    guard end <= bytes.byteCount else { return .truncatedPacket }
    headers.setIPv6(header, end: end)
    headers.walkExtensions(bytes, nextHeader: header.nextHeader)
    return nil
  }

  /// What `decode` finds of an IPv4 packet that is known to be right, whole and without options.
  @inlinable @inline(__always)
  public mutating func readPlainIPv4(_ bytes: RawSpan) {
    source = IPAddress(ipv4: bytes.uint32(at: IPv4Field.source))
    destination = IPAddress(ipv4: bytes.uint32(at: IPv4Field.destination))
    storedTransportOffset = Int32(IPv4Field.minimumLength)
    storedEnd = Int32(bytes.uint16(at: IPv4Field.totalLength))
    identification = UInt32(bytes.uint16(at: IPv4Field.identification))
    fragmentWord = bytes.uint16(at: IPv4Field.fragment)
    storedNetworkHeaderLength = UInt8(IPv4Field.minimumLength)
    transportProtocol = bytes.uint8(at: IPv4Field.transportProtocol)
    trafficClass = bytes.uint8(at: IPv4Field.trafficClass)
    hopLimit = bytes.uint8(at: IPv4Field.timeToLive)
  }

  @inlinable
  static func decodeIPv4(_ bytes: RawSpan, into headers: inout PacketHeaders) -> IPDrop? {
    let available = bytes.byteCount
    guard available >= IPv4Field.minimumLength else { return .truncatedHeader }
    let first = bytes.uint8(at: 0)
    guard first >> 4 == 4 else { return .badVersion }
    let headerLength = Int(first & 0xf) &* 4
    guard headerLength >= IPv4Field.minimumLength else { return .badHeaderLength }
    guard headerLength <= available else { return .truncatedHeader }
    guard InternetChecksum.ipv4HeaderIsValid(bytes, at: 0, length: headerLength) else {
      return .badHeaderChecksum
    }
    let totalLength = Int(bytes.uint16(at: IPv4Field.totalLength))
    guard totalLength <= available else { return .truncatedPacket }
    guard totalLength >= headerLength else { return .badTotalLength }

    let fragment = bytes.uint16(at: IPv4Field.fragment)
    headers.source = IPAddress(ipv4: bytes.uint32(at: IPv4Field.source))
    headers.destination = IPAddress(ipv4: bytes.uint32(at: IPv4Field.destination))
    headers.storedTransportOffset =
      fragment & IPv4Field.offsetMask == 0 ? Int32(truncatingIfNeeded: headerLength) : -1
    headers.storedEnd = Int32(truncatingIfNeeded: totalLength)
    headers.storedFragmentHeaderOffset = -1
    headers.identification = UInt32(bytes.uint16(at: IPv4Field.identification))
    headers.fragmentWord = fragment
    headers.storedNetworkHeaderLength = UInt8(truncatingIfNeeded: headerLength)
    headers.transportProtocol = bytes.uint8(at: IPv4Field.transportProtocol)
    headers.trafficClass = bytes.uint8(at: IPv4Field.trafficClass)
    headers.hopLimit = bytes.uint8(at: IPv4Field.timeToLive)
    headers.family = .ipv4
    headers.hasFragmentHeader = false
    headers.hasOptions = headerLength > IPv4Field.minimumLength
    return nil
  }

  @inlinable
  static func decodeIPv6(_ bytes: RawSpan, into headers: inout PacketHeaders) -> IPDrop? {
    guard let header = IPv6Header(bytes, at: 0, end: bytes.byteCount) else {
      return bytes.byteCount < IPv6Field.length ? .truncatedHeader : .badVersion
    }
    if let drop = header.addressDrop { return drop }
    var end = IPv6Field.length &+ header.payloadLength
    if header.nextHeader == IPProtocolNumber.hopByHop {
      var problem = 0
      if let drop = checkHopByHop(bytes, header, end: &end, problem: &problem) { return drop }
    } else if end > bytes.byteCount {
      return .truncatedPacket
    }
    headers.setIPv6(header, end: end)
    if IPv6ExtensionWalk.isExtensionHeader(header.nextHeader) {
      headers.walkExtensions(bytes, nextHeader: header.nextHeader)
    }
    return nil
  }

  /// Fills in what lies behind the IPv6 header when that is an extension header.
  @usableFromInline
  mutating func walkExtensions(_ bytes: RawSpan, nextHeader: UInt8) {
    hasOptions = true
    let walk = IPv6ExtensionWalk(
      bytes, nextHeader: nextHeader, nextHeaderOffset: IPv6Field.nextHeader,
      at: IPv6Field.length, end: end)
    storedTransportOffset = Int32(truncatingIfNeeded: walk.transportOffset)
    transportProtocol = walk.transportProtocol
    storedFragmentHeaderOffset = Int32(truncatingIfNeeded: walk.fragmentHeaderOffset)
    let at = walk.fragmentHeaderOffset
    guard at >= 0, at <= end &- IPv6Field.fragmentHeaderLength else { return }
    hasFragmentHeader = true
    // Offset in units of 8 in the upper 13 bits, the more flag in the lowest.
    let word = bytes.uint16(at: at &+ 2)
    fragmentWord = word >> 3 | (word & 1 != 0 ? IPv4Field.moreFragmentsBit : 0)
    identification = bytes.uint32(at: at &+ 4)
  }
}

// MARK: - What IPv6 input refuses

extension IPv6Header {
  /// RFC 4291 section 2.7: multicast is no source, and scope 0 is reserved.
  @inlinable @inline(__always)
  var addressDrop: IPDrop? {
    if destination.high >> 48 & 0xff0f == 0xff00 { return .reservedMulticastScope }
    if source.high >> 56 == 0xff { return .multicastSource }
    return nil
  }
}

extension PacketHeaders {
  /// Why IPv6 input drops this packet when it came in by an interface that is not loopback: ::1
  /// (RFC 4291 section 2.5.3) or interface-local multicast (its errata 3480). Nil for IPv4.
  @inlinable
  public var ipv6InterfaceDrop: IPDrop? {
    guard family == .ipv6 else { return nil }
    let loopback = IPAddress(high: 0, low: 1)
    if source == loopback || destination == loopback { return .loopbackAddress }
    if destination.high >> 48 & 0xff0f == 0xff01 { return .interfaceLocalMulticast }
    return nil
  }

  /// Checks the hop-by-hop header as IPv6 input does, and finds the packet's end, which a jumbo
  /// payload option (RFC 2675) or its absence decides when the payload length is 0.
  @usableFromInline
  static func checkHopByHop(
    _ bytes: RawSpan, _ header: IPv6Header, end: inout Int, problem: inout Int
  ) -> IPDrop? {
    // Without a payload length the packet goes on to the end of what was received.
    if header.payloadLength == 0 { end = bytes.byteCount }
    guard end <= bytes.byteCount else { return .truncatedPacket }
    guard end >= IPv6Field.length &+ 8 else { return .truncatedHopByHop }
    let optionsEnd =
      IPv6Field.length &+ (Int(bytes.uint8(at: IPv6Field.length &+ 1)) &+ 1) &* 8
    guard optionsEnd <= end else { return .truncatedHopByHop }
    return HopByHopOptions.check(
      bytes, from: IPv6Field.length &+ 2, to: optionsEnd, payloadLength: header.payloadLength,
      packetEnd: &end, problem: &problem)
  }

  /// Reads what an ICMPv6 answer needs of a packet that `decode` dropped for a hop-by-hop option
  /// whose sender is to be told: an unknown one that asks for it, or a jumbo payload that cannot be
  /// (RFC 8200 section 4.2, RFC 2675 section 3).
  ///
  /// - Returns: the offset of the byte that makes no sense; nil where nobody is told.
  public static func decodeOptionProblem(
    _ bytes: RawSpan, into headers: inout PacketHeaders
  ) -> Int? {
    guard let header = IPv6Header(bytes, at: 0, end: bytes.byteCount), header.addressDrop == nil,
      header.nextHeader == IPProtocolNumber.hopByHop
    else { return nil }
    var end = IPv6Field.length &+ header.payloadLength
    var problem = 0
    guard let drop = checkHopByHop(bytes, header, end: &end, problem: &problem), problem > 0 else {
      return nil
    }
    if drop == .unknownHopByHopOption {
      // The two highest bits: 01 discards silently, 10 tells the sender, 11 not about multicast.
      let action = bytes.uint8(at: problem) >> 6
      guard action == 2 || (action == 3 && header.destination.high >> 56 != 0xff) else {
        return nil
      }
    }
    headers = PacketHeaders()
    headers.setIPv6(header, end: end)
    headers.walkExtensions(bytes, nextHeader: header.nextHeader)
    return problem
  }

  /// What stands in an IPv6 header, of a packet without extension headers.
  @inlinable @inline(__always)
  mutating func setIPv6(_ header: IPv6Header, end: Int) {
    source = header.source
    destination = header.destination
    storedTransportOffset = Int32(truncatingIfNeeded: IPv6Field.length)
    // Below 2^31: the buffers of packets are.
    storedEnd = Int32(truncatingIfNeeded: end)
    storedFragmentHeaderOffset = -1
    identification = 0
    fragmentWord = 0
    storedNetworkHeaderLength = UInt8(truncatingIfNeeded: IPv6Field.length)
    transportProtocol = header.nextHeader
    trafficClass = header.trafficClass
    hopLimit = header.hopLimit
    family = .ipv6
    hasFragmentHeader = false
    hasOptions = false
  }
}
