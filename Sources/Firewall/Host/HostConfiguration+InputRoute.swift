// The routing decision between PREROUTING and the next hook: is an incoming packet for this host, does
// it go on and where, or does it end here, and does its sender hear of it.

import Wire

/// Why routing lets an incoming packet go no further.
@frozen
public enum InputRouteDrop: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  /// A source no packet may have: multicast, broadcast, zero, loopback from outside.
  case martianSource
  /// A destination no packet may have: zero, loopback from outside, or one no packet can be routed
  /// to from here.
  case martianDestination
  /// From one of the host's own addresses, but from outside.
  case ownSource
  /// `rp_filter`: no way back, or not by the interface it came in by.
  case reversePath
  /// Forwarding is off where it came in.
  case notForwarding
  /// No route to the destination.
  case noRoute
  /// The route says `unreachable`.
  case unreachable
  /// The route says `prohibit`.
  case prohibited
  /// The route says `blackhole`.
  case blackhole
  /// IPv6: from a link-local address, and the way on is another link.
  case beyondScope
  /// To a multicast group this host is not known to have joined.
  case multicastNotJoined
}

extension InputRouteDrop {
  /// The code of the ICMP destination unreachable message the sender gets; nil for none.
  ///
  /// The kernel answers one sender with five at once and then one a second
  /// (`net.ipv4.route.error_burst`, `error_cost`), beside the limits on all ICMP.
  public var icmpCode: UInt8? {
    switch self {
    case .noRoute: 0
    case .unreachable: 1
    case .prohibited: 13
    default: nil
    }
  }

  /// Whether the kernel looks at the time to live before it finds this: IPv6 sources that may not be
  /// forwarded.
  func comesAfterTimeToLive(_ family: AddressFamily) -> Bool {
    family == .ipv6 && (self == .beyondScope || self == .martianSource)
  }

  /// The code of the ICMPv6 destination unreachable message the sender gets; nil for none.
  public var icmpv6Code: UInt8? {
    switch self {
    case .noRoute, .unreachable: 0
    case .prohibited: 1
    case .beyondScope: 2
    default: nil
    }
  }
}

/// What routing decides of an incoming packet.
@frozen
public enum InputRoute: Hashable, Sendable, BitwiseCopyable {
  /// For this host: INPUT. The type is local, anycast, broadcast or multicast.
  case deliver(RouteType)
  /// FORWARD, along this route. Its interface is nil only where nothing is known of routes.
  case forward(RouteResult)
  /// Ends here.
  case drop(InputRouteDrop)

  var isForward: Bool {
    if case .forward = self { return true }
    return false
  }
}

extension HostConfiguration {
  /// Decides for a packet that came in by `interface` (nil where that is unknown, then nothing is
  /// held against its source). O(log routes), no allocation; link-local destinations O(routes).
  ///
  /// Behaviour is that of a 6.x kernel without policy routing and multicast routing, asked by
  /// experiment. What the kernel refuses before PREROUTING (`Wire.IPDrop`) is not asked again.
  @inline(__always)
  public func routeInput(
    source: IPAddress, destination: IPAddress, family: AddressFamily, interface: Int?,
    flowHash: UInt32 = 0
  ) -> InputRoute {
    switch family {
    case .ipv4: routeIPv4Input(source, destination, interface, flowHash)
    case .ipv6: routeIPv6Input(source, destination, interface, flowHash)
    }
  }

  @inline(__always)
  private func settings(_ interface: Int?) -> InterfaceSettings {
    // Where the interface is unknown, any other stands for it: with sysctls for all alike, as is
    // usual, they have the same.
    if let interface { return interfaces[interface].settings }
    return interfaces.first { !$0.isLoopback }?.settings ?? unnamedSettings
  }

  // MARK: - IPv4

