// The machine a gateway is: a snapshot's addresses and routes, or those of flags, on the interfaces that are
// its ports. What flags say is added to what the snapshot says.

#if os(Linux)
  import Conntrack
  import Firewall
  import Wire

  /// A flag that cannot be used, and why.
  public struct MachineTextError: Error, CustomStringConvertible, Sendable {
    public let text: String
    public let what: String
    public var description: String { "\(text): \(what)" }
  }

  /// `PORT=ADDRESS/LENGTH`: an address of a port.
  public struct AddressDescription: Sendable, Hashable {
    public var port: String
    public var address: InterfaceAddress

    public init(parsing text: String) throws(MachineTextError) {
      let parts = text.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, let network = NetworkText(parts[1]), network.hasLength else {
        throw MachineTextError(
          text: text, what: "expected PORT=ADDRESS/LENGTH, such as lan=192.168.1.1/24")
      }
      port = String(parts[0])
      var broadcast: IPAddress?
      if network.family == .ipv4, network.length < 31 {
        let hosts = ~IPAddress.mask(network.length, .ipv4).ipv4
        broadcast = IPAddress(ipv4: network.address.ipv4 | hosts)
      }
      let isLinkLocal = network.family == .ipv6 && network.address.high >> 54 == 0xfe80 >> 6
      address = InterfaceAddress(
        network.address, network.family, prefixLength: network.length, broadcast: broadcast,
        scope: isLinkLocal ? .link : .global)
    }
  }

  /// `NETWORK=GATEWAY@PORT` or `NETWORK=@PORT`: a route; `default` is all of a gateway's family.
  public struct RouteDescription: Sendable, Hashable {
    public var prefix: IPPrefix
    public var gateway: IPAddress?
    public var gatewayFamily: AddressFamily
    public var port: String

    public init(parsing text: String) throws(MachineTextError) {
      let error = MachineTextError(
        text: text,
        what: "expected NETWORK=GATEWAY@PORT, such as default=203.0.113.1@wan or 10.0.0.0/8=@lan")
      let parts = text.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { throw error }
      let way = parts[1].split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
      guard way.count == 2, !way[1].isEmpty else { throw error }
      port = String(way[1])
      var next: (address: IPAddress, family: AddressFamily)?
      if !way[0].isEmpty {
        guard let parsed = IPAddress.parse(way[0]) else { throw error }
        next = parsed
      }
      gateway = next?.address
      if parts[0] == "default" {
        guard let next else { throw error }
        prefix = IPPrefix(.any, length: 0, family: next.family)
      } else {
        guard let network = NetworkText(parts[0]) else { throw error }
        prefix = IPPrefix(network.address, length: network.length, family: network.family)
      }
      gatewayFamily = next?.family ?? prefix.family
    }
  }

  /// `ADDRESS` or `ADDRESS/LENGTH`.
  private struct NetworkText {
    var address: IPAddress
    var family: AddressFamily
    var length: Int
    var hasLength: Bool

    init?(_ text: Substring) {
      let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      guard let first = parts.first, let parsed = IPAddress.parse(first) else { return nil }
      (address, family) = parsed
      length = family.addressBits
      hasLength = parts.count == 2
      if hasLength {
        guard let number = Int(parts[1]), (0...length).contains(number) else { return nil }
        length = number
      }
    }
  }

  /// Ports, addresses and routes put together to the host a firewall knows.
  public struct GatewayMachine: Sendable {
    public var ports: [PortDescription]
    public var addresses: [AddressDescription] = []
    public var routes: [RouteDescription] = []
    /// A snapshot's; a machine of which nothing is known where there is none.
    public var base = HostConfiguration()
    public var sysctls = Sysctls()

    public init(ports: [PortDescription]) { self.ports = ports }

    /// The host as it is now.
    /// - Parameter link: what the system says of a port's interface; nil where it is gone, which counts
    ///   as down.
    /// - Throws: a flag names a port that is not there.
    public func host(
      _ link: (PortDescription) -> LinkInfo?
    ) throws(MachineTextError) -> HostConfiguration {
      var interfaces = base.interfaces
      var places: [String: Int] = [:]
      for port in ports {
        let found = interfaces.firstIndex { $0.name == port.name }
        let place = found ?? interfaces.count
        if found == nil { interfaces.append(HostInterface(name: port.name)) }
        places[port.name] = place
        let info = link(port)
        interfaces[place].kernelIndex = Int(info?.index ?? 0)
        interfaces[place].macAddress = info?.macAddress
        if let info { interfaces[place].mtu = info.mtu }
        interfaces[place].flags = info?.flags ?? []
        interfaces[place].flags.remove(.loopback)
      }
      func place(_ port: String, _ text: String) throws(MachineTextError) -> Int {
        guard let place = places[port] else {
          throw MachineTextError(text: text, what: "there is no port `\(port)`")
        }
        return place
      }
      for description in addresses {
        let place = try place(description.port, "--address \(description.port)=")
        interfaces[place].addresses.append(description.address)
      }
      // A router on a link with IPv6 has an address there that only the link knows (RFC 4291, 2.8).
      for port in ports {
        guard let place = places[port.name], let mac = interfaces[place].macAddress else {
          continue
        }
        let own = interfaces[place].addresses.filter { $0.family == .ipv6 }
        if own.isEmpty || own.contains(where: { $0.scope == .link }) { continue }
        interfaces[place].addresses.append(
          InterfaceAddress(
            LinkLocal.address(of: mac), .ipv6, prefixLength: 64, scope: .link))
      }
      // The table `local` is made anew from the addresses.
      var all = base.routing.routes.filter { $0.table != .local }
      for (place, interface) in interfaces.enumerated() where interface.flags.contains(.up) {
        for address in interface.addresses where address.prefixLength < address.family.addressBits {
          all.append(
            Route(
              address.network, preferredSource: address.family == .ipv4 ? address.address : nil,
              hops: [RouteHop(interface: place)]))
        }
      }
      for route in routes {
        let place = try place(route.port, "--route …@\(route.port)")
        guard interfaces[place].flags.contains(.up) else { continue }
        all.append(
          Route(
            route.prefix,
            hops: [
              RouteHop(
                interface: place, gateway: route.gateway, gatewayFamily: route.gatewayFamily)
            ]))
      }
      return HostConfiguration(
        interfaces: interfaces, ipv4Routes: all.filter { $0.prefix.family == .ipv4 },
        ipv6Routes: all.filter { $0.prefix.family == .ipv6 }, sysctls: sysctls)
    }
  }

  enum LinkLocal {
    /// The link-local address that an Ethernet address makes (RFC 4291, appendix A).
    static func address(of mac: UInt64) -> IPAddress {
      let upper = (mac >> 24) ^ 0x02_0000
      return IPAddress(
        high: 0xfe80 << 48, low: upper << 40 | 0xff_fe00_0000 | mac & 0xff_ffff)
    }
  }
#endif
