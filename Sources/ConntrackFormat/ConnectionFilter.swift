// Which connections a listing, a deletion or an update means: the filter options of `conntrack` as a
// plain value. For `weir conntrack -L/-D/-U/-E`.

import Conntrack
import Wire

/// An address and which of its bits count (`--orig-src`, `--mask-src`).
public struct AddressPattern: Hashable, Sendable {
  /// Bits outside `mask` are zero.
  public var address: IPAddress
  public var mask: IPAddress
  public var family: AddressFamily

  public init(_ address: IPAddress, mask: IPAddress, family: AddressFamily) {
    self.address = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
    self.mask = mask
    self.family = family
  }

  public init(_ address: IPAddress, length: Int? = nil, family: AddressFamily) {
    let mask = IPAddress.mask(length ?? family.addressBits, family)
    self.init(address, mask: mask, family: family)
  }

  public func matches(_ other: IPAddress) -> Bool {
    other.high & mask.high == address.high && other.low & mask.low == address.low
  }
}

/// What `--src-nat`, `--dst-nat` and `--any-nat` ask for: any translation (neither address nor
/// port), or one to this address, this port, or both.
public struct NATPattern: Hashable, Sendable {
  public var address: IPAddress?
  public var port: UInt16?
  public var family: AddressFamily?

  public init(address: IPAddress? = nil, port: UInt16? = nil, family: AddressFamily? = nil) {
    self.address = address
    self.port = port
    self.family = family
  }
}

/// The filter parameters of `man conntrack`. Every one that is present must hold.
///
/// Some options do less in conntrack 1.4.7 than its manual says; `keepsConntrackQuirks` chooses. All
/// else is as 1.4.7 does it, checked against it on one table, but for one thing: `-u` with
/// `UNREPLIED` and other words shows the entries for which all of them hold, where 1.4.7 forgets
/// some of them.
public struct ConnectionFilter: Hashable, Sendable {
  /// `-f`. An address in any other option implies its family.
  public var family: AddressFamily?
  /// `-p`.
  public var protocolNumber: UInt8?
  /// `-s`, `--mask-src`.
  public var originalSource: AddressPattern?
  /// `-d`, `--mask-dst`.
  public var originalDestination: AddressPattern?
  /// `-r`.
  public var replySource: AddressPattern?
  /// `-q`.
  public var replyDestination: AddressPattern?
  /// `--sport`; for GRE `--srckey`.
  public var originalSourcePort: UInt16?
  /// `--dport`; for GRE `--dstkey`.
  public var originalDestinationPort: UInt16?
  /// `--reply-port-src`; for GRE `--reply-key-src`.
  public var replySourcePort: UInt16?
  /// `--reply-port-dst`; for GRE `--reply-key-dst`.
  public var replyDestinationPort: UInt16?
  /// `--icmp-type`, of the original direction.
  public var icmpType: UInt8?
  /// `--icmp-code`, of the original direction.
  public var icmpCode: UInt8?
  /// `--icmp-id`, of the original direction.
  public var icmpID: UInt16?
  /// `--state`.
  public var state: ProtocolState?
  /// `-u`: the bits that must be set.
  public var status: ConnectionStatus?
  /// `-u UNREPLIED`: no packet of the reply direction was seen.
  public var unreplied = false
  /// `-m MARK/MASK`: what the mark must be where `markMask` has bits.
  public var mark: UInt32?
  public var markMask: UInt32 = .max
  /// `-w`: the zone of both directions. A connection whose zone holds for one direction only is in
  /// zone 0 here.
  public var zone: UInt16?
  /// `--orig-zone`: the zone of the original direction only; a connection whose zone holds for both
  /// is in zone 0 here.
  public var originalZone: UInt16?
  /// `--reply-zone`, likewise.
  public var replyZone: UInt16?
  /// `-l`: labels that must all be set.
  public var labels: ConnectionLabels?
  /// `-n`, `-g`: with both, both must hold.
  public var sourceNAT: NATPattern?
  public var destinationNAT: NATPattern?
  /// `-j`: one of the two must hold.
  public var anyNAT: NATPattern?

  /// Whether to err as conntrack 1.4.7 does, in three things:
  /// - with `-n`, `-g` and `-j`, every ICMP query counts as translated wherever a nat table exists,
  ///   for its id, type and code are compared as if they were ports;
  /// - an IPv6 address after `-n`, `-g` or `-j` is not compared, only its port is;
  /// - GRE's keys are not compared.
  ///
  /// Without it, the options mean what their manual says.
  public var keepsConntrackQuirks = true

  public init() {}

