// One interface of a machine, as `ip addr` shows it, with the settings that bear on its packets: what
// rules, routing and the choice of a source address look at.

import Wire

/// How far an address is good for; the values are rtnetlink's: the smaller, the further.
@frozen
public struct AddressScope: Hashable, Comparable, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// `global`: valid everywhere.
  @inlinable public static var global: Self { .init(rawValue: 0) }
  @inlinable public static var site: Self { .init(rawValue: 200) }
  @inlinable public static var link: Self { .init(rawValue: 253) }
  @inlinable public static var host: Self { .init(rawValue: 254) }

  @inlinable public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// One address of an interface.
public struct InterfaceAddress: Hashable, Sendable {
  public var address: IPAddress
  public var family: AddressFamily
  public var prefixLength: Int
  /// The other end of a point-to-point address; the network is then the peer's.
  public var peer: IPAddress?
  /// IPv4 only; nil where none is set, which does not mean that the network has none.
  public var broadcast: IPAddress?
  public var scope: AddressScope
  /// IPv4: not the first address of its network, so never chosen by itself.
  public var isSecondary: Bool
  /// IPv6: the lifetime in which it is preferred has passed.
  public var isDeprecated: Bool
  /// IPv6: not yet, or not, known to be ours alone: no packets leave from it.
  public var isTentative: Bool
  /// IPv6: made for privacy (RFC 8981).
  public var isTemporary: Bool

  public init(
    _ address: IPAddress, _ family: AddressFamily, prefixLength: Int, peer: IPAddress? = nil,
    broadcast: IPAddress? = nil, scope: AddressScope = .global, isSecondary: Bool = false,
    isDeprecated: Bool = false, isTentative: Bool = false, isTemporary: Bool = false
  ) {
    self.address = address
    self.family = family
    self.prefixLength = prefixLength
    self.peer = peer
    self.broadcast = broadcast
    self.scope = scope
    self.isSecondary = isSecondary
    self.isDeprecated = isDeprecated
    self.isTentative = isTentative
    self.isTemporary = isTemporary
  }

  /// The network the address is in.
  public var network: IPPrefix { IPPrefix(peer ?? address, length: prefixLength, family: family) }
}

/// The flags of an interface that matter to its packets (netdevice(7)).
@frozen
public struct InterfaceFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  @inlinable public static var up: Self { .init(rawValue: 1 << 0) }
  @inlinable public static var broadcast: Self { .init(rawValue: 1 << 1) }
  @inlinable public static var loopback: Self { .init(rawValue: 1 << 3) }
  @inlinable public static var pointToPoint: Self { .init(rawValue: 1 << 4) }
  @inlinable public static var noARP: Self { .init(rawValue: 1 << 7) }
  @inlinable public static var multicast: Self { .init(rawValue: 1 << 12) }
}

/// One interface of the host.
public struct HostInterface: Hashable, Sendable {
  public var name: String
  /// The kernel's number for it; 0 where unknown.
  public var kernelIndex: Int
  /// Its own link-layer address, the low 48 bits; nil for links without, and where unknown.
  public var macAddress: UInt64?
  /// The longest packet it sends, bytes of layer 3.
  public var mtu: Int
  public var flags: InterfaceFlags
  /// The kind of link as `ip` prints it: `ether`, `loopback`, `none`, …; empty where unknown.
  public var linkType: String
  /// In the kernel's order, which decides between equals.
  public var addresses: [InterfaceAddress]
  /// The settings in force, `conf.all` and the interface's own combined.
  public internal(set) var settings = InterfaceSettings()

  /// The longest IPv6 packet it sends (`net.ipv6.conf.NAME.mtu`).
  var ipv6MTU: Int { settings.ipv6MTU.map { min($0, mtu) } ?? mtu }

  /// Whether it is `lo` or its like.
  public var isLoopback: Bool { flags.contains(.loopback) || name == "lo" }

  public init(
    name: String, kernelIndex: Int = 0, macAddress: UInt64? = nil, mtu: Int = 1500,
    flags: InterfaceFlags = [.up, .broadcast, .multicast], linkType: String = "",
    addresses: [InterfaceAddress] = []
  ) {
    self.name = name
    self.kernelIndex = kernelIndex
    self.macAddress = macAddress
    self.mtu = mtu
    self.flags = flags
    self.linkType = linkType
    self.addresses = addresses
  }
}
