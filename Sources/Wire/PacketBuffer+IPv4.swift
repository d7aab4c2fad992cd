// Changes of an IPv4 or IPv6 header in place that forwarding makes, with the checksum kept right.

extension PacketBuffer {
  /// Computes the IPv4 header checksum afresh. The header must lie in the bytes in use.
  public mutating func updateIPv4HeaderChecksum() {
    let length = Int(uint8(at: 0) & 0xf) * 4
    precondition(length >= IPv4Field.minimumLength && length <= count)
    store16(0, at: IPv4Field.checksum)
    let sum = InternetChecksum.sum(bytes, from: 0, to: length)
    store16(InternetChecksum.checksum(sum), at: IPv4Field.checksum)
  }

  /// Takes one from the IPv4 time to live and mends the checksum as a router does (RFC 1624 section
  /// 4). The time to live must not be 0.
  @inlinable
  public mutating func decrementIPv4TimeToLive() {
    let old = uint8(at: IPv4Field.timeToLive)
    precondition(old > 0)
    store8(old &- 1, at: IPv4Field.timeToLive)
    // The TTL is the high byte of its word: one less there is 0x0100 more in the complement. The
    // kernel never leaves 0xffff.
    let sum = UInt32(uint16(at: IPv4Field.checksum)) &+ 0x0100
    store16(UInt16(truncatingIfNeeded: sum &+ (sum >= 0xffff ? 1 : 0)), at: IPv4Field.checksum)
  }

  /// Takes one from the IPv6 hop limit, which must not be 0.
  @inlinable
  public mutating func decrementIPv6HopLimit() {
    let old = uint8(at: IPv6Field.hopLimit)
    precondition(old > 0)
    store8(old &- 1, at: IPv6Field.hopLimit)
  }
}
