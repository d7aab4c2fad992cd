// A router whose addresses and links change under MASQUERADE: what is forgotten, what stays, and what
// listeners hear. As Linux 6.18 did it in the laboratory's `natchange` cases.

import Conntrack
import Firewall
import PacketForge
import TestLab
import Testing
import Wire

extension FirewallLab {
  /// The router's interfaces change; its routes stay but for those through links that are down.
  func change(_ body: (inout [HostInterface]) -> Void) -> Bool {
    var interfaces = firewall.host.interfaces
    body(&interfaces)
    let routes = firewall.host.routing.routes.filter { route in
      route.table != .local
        && route.hops.allSatisfy { hop in
          hop.interface.map { interfaces[$0].flags.contains(.up) } ?? true
        }
    }
    let host = HostConfiguration(
      interfaces: interfaces, ipv4Routes: routes.filter { $0.prefix.family == .ipv4 },
      ipv6Routes: routes.filter { $0.prefix.family == .ipv6 }, sysctls: firewall.host.sysctls)
    return firewall.hostChanged(to: host, at: now)
  }
}

@Suite struct HostChangeTests {
  let rules = nat(
    "-A POSTROUTING -o wan0 -p udp -m udp --dport 53 -j SNAT --to-source 198.51.100.1",
    "-A POSTROUTING -o wan0 -j MASQUERADE")
  let masqueraded = Socket("198.51.100.2", 54)

  /// One flow that SNAT bound, one that MASQUERADE bound.
  private func lab() -> FirewallLab {
    let lab = FirewallLab(rules)
    lab.lan(Socket("10.0.1.2", 1000).udp(to: wanServer))
    lab.lan(Socket("10.0.1.2", 1001).udp(to: masqueraded))
    #expect(lab.table.count == 2)
    _ = lab.heard()
    return lab
  }

  @Test func anAddressThatGoesTakesItsBindingsAlong() {
    let lab = lab()
    #expect(
      lab.change { $0[1].addresses.removeAll { $0.address == Address("198.51.100.1").value } })
    #expect(lab.table.count == 1)
    #expect(lab.table.first?.contains("dport=53") == true)
    let heard = lab.heard()
    #expect(heard.count == 1)
    #expect(heard.first?.contains("[DESTROY]") == true)
    #expect(heard.first?.contains("sport=1001 dport=54") == true)
    // The next packet gets an address that the router still has.
    #expect(
      lab.lan(Socket("10.0.1.2", 1001).udp(to: masqueraded)).left
        == [Departure("wan0", Socket("10.0.1.1", 1001).udp(to: masqueraded).hopped())])
  }

  @Test func anotherAddressThatGoesTakesNothing() {
    let lab = lab()
    #expect(lab.change { $0[0].addresses.removeAll { $0.family == .ipv4 } })
    #expect(lab.table.count == 2)
    #expect(lab.heard().isEmpty)
  }

  @Test func aLinkThatGoesDownTakesItsBindingsAlong() {
    let lab = lab()
    #expect(lab.change { $0[1].flags.remove(.up) })
    #expect(lab.table.count == 1)
    #expect(lab.table.first?.contains("dport=53") == true)
    #expect(lab.heard().count == 1)
  }

  @Test func interfacesKeepTheirPlaces() {
    let lab = lab()
    #expect(!lab.change { $0.swapAt(0, 1) })
    #expect(!lab.change { $0.removeLast() })
    #expect(lab.table.count == 2)
  }

  @Test func aFlowThatLeavesByAnotherLinkEnds() {
    let lab = lab()
    let route = Route(
      IPPrefix(Address("198.51.100.2").value, length: 32, family: .ipv4),
      hops: [RouteHop(interface: 0)])
    let host = lab.firewall.host
    let routes = host.routing.routes.filter { $0.table != .local }
    let changed = lab.firewall.hostChanged(
      to: HostConfiguration(
        interfaces: host.interfaces,
        ipv4Routes: routes.filter { $0.prefix.family == .ipv4 } + [route],
        ipv6Routes: routes.filter { $0.prefix.family == .ipv6 }, sysctls: host.sysctls),
      at: lab.now)
    #expect(changed)
    #expect(lab.table.count == 2)
    let seen = lab.lan(Socket("10.0.1.2", 1001).udp(to: masqueraded))
    #expect(seen.outcome.verdict == .drop)
    #expect(seen.outcome.reason == .masqueradeMoved)
    #expect(lab.table.count == 1)
    #expect(lab.heard().count == 1)
    // What SNAT bound goes on.
    #expect(lab.lan(Socket("10.0.1.2", 1000).udp(to: wanServer)).outcome.verdict == .accept)
  }
}
