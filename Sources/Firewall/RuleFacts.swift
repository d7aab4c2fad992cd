// What rules may ask about a packet that costs something to find out: TCP options, and what kind of
// address an address is to this host. Found out only where some rule asks.

import Ruleset
import Wire

extension Firewall {
  /// Reads what the family's rules ask for beside headers and connection, before a table is asked.
  @inline(__always)
  func readForRules(_ bytes: RawSpan, _ passage: inout Passage) {
    let uses = uses(passage.headers.family)
    if uses.isDisjoint(with: [.tcpOptions, .addressTypes, .interfaceAddressTypes]) { return }
    readForRules(bytes, &passage, uses)
  }

  private func readForRules(
    _ bytes: RawSpan, _ passage: inout Passage, _ uses: CompiledRuleset.Uses
  ) {
    let headers = passage.headers
    if uses.contains(.tcpOptions), headers.transportProtocol == IPProtocolNumber.tcp,
      headers.fragmentOffset == 0, headers.transportOffset >= 0
    {
      passage.context.readTCPOptions(bytes.slice(headers.transportOffset..<headers.end))
    }
    let (source, destination) = (passage.context.source, passage.context.destination)
    if uses.contains(.addressTypes) {
      passage.context.sourceType = host.addressTypes(source, headers.family)
      passage.context.destinationType = host.addressTypes(destination, headers.family)
    }
    if uses.contains(.interfaceAddressTypes) {
      let (incoming, outgoing) = (passage.context.inInterface, passage.context.outInterface)
      let (first, last) = (index(incoming), index(outgoing))
      passage.context.sourceTypeOnInInterface = host.addressTypes(source, headers.family, on: first)
      passage.context.sourceTypeOnOutInterface = host.addressTypes(source, headers.family, on: last)
      passage.context.destinationTypeOnInInterface = host.addressTypes(
        destination, headers.family, on: first)
      passage.context.destinationTypeOnOutInterface = host.addressTypes(
        destination, headers.family, on: last)
    }
  }
}

extension HostConfiguration {
  /// Whether an IPv4 address is some other host's, and one host's only.
  func isElsewhere(_ address: UInt32) -> Bool {
    addressTypes(IPAddress(ipv4: address), .ipv4) == .unicast
  }

  /// What kind of address it is to this host (`-m addrtype`).
  ///
  /// IPv4 has one kind for each address, and looks only at the host's own addresses and broadcasts.
  /// IPv6 tells from the address what it is, and from the route whether it is the host's own or cannot
  /// be reached, so it may have two. O(log routes).
  func addressTypes(_ address: IPAddress, _ family: AddressFamily) -> AddressTypes {
    let route = routing.lookup(address, family)
    if family == .ipv4 { return ipv4AddressType(address.ipv4, route?.type) }
    let kind = HostConfiguration.ipv6AddressKind(address)
    if kind == .multicast { return kind }
    guard let route else { return routing.knowsIPv6 ? kind.union(.unreachable) : kind }
    return kind.union(HostConfiguration.ipv6RouteKind(route.type))
  }

  /// The same, with only one interface's addresses and routes considered; nothing for none. O(log
  /// routes) for most IPv4 addresses, else O(routes).
  func addressTypes(
    _ address: IPAddress, _ family: AddressFamily, on interface: Int?
  ) -> AddressTypes {
    guard let interface else { return [] }
    if family == .ipv4 {
      let type = routing.lookup(address, .ipv4)?.type
      if type != .local && type != .broadcast { return ipv4AddressType(address.ipv4, nil) }
      return ipv4AddressType(
        address.ipv4, routing.lookup(address, .ipv4, through: interface)?.type)
    }
    let kind = HostConfiguration.ipv6AddressKind(address)
    if kind == .multicast { return kind }
    guard let route = routing.lookup(address, .ipv6, through: interface) else {
      return routing.knowsIPv6 ? kind.union(.unreachable) : kind
    }
    return kind.union(HostConfiguration.ipv6RouteKind(route.type))
  }

  private func ipv4AddressType(_ address: UInt32, _ route: RouteType?) -> AddressTypes {
    if address == 0 || address == .max { return .broadcast }
    if address >> 28 == 0xe { return .multicast }
    switch route {
    case .local: return .local
    case .broadcast: return .broadcast
    case .anycast: return .anycast
    default: return .unicast
    }
  }

  private static func ipv6AddressKind(_ address: IPAddress) -> AddressTypes {
    if address.high >> 56 == 0xff { return .multicast }
    guard address.high == 0 else { return .unicast }
    if address.low == 0 { return .unspecified }
    // Those that stand for IPv4 addresses (::ffff:0:0/96) are of none of the kinds.
    return address.low >> 32 == 0xffff ? [] : .unicast
  }

  private static func ipv6RouteKind(_ type: RouteType) -> AddressTypes {
    switch type {
    case .local: .local
    case .anycast: .anycast
    case .blackhole, .unreachable, .prohibit, .throwToNextTable: .unreachable
    case .unicast, .broadcast, .multicast: []
    }
  }
}
