// routes.json and routes6.json: the machine's routing tables, as `ip -j [-6] route show table all`
// prints them.

import Firewall
import Wire

/// The routes of both families read so far, the interfaces they name, and what was passed over.
struct RoutesFile {
  private(set) var ipv4: [Route]?
  private(set) var ipv6: [Route]?
  /// Grows by the interfaces only routes name.
  private(set) var interfaces: [HostInterface]
  private(set) var notes: [String] = []
  private var placeByName: [String: Int] = [:]

  private struct Entry: Decodable {
    var type: String?
    var dst: String?
    var from: String?
    var gateway: String?
    var via: Via?
    var dev: String?
    var table: String?
    var prefsrc: String?
    var metric: UInt32?
    var tos: String?
    var pref: String?
    var flags: [String]?
    var metrics: [Metrics]?
    var nexthops: [Hop]?
  }

  private struct Via: Decodable {
    var host: String?
  }

  private struct Metrics: Decodable {
    var mtu: Int?
  }

  private struct Hop: Decodable {
    var gateway: String?
    var via: Via?
    var dev: String?
    var weight: Int?
    var flags: [String]?
  }

  init(interfaces: [HostInterface]) {
    self.interfaces = interfaces
    for (place, interface) in interfaces.enumerated() { placeByName[interface.name] = place }
  }

  /// Without `-4`, `ip route show table all` prints both families: those of IPv6 count too unless
  /// `takingIPv6` is false, because there is a file of their own.
  mutating func readIPv4(
    _ file: SnapshotFile, takingIPv6: Bool
  ) throws(HostSnapshotError) {
    ipv4 = []
    let command = "ip -j route show table all"
    for (place, entry) in try file.entries(Entry.self, madeBy: command).enumerated() {
      if RoutesFile.isIPv6(entry) {
        guard takingIPv6, let route = try route(entry, .ipv6, file, place) else { continue }
        if ipv6 == nil { ipv6 = [] }
        ipv6?.append(route)
      } else if let route = try route(entry, .ipv4, file, place) {
        ipv4?.append(route)
      }
    }
  }

  mutating func readIPv6(_ file: SnapshotFile) throws(HostSnapshotError) {
    ipv6 = []
    let command = "ip -j -6 route show table all"
    for (place, entry) in try file.entries(Entry.self, madeBy: command).enumerated() {
      if let route = try route(entry, .ipv6, file, place) { ipv6?.append(route) }
    }
  }

  /// Only IPv6 routes have a router preference; `default` alone does not say its family.
  private static func isIPv6(_ entry: Entry) -> Bool {
    entry.pref != nil || entry.dst?.contains(":") ?? false || entry.gateway?.contains(":") ?? false
  }

  /// The route of one entry, or nil where it is passed over.
  private mutating func route(
    _ entry: Entry, _ family: AddressFamily, _ file: SnapshotFile, _ place: Int
  ) throws(HostSnapshotError) -> Route? {
    guard let text = entry.dst else { return nil }
    guard let prefix = AddressText.prefix(text, family) else {
      throw refusal(file, place, "`dst`, `\(text)`, is no \(family) network")
    }
    // Routes that cannot be used at present, and copies the kernel keeps for itself.
    if let flags = entry.flags, flags.contains("dead") || flags.contains("cloned") { return nil }
    guard let table = table(entry.table) else {
      note("\(file.path): routes of table \(entry.table ?? "") are ignored: no rule leads there")
      return nil
    }
    guard let type = RouteType(name: entry.type ?? "unicast") else {
      note("\(file.path): routes of type \(entry.type ?? "") are ignored")
      return nil
    }
    if entry.tos != nil || entry.from != nil {
      note("\(file.path): routes for some packets only (`tos`, `from`) are ignored")
      return nil
    }
    var route = Route(prefix, type: type, table: table, metric: entry.metric ?? 0)
    route.mtu = entry.metrics?.lazy.compactMap(\.mtu).first
    if let text = entry.prefsrc {
      guard let (address, found) = IPAddress.parse(text), found == family else {
        throw refusal(file, place, "`prefsrc`, `\(text)`, is no \(family) address")
      }
      route.preferredSource = address
    }
    for hop in entry.nexthops ?? [] where !(hop.flags?.contains("dead") ?? false) {
      let weight = hop.weight ?? 1
      guard (1...256).contains(weight) else {
        throw refusal(file, place, "`weight` cannot be \(weight); expected 1 to 256")
      }
      route.hops.append(
        try self.hop(hop.dev, hop.gateway ?? hop.via?.host, weight, family, file, place))
    }
    if let nexthops = entry.nexthops, !nexthops.isEmpty {
      // All ways are dead: so is the route.
      return route.hops.isEmpty ? nil : route
    }
    let gateway = entry.gateway ?? entry.via?.host
    if entry.dev != nil || gateway != nil {
      route.hops = [try self.hop(entry.dev, gateway, 1, family, file, place)]
    }
    return route
  }

  private mutating func hop(
    _ dev: String?, _ gateway: String?, _ weight: Int, _ family: AddressFamily,
    _ file: SnapshotFile, _ place: Int
  ) throws(HostSnapshotError) -> RouteHop {
    var hop = RouteHop(interface: nil, gatewayFamily: family, weight: weight)
    if let dev, !dev.isEmpty {
      guard let known = interface(named: dev) else {
        throw refusal(file, place, "more than \(HostConfiguration.mostInterfaces) interfaces")
      }
      hop.interface = known
    }
    if let gateway {
      guard let (address, found) = IPAddress.parse(gateway) else {
        throw refusal(file, place, "`gateway`, `\(gateway)`, is no address")
      }
      hop.gateway = address
      hop.gatewayFamily = found
    }
    return hop
  }

  /// The place of an interface, which becomes known by being named; nil beyond the limit.
  private mutating func interface(named name: String) -> Int? {
    if let place = placeByName[name] { return place }
    guard interfaces.count < HostConfiguration.mostInterfaces else { return nil }
    interfaces.append(HostInterface(name: name))
    placeByName[name] = interfaces.count - 1
    return interfaces.count - 1
  }

  private func table(_ name: String?) -> RouteTableName? {
    switch name {
    case nil, "main", "254": .main
    case "local", "255": .local
    case "default", "253": .defaultTable
    default: nil
    }
  }

  /// Each thing passed over is said once.
  private mutating func note(_ text: String) {
    if notes.count < 100, !notes.contains(text) { notes.append(text) }
  }

  private func refusal(
    _ file: SnapshotFile, _ place: Int, _ message: String
  ) -> HostSnapshotError {
    HostSnapshotError(file: file.path, "entry \(place + 1): \(message)")
  }
}
