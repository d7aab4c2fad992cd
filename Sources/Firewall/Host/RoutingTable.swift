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

  /// For what the host itself sends: an address it shares with others is its own.
  var anycastIsLocal: RouteResult {
    var route = self
    if type == .anycast { route.type = .local }
    return route
  }

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
/// search, O(log routes), and allocates nothing. For IPv4 the upper half of an address tells where to
/// search, so that most lookups need no search at all. Compiling is O(routes × log routes).
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
  /// For each upper half of an IPv4 address, the range its first address is in; and one more. Empty
  /// for few ranges, where it saves nothing.
  private let firstRange4: [Int32]
  /// For each route, what a lookup gives if its first way is taken.
  private let firstResults: [RouteResult]
  /// For each route, its type.
  private let types: [RouteType]
  /// Places of the IPv6 routes that may hold for link-local addresses.
  private let linkLocalRoutes: [Int32]
  private let hasMultipath: Bool

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
    let all = ipv4 + ipv6
    routes = all
    let ranges4 = RouteRanges(routes: ipv4, numberedFrom: 0, family: .ipv4)
    let ranges6 = RouteRanges(routes: ipv6, numberedFrom: ipv4.count, family: .ipv6)
    starts4 = ranges4.starts.map(\.ipv4)
    answers4 = ranges4.answers
    starts6 = ranges6.starts
    answers6 = ranges6.answers
    firstRange4 = RoutingTable.firstRanges(starts4)
    types = all.map(\.type)
    firstResults = all.map {
      RoutingTable.result($0, $0.hops.first ?? RouteHop(interface: nil))
    }
    let linkLocal = IPPrefix(IPAddress(high: 0xfe80 << 48, low: 0), length: 10, family: .ipv6)
    linkLocalRoutes = all.indices.filter {
      let prefix = all[$0].prefix
      return prefix.family == .ipv6
        && (linkLocal.contains(prefix.address) || prefix.contains(linkLocal.address))
    }.map(Int32.init)
    hasMultipath = all.contains { $0.hops.count > 1 }
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
  @inline(__always)
  public func lookup(
    _ destination: IPAddress, _ family: AddressFamily, flowHash: UInt32 = 0
  ) -> RouteResult? {
    let answer = answer(destination, family)
    guard answer != RoutingTable.none else { return nil }
    if hasMultipath && flowHash != 0 {
      return RoutingTable.result(of: routes[Int(answer)], flowHash: flowHash)
    }
    return firstResults.span[Int(answer)]
  }

  /// The type of the route to `destination`, or nil where there is none.
  @inline(__always)
  func type(of destination: IPAddress, _ family: AddressFamily) -> RouteType? {
    let answer = answer(destination, family)
    return answer == RoutingTable.none ? nil : types.span[Int(answer)]
  }

  /// The route for `destination`, by its place in `routes`, or `none`.
  @inline(__always)
  private func answer(_ destination: IPAddress, _ family: AddressFamily) -> Int32 {
    switch family {
    case .ipv4:
      let address = destination.ipv4
      let half = Int(address >> 16)
      let bounds = firstRange4.span
      let (first, last) =
        bounds.isEmpty
        ? (0, starts4.count &- 1) : (Int(bounds[half]), Int(bounds[half &+ 1]))
      let range = RoutingTable.rangeHolding(address, starts4.span, from: first, through: last)
      return answers4.span[range]
    case .ipv6:
      let range = RoutingTable.rangeHolding(
        destination, starts6.span, from: 0, through: starts6.count &- 1)
      return answers6.span[range]
    }
  }

  /// The route to `destination` among those of `interface` alone: what link-local addresses need,
  /// since every link has those. Tables local and main. O(routes that hold for such addresses), or
  /// O(routes) for others.
  public func lookup(
    _ destination: IPAddress, _ family: AddressFamily, through interface: Int
  ) -> RouteResult? {
    if family == .ipv6, destination.high >> 54 == 0xfe80 >> 6 {
      return lookup(destination, family, interface, among: linkLocalRoutes.lazy.map { Int($0) })
    }
    return lookup(destination, family, interface, among: routes.indices)
  }

  private func lookup(
    _ destination: IPAddress, _ family: AddressFamily, _ interface: Int,
    among places: some Sequence<Int>
  ) -> RouteResult? {
    var best: (route: Route, hop: RouteHop)?
    for place in places {
      let route = routes[place]
      guard route.table != .defaultTable, route.prefix.family == family,
        route.prefix.contains(destination),
        let hop = route.hops.first(where: { $0.interface == interface })
      else { continue }
      if let known = best?.route, !RoutingTable.precedes(route, known) { continue }
      best = (route, hop)
    }
    return best.map { RoutingTable.result($0.route, $0.hop) }
  }

  /// Whether `a` is used before `b`, where both hold for one address: the table, the longer prefix,
  /// the lower metric.
  private static func precedes(_ a: Route, _ b: Route) -> Bool {
    if a.table != b.table { return a.table.rawValue < b.table.rawValue }
    if a.prefix.length != b.prefix.length { return a.prefix.length > b.prefix.length }
    return a.metric < b.metric
  }

  /// Whether a route to `address` may leave through `interface`, by any of its ways: what the
  /// strict reverse path filter asks (RFC 3704, 2.2).
  public func reaches(
    _ address: IPAddress, _ family: AddressFamily, through interface: Int
  ) -> Bool {
    let answer = answer(address, family)
    guard answer != RoutingTable.none else { return false }
    // Copying a route would count references; the usual one has one way.
    if !hasMultipath { return firstResults.span[Int(answer)].interface == interface }
    return routes[Int(answer)].hops.contains { $0.interface == interface }
  }

  private static func result(of route: Route, flowHash: UInt32) -> RouteResult {
    guard route.hops.count > 1 else {
      return result(route, route.hops.first ?? RouteHop(interface: nil))
    }
    let total = route.hops.reduce(0) { $0 + $1.weight }
    // The hash as a point on a line as long as all weights together.
    var point = Int((UInt64(flowHash) * UInt64(total)) >> 32)
    for hop in route.hops {
      point -= hop.weight
      if point < 0 { return result(route, hop) }
    }
    return result(route, route.hops[0])
  }

  private static func result(_ route: Route, _ hop: RouteHop) -> RouteResult {
    RouteResult(
      type: route.type, interface: hop.interface, gateway: hop.gateway,
      gatewayFamily: hop.gatewayFamily, preferredSource: route.preferredSource, mtu: route.mtu)
  }

  /// The last of the ranges `first` through `last` that starts at or before `value`; the first one
  /// does. No branch depends on the addresses, which nobody can predict.
  @inline(__always)
  private static func rangeHolding<Value: Comparable>(
    _ value: Value, _ starts: Span<Value>, from first: Int, through last: Int
  ) -> Int {
    var low = first
    var count = last &- first &+ 1
    while count > 1 {
      let half = count &>> 1
      // All ones where the upper half holds the answer.
      let upper = starts[low &+ half] <= value ? -1 : 0
      low &+= half & upper
      count &-= half
    }
    return low
  }

  /// For each upper half of an address, and for one behind the last, the range it begins in.
  private static func firstRanges(_ starts: [UInt32]) -> [Int32] {
    guard starts.count > 16 else { return [] }
    var ranges: [Int32] = []
    ranges.reserveCapacity(65_537)
    for range in starts.indices {
      // The upper halves whose first address is before the next range: those not yet taken.
      let end = range + 1 < starts.count ? (Int(starts[range + 1]) + 0xffff) >> 16 : 65_536
      ranges.append(contentsOf: repeatElement(Int32(range), count: end - ranges.count))
    }
    ranges.append(Int32(starts.count - 1))
    return ranges
  }
}
