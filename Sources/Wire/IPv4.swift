// The IPv4 header (RFC 791 section 3.1): where its fields are, and a checked value of them. For
// decoding, rewriting and building; also used on the inner packet of an ICMP error.

/// Where the fields of an IPv4 header start, in bytes from its first byte.
public enum IPv4Field {
  public static let versionAndHeaderLength = 0
  public static let trafficClass = 1
  public static let totalLength = 2
  public static let identification = 4
  public static let fragment = 6
  public static let timeToLive = 8
  public static let transportProtocol = 9
  public static let checksum = 10
  public static let source = 12
  public static let destination = 16
  public static let options = 20

  /// The header without options, in bytes.
  public static let minimumLength = 20
  /// The longest header, in bytes.
  public static let maximumLength = 60
  /// Bits of the `fragment` word.
  public static let reservedBit: UInt16 = 0x8000
  public static let dontFragmentBit: UInt16 = 0x4000
  public static let moreFragmentsBit: UInt16 = 0x2000
  /// The offset's bits of the `fragment` word; in units of 8 bytes.
  public static let offsetMask: UInt16 = 0x1fff
}

/// The fields of an IPv4 header whose version is 4 and whose header lies in the bytes given.
/// Neither the checksum nor the total length is checked.
@frozen
public struct IPv4Header: BitwiseCopyable, Sendable {
  /// Bytes, 20 to 60.
  public var headerLength: Int
  public var trafficClass: UInt8
  /// Bytes, header included, as the header says.
  public var totalLength: Int
  public var identification: UInt16
  /// The flags and the offset in one word, as on the wire.
  public var fragmentWord: UInt16
  public var timeToLive: UInt8
  public var transportProtocol: UInt8
  public var checksum: UInt16
  public var source: IPAddress
  public var destination: IPAddress

  /// Nil when the header (options included) does not end by `end` or its version is not 4.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- IPv4Field.minimumLength else {
      return nil
    }
    let first = bytes.uint8(at: offset)
    headerLength = Int(first & 0xf) &* 4
    guard first >> 4 == 4, headerLength >= IPv4Field.minimumLength,
      offset <= end &- headerLength
    else { return nil }
    trafficClass = bytes.uint8(at: offset &+ IPv4Field.trafficClass)
    totalLength = Int(bytes.uint16(at: offset &+ IPv4Field.totalLength))
    identification = bytes.uint16(at: offset &+ IPv4Field.identification)
    fragmentWord = bytes.uint16(at: offset &+ IPv4Field.fragment)
    timeToLive = bytes.uint8(at: offset &+ IPv4Field.timeToLive)
    transportProtocol = bytes.uint8(at: offset &+ IPv4Field.transportProtocol)
    checksum = bytes.uint16(at: offset &+ IPv4Field.checksum)
    source = IPAddress(ipv4: bytes.uint32(at: offset &+ IPv4Field.source))
    destination = IPAddress(ipv4: bytes.uint32(at: offset &+ IPv4Field.destination))
  }

  /// The place of this packet's data in the whole, in bytes.
  @inlinable public var fragmentOffset: Int { Int(fragmentWord & IPv4Field.offsetMask) &* 8 }
  @inlinable public var moreFragments: Bool { fragmentWord & IPv4Field.moreFragmentsBit != 0 }
  @inlinable public var dontFragment: Bool { fragmentWord & IPv4Field.dontFragmentBit != 0 }
}
