// What rules may ask about one packet, and what they may change: a plain value the firewall fills
// in once and hands from table to table.

import Conntrack
import Wire

/// One packet as the rules see it. Fill in the first group always; the others where the packet has
/// them and, for those marked so, only when `CompiledRuleset.uses` says that a rule asks.
@frozen
public struct MatchContext: Sendable, BitwiseCopyable {
  public var source: IPAddress
  public var destination: IPAddress
  public var family: AddressFamily
  /// The transport protocol, after IPv6 extension headers.
  public var protocolNumber: UInt8
  /// False for an IPv6 packet whose chain of extension headers does not lead to a transport header:
  /// a rule with `-p` then drops it.
  public var isProtocolKnown = true
  /// In units of 8 bytes; 0 for a whole packet or a first fragment.
  public var fragmentOffset: UInt16 = 0
  public var inInterface: InterfaceID
  public var outInterface: InterfaceID
  /// The IP total length in bytes (for IPv6 with its fixed header): what rule counters count.
  public var length: UInt32
  /// IPv4 TTL or IPv6 hop limit.
  public var timeToLive: UInt8 = 64
  /// IPv4 TOS or IPv6 traffic class.
  public var typeOfService: UInt8 = 0

  /// Bytes of transport header and payload in the packet, 0 when none.
  public var transportAvailable: UInt32 = 0
  public var sourcePort: UInt16 = 0
  public var destinationPort: UInt16 = 0
  /// Byte 13 of the TCP header: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from the highest bit.
  public var tcpFlags: UInt8 = 0
  public var icmpType: UInt8 = 0
  public var icmpCode: UInt8 = 0
  /// Bit n set: the TCP header has option kind n. `readTCPOptions` sets it.
  public internal(set) var tcpOptionKinds: InlineArray<4, UInt64> = [0, 0, 0, 0]
  /// The TCP option MSS, nil where there is none. `readTCPOptions` sets it.
  public internal(set) var tcpMSS: UInt16?
  /// Whether the TCP header is as long as it says. `readTCPOptions` sets it.
  public internal(set) var hasReadableTCPOptions = true

  /// The packet's mark; MARK and CONNMARK change it.
  public var mark: UInt32 = 0

  /// nil before connection tracking has seen the packet (the raw table).
  public var ctState: ConnectionState?
  /// Whether a connection is attached: false for INVALID and UNTRACKED packets and in the raw table.
  public var hasConnection = false
  /// The connection's mark; CONNMARK changes it.
  public var connectionMark: UInt32 = 0
  /// Some CONNMARK rule changed `connectionMark`, if only to change it back: listeners hear of both.
  /// Whoever carries the mark to the connection sets this to false again.
  public var hasNewConnectionMark = false
  public var ctStatus: ConnectionStatus = []
  public var ctDirection: Direction = .original
  /// The helper that announced the connection. Only if `uses.masterHelper`.
  public var masterHelper = HelperKind.none
  /// Only if `uses.connectionTuples`.
  public var originalTuple: Tuple
  /// Only if `uses.connectionTuples`.
  public var replyTuple: Tuple
  /// Seconds left, rounded down. Only if `uses.connectionTimeout`.
  public var ctTimeoutSeconds: UInt32 = 0

  /// What kind of address each is to this host. Only if `uses.addressTypes`.
  public var sourceType: AddressTypes = []
  public var destinationType: AddressTypes = []
  /// The same with only the in interface considered. Only if `uses.interfaceAddressTypes`.
  public var sourceTypeOnInInterface: AddressTypes = []
  public var destinationTypeOnInInterface: AddressTypes = []
  /// And with only the out interface.
  public var sourceTypeOnOutInterface: AddressTypes = []
  public var destinationTypeOnOutInterface: AddressTypes = []

  /// The frame's source MAC in the low 48 bits, first byte highest; nil where there is none. Only if
  /// `uses.linkLayer`.
  public var sourceMAC: UInt64?
  /// How the frame was addressed. Only if `uses.linkLayer`.
  public var packetType: PacketType = .unicast
  /// The owner of the socket that sent the packet, nil where there is no socket or it is not known.
  public var socketUserID: UInt32?
  /// A socket without a user sent it: the kernel's own, for ICMP.
  public var hasKernelSocket = false
  public var socketGroupID: UInt32?

  /// Set by CT --notrack and NOTRACK: connection tracking leaves this packet alone. `ctState` is
  /// then `.untracked`.
  public var isNotTracked = false
  /// Set by CT with other options: the index of the first one in `CompiledRuleset.trackingOptions`,
  /// or -1.
  public var trackingOptions: Int32 = -1
  /// Set by evaluation: a rule was asked, or did something, whose outcome may be another for another
  /// packet of the same connection and direction.
  public var heedsPacket = false

  @inlinable public init(
    source: IPAddress, destination: IPAddress, family: AddressFamily, protocolNumber: UInt8,
    inInterface: InterfaceID, outInterface: InterfaceID, length: UInt32
  ) {
    self.source = source
    self.destination = destination
    self.family = family
    self.protocolNumber = protocolNumber
    self.inInterface = inInterface
    self.outInterface = outInterface
    self.length = length
    let none = Tuple(
      source: .any, destination: .any, sourcePort: 0, destinationPort: 0, protocolNumber: 0,
      family: family)
    originalTuple = none
    replyTuple = none
  }

  /// Whether this is a second or later fragment, which has no transport header.
  @inlinable public var isFragmentNotFirst: Bool { fragmentOffset != 0 }
}

/// The kinds of address `-m addrtype` tells apart (iptables-extensions(8)); the bits follow the
/// order of that page.
@frozen
public struct AddressTypes: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt16
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

  @inlinable public static var unspecified: Self { .init(rawValue: 1 << 0) }
  @inlinable public static var unicast: Self { .init(rawValue: 1 << 1) }
  @inlinable public static var local: Self { .init(rawValue: 1 << 2) }
  @inlinable public static var broadcast: Self { .init(rawValue: 1 << 3) }
  @inlinable public static var anycast: Self { .init(rawValue: 1 << 4) }
  @inlinable public static var multicast: Self { .init(rawValue: 1 << 5) }
  @inlinable public static var blackhole: Self { .init(rawValue: 1 << 6) }
  @inlinable public static var unreachable: Self { .init(rawValue: 1 << 7) }
  @inlinable public static var prohibit: Self { .init(rawValue: 1 << 8) }
}

/// How a frame was addressed on its link (`-m pkttype`).
@frozen
public enum PacketType: UInt8, Hashable, Sendable, BitwiseCopyable {
  case unicast
  case broadcast
  case multicast
}
