// Applying a binding to a packet: addresses, ports and the checksums over them, in place. For the
// firewall, at the hooks where NAT sits.

import Conntrack
import Wire

/// Rewrites packets as their connection's binding says.
public enum NATRewriter {
  /// Whether `tracking`'s packets are changed at a hook of this kind.
  ///
  /// A binding that changes the source of original packets changes the destination of replies.
  @inline(__always)
  public static func applies(
    _ status: ConnectionStatus, _ kind: NATKind, _ direction: Direction
  ) -> Bool {
    let rewritesSource = (kind == .source) == (direction == .original)
    return status.contains(rewritesSource ? .sourceNAT : .destinationNAT)
  }

  /// Rewrites one packet of a connection, addresses and ports, at a hook of `kind`.
  /// - Returns: false when the packet must be dropped: too short to rewrite.
  /// - Complexity: O(1): checksums are updated, not computed again (RFC 1624).
  public static func rewrite(
    _ packet: inout PacketBuffer, _ headers: inout PacketHeaders,
    _ tracker: borrowing ConnectionTracker, _ tracking: Tracking, _ kind: NATKind
  ) -> Bool {
    let status = tracker.status(tracking.connection)
    guard applies(status, kind, tracking.direction) else { return true }
    guard let target = tracker.tuple(tracking.connection, tracking.direction.opposite).inverted
    else { return true }
    return apply(
      target, kind, &packet, network: 0, transport: headers.transportOffset, end: headers.end,
      protocolNumber: headers.transportProtocol, headers: &headers, portsToo: true)
  }

  /// Rewrites both ends of a packet to those of `tuple`.
  /// - Returns: false when the packet is too short to rewrite.
  public static func rewrite(
    _ packet: inout PacketBuffer, _ headers: inout PacketHeaders, toward tuple: Tuple
  ) -> Bool {
    for kind in [NATKind.source, .destination] {
      guard
        apply(
          tuple, kind, &packet, network: 0, transport: headers.transportOffset,
          end: headers.end, protocolNumber: headers.transportProtocol, headers: &headers,
          portsToo: true)
      else { return false }
    }
    return true
  }

  /// Rewrites an ICMP error of a connection: the packet it quotes, and itself.
  /// - Returns: false when the packet must be dropped.
  public static func rewriteError(
    _ packet: inout PacketBuffer, _ headers: inout PacketHeaders,
    _ tracker: borrowing ConnectionTracker, _ tracking: Tracking, _ kind: NATKind
  ) -> Bool {
    let status = tracker.status(tracking.connection)
    let message = headers.transportOffset
    let redirect = headers.family == .ipv4 ? ICMPType.redirect : ICMPv6Type.redirect
    if packet.uint8(at: message) == redirect {
      // A redirect under translation would set the two ends talking past it.
      let done: ConnectionStatus = [.sourceNATDone, .destinationNATDone]
      if !status.isSuperset(of: done) || !status.isDisjoint(with: [.sourceNAT, .destinationNAT]) {
        return false
      }
    }
    guard InternetChecksum.transportIsValid(packet.bytes, headers: headers) else { return false }
    guard applies(status, kind, tracking.direction) else { return true }
    let opposite = tracker.tuple(tracking.connection, tracking.direction.opposite)
    let inner = message + ICMPField.inner
    guard let quoted = QuotedPacket(packet.bytes, at: inner, end: headers.end, headers.family)
    else { return false }

    // The quoted packet went the other way, so it is changed at its other end.
    var quotedHeaders = PacketHeaders()
    quotedHeaders.family = headers.family
    quotedHeaders.source = quoted.source
    quotedHeaders.destination = quoted.destination
    guard
      apply(
        opposite, kind == .source ? .destination : .source, &packet, network: inner,
        transport: quoted.transportOffset, end: headers.end,
        protocolNumber: quoted.protocolNumber, headers: &quotedHeaders, portsToo: true)
    else { return false }

    guard let target = opposite.inverted else { return false }
    guard
      apply(
        target, kind, &packet, network: 0, transport: message, end: headers.end,
        protocolNumber: 0, headers: &headers, portsToo: false)
    else { return false }
    // The quote changed in too many places to follow: the checksum is computed again.
    packet.store16(0, at: message + ICMPField.checksum)
    let pseudo: UInt64 =
      headers.family == .ipv6
      ? InternetChecksum.pseudoHeader(
        source: headers.source, destination: headers.destination,
        transportProtocol: headers.transportProtocol, length: headers.end - message) : 0
    let sum = InternetChecksum.sum(
      packet.bytes.slice(message..<headers.end), initial: pseudo)
    packet.store16(InternetChecksum.checksum(sum), at: message + ICMPField.checksum)
    return true
  }

