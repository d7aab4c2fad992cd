// Addresses of both families as one plain value, for every layer above. An address is 128 bits; an
// IPv4 address is the low 32 of them. Which family it is of is said once, by whoever holds it.

/// The two address families, by the numbers Linux gives them (`AF_INET`, `AF_INET6`).
@frozen
public enum AddressFamily: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case ipv4 = 2
  case ipv6 = 10

  /// The length of an address in bits: 32 or 128.
  @inlinable public var addressBits: Int { self == .ipv4 ? 32 : 128 }
}

/// An IPv4 or IPv6 address in host byte order: an IPv4 address is the low 32 bits of `low`.
@frozen
public struct IPAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var high: UInt64
  public var low: UInt64

  @inlinable public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  @inlinable public init(ipv4: UInt32) {
    self.init(high: 0, low: UInt64(ipv4))
  }

  /// The IPv4 address: the low 32 bits.
  @inlinable public var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

  @inlinable public static var any: IPAddress { IPAddress(high: 0, low: 0) }

  @inlinable public static func < (a: IPAddress, b: IPAddress) -> Bool {
    a.high != b.high ? a.high < b.high : a.low < b.low
  }

  /// The address with all but its first `prefixLength` bits cleared.
  @inlinable public func masked(_ prefixLength: Int, _ family: AddressFamily) -> IPAddress {
    let mask = IPAddress.mask(prefixLength, family)
    return IPAddress(high: high & mask.high, low: low & mask.low)
  }

  /// The netmask of `prefixLength` bits (0 to 32 or 128).
  @inlinable public static func mask(_ prefixLength: Int, _ family: AddressFamily) -> IPAddress {
    switch family {
    case .ipv4:
      // A shift by 32 or more gives zero, as a mask of length 0 should.
      return IPAddress(ipv4: UInt32.max << UInt32(32 - prefixLength))
    case .ipv6:
      return IPAddress(
        high: prefixLength >= 64 ? .max : UInt64.max << UInt64(64 - prefixLength),
        low: prefixLength <= 64 ? 0 : UInt64.max << UInt64(128 - prefixLength))
    }
  }
}

/// A network: an address and how many leading bits of it count.
@frozen
public struct IPPrefix: Hashable, Sendable, BitwiseCopyable {
  public var address: IPAddress
  public var length: Int
  public var family: AddressFamily

  /// Bits of `address` beyond `length` are cleared.
  @inlinable public init(_ address: IPAddress, length: Int, family: AddressFamily) {
    self.address = address.masked(length, family)
    self.length = length
    self.family = family
  }

  @inlinable public func contains(_ other: IPAddress) -> Bool {
    other.masked(length, family) == address
  }
}
