// SCTP (RFC 9260): the common header and a walk over the chunks.

/// Where the fields of an SCTP common header start, in bytes from its first byte.
public enum SCTPField {
  public static let sourcePort = 0
  public static let destinationPort = 2
  public static let verificationTag = 4
  public static let checksum = 8

  /// The common header's length in bytes.
  public static let headerLength = 12
}

/// Types of SCTP chunks (RFC 9260 section 3.2).
public enum SCTPChunkType {
  public static let data: UInt8 = 0
  public static let initiation: UInt8 = 1
  public static let initiationAck: UInt8 = 2
  public static let selectiveAck: UInt8 = 3
  public static let heartbeat: UInt8 = 4
  public static let heartbeatAck: UInt8 = 5
  public static let abort: UInt8 = 6
  public static let shutdown: UInt8 = 7
  public static let shutdownAck: UInt8 = 8
  public static let error: UInt8 = 9
  public static let cookieEcho: UInt8 = 10
  public static let cookieAck: UInt8 = 11
  public static let ecnEcho: UInt8 = 12
  public static let cwr: UInt8 = 13
  public static let shutdownComplete: UInt8 = 14
}

/// The SCTP common header (RFC 9260 section 3.1).
@frozen
public struct SCTPHeader: BitwiseCopyable, Sendable {
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  public var verificationTag: UInt32
  /// CRC32c (RFC 9260 appendix A), as `CRC32c.sctp` computes it: the least significant byte comes
  /// first on the wire, and this value is already turned round.
  public var checksum: UInt32

  /// Nil when fewer than 12 bytes lie between `offset` and `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- SCTPField.headerLength else {
      return nil
    }
    sourcePort = bytes.uint16(at: offset)
    destinationPort = bytes.uint16(at: offset &+ SCTPField.destinationPort)
    verificationTag = bytes.uint32(at: offset &+ SCTPField.verificationTag)
    checksum = bytes.uint32(at: offset &+ SCTPField.checksum).byteSwapped
  }
}

/// One SCTP chunk's header (RFC 9260 section 3.2).
@frozen
public struct SCTPChunk: BitwiseCopyable, Sendable {
  public var type: UInt8
  public var flags: UInt8
  /// Bytes, header included, padding not; as the chunk says: it may be below 4 or run past the
  /// packet's end.
  public var length: Int
  /// Where the chunk starts in the packet's bytes.
  public var offset: Int

  /// The chunk at `offset`; nil when fewer than 4 bytes lie before `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- 4 else { return nil }
    type = bytes.uint8(at: offset)
    flags = bytes.uint8(at: offset &+ 1)
    length = Int(bytes.uint16(at: offset &+ 2))
    self.offset = offset
  }

  /// Where the next chunk starts: this one's end, up to a multiple of 4 bytes.
  @inlinable public var nextOffset: Int { offset &+ (length &+ 3) & ~3 }
}
