// Rewriting a plain packet by its connection's binding: both ends, the hop limit and all checksums at
// once. What `NATRewriter.rewrite` and the hop limit's decrement do to it one after the other.

import Conntrack
import Wire

extension NATRewriter {
  /// Forwards a plain packet: one hop less, and where `translates`, the ends its binding gives it.
  ///
  /// The packet's hop limit is not 0.
  @inline(__always)
  public static func forward(
    _ packet: inout PacketBuffer, _ plain: PlainPacket, _ tracker: inout ConnectionTracker,
    translates: Bool
  ) {
    if plain.family == .ipv4 {
      forwardIPv4(&packet, plain, &tracker, translates)
    } else {
      forwardIPv6(&packet, plain, &tracker, translates)
    }
  }

  @inline(__always)
  private static func forwardIPv4(
    _ packet: inout PacketBuffer, _ plain: PlainPacket, _ tracker: inout ConnectionTracker,
    _ translates: Bool
  ) {
    // The hop limit is the upper byte of its word.
    var change: UInt64 = 0xfeff
    if translates && tracker.isTranslated(plain) {
      change &+= rewriteIPv4(&packet, plain, tracker.ipv4Ends(plain))
    }
    packet.store8(plain.hopLimit &- 1, at: IPv4Field.timeToLive)
    let checksum = packet.uint16(at: IPv4Field.checksum)
    packet.store16(updated(checksum, change), at: IPv4Field.checksum)
  }

  /// - Returns: what the addresses' change adds to a checksum's sum.
  @inline(__always)
  private static func rewriteIPv4(
    _ packet: inout PacketBuffer, _ plain: PlainPacket, _ ends: (addresses: UInt64, ports: UInt32)
  ) -> UInt64 {
    let old = packet.uint64(at: IPv4Field.source)
    let oldPorts = packet.uint32(at: IPv4Field.minimumLength)
    packet.store64(ends.addresses, at: IPv4Field.source)
    packet.store32(ends.ports, at: IPv4Field.minimumLength)
    let change =
      (~old >> 32) &+ (~old & 0xffff_ffff) &+ (ends.addresses >> 32)
      &+ (ends.addresses & 0xffff_ffff)
    rewriteTransport(
      &packet, plain, at: IPv4Field.minimumLength,
      change &+ UInt64(~oldPorts) &+ UInt64(ends.ports))
    return change
  }

  @inline(__always)
  private static func forwardIPv6(
    _ packet: inout PacketBuffer, _ plain: PlainPacket, _ tracker: inout ConnectionTracker,
    _ translates: Bool
  ) {
    if translates && tracker.isTranslated(plain) { rewriteIPv6(&packet, plain, &tracker) }
    packet.store8(plain.hopLimit &- 1, at: IPv6Field.hopLimit)
  }

  private static func rewriteIPv6(
    _ packet: inout PacketBuffer, _ plain: PlainPacket, _ tracker: inout ConnectionTracker
  ) {
    guard let ends = tracker.tuple(plain.connection, plain.direction.opposite).inverted else {
      return
    }
    let change =
      replace(&packet, at: IPv6Field.source, with: ends.source)
      &+ replace(&packet, at: IPv6Field.destination, with: ends.destination)
    let oldPorts = packet.uint32(at: IPv6Field.length)
    let ports = UInt32(ends.sourcePort) << 16 | UInt32(ends.destinationPort)
    packet.store32(ports, at: IPv6Field.length)
    rewriteTransport(
      &packet, plain, at: IPv6Field.length, change &+ UInt64(~oldPorts) &+ UInt64(ports))
  }

  /// Puts an IPv6 address in the place of another.
  /// - Returns: what the change adds to a checksum's sum.
  @inline(__always)
  private static func replace(
    _ packet: inout PacketBuffer, at offset: Int, with new: IPAddress
  ) -> UInt64 {
    let (high, low) = (packet.uint64(at: offset), packet.uint64(at: offset + 8))
    packet.store64(new.high, at: offset)
    packet.store64(new.low, at: offset + 8)
    return (~high >> 32) &+ (~high & 0xffff_ffff) &+ (~low >> 32) &+ (~low & 0xffff_ffff)
      &+ (new.high >> 32) &+ (new.high & 0xffff_ffff) &+ (new.low >> 32)
      &+ (new.low & 0xffff_ffff)
  }

  @inline(__always)
  private static func rewriteTransport(
    _ packet: inout PacketBuffer, _ plain: PlainPacket, at offset: Int, _ change: UInt64
  ) {
    if plain.isTCP {
      let checksum = packet.uint16(at: offset &+ TCPField.checksum)
      packet.store16(updated(checksum, change), at: offset &+ TCPField.checksum)
      return
    }
    let checksum = packet.uint16(at: offset &+ UDPField.checksum)
    if checksum == 0 { return }
    packet.store16(
      InternetChecksum.udp(updated(checksum, change)), at: offset &+ UDPField.checksum)
  }

  /// As `InternetChecksum.updated`, for several words at once: the sum of the old ones' complements and
  /// the new ones. One after the other comes to the same, since no step's result is ever 0xffff.
  @inline(__always)
  private static func updated(_ checksum: UInt16, _ change: UInt64) -> UInt16 {
    ~InternetChecksum.fold(0xffff &+ UInt64(~checksum) &+ change)
  }
}
