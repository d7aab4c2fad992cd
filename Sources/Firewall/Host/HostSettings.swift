// The kernel settings that decide what happens to a packet beside the rules, typed, with the defaults
// of today's kernel (6.x). Filled in from `Sysctls` once; the packet path reads plain fields.

/// How the source of a packet is checked against the way back to it (RFC 3704; `rp_filter`).
@frozen
public enum ReversePathFilter: UInt8, Hashable, Sendable, BitwiseCopyable {
  case off = 0
  /// The way back must leave through the interface the packet came in by.
  case strict = 1
  /// There must be a way back.
  case loose = 2
}

/// What is in force on one interface: `conf.all` and its own values combined as the kernel does.
@frozen
public struct InterfaceSettings: Hashable, Sendable, BitwiseCopyable {
  /// Packets that come in here may be forwarded. A snapshot that says nothing of forwarding is
  /// taken for a router's.
  public var forwardsIPv4 = true
  public var forwardsIPv6 = true
  /// The host is a router on this link: it takes what is sent to all routers. Forwarding is asked
  /// of `conf.all`, this of the interface itself.
  public var isIPv6Router = true
  public var reversePathFilter = ReversePathFilter.off
  /// Packets with a source route option are let in.
  public var acceptsSourceRoute = false
  public var sendsRedirects = true
  public var logsMartians = false
  /// 127.0.0.0/8 is an address like any other.
  public var routesLocalnet = false
  /// Packets from the host's own addresses are let in.
  public var acceptsLocal = false
  /// Directed broadcasts are forwarded.
  public var forwardsBroadcasts = false
  public var isIPv6Disabled = false
  /// Nil: the interface's MTU.
  public var ipv6MTU: Int?
  /// Of IPv6 packets the host itself sends.
  public var hopLimit: UInt8 = 64
  /// 2 and more: temporary addresses are preferred as source.
  public var useTemporaryAddresses = 0

  @inlinable public init() {}
}

/// A set of ICMPv6 error and information types; types above 127 are not in any.
@frozen
public struct ICMPv6TypeSet: Hashable, Sendable, BitwiseCopyable {
  /// Bit N for type N.
  public var low: UInt64
  /// Bit N for type 64 + N.
  public var high: UInt64

  @inlinable
  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  @inlinable
  public func contains(_ type: UInt8) -> Bool {
    switch type {
    case 0..<64: low >> UInt64(type) & 1 != 0
    case 64..<128: high >> UInt64(type - 64) & 1 != 0
    default: false
    }
  }
}

/// What is in force on the whole host.
@frozen
public struct HostSettings: Hashable, Sendable, BitwiseCopyable {
  /// Of IPv4 packets the host itself sends.
  public var defaultTTL: UInt8 = 64
  /// Least time between two limited ICMP messages to one destination; 0 for no limit.
  public var icmpRateLimitNanoseconds: Int64 = 1_000_000_000
  /// Which ICMP types are limited: bit N for type N.
  public var icmpRateMask: UInt32 = 6168
  /// ICMP messages a second to all destinations together, and how many at once.
  public var icmpMessagesPerSecond = 1_000
  public var icmpMessagesBurst = 50
  public var icmpEchoIgnoreAll = false
  public var icmpEchoIgnoreBroadcasts = true
  /// The source of an ICMP error is an address of the interface its cause came in by.
  public var icmpErrorsUseInboundAddress = false
  /// What the host answers a packet with gets that packet's mark (`fwmark_reflect`).
  public var reflectsMarkIPv4 = false
  public var reflectsMarkIPv6 = false
  public var icmpv6RateLimitNanoseconds: Int64 = 100_000_000
  /// Which ICMPv6 types are limited.
  public var icmpv6RateMask = ICMPv6TypeSet(low: .max & ~(1 << 2), high: .max)
  public var icmpv6EchoIgnoreAll = false
  public var icmpv6EchoIgnoreMulticast = false
  public var icmpv6EchoIgnoreAnycast = false
  /// How long fragments wait for the rest.
  public var ipv4FragmentTimeoutNanoseconds: Int64 = 30_000_000_000
  public var ipv6FragmentTimeoutNanoseconds: Int64 = 60_000_000_000
  public var ipv4FragmentMaxDistance = 64
  public var ipv4FragmentHighThreshold = 4_194_304

  @inlinable public init() {}

}
