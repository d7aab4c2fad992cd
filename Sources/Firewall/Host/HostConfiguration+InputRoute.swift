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
  /// To a multicast group this host is not known to have joined.
  case multicastNotJoined
}

/// What routing decides of an incoming packet.
@frozen
public enum InputRoute: Hashable, Sendable, BitwiseCopyable {
  /// For this host: INPUT. The type is local, anycast, broadcast or multicast.
  case deliver(RouteType)
  /// FORWARD, along this route. The interface is nil only where nothing is known of routes.
  case forward(RouteResult)
  /// Ends here; `answersSender` where an ICMP error may go back (unless something else forbids it).
  case drop(InputRouteDrop, answersSender: Bool)
}

extension HostConfiguration {
  /// Decides for a packet that came in by `interface` (nil where that is unknown, then nothing is
  /// held against its source). O(log routes), no allocation.
  ///
  /// Behaviour is that of a 6.x kernel without policy routing and multicast routing, asked by
  /// experiment.
  public func routeInput(
    source: IPAddress, destination: IPAddress, protocolNumber: UInt8, family: AddressFamily,
    interface: Int?, flowHash: UInt32 = 0
  ) -> InputRoute {
    switch family {
    case .ipv4:
      routeIPv4Input(source, destination, protocolNumber, interface, flowHash)
    case .ipv6:
      routeIPv6Input(source, destination, interface, flowHash)
    }
  }

  // MARK: - IPv4

  private func routeIPv4Input(
    _ source: IPAddress, _ destination: IPAddress, _ protocolNumber: UInt8, _ interface: Int?,
    _ flowHash: UInt32
  ) -> InputRoute {
    let (from, to) = (source.ipv4, destination.ipv4)
    let settings = interface.map { interfaces[$0].settings } ?? InterfaceSettings()
    let isLoopback = interface.map { interfaces[$0].isLoopback } ?? false
    if to >> 28 == 0xe {
      // 224.0.0.1 is joined by every host; IGMP is for routers and queriers whatever its group.
      return to == 0xe000_0001 || protocolNumber == 2
        ? .deliver(.multicast) : .drop(.multicastNotJoined, answersSender: false)
    }
    if from >> 28 == 0xe || from == .max { return .drop(.martianSource, answersSender: false) }
    if to == .max || (from == 0 && to == 0) { return .deliver(.broadcast) }
    if from == 0 { return .drop(.martianSource, answersSender: false) }
    if to == 0 { return .drop(.martianDestination, answersSender: false) }
    if !isLoopback && !settings.routesLocalnet {
      if to >> 24 == 127 { return .drop(.martianDestination, answersSender: false) }
      if from >> 24 == 127 { return .drop(.martianSource, answersSender: false) }
    }
    let route = routing.lookup(destination, .ipv4, flowHash: flowHash)
    switch route?.type {
    case .broadcast where !settings.forwardsBroadcasts:
      return sourceProblem(source, interface, settings).map { .drop($0, answersSender: false) }
        ?? .deliver(.broadcast)
    case .local, .anycast:
      return sourceProblem(source, interface, settings).map { .drop($0, answersSender: false) }
        ?? .deliver(.local)
    default: break
    }
    guard settings.forwardsIPv4 else { return .drop(.notForwarding, answersSender: false) }
    return forward(route, .ipv4, source, interface, settings)
  }

  /// What the reverse path check holds against a source (`rp_filter`, `accept_local`).
  private func sourceProblem(
    _ source: IPAddress, _ interface: Int?, _ settings: InterfaceSettings
  ) -> InputRouteDrop? {
    guard let interface, !interfaces[interface].isLoopback else { return nil }
    let back = routing.lookup(source, .ipv4)
    if back?.type == .local { return settings.acceptsLocal ? nil : .ownSource }
    if settings.reversePathFilter == .off || !routing.knowsIPv4 { return nil }
    guard let back, back.type == .unicast else { return .reversePath }
    if settings.reversePathFilter == .loose { return nil }
    return routing.reaches(source, .ipv4, through: interface) ? nil : .reversePath
  }

  // MARK: - IPv6

  private func routeIPv6Input(
    _ source: IPAddress, _ destination: IPAddress, _ interface: Int?, _ flowHash: UInt32
  ) -> InputRoute {
    let settings = interface.map { interfaces[$0].settings } ?? InterfaceSettings()
    if destination.high >> 56 == 0xff {
      return takesIPv6Multicast(destination, interface, settings)
        ? .deliver(.multicast) : .drop(.multicastNotJoined, answersSender: false)
    }
    let route = routing.lookup(destination, .ipv6, flowHash: flowHash)
    switch route?.type {
    case .local: return .deliver(.local)
    case .anycast: return .deliver(.anycast)
    default: break
    }
    // A route that refuses does so before forwarding is asked for.
    if routing.knowsIPv6, route.map({ $0.type != .unicast }) ?? true {
      return forward(route, .ipv6, source, interface, settings)
    }
    guard settings.forwardsIPv6 else { return .drop(.notForwarding, answersSender: false) }
    return forward(route, .ipv6, source, interface, settings)
  }

  /// The groups every IPv6 host joins (RFC 4291, 2.8): all nodes, each address's solicited-node
  /// group, and on a router all routers.
  private func takesIPv6Multicast(
    _ group: IPAddress, _ interface: Int?, _ settings: InterfaceSettings
  ) -> Bool {
    let scope = group.high & 0x000f_ffff_ffff_ffff
    let isPermanent = group.high >> 52 == 0xff0
    guard isPermanent else { return false }
    switch (scope >> 48, scope & 0xffff_ffff_ffff, group.low) {
    case (1, 0, 1), (2, 0, 1): return true
    case (1, 0, 2), (2, 0, 2), (5, 0, 2): return settings.forwardsIPv6
    case (2, 0, let low) where low >> 24 == 0x1_ff:
      // Without an interface, any of the host's.
      let candidates = interface.map { [interfaces[$0]] } ?? interfaces
      return candidates.contains { candidate in
        candidate.addresses.contains {
          $0.family == .ipv6 && $0.address.low & 0xff_ffff == low & 0xff_ffff
        }
      }
    default: return false
    }
  }

  // MARK: - Both

  private func forward(
    _ route: RouteResult?, _ family: AddressFamily, _ source: IPAddress, _ interface: Int?,
    _ settings: InterfaceSettings
  ) -> InputRoute {
    guard let route else {
      // Nothing is known of routes: everything goes on, where to is for others to say.
      guard routing.knows(family) else {
        return .forward(RouteResult(type: .unicast, interface: nil))
      }
      return .drop(.noRoute, answersSender: true)
    }
    switch route.type {
    case .unicast, .broadcast:
      if family == .ipv4, let problem = sourceProblem(source, interface, settings) {
        return .drop(problem, answersSender: false)
      }
      return .forward(route)
    case .blackhole: return .drop(.blackhole, answersSender: false)
    case .unreachable: return .drop(.unreachable, answersSender: true)
    case .prohibit: return .drop(.prohibited, answersSender: true)
    case .local, .anycast, .multicast, .throwToNextTable:
      return .drop(.martianDestination, answersSender: false)
    }
  }
}
