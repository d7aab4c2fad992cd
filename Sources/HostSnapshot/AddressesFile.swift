// addresses.json: the interfaces of the machine and their addresses, as `ip -j addr show` prints them.

import Firewall
import Wire

enum AddressesFile {
  static let command = "ip -j addr show"

  private struct Entry: Decodable {
    var ifindex: Int?
    var ifname: String?
    var flags: [String]?
    var mtu: Int?
    var linkType: String?
    var address: String?
    var addresses: [Info]?

    enum CodingKeys: String, CodingKey {
      case ifindex, ifname, flags, mtu, address
      case linkType = "link_type"
      case addresses = "addr_info"
    }
  }

  private struct Info: Decodable {
    var family: String?
    var local: String?
    var address: String?
    var prefixlen: Int?
    var broadcast: String?
    var scope: String?
    var secondary: Bool?
    var deprecated: Bool?
    var tentative: Bool?
    var dadfailed: Bool?
    var optimistic: Bool?
    var temporary: Bool?
  }

  static func parse(_ file: SnapshotFile) throws(HostSnapshotError) -> [HostInterface] {
    var interfaces: [HostInterface] = []
    var names: Set<String> = []
    for (place, entry) in try file.entries(Entry.self, madeBy: command).enumerated() {
      // `ip` prints empty entries for what a filter left out.
      guard let name = entry.ifname, !name.isEmpty else { continue }
      guard names.insert(name).inserted else {
        throw refusal(file, place, "the interface `\(name)` is there twice; leave one")
      }
      guard interfaces.count < HostConfiguration.mostInterfaces else {
        throw refusal(file, place, "more than \(HostConfiguration.mostInterfaces) interfaces")
      }
      var interface = HostInterface(name: name)
      interface.kernelIndex = entry.ifindex ?? 0
      interface.macAddress = entry.address.flatMap(AddressText.mac)
      interface.linkType = entry.linkType ?? ""
      if let flags = entry.flags { interface.flags = InterfaceFlags(names: flags) }
      if let mtu = entry.mtu {
        guard (0...Int(UInt32.max)).contains(mtu) else {
          throw refusal(file, place, "`mtu` of \(name) cannot be \(mtu)")
        }
        interface.mtu = mtu
      }
      for info in entry.addresses ?? [] {
        if let address = try address(info, file, place, name) {
          interface.addresses.append(address)
        }
      }
      interfaces.append(interface)
    }
    return interfaces
  }

  private static func address(
    _ info: Info, _ file: SnapshotFile, _ place: Int, _ name: String
  ) throws(HostSnapshotError) -> InterfaceAddress? {
    guard let text = info.local, info.family == "inet" || info.family == "inet6" else {
      return nil
    }
    let expected: AddressFamily = info.family == "inet" ? .ipv4 : .ipv6
    func parsed(_ text: String, _ key: String) throws(HostSnapshotError) -> IPAddress {
      guard let (address, family) = IPAddress.parse(text), family == expected else {
        throw refusal(
          file, place, "`\(key)` of \(name), `\(text)`, is no \(info.family ?? "") address")
      }
      return address
    }
    let length = info.prefixlen ?? expected.addressBits
    guard (0...expected.addressBits).contains(length) else {
      throw refusal(
        file, place,
        "`prefixlen` of \(text) cannot be \(length); expected 0 to \(expected.addressBits)")
    }
    var address = InterfaceAddress(
      try parsed(text, "local"), expected, prefixLength: length, scope: scope(info.scope))
    if let peer = info.address { address.peer = try parsed(peer, "address") }
    if let broadcast = info.broadcast {
      address.broadcast = try parsed(broadcast, "broadcast")
    }
    address.isSecondary = info.secondary ?? false
    address.isDeprecated = info.deprecated ?? false
    address.isTentative =
      ((info.tentative ?? false) && !(info.optimistic ?? false)) || (info.dadfailed ?? false)
    address.isTemporary = info.temporary ?? false
    return address
  }

  private static func scope(_ text: String?) -> AddressScope {
    switch text {
    case "site": .site
    case "link": .link
    case "host": .host
    default: text.flatMap { UInt8($0) }.map(AddressScope.init(rawValue:)) ?? .global
    }
  }

  private static func refusal(
    _ file: SnapshotFile, _ place: Int, _ message: String
  ) -> HostSnapshotError {
    HostSnapshotError(
      file: file.path, "entry \(place + 1): \(message) (it should be what `\(command)` prints)")
  }
}

extension InterfaceFlags {
  /// From the words `ip` prints; those that do not matter to packets are passed over.
  init(names: [String]) {
    self = []
    for name in names {
      switch name {
      case "UP": insert(.up)
      case "BROADCAST": insert(.broadcast)
      case "LOOPBACK": insert(.loopback)
      case "POINTOPOINT": insert(.pointToPoint)
      case "NOARP": insert(.noARP)
      case "MULTICAST": insert(.multicast)
      default: break
      }
    }
  }
}
