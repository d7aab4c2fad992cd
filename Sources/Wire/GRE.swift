// GRE (RFC 2784, RFC 2890) and its enhanced form under PPTP (RFC 2637 section 4.1).

/// Where the fields of a GRE header start, in bytes from its first byte.
public enum GREField {
  public static let flagsAndVersion = 0
  public static let payloadProtocol = 2
  /// Version 1 only.
  public static let payloadLength = 4
  /// Version 1 only.
  public static let callID = 6
  /// The shortest header of version 1, in bytes.
  public static let pptpLength = 8

  public static let versionMask: UInt16 = 0x0007
  public static let keyBit: UInt16 = 0x2000
  /// The payload protocol of version 1: PPP.
  public static let ppp: UInt16 = 0x880b
}

/// The fields of a GRE header that connection tracking asks about.
@frozen
public struct GREHeader: BitwiseCopyable, Sendable {
  public var flagsAndVersion: UInt16
  /// An EtherType.
  public var payloadProtocol: UInt16
  /// Version 1 (PPTP): bytes behind this header. 0 in version 0.
  public var payloadLength: UInt16
  /// Version 1 (PPTP): the peer's call ID. 0 in version 0.
  public var callID: UInt16

  /// Nil when fewer than 4 bytes (version 1: 8) lie between `offset` and `end`.
  @inlinable @inline(__always)
  public init?(_ bytes: RawSpan, at offset: Int, end: Int) {
    guard offset >= 0, end <= bytes.byteCount, offset <= end &- 4 else { return nil }
    flagsAndVersion = bytes.uint16(at: offset)
    payloadProtocol = bytes.uint16(at: offset &+ GREField.payloadProtocol)
    payloadLength = 0
    callID = 0
    if flagsAndVersion & GREField.versionMask == 1 {
      guard offset <= end &- 8 else { return nil }
      payloadLength = bytes.uint16(at: offset &+ GREField.payloadLength)
      callID = bytes.uint16(at: offset &+ GREField.callID)
    }
  }

  @inlinable public var version: Int { Int(flagsAndVersion & GREField.versionMask) }
}
