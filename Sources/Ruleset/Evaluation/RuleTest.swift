// The elementary tests compiled rules are made of: one flat value each, so that every match of every
// syntax becomes a few of these and a classifier can read them.

import Conntrack
import Wire

/// A number of the packet or its connection that a test looks at.
@usableFromInline
enum PacketField: UInt8, BitwiseCopyable, Sendable {
  case none
  case sourcePort
  case destinationPort
  case tcpFlags
  case tcpMSS
  /// `type << 8 | code`
  case icmpTypeAndCode
  case mark
  case connectionMark
  /// One bit of `StateBits`, and the NAT bits.
  case ctState
  case ctStatus
  case ctDirection
  case ctProtocol
  case ctOriginalSourcePort
  case ctOriginalDestinationPort
  case ctReplySourcePort
  case ctReplyDestinationPort
  case ctTimeout
  case length
  case timeToLive
  case typeOfService
  case sourceType
  case destinationType
  case sourceTypeOnInInterface
  case destinationTypeOnInInterface
  case sourceTypeOnOutInterface
  case destinationTypeOnOutInterface
  case sourceMAC
  case packetType
  /// Bit `HelperKind.rawValue` of the helper that announced the connection.
  case masterHelper
  case userID
  case groupID
}

/// An address of the packet or its connection that a test looks at.
@usableFromInline
enum AddressField: UInt8, BitwiseCopyable, Sendable {
  case source
  case destination
  case ctOriginalSource
  case ctOriginalDestination
  case ctReplySource
  case ctReplyDestination
}

/// The bits `PacketField.ctState` has: what `--ctstate` may list.
@usableFromInline
enum StateBits {
  static let invalid: UInt64 = 1 << 0
  static let established: UInt64 = 1 << 1
  static let related: UInt64 = 1 << 2
  static let new: UInt64 = 1 << 3
  static let untracked: UInt64 = 1 << 4
  static let sourceNAT: UInt64 = 1 << 5
  static let destinationNAT: UInt64 = 1 << 6
}

/// One elementary test. `a` to `d` mean what `kind` says.
@usableFromInline
struct RuleTest: BitwiseCopyable, Sendable {
  @usableFromInline
  enum Kind: UInt8, BitwiseCopyable, Sendable {
    /// `field & c` lies in `a...b`.
    case range
    /// `field & a` is not 0.
    case anyBit
    /// `field` has all bits of `a`, and one of `b` unless that is 0.
    case allBits
    /// The address field under the mask `c` (high), `d` (low) equals `a`, `b`.
    case masked
    /// The address field lies in `a`, `b` ... `c`, `d`.
    case addressRange
    /// The field lies in one of the `b` port ranges from number `a` on.
    case ports
    /// The source or the destination port does.
    case eitherPort
    /// The transport header has `a` bytes. Not so in a later fragment: no match. Too short: the
    /// packet is dropped. `b` 1: a TCP fragment at offset 1 is dropped too. `b` 2: too short is no
    /// match.
    case header
    /// The TCP options can be walked. Where not, the packet is dropped.
    case readableOptions
    /// TCP option `a` is there.
    case tcpOption
    /// A connection is attached. Where it is not: `a` 0, no match; else the next `a` tests are
    /// passed over.
    case connection
    /// The token bucket number `a` has a token, which is taken.
    case limit
    /// The counter number `a` stands at its turn.
    case everyNth
    /// A random number below 2^31 is below `b`; `a` is the number of its generator.
    case random
    /// The value is known (a socket owner, a MAC); `field` names which.
    case present
    case always
  }

  @usableFromInline var kind: Kind
  @usableFromInline var field: PacketField
  @usableFromInline var address = AddressField.source
  @usableFromInline var isInverted: Bool
  @usableFromInline var a: UInt64
  @usableFromInline var b: UInt64
  @usableFromInline var c: UInt64
  @usableFromInline var d: UInt64

  init(
    _ kind: Kind, field: PacketField = .none, isInverted: Bool = false, a: UInt64 = 0,
    b: UInt64 = 0, c: UInt64 = 0, d: UInt64 = 0
  ) {
    self.kind = kind
    self.field = field
    self.isInverted = isInverted
    self.a = a
    self.b = b
    self.c = c
    self.d = d
  }

  init(
    _ kind: Kind, address: AddressField, isInverted: Bool, _ first: IPAddress, _ second: IPAddress
  ) {
    self.init(
      kind, isInverted: isInverted, a: first.high, b: first.low, c: second.high, d: second.low)
    self.address = address
  }

  /// `field` lies in `low...high`.
  static func range(
    _ field: PacketField, _ low: UInt64, _ high: UInt64, isInverted: Bool = false
  ) -> RuleTest {
    RuleTest(.range, field: field, isInverted: isInverted, a: low, b: high, c: .max)
  }

  /// `field & mask == value`.
  static func masked(
    _ field: PacketField, _ value: UInt64, mask: UInt64, isInverted: Bool = false
  ) -> RuleTest {
    RuleTest(.range, field: field, isInverted: isInverted, a: value, b: value, c: mask)
  }
}

