// Which of its addresses the host uses as a source: for MASQUERADE, ICMP errors and REJECT. IPv4 as the
// kernel chooses an interface's address, IPv6 by RFC 6724.

import Wire

extension HostConfiguration {
  /// The source for packets that leave through `interface`: IPv4 looks at the next hop, IPv6 at the
  /// packet's `destination`. Nil where the host has no address to give. O(addresses).
  public func sourceAddress(
    _ family: AddressFamily, through interface: Int, nextHop: IPAddress, destination: IPAddress
  ) -> IPAddress? {
    switch family {
    case .ipv4: ipv4SourceAddress(through: interface, nextHop: nextHop)
    case .ipv6: ipv6SourceAddress(through: interface, destination: destination)
    }
  }

  /// The interface's first primary address in the next hop's network, else its first primary
  /// address, else any interface's first primary one; of those that are valid everywhere.
  private func ipv4SourceAddress(through interface: Int, nextHop: IPAddress) -> IPAddress? {
    var first: IPAddress?
    for address in interfaces[interface].addresses
    where address.family == .ipv4 && !address.isSecondary && address.scope <= .global {
      if address.network.contains(nextHop) { return address.address }
      if first == nil { first = address.address }
    }
    if let first { return first }
    for other in interfaces {
      if let address = other.addresses.first(where: {
        $0.family == .ipv4 && !$0.isSecondary && $0.scope <= .global
      }) {
        return address.address
      }
    }
    return nil
  }

  private func ipv6SourceAddress(through interface: Int, destination: IPAddress) -> IPAddress? {
    var best: IPv6SourceCandidate?
    // A link-local or multicast destination is reached from this link only (RFC 6724, 4).
    let onlyThisLink =
      IPv6Scope(destination) <= .link || destination.high >> 56 == 0xff
    // The out interface first, then the others in their order; a list of them would be made for each
    // connection that MASQUERADE binds.
    for place in -1..<interfaces.count {
      let index = place < 0 ? interface : place
      if place == interface || (index != interface && onlyThisLink) { continue }
      for address in interfaces[index].addresses
      where address.family == .ipv6 && !address.isTentative {
        let candidate = IPv6SourceCandidate(
          address, isOnOutInterface: index == interface,
          prefersTemporary: interfaces[interface].settings.useTemporaryAddresses >= 2,
          destination: destination)
        if best.map({ candidate.isBetter(than: $0) }) ?? true { best = candidate }
      }
    }
    return best?.address
  }
}