  @inline(__always)
  private func routeIPv4Input(
    _ source: IPAddress, _ destination: IPAddress, _ interface: Int?, _ flowHash: UInt32
  ) -> InputRoute {
    let (from, to) = (source.ipv4, destination.ipv4)
    let settings = settings(interface)
    let isLoopback = interface.map { interfaces[$0].isLoopback } ?? false
    let refusesLoopback = !isLoopback && !settings.routesLocalnet
    // Every host joins 224.0.0.1; of other groups a snapshot says nothing.
    if to >> 28 == 0xe, to != 0xe000_0001 { return .drop(.multicastNotJoined) }
    if from >> 28 == 0xe || from == .max { return .drop(.martianSource) }
    if to >> 28 == 0xe {
      if refusesLoopback && from >> 24 == 127 { return .drop(.martianSource) }
      return from == 0 ? .deliver(.multicast) : deliver(.multicast, source, interface, settings)
    }
    if to == .max || (from == 0 && to == 0) {
      return from == 0 ? .deliver(.broadcast) : deliver(.broadcast, source, interface, settings)
    }
    if from == 0 { return .drop(.martianSource) }
    if to == 0 { return .drop(.martianDestination) }
    if refusesLoopback {
      if to >> 24 == 127 { return .drop(.martianDestination) }
      if from >> 24 == 127 { return .drop(.martianSource) }
    }
    let route = routing.lookup(destination, .ipv4, flowHash: flowHash)
    switch route?.type {
    case .broadcast where !settings.forwardsBroadcasts:
      return deliver(.broadcast, source, interface, settings)
    case .local, .anycast:
      return deliver(.local, source, interface, settings)
    default: break
    }
    guard settings.forwardsIPv4 else { return .drop(.notForwarding) }
    if let route, route.type == .unicast || route.type == .broadcast {
      if let problem = problemWithSource(source, interface, settings, out: route.interface) {
        return .drop(problem)
      }
      return .forward(route)
    }
    return refusal(route, .ipv4)
  }

  @inline(__always)
  private func deliver(
    _ type: RouteType, _ source: IPAddress, _ interface: Int?, _ settings: InterfaceSettings
  ) -> InputRoute {
    if let problem = problemWithSource(source, interface, settings, out: nil) {
      return .drop(problem)
    }
    return .deliver(type)
  }

  /// What the reverse path check holds against a source (`rp_filter`, `accept_local`).
  ///
  /// - Parameter out: where the packet is to leave, if it is to be forwarded.
  @inline(__always)
  private func problemWithSource(
    _ source: IPAddress, _ interface: Int?, _ settings: InterfaceSettings, out: Int?
  ) -> InputRouteDrop? {
    let back = routing.type(of: source, .ipv4)
    // Most packets: from another machine, and nobody asks which way that is.
    if settings.reversePathFilter == .off && back != .local && back != .broadcast { return nil }
    return sourceProblem(source, interface, settings, out: out, back)
  }

  @inline(never)
  private func sourceProblem(
    _ source: IPAddress, _ interface: Int?, _ settings: InterfaceSettings, out: Int?,
    _ back: RouteType?
  ) -> InputRouteDrop? {
    guard let interface, !interfaces[interface].isLoopback else { return nil }
    let filters = settings.reversePathFilter != .off && routing.knowsIPv4
    // Without a filter the kernel only looks whether the source is an address of an interface; it asks
    // the routes where they know of more, or where a redirect might be due.
    let asksRoutes =
      filters || hasOtherLocalRoutes || (out == interface && settings.sendsRedirects)
    if back == .local {
      if settings.acceptsLocal {
        let isHere = settings.reversePathFilter != .strict || !routing.knowsIPv4
        return isHere || routing.reaches(source, .ipv4, through: interface) ? nil : .reversePath
      }
      return asksRoutes || hasAddress(source) ? .ownSource : nil
    }
    if asksRoutes, back == .broadcast { return .martianSource }
    if !filters { return nil }
    guard back == .unicast else { return .reversePath }
    if settings.reversePathFilter == .loose { return nil }
    return routing.reaches(source, .ipv4, through: interface) ? nil : .reversePath
  }

  // MARK: - IPv6

  private func routeIPv6Input(
    _ source: IPAddress, _ destination: IPAddress, _ interface: Int?, _ flowHash: UInt32
  ) -> InputRoute {
    let settings = settings(interface)
    if destination.high >> 56 == 0xff {
      return takesIPv6Multicast(destination, interface, settings)
        ? .deliver(.multicast) : .drop(.multicastNotJoined)
    }
    // A link-local address means something on its own link only, and so does the loopback's.
    let route =
      if let interface,
        HostConfiguration.isLinkLocal(destination) || destination == IPAddress(high: 0, low: 1)
      {
        routing.lookup(destination, .ipv6, through: interface)
      } else {
        routing.lookup(destination, .ipv6, flowHash: flowHash)
      }
    switch route?.type {
    case .local: return .deliver(.local)
    case .anycast: return .deliver(.anycast)
    case .unicast:
      // A route to lo refuses.
      if let out = route?.interface, interfaces[out].isLoopback { return .drop(.noRoute) }
    default:
      // A route that refuses does so before forwarding is asked for; so does none.
      if routing.knowsIPv6 || route != nil { return refusal(route, .ipv6) }
    }
    guard settings.forwardsIPv6 else { return .drop(.notForwarding) }
    guard let route else { return refusal(nil, .ipv6) }
    // Back out by the port it came in on, a packet may have any source.
    if let interface, route.interface == interface { return .forward(route) }
    if source == .any || source == IPAddress(high: 0, low: 1) { return .drop(.martianSource) }
    if HostConfiguration.isLinkLocal(source), route.interface != interface {
      return .drop(.beyondScope)
    }
    return .forward(route)
  }

