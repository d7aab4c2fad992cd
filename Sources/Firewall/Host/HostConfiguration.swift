// One machine as its packets meet it: interfaces with addresses, routes, settings. The firewall asks
// it what is local, where a packet goes, and which source an answer gets.

import Conntrack
import Wire

/// A machine's addresses, routes and settings, fixed for as long as it is used. Made by
/// `HostSnapshot` from files, or from a list of addresses.
public struct HostConfiguration: Sendable {
  /// An interface is known to the firewall by its place here. Never more than `mostInterfaces`.
  public private(set) var interfaces: [HostInterface]
  public let routing: RoutingTable
  public let settings: HostSettings
  /// Everything the settings came from; `net.netfilter.*` is for the tracker.
  public let sysctls: Sysctls
  /// Those that `CT --timeout` may name, at most 65,534.
  public var timeoutPolicies: [TimeoutPolicy] = []
  private var indexByName: [String: Int]
  /// For frames of no interface in particular, on a host without any: those of `conf.default`.
  let unnamedSettings: InterfaceSettings

  /// IPv4: there are local routes beside those that the addresses of the interfaces bring.
  let hasOtherLocalRoutes: Bool

  public static let mostInterfaces = 65_536

  /// A machine of which nothing is known: no address is its own, every packet is forwarded.
  public init() {
    self.init(interfaces: [], ipv4Routes: nil, ipv6Routes: nil)
  }

  /// A machine with these addresses, on no interface in particular, and unknown routes
  /// (`--local ADDRESS`).
  public init(
    localAddresses: [(address: IPAddress, family: AddressFamily)], sysctls: Sysctls = Sysctls()
  ) {
    self.init(
      interfaces: [], ipv4Routes: nil, ipv6Routes: nil, sysctls: sysctls,
      localAddresses: localAddresses)
  }

  /// Nil routes are unknown ones. Where the routes given have no table `local`, it is made from the
  /// addresses, as the kernel makes it. Names must differ.
  public init(
    interfaces: [HostInterface], ipv4Routes: [Route]?, ipv6Routes: [Route]?,
    sysctls: Sysctls = Sysctls(),
    localAddresses: [(address: IPAddress, family: AddressFamily)] = []
  ) {
    precondition(interfaces.count <= HostConfiguration.mostInterfaces)
    self.interfaces = interfaces
    self.sysctls = sysctls
    settings = HostSettings(sysctls)
    unnamedSettings = InterfaceSettings(sysctls, interface: "")
    indexByName = [:]
    for index in interfaces.indices {
      let name = interfaces[index].name
      precondition(indexByName[name] == nil, "two interfaces of one name")
      indexByName[name] = index
      self.interfaces[index].settings = InterfaceSettings(sysctls, interface: name)
    }
    loopback = interfaces.firstIndex { $0.isLoopback }
    let single = localAddresses.map { address, family in
      Route(
        IPPrefix(address, length: family.addressBits, family: family), type: .local,
        table: .local, preferredSource: address)
    }
    let addresses = interfaces.flatMap { interface in
      interface.addresses.filter { $0.family == .ipv4 }.map { ($0, interface.isLoopback) }
    }
    hasOtherLocalRoutes = (ipv4Routes ?? []).contains { route in
      guard route.type == .local else { return false }
      return !addresses.contains { address, isLoopback in
        (route.prefix.length == 32 && route.prefix.contains(address.address))
          || (isLoopback && route.prefix == address.network)
      }
    }
    routing = RoutingTable(
      ipv4: HostConfiguration.complete(ipv4Routes, .ipv4, self.interfaces, single),
      ipv6: HostConfiguration.complete(ipv6Routes, .ipv6, self.interfaces, single),
      knowsIPv4: ipv4Routes != nil, knowsIPv6: ipv6Routes != nil)
  }

  /// The interface called `name`, or nil.
  public func interfaceIndex(named name: String) -> Int? { indexByName[name] }

  /// The one interface that is no loopback, if there is exactly one: frames that say nothing of
  /// their interface belong to it.
  public var soleInterface: Int? {
    let real = interfaces.indices.filter { !interfaces[$0].isLoopback }
    return real.count == 1 ? real[0] : nil
  }

