// The TCP header (RFC 9293 section 3.1) as a checked value. Its options are in TCPOptions.swift.

/// Where the fields of a TCP header start, in bytes from its first byte.
public enum TCPField {
  public static let sourcePort = 0
  public static let destinationPort = 2
  public static let sequence = 4
  public static let acknowledgement = 8
  public static let dataOffset = 12
  public static let flags = 13
  public static let window = 14
  public static let checksum = 16
  public static let urgentPointer = 18
  public static let options = 20

  /// The header without options, in bytes.
  public static let minimumLength = 20
}

/// The eight flags of a TCP header (RFC 9293 section 3.1, RFC 3168 section 6.1).
@frozen
public struct TCPFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  @inlinable public static var fin: TCPFlags { TCPFlags(rawValue: 1) }
  @inlinable public static var syn: TCPFlags { TCPFlags(rawValue: 2) }
  @inlinable public static var rst: TCPFlags { TCPFlags(rawValue: 4) }
  @inlinable public static var psh: TCPFlags { TCPFlags(rawValue: 8) }
  @inlinable public static var ack: TCPFlags { TCPFlags(rawValue: 16) }
  @inlinable public static var urg: TCPFlags { TCPFlags(rawValue: 32) }
  @inlinable public static var ece: TCPFlags { TCPFlags(rawValue: 64) }
  @inlinable public static var cwr: TCPFlags { TCPFlags(rawValue: 128) }
}

/// The fields of a TCP header that lies, with its options, in the packet. Whether its flags make
/// sense together is for connection tracking to say.
@frozen
public struct TCPHeader: BitwiseCopyable, Sendable {
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  public var sequence: UInt32
  public var acknowledgement: UInt32
  /// Bytes, options included: 20 to 60.
  public var headerLength: Int
  public var flags: TCPFlags
  /// As on the wire, not scaled.
  public var window: UInt16
  public var checksum: UInt16
  public var urgentPointer: UInt16

  /// Nil when fewer than 20 bytes, or less than the header says, lie between `offset` and `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- TCPField.minimumLength else {
      return nil
    }
    headerLength = Int(bytes.uint8(at: offset &+ TCPField.dataOffset) >> 4) &* 4
    guard headerLength >= TCPField.minimumLength, offset <= end &- headerLength else {
      return nil
    }
    sourcePort = bytes.uint16(at: offset)
    destinationPort = bytes.uint16(at: offset &+ TCPField.destinationPort)
    sequence = bytes.uint32(at: offset &+ TCPField.sequence)
    acknowledgement = bytes.uint32(at: offset &+ TCPField.acknowledgement)
    flags = TCPFlags(rawValue: bytes.uint8(at: offset &+ TCPField.flags))
    window = bytes.uint16(at: offset &+ TCPField.window)
    checksum = bytes.uint16(at: offset &+ TCPField.checksum)
    urgentPointer = bytes.uint16(at: offset &+ TCPField.urgentPointer)
  }
}
