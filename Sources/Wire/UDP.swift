// UDP (RFC 768), UDP-Lite (RFC 3828) and the port pair that these, TCP, SCTP and DCCP all start
// with.

/// Where the fields of a UDP header start, in bytes from its first byte.
public enum UDPField {
  public static let sourcePort = 0
  public static let destinationPort = 2
  /// UDP: length in bytes; UDP-Lite: checksum coverage.
  public static let length = 4
  public static let checksum = 6

  /// The header's length in bytes.
  public static let headerLength = 8
}

/// The fields of a UDP header. The length field is not checked against the packet.
@frozen
public struct UDPHeader: BitwiseCopyable, Sendable {
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  /// Header and data in bytes, as the header says; for UDP-Lite the checksum's coverage.
  public var length: UInt16
  public var checksum: UInt16

  /// Nil when fewer than 8 bytes lie between `offset` and `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- UDPField.headerLength else {
      return nil
    }
    sourcePort = bytes.uint16(at: offset)
    destinationPort = bytes.uint16(at: offset &+ UDPField.destinationPort)
    length = bytes.uint16(at: offset &+ UDPField.length)
    checksum = bytes.uint16(at: offset &+ UDPField.checksum)
  }
}

/// Source and destination port: the first four bytes of TCP, UDP, UDP-Lite, SCTP and DCCP, which
/// is all of the transport header an ICMP error is sure to quote.
@frozen
public struct TransportPorts: BitwiseCopyable, Hashable, Sendable {
  public var source: UInt16
  public var destination: UInt16

  /// Nil when fewer than 4 bytes lie between `offset` and `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- 4 else { return nil }
    source = bytes.uint16(at: offset)
    destination = bytes.uint16(at: offset &+ 2)
  }
}