  /// Puts one end of `target` into the packet whose IP header starts at `network`.
  private static func apply(
    _ target: Tuple, _ kind: NATKind, _ packet: inout PacketBuffer, network: Int, transport: Int,
    end: Int, protocolNumber: UInt8, headers: inout PacketHeaders, portsToo: Bool
  ) -> Bool {
    let oldAddress = kind == .source ? headers.source : headers.destination
    let newAddress = kind == .source ? target.source : target.destination
    if portsToo && transport >= 0 {
      guard
        rewriteTransport(
          target, kind, &packet, at: transport, end: end, protocolNumber: protocolNumber,
          from: oldAddress, to: newAddress, headers.family)
      else { return false }
    }
    if headers.family == .ipv4 {
      let field = network + (kind == .source ? IPv4Field.source : IPv4Field.destination)
      let checksum = packet.uint16(at: network + IPv4Field.checksum)
      packet.store16(
        InternetChecksum.updated(checksum, from: oldAddress.ipv4, to: newAddress.ipv4),
        at: network + IPv4Field.checksum)
      packet.store32(newAddress.ipv4, at: field)
    } else {
      let field = network + (kind == .source ? IPv6Field.source : IPv6Field.destination)
      packet.store64(newAddress.high, at: field)
      packet.store64(newAddress.low, at: field + 8)
    }
    if kind == .source {
      headers.source = newAddress
    } else {
      headers.destination = newAddress
    }
    return true
  }

  /// Ports or ids, and the checksum that covers them and the addresses.
  private static func rewriteTransport(
    _ target: Tuple, _ kind: NATKind, _ packet: inout PacketBuffer, at offset: Int, end: Int,
    protocolNumber: UInt8, from oldAddress: IPAddress, to newAddress: IPAddress,
    _ family: AddressFamily
  ) -> Bool {
    let available = end - offset
    switch protocolNumber {
    case IPProtocolNumber.tcp:
      guard available >= 8 else { return false }
      let old = rewritePort(target, kind, &packet, at: offset)
      // A quoted packet may end before the checksum.
      guard available >= 20 else { return true }
      update(
        &packet, at: offset + TCPField.checksum, from: old.old, to: old.new, oldAddress,
        newAddress, family)
    case IPProtocolNumber.udp, IPProtocolNumber.udpLite:
      guard available >= 8 else { return false }
      let hasChecksum =
        protocolNumber == IPProtocolNumber.udpLite
        || packet.uint16(at: offset + UDPField.checksum) != 0
      let old = rewritePort(target, kind, &packet, at: offset)
      guard hasChecksum else { return true }
      update(
        &packet, at: offset + UDPField.checksum, from: old.old, to: old.new, oldAddress,
        newAddress, family)
      let checksum = packet.uint16(at: offset + UDPField.checksum)
      packet.store16(InternetChecksum.udp(checksum), at: offset + UDPField.checksum)
    case IPProtocolNumber.sctp:
      guard available >= 8 else { return false }
      _ = rewritePort(target, kind, &packet, at: offset)
      guard available >= SCTPField.headerLength else { return true }
      packet.store32(0, at: offset + SCTPField.checksum)
      let crc = CRC32c.sctp(packet.bytes, at: offset, end: end)
      packet.store32(crc.byteSwapped, at: offset + SCTPField.checksum)
    case IPProtocolNumber.icmp:
      guard available >= ICMPField.headerLength else { return false }
      let type = packet.uint8(at: offset)
      guard Tuple.hasICMPIdentifier(type, protocolNumber: protocolNumber) else { return true }
      let old = packet.uint16(at: offset + ICMPField.identifier)
      packet.store16(target.sourcePort, at: offset + ICMPField.identifier)
      let checksum = packet.uint16(at: offset + ICMPField.checksum)
      packet.store16(
        InternetChecksum.updated(checksum, from: old, to: target.sourcePort),
        at: offset + ICMPField.checksum)
    case IPProtocolNumber.icmpv6:
      guard available >= ICMPField.headerLength else { return false }
      let type = packet.uint8(at: offset)
      var (old, new): (UInt16, UInt16) = (0, 0)
      // Node information queries are told apart by their id too, but it is not rewritten.
      if type == ICMPv6Type.echoRequest || type == ICMPv6Type.echoReply {
        old = packet.uint16(at: offset + ICMPField.identifier)
        new = target.sourcePort
        packet.store16(new, at: offset + ICMPField.identifier)
      }
      update(
        &packet, at: offset + ICMPField.checksum, from: old, to: new, oldAddress, newAddress,
        family)
    case IPProtocolNumber.gre:
      // Only PPTP's version has a key, the destination's; but what is too short for it is not let
      // through, nor where the destination changes, a version not known.
      guard available >= GREField.pptpLength else { return false }
      if kind == .source { return true }
      switch packet.uint16(at: offset) & GREField.versionMask {
      case 0: return true
      case 1: packet.store16(target.destinationPort, at: offset + GREField.callID)
      default: return false
      }
    default: break
    }
    return true
  }

