// The machine this runs on as the firewall needs it, read with the commands of `weir snapshot`: for a gateway
// whose kernel is the router.

#if os(Linux)
  import Firewall
  import HostSnapshot
  import Wire

  enum LiveMachine {
    /// What the kernel has to let pass so that translated packets come through, Weir still refuses.
    static let overrides = ["net.ipv4.conf.all.accept_local=0"]

    /// Addresses, routes and sysctls as they are now.
    /// - Parameter settings: `NAME=VALUE`, over the machine's own.
    static func snapshot(settings: [String]) throws -> HostSnapshot {
      var texts: [String: String] = [:]
      for part in SnapshotPart.all where part.isNeeded { texts[part.file] = try part.text() }
      return try HostSnapshot(
        addresses: texts["addresses.json"] ?? "", routes: texts["routes.json"] ?? "",
        routes6: texts["routes6.json"] ?? "",
        sysctls: String(decoding: SnapshotSysctls.text(), as: UTF8.self),
        settings: overrides + settings)
    }

    /// The same machine with its interfaces at the places they had before. One that is gone is down and has
    /// no addresses; new ones come last.
    static func arranged(
      _ now: HostConfiguration, like known: [HostInterface]
    ) -> HostConfiguration {
      var interfaces = known.map { before in
        if let place = now.interfaceIndex(named: before.name) { return now.interfaces[place] }
        var gone = before
        gone.flags = []
        gone.addresses = []
        gone.kernelIndex = 0
        return gone
      }
      var places: [Int] = []
      for interface in now.interfaces {
        if let place = interfaces.firstIndex(where: { $0.name == interface.name }) {
          places.append(place)
        } else {
          places.append(interfaces.count)
          interfaces.append(interface)
        }
      }
      let routes = now.routing.routes.map { route in
        var route = route
        for hop in route.hops.indices {
          route.hops[hop].interface = route.hops[hop].interface.map { places[$0] }
        }
        return route
      }
      var host = HostConfiguration(
        interfaces: interfaces,
        ipv4Routes: now.routing.knowsIPv4 ? routes.filter { $0.prefix.family == .ipv4 } : nil,
        ipv6Routes: now.routing.knowsIPv6 ? routes.filter { $0.prefix.family == .ipv6 } : nil,
        sysctls: now.sysctls)
      host.timeoutPolicies = now.timeoutPolicies
      return host
    }
  }
#endif
