// The laboratory's addresses: what the router has, who is on which side. For the router that is built,
// and for the generators that send through it.

import Wire

/// The router's two sides.
enum Port: String, CaseIterable, Comparable {
  case lan
  case wan
  /// The router's loopback: what it sends itself passes here.
  case lo
  /// Not a side: the router itself. What comes out here was delivered.
  case host

  var other: Port { self == .lan ? .wan : .lan }
  var interface: String { self == .lo ? "lo" : "\(rawValue)0" }
  /// The other end of the cable.
  var farInterface: String { "\(rawValue)x" }

  var routerMAC: UInt64 { self == .lan ? 0x0200_0000_0101 : 0x0200_0000_0201 }
  var farMAC: UInt64 { self == .lan ? 0x0200_0000_0102 : 0x0200_0000_0202 }

  static func < (a: Port, b: Port) -> Bool { a.rawValue < b.rawValue }
}

enum Network {
  /// Hosts with a number of 2 to `hosts` are known on each side.
  static let hosts = 9
  /// More addresses on the far side's link, which nobody has: for SNAT.
  static let spare = Array(48...57)

  static func router(_ port: Port, _ family: AddressFamily) -> IPAddress { host(1, port, family) }

  static func host(_ number: Int, _ port: Port, _ family: AddressFamily) -> IPAddress {
    let number = UInt64(number)
    return switch (family, port) {
    case (.ipv4, .wan): IPAddress(ipv4: 0xc633_6400 | UInt32(number))
    case (.ipv4, _): IPAddress(ipv4: 0x0a00_0100 | UInt32(number))
    case (.ipv6, .wan): IPAddress(high: 0x2001_0db8_0009_0000, low: number)
    case (.ipv6, _): IPAddress(high: 0xfd00_0001_0000_0000, low: number)
    }
  }

  /// A host that is another one in each run, so that no limit on what it is sent was used up before:
  /// IPv4 only, since IPv6 has such limits off. Its network has to be set up.
  static func stranger(_ port: Port, run: UInt16 = 0) -> IPAddress {
    IPAddress(ipv4: (port == .lan ? 0x0a09_0000 : 0xc612_0000) | UInt32(run))
  }

  static func renewed(_ flow: Flow, run: UInt16) -> Flow {
    var flow = flow
    for port in [Port.lan, .wan] {
      if flow.source.address == stranger(port) { flow.source.address = stranger(port, run: run) }
    }
    return flow
  }

  /// Whether the router of any case may have this address.
  static func isOwn(_ address: IPAddress, _ family: AddressFamily) -> Bool {
    let texts =
      family == .ipv4
      ? ["10.0.1.1", "198.51.100.1", "10.0.3.1", "10.9.255.254", "192.0.2.161"]
      : ["fd00:1::1", "2001:db8:9::1", "fe80::1", "fd00:3::1", "2001:db8:a:a::1"]
    return texts.contains(address.text(family))
  }

  static func isRouter(_ address: IPAddress, _ family: AddressFamily) -> Bool {
    address == router(.lan, family) || address == router(.wan, family)
      || address == loopback(family)
  }

  static func loopback(_ family: AddressFamily) -> IPAddress {
    family == .ipv4 ? IPAddress(ipv4: 0x7f00_0001) : IPAddress(high: 0, low: 1)
  }

  /// Where an address answers.
  static func side(of address: IPAddress, _ family: AddressFamily) -> Port {
    if isRouter(address, family) { return .host }
    let isInside =
      family == .ipv4
      ? address.ipv4 >> 8 == 0x0a0001 : address.high == 0xfd00_0001_0000_0000
    return isInside ? .lan : .wan
  }

  /// A host behind the far side's gateway.
  static func distant(_ number: Int, _ family: AddressFamily) -> IPAddress {
    family == .ipv4
      ? IPAddress(ipv4: 0xcb00_7100 | UInt32(number))
      : IPAddress(high: 0x2001_0db8_0077_0000, low: UInt64(number))
  }

  static func macText(_ address: UInt64) -> String {
    (0..<6).map { index in
      let byte = String(UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * index)), radix: 16)
      return byte.count == 1 ? "0\(byte)" : byte
    }.joined(separator: ":")
  }

  /// Commands for `ip -batch`: who is known on each side.
  static var neighbours: String {
    var text = ""
    for port in [Port.lan, .wan] {
      for number in 1...hosts {
        text += "neigh replace fe80::\(number) dev \(port.interface) "
        text += "lladdr \(macText(port.farMAC)) nud permanent\n"
      }
      for family in AddressFamily.allCases {
        // The router's own too: it may have another tomorrow. A changed digit may name any of IPv4's.
        let low = family == .ipv4 ? Array(0...254) : Array(0...15) + spare + [254]
        for number in low + (0xfffe...0x10001) {
          if family == .ipv4 && number > 254 { continue }
          text += "neigh replace \(host(number, port, family).text(family)) "
          text += "dev \(port.interface) lladdr \(macText(port.farMAC)) nud permanent\n"
        }
      }
    }
    return text
  }

  /// Commands for `ip -batch`: the router's addresses, neighbours and routes.
  static func setUp() -> String {
    var text = "link set lo up\n"
    for port in [Port.lan, .wan] {
      let name = port.interface
      text += "addr add \(router(port, .ipv4).text(.ipv4))/24 dev \(name)\n"
      text += "addr add \(router(port, .ipv6).text(.ipv6))/64 dev \(name) nodad\n"
      text += "link set \(name) up\n"
    }
    text += neighbours
    text += "route add 0.0.0.0/0 via \(host(254, .wan, .ipv4).text(.ipv4))\n"
    text += "route add ::/0 via \(host(254, .wan, .ipv6).text(.ipv6))\n"
    return text
  }
}
