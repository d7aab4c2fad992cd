// What a NAT rule asks for: the addresses and ports a binding may be chosen from.

import Wire

/// Which end of a connection a binding rewrites.
@frozen
public enum NATKind: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// SNAT and MASQUERADE: the source of original packets.
  case source
  /// DNAT and REDIRECT: the destination of original packets.
  case destination
}

/// The range a NAT rule gives (iptables-extensions(8), SNAT, DNAT, MASQUERADE, REDIRECT).
@frozen
public struct NATRange: Hashable, Sendable, BitwiseCopyable {
  @frozen
  public struct Options: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The range has addresses: map into them.
    @inlinable public static var mapAddresses: Self { .init(rawValue: 1 << 0) }
    /// The range has ports: map into them.
    @inlinable public static var portsSpecified: Self { .init(rawValue: 1 << 1) }
    /// `--random`
    @inlinable public static var random: Self { .init(rawValue: 1 << 2) }
    /// `--persistent`
    @inlinable public static var persistent: Self { .init(rawValue: 1 << 3) }
    /// `--random-fully`
    @inlinable public static var randomFully: Self { .init(rawValue: 1 << 4) }
    /// `:min-max/base`: the port's distance from `basePort` is kept.
    @inlinable public static var portOffset: Self { .init(rawValue: 1 << 5) }
  }

  public var options: Options
  public var minAddress: IPAddress
  public var maxAddress: IPAddress
  public var minPort: UInt16
  public var maxPort: UInt16
  public var basePort: UInt16

  @inlinable public init(
    options: Options = [], minAddress: IPAddress = .any, maxAddress: IPAddress = .any,
    minPort: UInt16 = 0, maxPort: UInt16 = 0, basePort: UInt16 = 0
  ) {
    self.options = options
    self.minAddress = minAddress
    self.maxAddress = maxAddress
    self.minPort = minPort
    self.maxPort = maxPort
    self.basePort = basePort
  }

  /// The range of a NETMAP for one address: the bits in which the range's ends agree are theirs, the
  /// others the address's own.
  @inlinable public func mapping(_ address: IPAddress, _ family: AddressFamily) -> NATRange {
    var mapped = self
    if family == .ipv4 {
      let free = minAddress.ipv4 ^ maxAddress.ipv4
      mapped.minAddress = IPAddress(ipv4: minAddress.ipv4 & ~free | address.ipv4 & free)
    } else {
      let high = minAddress.high ^ maxAddress.high
      let low = minAddress.low ^ maxAddress.low
      mapped.minAddress = IPAddress(
        high: minAddress.high & ~high | address.high & high,
        low: minAddress.low & ~low | address.low & low)
    }
    mapped.maxAddress = mapped.minAddress
    return mapped
  }
}