  private static func rewritePort(
    _ target: Tuple, _ kind: NATKind, _ packet: inout PacketBuffer, at offset: Int
  ) -> (old: UInt16, new: UInt16) {
    let field = offset + (kind == .source ? 0 : 2)
    let new = kind == .source ? target.sourcePort : target.destinationPort
    let old = packet.uint16(at: field)
    packet.store16(new, at: field)
    return (old, new)
  }

  private static func update(
    _ packet: inout PacketBuffer, at field: Int, from oldPort: UInt16, to newPort: UInt16,
    _ oldAddress: IPAddress, _ newAddress: IPAddress, _ family: AddressFamily
  ) {
    var checksum = packet.uint16(at: field)
    checksum =
      family == .ipv4
      ? InternetChecksum.updated(checksum, from: oldAddress.ipv4, to: newAddress.ipv4)
      : InternetChecksum.updated(checksum, from: oldAddress, to: newAddress)
    checksum = InternetChecksum.updated(checksum, from: oldPort, to: newPort)
    packet.store16(checksum, at: field)
  }
}

/// The packet an ICMP error quotes, as far as rewriting needs it.
struct QuotedPacket {
  var source: IPAddress
  var destination: IPAddress
  var protocolNumber: UInt8
  var transportOffset: Int

  init?(_ bytes: RawSpan, at start: Int, end: Int, _ family: AddressFamily) {
    if family == .ipv4 {
      guard start + IPv4Field.minimumLength <= end else { return nil }
      source = IPAddress(ipv4: bytes.uint32(at: start + IPv4Field.source))
      destination = IPAddress(ipv4: bytes.uint32(at: start + IPv4Field.destination))
      protocolNumber = bytes.uint8(at: start + IPv4Field.transportProtocol)
      transportOffset = start + Int(bytes.uint8(at: start) & 0x0f) * 4
    } else {
      guard start + IPv6Field.length <= end else { return nil }
      source = IPAddress(
        high: bytes.uint64(at: start + IPv6Field.source),
        low: bytes.uint64(at: start + IPv6Field.source + 8))
      destination = IPAddress(
        high: bytes.uint64(at: start + IPv6Field.destination),
        low: bytes.uint64(at: start + IPv6Field.destination + 8))
      let walk = IPv6ExtensionWalk(
        bytes, nextHeader: bytes.uint8(at: start + IPv6Field.nextHeader),
        nextHeaderOffset: start + IPv6Field.nextHeader, at: start + IPv6Field.length, end: end)
      protocolNumber = walk.transportProtocol
      transportOffset = walk.transportOffset
    }
  }
}
