// DCCP (RFC 4340 section 5.1): the generic header. Linux 6.18 tracks it no longer (generic), but
// rules still match its ports and types.

/// The fields of a DCCP generic header.
@frozen
public struct DCCPHeader: BitwiseCopyable, Sendable {
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  /// Bytes, options included.
  public var headerLength: Int
  public var checksum: UInt16
  /// 0 to 15 (RFC 4340 section 5.1, table 1).
  public var type: UInt8
  /// The X bit: 48-bit sequence numbers.
  public var extendedSequence: Bool

  /// Nil when fewer than 12 bytes lie between `offset` and `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- 12 else { return nil }
    sourcePort = bytes.uint16(at: offset)
    destinationPort = bytes.uint16(at: offset &+ 2)
    headerLength = Int(bytes.uint8(at: offset &+ 4)) &* 4
    checksum = bytes.uint16(at: offset &+ 6)
    type = bytes.uint8(at: offset &+ 8) >> 1 & 0xf
    extendedSequence = bytes.uint8(at: offset &+ 8) & 1 != 0
  }
}
