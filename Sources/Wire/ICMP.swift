// ICMP for IPv4 (RFC 792): the eight bytes every message starts with, and the types' numbers.

/// Where the fields of an ICMP or ICMPv6 message start, in bytes from its first byte.
public enum ICMPField {
  public static let type = 0
  public static let code = 1
  public static let checksum = 2
  /// Echo and kin.
  public static let identifier = 4
  public static let sequence = 6
  /// Redirect: the gateway.
  public static let gateway = 4
  /// Destination unreachable, fragmentation needed (RFC 1191 section 4): the next hop's MTU.
  public static let nextHopMTU = 6
  /// Errors: the packet they are about.
  public static let inner = 8

  /// The part common to all messages, in bytes.
  public static let headerLength = 8
}

/// Types of ICMP messages (RFC 792 and IANA's list).
public enum ICMPType {
  public static let echoReply: UInt8 = 0
  public static let destinationUnreachable: UInt8 = 3
  public static let sourceQuench: UInt8 = 4
  public static let redirect: UInt8 = 5
  public static let echoRequest: UInt8 = 8
  public static let routerAdvertisement: UInt8 = 9
  public static let routerSolicitation: UInt8 = 10
  public static let timeExceeded: UInt8 = 11
  public static let parameterProblem: UInt8 = 12
  public static let timestampRequest: UInt8 = 13
  public static let timestampReply: UInt8 = 14
  public static let informationRequest: UInt8 = 15
  public static let informationReply: UInt8 = 16
  public static let addressMaskRequest: UInt8 = 17
  public static let addressMaskReply: UInt8 = 18
  /// The highest type Linux knows; connection tracking takes higher ones for invalid.
  public static let highestKnown: UInt8 = 18

  /// Whether messages of this type quote the packet they complain of.
  @inlinable
  public static func isError(_ type: UInt8) -> Bool {
    switch type {
    case destinationUnreachable, sourceQuench, redirect, timeExceeded, parameterProblem: true
    default: false
    }
  }
}

/// The first eight bytes of an ICMP or ICMPv6 message.
@frozen
public struct ICMPHeader: BitwiseCopyable, Sendable {
  public var type: UInt8
  public var code: UInt8
  public var checksum: UInt16
  /// Of echo and kin; meaningless otherwise.
  public var identifier: UInt16
  public var sequence: UInt16

  /// Nil when fewer than 8 bytes lie between `offset` and `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- ICMPField.headerLength else {
      return nil
    }
    type = bytes.uint8(at: offset)
    code = bytes.uint8(at: offset &+ ICMPField.code)
    checksum = bytes.uint16(at: offset &+ ICMPField.checksum)
    identifier = bytes.uint16(at: offset &+ ICMPField.identifier)
    sequence = bytes.uint16(at: offset &+ ICMPField.sequence)
  }

  /// Bytes 4 to 8 as one word: the gateway of a redirect, the MTU of ICMPv6 packet too big, ...
  @inlinable public var rest: UInt32 { UInt32(identifier) << 16 | UInt32(sequence) }
}
