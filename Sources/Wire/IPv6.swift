// The IPv6 header and its extension headers (RFC 8200 sections 3 and 4): fields, a checked value,
// and the walk to the transport header that connection tracking does.

/// Where the fields of an IPv6 header start, in bytes from its first byte.
public enum IPv6Field {
  public static let versionClassFlow = 0
  public static let payloadLength = 4
  public static let nextHeader = 6
  public static let hopLimit = 7
  public static let source = 8
  public static let destination = 24

  /// The header's length in bytes.
  public static let length = 40
  /// The fragment extension header's length in bytes.
  public static let fragmentHeaderLength = 8
}

/// The fields of an IPv6 header whose version is 6 and which lies in the bytes given.
@frozen
public struct IPv6Header: BitwiseCopyable, Sendable {
  public var trafficClass: UInt8
  /// 20 bits.
  public var flowLabel: UInt32
  /// Bytes behind this header, extension headers included.
  public var payloadLength: Int
  public var nextHeader: UInt8
  public var hopLimit: UInt8
  public var source: IPAddress
  public var destination: IPAddress

  /// Nil when the 40 bytes do not end by `end` or the version is not 6.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- IPv6Field.length else {
      return nil
    }
    let word = bytes.uint32(at: offset)
    guard word >> 28 == 6 else { return nil }
    trafficClass = UInt8(truncatingIfNeeded: word >> 20)
    flowLabel = word & 0xf_ffff
    payloadLength = Int(bytes.uint16(at: offset &+ IPv6Field.payloadLength))
    nextHeader = bytes.uint8(at: offset &+ IPv6Field.nextHeader)
    hopLimit = bytes.uint8(at: offset &+ IPv6Field.hopLimit)
    source = bytes.ipv6Address(at: offset &+ IPv6Field.source)
    destination = bytes.ipv6Address(at: offset &+ IPv6Field.destination)
  }
}

extension RawSpan {
  /// The 16 bytes at `offset` as an IPv6 address. Traps when they do not lie in the span.
  @inlinable @inline(__always)
  public func ipv6Address(at offset: Int) -> IPAddress {
    IPAddress(high: uint64(at: offset), low: uint64(at: offset &+ 8))
  }
}

/// Where a walk over IPv6 extension headers came to an end.
@frozen
public struct IPv6ExtensionWalk: BitwiseCopyable, Sendable {
  /// The transport header's offset, which may lie at or past the end of the packet; -1 when there
  /// is none to be found: no next header, a header cut short, or a later fragment.
  public var transportOffset: Int
  /// The protocol of what lies at `transportOffset`, or the header the walk stopped at.
  public var transportProtocol: UInt8
  /// The first fragment header's offset, though it may be cut short; -1 when there is none.
  public var fragmentHeaderOffset: Int
  /// Where the next header number that names the fragment header is; -1 when there is none.
  public var fragmentNextHeaderOffset: Int
  /// An authentication header is among the headers walked over, its first two bytes at least.
  public var hasAuthenticationHeader = false

  /// Follows the chain from the header numbered `nextHeader` at `offset`.
  ///
  /// The headers walked over are those of RFC 8200 and AH, as connection tracking does: not ESP,
  /// not mobility. Work is bounded by the packet's length: each step takes 8 bytes at least.
  ///
  /// - Parameter nextHeaderOffset: where in `bytes` the number `nextHeader` stands.
  public init(
    _ bytes: RawSpan, nextHeader: UInt8, nextHeaderOffset: Int, at offset: Int, end: Int
  ) {
    transportOffset = -1
    fragmentHeaderOffset = -1
    fragmentNextHeaderOffset = -1
    transportProtocol = nextHeader
    guard offset >= 0, end <= bytes.byteCount else { return }
    var next = nextHeader
    var nextOffset = nextHeaderOffset
    var start = offset
    while IPv6ExtensionWalk.isExtensionHeader(next) {
      transportProtocol = next
      if next == IPProtocolNumber.fragment, fragmentHeaderOffset < 0, start <= end {
        fragmentHeaderOffset = start
        fragmentNextHeaderOffset = nextOffset
      }
      // The kernel asks for 2 bytes of each header: its own next header and its length.
      guard next != IPProtocolNumber.noNextHeader, start <= end &- 2 else { return }
      var length: Int
      switch next {
      case IPProtocolNumber.fragment:
        // A header whose offset field is cut off ends the walk; so does a later fragment, which
        // holds no transport header.
        guard start <= end &- 4, bytes.uint16(at: start &+ 2) & 0xfff8 == 0 else { return }
        length = IPv6Field.fragmentHeaderLength
      case IPProtocolNumber.ah:
        hasAuthenticationHeader = true
        length = (Int(bytes.uint8(at: start &+ 1)) &+ 2) &* 4
      default:
        length = (Int(bytes.uint8(at: start &+ 1)) &+ 1) &* 8
      }
      next = bytes.uint8(at: start)
      nextOffset = start
      start &+= length
    }
    transportProtocol = next
    transportOffset = start
  }

  /// Whether the walk steps over (or, for no next header, stops at) this header.
  @inlinable @inline(__always)
  public static func isExtensionHeader(_ number: UInt8) -> Bool {
    switch number {
    case IPProtocolNumber.hopByHop, IPProtocolNumber.routing, IPProtocolNumber.fragment,
      IPProtocolNumber.ah, IPProtocolNumber.noNextHeader, IPProtocolNumber.destinationOptions:
      return true
    default:
      return false
    }
  }
}
