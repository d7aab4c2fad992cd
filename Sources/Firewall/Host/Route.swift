// One route as a machine's tables hold it: what the snapshot reader fills in and `RoutingTable` is
// compiled from.

import Wire

/// What becomes of packets a route matches; the values are rtnetlink's (rtnetlink(7), `rtm_type`).
@frozen
public enum RouteType: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case unicast = 1
  /// An address of this host.
  case local = 2
  /// Taken by this host as a broadcast.
  case broadcast = 3
  /// An address of this host that others have too (IPv6: the subnet's routers).
  case anycast = 4
  case multicast = 5
  /// Dropped without a word.
  case blackhole = 6
  /// Refused: host unreachable.
  case unreachable = 7
  /// Refused: administratively prohibited.
  case prohibit = 8
  /// The search goes on in the next table.
  case throwToNextTable = 9

  /// The type as ip-route(8) spells it.
  public var name: String {
    switch self {
    case .unicast: "unicast"
    case .local: "local"
    case .broadcast: "broadcast"
    case .anycast: "anycast"
    case .multicast: "multicast"
    case .blackhole: "blackhole"
    case .unreachable: "unreachable"
    case .prohibit: "prohibit"
    case .throwToNextTable: "throw"
    }
  }

  public init?(name: String) {
    guard let type = RouteType.allCases.first(where: { $0.name == name }) else { return nil }
    self = type
  }
}

/// The tables of a machine without rules of its own (ip-rule(8)), in the order they are asked.
@frozen
public enum RouteTableName: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case local
  case main
  case defaultTable
}

/// One way a route's packets can go.
@frozen
public struct RouteHop: Hashable, Sendable, BitwiseCopyable {
  /// The interface, by its place in `HostConfiguration.interfaces`; nil where the route has none.
  public var interface: Int?
  /// The next machine; nil where the destination is on the link.
  public var gateway: IPAddress?
  /// The family of `gateway`: an IPv4 route may go by an IPv6 neighbour.
  public var gatewayFamily: AddressFamily
  /// How many of all the weights together, at least 1.
  public var weight: Int

  @inlinable
  public init(
    interface: Int?, gateway: IPAddress? = nil, gatewayFamily: AddressFamily = .ipv4,
    weight: Int = 1
  ) {
    self.interface = interface
    self.gateway = gateway
    self.gatewayFamily = gatewayFamily
    self.weight = weight
  }
}

/// One route of one table.
public struct Route: Hashable, Sendable {
  public var prefix: IPPrefix
  public var type: RouteType
  public var table: RouteTableName
  /// Of two routes to the same prefix the one with the lower metric is used.
  public var metric: UInt32
  /// `src`: the address this host's own packets get.
  public var preferredSource: IPAddress?
  /// The metric `mtu`; nil for the interface's own.
  public var mtu: Int?
  /// More than one for a multipath route; none for `blackhole` and its kin.
  public var hops: [RouteHop]

  public init(
    _ prefix: IPPrefix, type: RouteType = .unicast, table: RouteTableName = .main,
    metric: UInt32 = 0, preferredSource: IPAddress? = nil, mtu: Int? = nil, hops: [RouteHop] = []
  ) {
    self.prefix = prefix
    self.type = type
    self.table = table
    self.metric = metric
    self.preferredSource = preferredSource
    self.mtu = mtu
    self.hops = hops
  }
}
