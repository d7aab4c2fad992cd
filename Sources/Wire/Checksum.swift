// The internet checksum (RFC 1071), whole and incremental (RFC 1624): for validating what comes in,
// for rewriting by NAT and for building packets.

/// The internet checksum's arithmetic.
///
/// A *sum* is an unfolded `UInt64` of big-endian 16-bit words. Sums of parts may be added as long as
/// every part but the last has an even length; 2^32 words fit without overflow.
public enum InternetChecksum {
  /// The sum of `bytes`, an odd last byte padded with zero, added to `initial`. Linear in length.
  @inlinable
  public static func sum(_ bytes: RawSpan, initial: UInt64 = 0) -> UInt64 {
    sum(bytes, from: 0, to: bytes.byteCount, initial: initial)
  }

  /// The sum of the bytes from `start` to before `end`. Traps when they do not lie in the span.
  @inlinable
  public static func sum(
    _ bytes: RawSpan, from start: Int, to end: Int, initial: UInt64 = 0
  ) -> UInt64 {
    precondition(start >= 0 && start <= end && end <= bytes.byteCount)
    // Words are added as the machine loads them, 32 bits to an accumulator of 64 that cannot
    // overflow below 2^35 bytes; the byte order is put right once, at the end (RFC 1071 section 2).
    var a: UInt64 = 0
    var b: UInt64 = 0
    var at = start
    while at &+ 16 <= end {
      // In bounds by the loop's condition and the precondition; unaligned loads.
      let x = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: UInt64.self)
      // As above.
      let y = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: at &+ 8, as: UInt64.self)
      a &+= (x & 0xffff_ffff) &+ (y & 0xffff_ffff)
      b &+= (x >> 32) &+ (y >> 32)
      at &+= 16
    }
    var total = UInt64(UInt16(foldedOnce(a &+ b)).bigEndian) &+ initial
    // Fewer than 16 bytes are left: one step of each size at most.
    if at &+ 8 <= end {
      let word = bytes.uint64(at: at)
      total &+= (word >> 32) &+ (word & 0xffff_ffff)
      at &+= 8
    }
    if at &+ 4 <= end {
      total &+= UInt64(bytes.uint32(at: at))
      at &+= 4
    }
    if at &+ 2 <= end {
      total &+= UInt64(bytes.uint16(at: at))
      at &+= 2
    }
    if at < end { total &+= UInt64(bytes.uint8(at: at)) << 8 }
    return total
  }

  /// The sum brought into 16 bits, not complemented. Nonzero for every nonzero sum.
  @inlinable @inline(__always)
  public static func fold(_ sum: UInt64) -> UInt16 {
    UInt16(truncatingIfNeeded: foldedOnce(sum))
  }

  /// The checksum field's value for a sum: the complement of its fold.
  @inlinable @inline(__always)
  public static func checksum(_ sum: UInt64) -> UInt16 { ~fold(sum) }

  /// 64 bits brought into 16 by end-around carry.
  @inlinable @inline(__always)
  static func foldedOnce(_ sum: UInt64) -> UInt64 {
    var value = (sum & 0xffff_ffff) &+ (sum >> 32)  // at most 33 bits
    value = (value & 0xffff) &+ (value >> 16)  // at most 18 bits
    value = (value & 0xffff) &+ (value >> 16)  // at most 17 bits
    return (value & 0xffff) &+ (value >> 16)
  }

  /// The pseudo header's sum for both families: RFC 9293 section 3.1 and RFC 8200 section 8.1 come
  /// to the same number, an IPv4 address being the low 32 bits of `IPAddress`.
  ///
  /// - Parameter length: of the transport header and its data, in bytes.
  @inlinable @inline(__always)
  public static func pseudoHeader(
    source: IPAddress, destination: IPAddress, transportProtocol: UInt8, length: Int
  ) -> UInt64 {
    words(source) &+ words(destination) &+ UInt64(transportProtocol)
      &+ UInt64(truncatingIfNeeded: length)
  }

  /// The sum of an address.
  @inlinable @inline(__always)
  static func words(_ address: IPAddress) -> UInt64 {
    (address.high >> 32) &+ (address.high & 0xffff_ffff)
      &+ (address.low >> 32) &+ (address.low & 0xffff_ffff)
  }

  /// Whether the 20 bytes or more of an IPv4 header add up. Traps outside the span.
  @inlinable @inline(__always)
  public static func ipv4HeaderIsValid(_ bytes: RawSpan, at offset: Int, length: Int) -> Bool {
    // Without options, as nearly all are: no loop. The order of bytes does not matter to the test
    // for all ones.
    let a = bytes.uint64(at: offset)
    let b = bytes.uint64(at: offset &+ 8)
    var total =
      (a >> 32) &+ (a & 0xffff_ffff) &+ (b >> 32) &+ (b & 0xffff_ffff)
      &+ UInt64(bytes.uint32(at: offset &+ 16))
    if length > IPv4Field.minimumLength {
      total = sum(
        bytes, from: offset &+ IPv4Field.minimumLength, to: offset &+ length, initial: total)
    }
    return fold(total) == 0xffff
  }
}

