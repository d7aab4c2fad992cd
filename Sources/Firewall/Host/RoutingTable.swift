// All routes of a machine compiled for lookup: the firewall asks it where a packet goes. The tables
// local, main and default are merged at compile time, so a lookup is one binary search.

import Wire

/// What a lookup found.
@frozen
public struct RouteResult: Hashable, Sendable, BitwiseCopyable {
  public var type: RouteType
  /// The interface, by its place in `HostConfiguration.interfaces`; nil where the route has none.
  public var interface: Int?
  /// The next machine; nil where the destination is on the link.
  public var gateway: IPAddress?
  /// The family of `gateway`.
  public var gatewayFamily: AddressFamily
  /// The address this host's own packets get; nil where the route leaves it to the interface.
  public var preferredSource: IPAddress?
  /// The route's own MTU in bytes; nil for the interface's.
  public var mtu: Int?

  @inlinable
  public init(
    type: RouteType, interface: Int?, gateway: IPAddress? = nil,
    gatewayFamily: AddressFamily = .ipv4, preferredSource: IPAddress? = nil, mtu: Int? = nil
  ) {
    self.type = type
    self.interface = interface
    self.gateway = gateway
    self.gatewayFamily = gatewayFamily
    self.preferredSource = preferredSource
    self.mtu = mtu
  }

  /// Whom the packet is handed to on the link.
  @inlinable
  public func nextHop(to destination: IPAddress) -> IPAddress { gateway ?? destination }
}

/// The routes of both families, compiled.
///
/// The address space is cut into ranges that share one answer, kept sorted: a lookup is a binary
/// search, O(log routes), and allocates nothing. Compiling is O(routes × log routes).
public struct RoutingTable: Sendable {
  /// What it was compiled from, both families.
  public let routes: [Route]
  /// Whether the family's routes are known. If not, lookups give the host's own addresses at most,
  /// and nil says nothing.
  public let knowsIPv4: Bool
  public let knowsIPv6: Bool

  /// Where each range starts (the first at 0), and the route for it: `routes` index or `none`.
  private let starts4: [UInt32]
  private let answers4: [Int32]
  private let starts6: [IPAddress]
  private let answers6: [Int32]

  private static let none: Int32 = -1

  /// Nothing is known: no routes of either family.
  public init() {
    self.init(ipv4: nil, ipv6: nil)
  }

  /// Nil for a family of which nothing is known. Routes must be of the family they are given for.
  ///
  /// Of several routes with the same table, prefix and metric the first is used, as the kernel
  /// uses the first in its list.
  public init(ipv4: [Route]?, ipv6: [Route]?) {
    self.init(
      ipv4: ipv4 ?? [], ipv6: ipv6 ?? [], knowsIPv4: ipv4 != nil, knowsIPv6: ipv6 != nil)
  }

  /// A host may know its own addresses and nothing else of its routes.
  init(ipv4: [Route], ipv6: [Route], knowsIPv4: Bool, knowsIPv6: Bool) {
    precondition(ipv4.allSatisfy { $0.prefix.family == .ipv4 })
    precondition(ipv6.allSatisfy { $0.prefix.family == .ipv6 })
    self.knowsIPv4 = knowsIPv4
    self.knowsIPv6 = knowsIPv6
    routes = ipv4 + ipv6
    let ranges4 = RouteRanges(routes: ipv4, numberedFrom: 0, family: .ipv4)
    let ranges6 = RouteRanges(routes: ipv6, numberedFrom: ipv4.count, family: .ipv6)
    starts4 = ranges4.starts.map(\.ipv4)
    answers4 = ranges4.answers
    starts6 = ranges6.starts
    answers6 = ranges6.answers
  }

  /// Whether the family's routes are known.
  @inlinable
  public func knows(_ family: AddressFamily) -> Bool {
    family == .ipv4 ? knowsIPv4 : knowsIPv6
  }

  /// The route to `destination`, or nil where there is none.
  ///
  /// Of a multipath route, `flowHash` picks the way in proportion to the weights; 0 gives the
  /// first. The kernel hashes addresses with a secret of its own, so which way it takes cannot be
  /// known: Weir takes one of the same set.
  public func lookup(
    _ destination: IPAddress, _ family: AddressFamily, flowHash: UInt32 = 0
  ) -> RouteResult? {
    let answer =
      switch family {
      case .ipv4: answers4[RoutingTable.rangeHolding(destination.ipv4, starts4)]
      case .ipv6: answers6[RoutingTable.rangeHolding(destination, starts6)]
      }
    guard answer != RoutingTable.none else { return nil }
    return result(of: routes[Int(answer)], flowHash: flowHash)
  }

  /// The route to `destination` among those of `interface` alone: what link-local addresses need,
  /// since every link has those. Tables local and main. O(routes).
  public func lookup(
    _ destination: IPAddress, _ family: AddressFamily, through interface: Int
  ) -> RouteResult? {
    for table in [RouteTableName.local, .main] {
      var best: (route: Route, hop: RouteHop)?
      for route in routes
      where route.table == table && route.prefix.family == family
        && route.prefix.contains(destination)
      {
        guard let hop = route.hops.first(where: { $0.interface == interface }) else { continue }
        if let known = best?.route,
          (known.prefix.length, route.metric) >= (route.prefix.length, known.metric)
        {
          continue
        }
        best = (route, hop)
      }
      if let best { return RoutingTable.result(best.route, best.hop) }
    }
    return nil
  }

  /// Whether a route to `address` may leave through `interface`, by any of its ways: what the
  /// strict reverse path filter asks (RFC 3704, 2.2).
  public func reaches(
    _ address: IPAddress, _ family: AddressFamily, through interface: Int
  ) -> Bool {
    let answer =
      switch family {
      case .ipv4: answers4[RoutingTable.rangeHolding(address.ipv4, starts4)]
      case .ipv6: answers6[RoutingTable.rangeHolding(address, starts6)]
      }
    guard answer != RoutingTable.none else { return false }
    return routes[Int(answer)].hops.contains { $0.interface == interface }
  }

  private func result(of route: Route, flowHash: UInt32) -> RouteResult {
    guard route.hops.count > 1 else {
      return RoutingTable.result(route, route.hops.first ?? RouteHop(interface: nil))
    }
    let total = route.hops.reduce(0) { $0 + $1.weight }
    // The hash as a point on a line as long as all weights together.
    var point = Int((UInt64(flowHash) * UInt64(total)) >> 32)
    for hop in route.hops {
      point -= hop.weight
      if point < 0 { return RoutingTable.result(route, hop) }
    }
    return RoutingTable.result(route, route.hops[0])
  }

  private static func result(_ route: Route, _ hop: RouteHop) -> RouteResult {
    RouteResult(
      type: route.type, interface: hop.interface, gateway: hop.gateway,
      gatewayFamily: hop.gatewayFamily, preferredSource: route.preferredSource, mtu: route.mtu)
  }

  /// The last range that starts at or before `value`; the first starts at 0.
  private static func rangeHolding<Value: Comparable>(_ value: Value, _ starts: [Value]) -> Int {
    var low = 0
    var high = starts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= value { low = middle } else { high = middle }
    }
    return low
  }
}