  /// Whether `connection` is one of those meant.
  public func matches(_ connection: Connection) -> Bool {
    matchesTuples(connection) && matchesPorts(connection) && matchesFacts(connection)
      && matchesNAT(connection)
  }

  private func matchesTuples(_ connection: Connection) -> Bool {
    let (original, reply) = (connection.original, connection.reply)
    if let family, family != original.family { return false }
    if let protocolNumber, protocolNumber != original.protocolNumber { return false }
    return AddressPattern.matches(originalSource, original.source, original.family)
      && AddressPattern.matches(originalDestination, original.destination, original.family)
      && AddressPattern.matches(replySource, reply.source, reply.family)
      && AddressPattern.matches(replyDestination, reply.destination, reply.family)
  }

  private func matchesPorts(_ connection: Connection) -> Bool {
    let (original, reply) = (connection.original, connection.reply)
    if let icmpType, icmpType != UInt8(original.destinationPort >> 8) { return false }
    if let icmpCode, icmpCode != UInt8(original.destinationPort & 0xff) { return false }
    if let icmpID, icmpID != original.sourcePort { return false }
    if original.protocolNumber == 47, keepsConntrackQuirks { return true }
    return (originalSourcePort ?? original.sourcePort) == original.sourcePort
      && (originalDestinationPort ?? original.destinationPort) == original.destinationPort
      && (replySourcePort ?? reply.sourcePort) == reply.sourcePort
      && (replyDestinationPort ?? reply.destinationPort) == reply.destinationPort
  }

  private func matchesFacts(_ connection: Connection) -> Bool {
    if let state, state != connection.protocolState { return false }
    if let status, !connection.status.isSuperset(of: status) { return false }
    if unreplied, connection.status.contains(.seenReply) { return false }
    if let mark, connection.mark & markMask != mark { return false }
    if let labels, !(connection.labels ?? ConnectionLabels()).contains(labels) { return false }
    return matches(zone, connection, .both) && matches(originalZone, connection, .original)
      && matches(replyZone, connection, .reply)
  }

  private func matches(
    _ wanted: UInt16?, _ connection: Connection, _ direction: ZoneDirection
  ) -> Bool {
    guard let wanted else { return true }
    return wanted == (connection.zoneDirection == direction ? connection.zone : 0)
  }

  private func matchesNAT(_ connection: Connection) -> Bool {
    if let anyNAT {
      return matches(anyNAT, sourceOf: connection) || matches(anyNAT, destinationOf: connection)
    }
    if let sourceNAT, !matches(sourceNAT, sourceOf: connection) { return false }
    if let destinationNAT, !matches(destinationNAT, destinationOf: connection) { return false }
    return true
  }

  private func matches(_ pattern: NATPattern, sourceOf connection: Connection) -> Bool {
    let (original, reply) = (connection.original, connection.reply)
    let asked = connection.status.contains(.sourceNATDone)
    let portChanged =
      original.isICMP && !keepsConntrackQuirks
      ? reply.sourcePort != original.sourcePort  // The query's id.
      : reply.destinationPort != original.sourcePort
    return matches(
      pattern, family: reply.family,
      address: asked && reply.destination != original.source ? reply.destination : nil,
      port: asked && portChanged ? reply.destinationPort : nil)
  }

  private func matches(_ pattern: NATPattern, destinationOf connection: Connection) -> Bool {
    let (original, reply) = (connection.original, connection.reply)
    let asked = connection.status.contains(.destinationNATDone)
    let portChanged =
      !(original.isICMP && !keepsConntrackQuirks)
      && reply.sourcePort != original.destinationPort
    return matches(
      pattern, family: reply.family,
      address: asked && reply.source != original.destination ? reply.source : nil,
      port: asked && portChanged ? reply.sourcePort : nil)
  }

  /// - Parameters:
  ///   - address: what the address became, nil if it did not change.
  ///   - port: likewise.
  private func matches(
    _ pattern: NATPattern, family: AddressFamily, address: IPAddress?, port: UInt16?
  ) -> Bool {
    let ignoresAddress = keepsConntrackQuirks && pattern.family == .ipv6
    if let wanted = pattern.address, !ignoresAddress {
      guard address == wanted, pattern.family == nil || pattern.family == family else {
        return false
      }
    }
    if let wanted = pattern.port { return port == wanted }
    return address != nil || port != nil
  }
}

extension AddressPattern {
  fileprivate static func matches(
    _ pattern: AddressPattern?, _ address: IPAddress, _ family: AddressFamily
  ) -> Bool {
    guard let pattern else { return true }
    return pattern.family == family && pattern.matches(address)
  }
}

extension Tuple {
  fileprivate var isICMP: Bool { protocolNumber == 1 || protocolNumber == 58 }
}