// MARK: - Incremental update

extension InternetChecksum {
  /// The checksum after a 16-bit word that it covers changed (RFC 1624 equation 3).
  ///
  /// Never 0xffff, like the kernel's. UDP's rule for a result of 0 is `udp(_:)`.
  @inlinable @inline(__always)
  public static func updated(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
    // 0xffff is zero in this arithmetic; it keeps a sum of nothing from folding to 0, as the
    // kernel's 32-bit form of the equation does.
    ~fold(0xffff &+ UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
  }

  /// As for 16 bits: the checksum after a 32-bit word at an even offset changed.
  @inlinable @inline(__always)
  public static func updated(_ checksum: UInt16, from old: UInt32, to new: UInt32) -> UInt16 {
    ~fold(0xffff &+ UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
  }

  /// As for 16 bits: the checksum after an address of either family changed.
  @inlinable @inline(__always)
  public static func updated(
    _ checksum: UInt16, from old: IPAddress, to new: IPAddress
  ) -> UInt16 {
    // The complement of IPv4's zero upper bits is all ones: zero in this arithmetic.
    let complement = IPAddress(high: ~old.high, low: ~old.low)
    return ~fold(0xffff &+ UInt64(~checksum) &+ words(complement) &+ words(new))
  }

  /// A computed UDP checksum as it goes on the wire: 0 would mean none (RFC 768).
  @inlinable @inline(__always)
  public static func udp(_ checksum: UInt16) -> UInt16 { checksum == 0 ? 0xffff : checksum }
}

// MARK: - Transport checksums

extension InternetChecksum {
  /// Whether the transport checksum of a whole packet (no fragment) is right, as connection
  /// tracking asks it: TCP, UDP, UDP-Lite, ICMP over IPv4, ICMPv6 over IPv6. True for everything
  /// else (SCTP's is `CRC32c.sctpIsValid`), and for UDP of both families with checksum 0.
  ///
  /// The length summed is that of the IP payload, even where a UDP header says less. False when the
  /// packet is too short to hold the checksum.
  public static func transportIsValid(_ bytes: RawSpan, headers: PacketHeaders) -> Bool {
    let start = headers.transportOffset
    let end = headers.end
    guard start >= 0, end <= bytes.byteCount else { return false }
    let length = end &- start
    switch (headers.transportProtocol, headers.family) {
    case (IPProtocolNumber.tcp, _):
      guard length >= TCPField.minimumLength else { return false }
      if start == (headers.family == .ipv4 ? IPv4Field.minimumLength : IPv6Field.length) {
        return addsUp(bytes, at: start, end: end, IPProtocolNumber.tcp, headers.family)
      }
      return addsUp(bytes, headers, IPProtocolNumber.tcp, length: length, covered: length)
    case (IPProtocolNumber.udp, _):
      guard length >= UDPField.headerLength else { return false }
      if bytes.uint16(at: start &+ UDPField.checksum) == 0 { return true }
      if start == (headers.family == .ipv4 ? IPv4Field.minimumLength : IPv6Field.length) {
        return addsUp(bytes, at: start, end: end, IPProtocolNumber.udp, headers.family)
      }
      return addsUp(bytes, headers, IPProtocolNumber.udp, length: length, covered: length)
    case (IPProtocolNumber.udpLite, _):
      guard length >= UDPField.headerLength,
        bytes.uint16(at: start &+ UDPField.checksum) != 0
      else { return false }
      // RFC 3828 section 3.1: 0 covers all; 1 to 7 and more than there is are errors.
      var coverage = Int(bytes.uint16(at: start &+ UDPField.length))
      if coverage == 0 { coverage = length }
      guard coverage >= UDPField.headerLength, coverage <= length else { return false }
      // Linux puts UDP's number in this pseudo header, against the RFC, and so finds packets with
      // 136 there invalid; and of IPv4 packets only the length's lower byte. Asked of 6.18.
      let counted = headers.family == .ipv4 ? length & 0xff : length
      return addsUp(bytes, headers, IPProtocolNumber.udp, length: counted, covered: coverage)
    case (IPProtocolNumber.icmp, .ipv4):
      guard length >= 4 else { return false }
      return fold(sum(bytes, from: start, to: end)) == 0xffff
    case (IPProtocolNumber.icmpv6, .ipv6):
      guard length >= 4 else { return false }
      return addsUp(bytes, headers, IPProtocolNumber.icmpv6, length: length, covered: length)
    default:
      return true
    }
  }

  /// Whether the TCP segment or UDP datagram from `start` to before `end` adds up with its pseudo header,
  /// in a packet that has nothing between IP header and it: what `transportIsValid` finds of these.
  ///
  /// Traps unless they lie in the span and are 8 bytes at least.
  @inlinable @inline(__always)
  public static func addsUp(
    _ bytes: RawSpan, at start: Int, end: Int, _ transportProtocol: UInt8, _ family: AddressFamily
  ) -> Bool {
    precondition(start >= 20 && end <= bytes.byteCount && end &- start >= 8)
    // Words as the machine loads them: the order of bytes does not matter to the test for all ones, as
    // long as what does not come from the packet is turned round (RFC 1071 section 2).
    var total =
      UInt64(UInt16(truncatingIfNeeded: end &- start).bigEndian)
      &+ UInt64(UInt16(transportProtocol).bigEndian)
    if family == .ipv4 {
      total = added(total, word(bytes, IPv4Field.source))
    } else {
      total = added(total, word(bytes, IPv6Field.source))
      total = added(total, word(bytes, IPv6Field.source &+ 8))
      total = added(total, word(bytes, IPv6Field.destination))
      total = added(total, word(bytes, IPv6Field.destination &+ 8))
    }
    var at = start
    while at &+ 8 <= end {
      total = added(total, word(bytes, at))
      at &+= 8
    }
    if at < end {
      // The last eight bytes, those already summed shifted out; an odd end is padded with zero.
      total = added(
        total, word(bytes, end &- 8) &>> (UInt64(truncatingIfNeeded: at &+ 8 &- end) &* 8))
    }
    return fold(total) == 0xffff
  }

  /// The eight bytes at `offset` as the machine loads them.
  @inlinable @inline(__always)
  static func word(_ bytes: RawSpan, _ offset: Int) -> UInt64 {
    precondition(offset >= 0 && offset <= bytes.byteCount &- 8)
    // In bounds by the precondition; the load is unaligned.
    return unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
  }

  /// The sum of two with the carry brought round.
  @inlinable @inline(__always)
  static func added(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let (sum, carry) = a.addingReportingOverflow(b)
    return sum &+ (carry ? 1 : 0)
  }

  /// Whether pseudo header, with `length` in it, and the transport's first `covered` bytes add up to
  /// all ones.
  static func addsUp(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ transportProtocol: UInt8, length: Int,
    covered: Int
  ) -> Bool {
    let pseudo = pseudoHeader(
      source: headers.source, destination: headers.destination,
      transportProtocol: transportProtocol, length: length)
    let start = headers.transportOffset
    return fold(sum(bytes, from: start, to: start &+ covered, initial: pseudo)) == 0xffff
  }
}
