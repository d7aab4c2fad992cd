// The tuple: what makes two packets belong to one direction of one connection. Netfilter's words.

import Wire

/// The direction of a packet within its connection: what the initiator sent, or the answer.
@frozen
public enum Direction: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case original = 0
  case reply = 1

  @inlinable public var opposite: Direction { self == .original ? .reply : .original }
}

/// One direction of a connection: addresses, protocol, and what tells two flows between the same
/// hosts apart (ports; an ICMP query's id, type and code; a GRE key).
@frozen
public struct Tuple: Hashable, Sendable, BitwiseCopyable {
  public var source: IPAddress
  public var destination: IPAddress
  /// The source port; for ICMP the query's id; for GRE the key; 0 where a protocol has neither.
  public var sourcePort: UInt16
  /// The destination port; for ICMP `type << 8 | code`.
  public var destinationPort: UInt16
  /// The transport protocol's number (IANA).
  public var protocolNumber: UInt8
  public var family: AddressFamily

  @inlinable public init(
    source: IPAddress, destination: IPAddress, sourcePort: UInt16, destinationPort: UInt16,
    protocolNumber: UInt8, family: AddressFamily
  ) {
    self.source = source
    self.destination = destination
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.protocolNumber = protocolNumber
    self.family = family
  }

  /// Whether its source port is an ICMP query's identifier, which belongs to both ends.
  @inlinable public var isICMPQuery: Bool {
    protocolNumber == IPProtocolNumber.icmp && family == .ipv4
      || protocolNumber == IPProtocolNumber.icmpv6 && family == .ipv6
  }
}
