// ICMPv6 (RFC 4443) and neighbour discovery (RFC 4861): the types' numbers. The message's first
// eight bytes have the shape of ICMP's and are read by `ICMPHeader`.

/// Types of ICMPv6 messages (RFC 4443 and IANA's list).
public enum ICMPv6Type {
  public static let destinationUnreachable: UInt8 = 1
  public static let packetTooBig: UInt8 = 2
  public static let timeExceeded: UInt8 = 3
  public static let parameterProblem: UInt8 = 4
  public static let echoRequest: UInt8 = 128
  public static let echoReply: UInt8 = 129
  public static let multicastListenerQuery: UInt8 = 130
  public static let multicastListenerReport: UInt8 = 131
  public static let multicastListenerDone: UInt8 = 132
  public static let routerSolicitation: UInt8 = 133
  public static let routerAdvertisement: UInt8 = 134
  public static let neighbourSolicitation: UInt8 = 135
  public static let neighbourAdvertisement: UInt8 = 136
  public static let redirect: UInt8 = 137
  public static let nodeInformationQuery: UInt8 = 139
  public static let nodeInformationReply: UInt8 = 140
  public static let multicastListenerReportV2: UInt8 = 143

  /// Whether messages of this type quote the packet they complain of: types below 128.
  @inlinable
  public static func isError(_ type: UInt8) -> Bool { type < 128 }
}

/// Codes of ICMPv6's parameter problem (RFC 4443 section 3.4).
public enum ICMPv6Code {
  public static let unknownNextHeader: UInt8 = 1
  public static let unknownOption: UInt8 = 2
}

/// What lies where in an ICMPv6 redirect (RFC 4861 section 4.5), from the start of the message, and in the
/// option of it that quotes a packet (section 4.6.3).
public enum ICMPv6Redirect {
  public static let options = 40
  public static let redirectedHeader: UInt8 = 4
  /// Of the option, before the quoted packet.
  public static let redirectedHeaderLength = 8
}

/// The first eight bytes of an ICMPv6 message: the same shape as ICMP's.
public typealias ICMPv6Header = ICMPHeader
