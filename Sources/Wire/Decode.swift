// From bytes to the one value all layers above read: addresses, lengths, protocol, fragment fields.
// It drops what Linux's IP input drops before the first hook, and nothing else.

/// What the IP header (IPv6: and the extension headers) of one packet says. Offsets count from the
/// first byte of the IP header.
@frozen
public struct PacketHeaders: BitwiseCopyable, Sendable {
  public var family: AddressFamily
  public var source: IPAddress
  public var destination: IPAddress
  /// Bytes of the IPv4 header with options; 40 for IPv6.
  public var networkHeaderLength: Int
  /// Where the transport header starts; for IPv6 behind the extension headers. -1: none that can be
  /// found. It may equal or, in IPv6, exceed `end` when the packet ends before it.
  public var transportOffset: Int
  /// The end of the IP packet in the buffer, by its total length; bytes beyond are link padding.
  public var end: Int
  /// The protocol; for IPv6 that behind the extension headers.
  public var transportProtocol: UInt8
  public var trafficClass: UInt8
  public var hopLimit: UInt8
  /// Part of a larger packet: its offset is not 0 or more fragments follow. An IPv6 atomic fragment
  /// (RFC 6946) is none, but has `hasFragmentHeader`.
  public var isFragment: Bool
  /// IPv6: there is a whole fragment header, at `fragmentHeaderOffset`.
  public var hasFragmentHeader: Bool
  public var moreFragments: Bool
  /// IPv4's DF. False for IPv6.
  public var dontFragment: Bool
  /// IPv4 options are present; IPv6: extension headers are.
  public var hasOptions: Bool
  /// Bytes.
  public var fragmentOffset: Int
  /// IPv4's 16 bits or the IPv6 fragment header's 32; 0 without one.
  public var identification: UInt32
  /// Of the first IPv6 fragment header, whole or cut short; -1 without one.
  public var fragmentHeaderOffset: Int

  /// No packet: a place to decode into.
  @inlinable
  public init() {
    family = .ipv4
    source = .any
    destination = .any
    networkHeaderLength = 0
    transportOffset = -1
    end = 0
    transportProtocol = 0
    trafficClass = 0
    hopLimit = 0
    isFragment = false
    hasFragmentHeader = false
    moreFragments = false
    dontFragment = false
    hasOptions = false
    fragmentOffset = 0
    identification = 0
    fragmentHeaderOffset = -1
  }
}

extension PacketHeaders {
  /// Reads the headers of the packet that starts at byte 0.
  ///
  /// - Returns: nil, or why the kernel's IP input drops the packet; `headers` is then not
  ///   meaningful. What depends on the interface it came in by is `ipv6InterfaceDrop`.
  @inlinable
  public static func decode(_ bytes: RawSpan, into headers: inout PacketHeaders) -> IPDrop? {
    guard bytes.byteCount > 0 else { return .truncatedHeader }
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
    headers.family = .ipv4
    headers.source = IPAddress(ipv4: bytes.uint32(at: IPv4Field.source))
    headers.destination = IPAddress(ipv4: bytes.uint32(at: IPv4Field.destination))
    headers.networkHeaderLength = headerLength
    headers.end = totalLength
    headers.transportProtocol = bytes.uint8(at: IPv4Field.transportProtocol)
    headers.trafficClass = bytes.uint8(at: IPv4Field.trafficClass)
    headers.hopLimit = bytes.uint8(at: IPv4Field.timeToLive)
    headers.fragmentOffset = Int(fragment & IPv4Field.offsetMask) &* 8
    headers.moreFragments = fragment & IPv4Field.moreFragmentsBit != 0
    headers.dontFragment = fragment & IPv4Field.dontFragmentBit != 0
    headers.isFragment =
      fragment & (IPv4Field.offsetMask | IPv4Field.moreFragmentsBit) != 0
    headers.hasFragmentHeader = false
    headers.identification = UInt32(bytes.uint16(at: IPv4Field.identification))
    headers.hasOptions = headerLength > IPv4Field.minimumLength
    headers.fragmentHeaderOffset = -1
    headers.transportOffset = headers.fragmentOffset == 0 ? headerLength : -1
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
      if let drop = checkHopByHop(bytes, header, end: &end) { return drop }
    } else if end > bytes.byteCount {
      return .truncatedPacket
    }
    headers.family = .ipv6
    headers.source = header.source
    headers.destination = header.destination
    headers.networkHeaderLength = IPv6Field.length
    headers.end = end
    headers.trafficClass = header.trafficClass
    headers.hopLimit = header.hopLimit
    headers.dontFragment = false
    headers.hasFragmentHeader = false
    headers.isFragment = false
    headers.moreFragments = false
    headers.fragmentOffset = 0
    headers.identification = 0
    headers.fragmentHeaderOffset = -1
    guard IPv6ExtensionWalk.isExtensionHeader(header.nextHeader) else {
      headers.transportProtocol = header.nextHeader
      headers.transportOffset = IPv6Field.length
      headers.hasOptions = false
      return nil
    }
    headers.walkExtensions(bytes, nextHeader: header.nextHeader)
    return nil
  }

  /// Fills in what lies behind the IPv6 header when that is an extension header.
  @usableFromInline
  mutating func walkExtensions(_ bytes: RawSpan, nextHeader: UInt8) {
    hasOptions = true
    let walk = IPv6ExtensionWalk(
      bytes, nextHeader: nextHeader, nextHeaderOffset: IPv6Field.nextHeader,
      at: IPv6Field.length, end: end)
    transportOffset = walk.transportOffset
    transportProtocol = walk.transportProtocol
    fragmentHeaderOffset = walk.fragmentHeaderOffset
    let at = walk.fragmentHeaderOffset
    guard at >= 0, at <= end &- IPv6Field.fragmentHeaderLength else { return }
    hasFragmentHeader = true
    let word = bytes.uint16(at: at &+ 2)
    fragmentOffset = Int(word & 0xfff8)
    moreFragments = word & 1 != 0
    isFragment = fragmentOffset != 0 || moreFragments
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
  static func checkHopByHop(_ bytes: RawSpan, _ header: IPv6Header, end: inout Int) -> IPDrop? {
    // Without a payload length the packet goes on to the end of what was received.
    if header.payloadLength == 0 { end = bytes.byteCount }
    guard end <= bytes.byteCount else { return .truncatedPacket }
    guard end >= IPv6Field.length &+ 8 else { return .truncatedHopByHop }
    let optionsEnd =
      IPv6Field.length &+ (Int(bytes.uint8(at: IPv6Field.length &+ 1)) &+ 1) &* 8
    guard optionsEnd <= end else { return .truncatedHopByHop }
    return HopByHopOptions.check(
      bytes, from: IPv6Field.length &+ 2, to: optionsEnd, payloadLength: header.payloadLength,
      packetEnd: &end)
  }
}