  /// The loopback's place, where there is one.
  public private(set) var loopback: Int?

  /// Adds an interface the snapshot does not know, as a capture may name one: no addresses, and the
  /// settings of `conf.default`. Its place; that of the known one where the name is known.
  public mutating func addInterface(named name: String) -> Int {
    if let known = indexByName[name] { return known }
    precondition(interfaces.count < HostConfiguration.mostInterfaces)
    var interface = HostInterface(name: name)
    interface.settings = InterfaceSettings(sysctls, interface: name)
    if loopback == nil && interface.isLoopback { loopback = interfaces.count }
    interfaces.append(interface)
    indexByName[name] = interfaces.count - 1
    return interfaces.count - 1
  }

  /// Whether `address` is one of the host's own: packets from it are its own, packets to it are for
  /// it. O(log routes).
  @inline(__always)
  public func isLocal(_ address: IPAddress, _ family: AddressFamily) -> Bool {
    let type = routing.type(of: address, family)
    return type == .local || type == .anycast
  }

  /// Whether an interface has this IPv4 address. O(addresses).
  func hasAddress(_ address: IPAddress) -> Bool {
    interfaces.contains {
      $0.addresses.contains { $0.family == .ipv4 && $0.address == address }
    }
  }

  /// Whether any address of the host's interfaces is known in this family. O(addresses).
  func knowsAddresses(_ family: AddressFamily) -> Bool {
    interfaces.contains { $0.addresses.contains { $0.family == family } }
  }

  /// Whether `address` is a broadcast of one of the host's networks, or the limited one.
  public func isBroadcast(_ address: IPAddress) -> Bool {
    address.ipv4 == .max || routing.lookup(address, .ipv4)?.type == .broadcast
  }

  /// `given` with a table `local` where it has none, and the addresses of no interface.
  private static func complete(
    _ given: [Route]?, _ family: AddressFamily, _ interfaces: [HostInterface], _ single: [Route]
  ) -> [Route] {
    var routes = given ?? []
    if !routes.contains(where: { $0.table == .local }) {
      for (index, interface) in interfaces.enumerated() {
        if family == .ipv6, interface.settings.isIPv6Disabled { continue }
        for address in interface.addresses where address.family == family {
          routes += localRoutes(address, index, interface)
        }
      }
    }
    return routes + single.filter { $0.prefix.family == family }
  }

  /// What the kernel puts into the table `local` for one address.
  private static func localRoutes(
    _ address: InterfaceAddress, _ index: Int, _ interface: HostInterface
  ) -> [Route] {
    let bits = address.family.addressBits
    let hops = [RouteHop(interface: index)]
    func route(_ prefix: IPPrefix, _ type: RouteType) -> Route {
      Route(
        prefix, type: type, table: .local, preferredSource: address.address, hops: hops)
    }
    var routes = [
      route(IPPrefix(address.address, length: bits, family: address.family), .local)
    ]
    guard address.family == .ipv4 else {
      // A router answers to its networks' first addresses (RFC 4291, 2.6.1).
      if interface.settings.isIPv6Router, !interface.isLoopback, address.prefixLength < 127 {
        let first = IPPrefix(address.network.address, length: bits, family: .ipv6)
        routes.append(route(first, .anycast))
      }
      return routes
    }
    // While an interface is down, its own addresses are all there is of its networks.
    guard interface.flags.contains(.up) else { return routes }
    if interface.isLoopback, address.prefixLength < 32 {
      routes.append(route(address.network, .local))
    }
    if let broadcast = address.broadcast {
      routes.append(route(IPPrefix(broadcast, length: 32, family: .ipv4), .broadcast))
    }
    if address.prefixLength < 31 {
      let hostBits = ~IPAddress.mask(address.prefixLength, .ipv4).ipv4
      let last = IPAddress(ipv4: address.network.address.ipv4 | hostBits)
      routes.append(route(IPPrefix(last, length: 32, family: .ipv4), .broadcast))
    }
    return routes
  }
}