  /// Whether an IPv6 address is link-local, fe80::/10 (RFC 4291, 2.4).
  static func isLinkLocal(_ address: IPAddress) -> Bool {
    address.high >> 54 == 0xfe80 >> 6
  }

  /// The groups every IPv6 host joins (RFC 4291, 2.8): all nodes; on a router all routers; and where
  /// neighbours are solicited, each address's solicited-node group.
  func takesIPv6Multicast(
    _ group: IPAddress, _ interface: Int?, _ settings: InterfaceSettings
  ) -> Bool {
    switch (group.high, group.low) {
    case (0xff01 << 48, 1), (0xff02 << 48, 1): return true
    case (0xff01 << 48, 2), (0xff02 << 48, 2), (0xff05 << 48, 2): return settings.isIPv6Router
    case (0xff02 << 48, let low) where low >> 24 == 0x1_ff:
      // Without an interface, any of the host's.
      return interfaces.indices.contains { index in
        (interface == nil || interface == index)
          && solicitedNodeGroup(low & 0xff_ffff, isJoinedBy: interfaces[index])
      }
    default: return false
    }
  }

  private func solicitedNodeGroup(
    _ lastBits: UInt64, isJoinedBy interface: HostInterface
  ) -> Bool {
    if interface.isLoopback || interface.flags.contains(.noARP) { return false }
    return interface.addresses.contains {
      guard $0.family == .ipv6 else { return false }
      if $0.address.low & 0xff_ffff == lastBits { return true }
      // A router also has its networks' first addresses (RFC 4291, 2.6.1).
      return interface.settings.isIPv6Router && $0.prefixLength < 127
        && $0.network.address.low & 0xff_ffff == lastBits
    }
  }

  // MARK: - Both

  /// What routing holds against a packet of the host's own that shall go this way; nil: nothing.
  func refusesToSend(
    from source: IPAddress, _ family: AddressFamily, _ route: RouteResult
  ) -> InputRouteDrop? {
    switch route.type {
    case .blackhole: return .blackhole
    case .unreachable, .throwToNextTable: return .unreachable
    case .prohibit: return .prohibited
    case .local: return nil
    case .unicast, .broadcast, .anycast, .multicast: break
    }
    guard let interface = route.interface else {
      return routing.knows(family) ? .noRoute : nil
    }
    // 127.0.0.0/8 does not leave the host.
    let isLoopback = family == .ipv4 && source.ipv4 >> 24 == 127
    let out = interfaces[interface]
    return isLoopback && !out.isLoopback && !out.settings.routesLocalnet ? .martianSource : nil
  }

  /// For a route that leads nowhere, or none.
  private func refusal(_ route: RouteResult?, _ family: AddressFamily) -> InputRoute {
    guard let route else {
      // Nothing is known of routes: everything goes on, where to is for others to say.
      guard routing.knows(family) else {
        return .forward(RouteResult(type: .unicast, interface: nil))
      }
      return .drop(.noRoute)
    }
    switch route.type {
    case .blackhole: return .drop(.blackhole)
    case .unreachable: return .drop(.unreachable)
    case .prohibit: return .drop(.prohibited)
    case .unicast, .local, .broadcast, .anycast, .multicast, .throwToNextTable:
      return .drop(.martianDestination)
    }
  }
}

extension Firewall {
  /// The same of the firewall's host, worked on in place: a method of the host itself would get a copy.
  @inline(never)
  mutating func routeInput(_ passage: borrowing Passage) -> InputRoute {
    host.routeInput(
      source: passage.headers.source, destination: passage.headers.destination,
      family: passage.headers.family, interface: index(passage.arrival.interface))
  }
}