extension RuleTest {
  /// Whether the test may come out differently for two plain packets (`PlainPacket`) of one connection,
  /// in the same direction and by the same interface: whole TCP segments with ACK and without FIN, SYN,
  /// RST, URG, with no option but a timestamp; or whole datagrams.
  var heedsPacket: Bool {
    switch kind {
    case .limit, .everyNth, .random, .tcpOption: true
    // Every plain packet has its protocol's shortest header, and TCP's is asked for in TCP only.
    case .header: a > 20
    case .readableOptions, .connection, .always, .masked, .addressRange, .ports,
      .eitherPort:
      false
    case .range: RuleTest.heedsPacket(field, mask: c)
    case .anyBit: RuleTest.heedsPacket(field, mask: a)
    case .allBits: RuleTest.heedsPacket(field, mask: a | b)
    case .present: RuleTest.heedsPacket(field, mask: .max)
    }
  }

  private static func heedsPacket(_ field: PacketField, mask: UInt64) -> Bool {
    switch field {
    case .tcpFlags: mask & ~0x37 != 0
    case .length, .timeToLive, .typeOfService, .ctTimeout, .sourceMAC, .packetType, .masterHelper:
      true
    case .none, .sourcePort, .destinationPort, .tcpMSS, .icmpTypeAndCode, .mark, .connectionMark,
      .ctState, .ctStatus, .ctDirection, .ctProtocol, .ctOriginalSourcePort,
      .ctOriginalDestinationPort, .ctReplySourcePort, .ctReplyDestinationPort, .sourceType,
      .destinationType, .sourceTypeOnInInterface, .destinationTypeOnInInterface,
      .sourceTypeOnOutInterface, .destinationTypeOnOutInterface, .userID, .groupID:
      false
    }
  }
}

/// Ports from `low` to `high`.
@usableFromInline
struct PortSpan: BitwiseCopyable, Hashable, Sendable {
  @usableFromInline var low: UInt16
  @usableFromInline var high: UInt16
}

// These mutate nothing. They say so all the same: the compiler copies the context, some hundred bytes,
// for a method that does not.
extension MatchContext {
  /// The value of a field; where the packet may lack it and does, a value no rule can name.
  mutating func value(_ field: PacketField) -> UInt64 {
    switch field {
    case .none: 0
    case .sourcePort: UInt64(sourcePort)
    case .destinationPort: UInt64(destinationPort)
    case .tcpFlags: UInt64(tcpFlags)
    case .tcpMSS: tcpMSS.map { UInt64($0) } ?? .max
    case .icmpTypeAndCode: UInt64(icmpType) << 8 | UInt64(icmpCode)
    case .mark: UInt64(mark)
    case .connectionMark: UInt64(connectionMark)
    case .ctState: stateBits()
    case .ctStatus: UInt64(ctStatus.rawValue)
    case .ctDirection: UInt64(ctDirection.rawValue)
    case .ctProtocol: UInt64(originalTuple.protocolNumber)
    case .ctOriginalSourcePort: UInt64(originalTuple.sourcePort)
    case .ctOriginalDestinationPort: UInt64(originalTuple.destinationPort)
    case .ctReplySourcePort: UInt64(replyTuple.sourcePort)
    case .ctReplyDestinationPort: UInt64(replyTuple.destinationPort)
    case .ctTimeout: UInt64(ctTimeoutSeconds)
    case .length: UInt64(length)
    case .timeToLive: UInt64(timeToLive)
    case .typeOfService: UInt64(typeOfService)
    case .sourceType: UInt64(sourceType.rawValue)
    case .destinationType: UInt64(destinationType.rawValue)
    case .sourceTypeOnInInterface: UInt64(sourceTypeOnInInterface.rawValue)
    case .destinationTypeOnInInterface: UInt64(destinationTypeOnInInterface.rawValue)
    case .sourceTypeOnOutInterface: UInt64(sourceTypeOnOutInterface.rawValue)
    case .destinationTypeOnOutInterface: UInt64(destinationTypeOnOutInterface.rawValue)
    case .sourceMAC: sourceMAC ?? .max
    case .packetType: UInt64(packetType.rawValue)
    case .masterHelper: masterHelper == .none ? 0 : 1 << UInt64(masterHelper.rawValue)
    case .userID: socketUserID.map { UInt64($0) } ?? .max
    case .groupID: socketGroupID.map { UInt64($0) } ?? .max
    }
  }

  /// The packet's state as the conntrack match sees it: no connection is INVALID unless UNTRACKED.
  private mutating func stateBits() -> UInt64 {
    guard hasConnection, let state = ctState else {
      return ctState == .untracked ? StateBits.untracked : StateBits.invalid
    }
    var bits: UInt64 =
      switch state {
      case .new: StateBits.new
      case .established: StateBits.established
      case .related: StateBits.related
      case .invalid: StateBits.invalid
      case .untracked: StateBits.untracked
      }
    if ctStatus.contains(.sourceNAT) { bits |= StateBits.sourceNAT }
    if ctStatus.contains(.destinationNAT) { bits |= StateBits.destinationNAT }
    return bits
  }

  /// The value of an address field.
  mutating func address(_ field: AddressField) -> IPAddress {
    switch field {
    case .source: source
    case .destination: destination
    case .ctOriginalSource: originalTuple.source
    case .ctOriginalDestination: originalTuple.destination
    case .ctReplySource: replyTuple.source
    case .ctReplyDestination: replyTuple.destination
    }
  }
}
