// The compiled table against a plain search through all routes, for random tables of both families; and
// what a single route can say.

import Firewall
import Testing
import Wire

@Suite struct RoutingTableTests {
  /// What the kernel's rules say, one table after the other, without any cleverness.
  private static func plainLookup(_ routes: [Route], _ address: IPAddress) -> Route? {
    for table in RouteTableName.allCases {
      var best: Route?
      for route in routes where route.table == table && route.prefix.contains(address) {
        if let known = best {
          if route.prefix.length < known.prefix.length { continue }
          if route.prefix.length == known.prefix.length && route.metric >= known.metric {
            continue
          }
        }
        best = route
      }
      if let best, best.type != .throwToNextTable { return best }
    }
    return nil
  }

  @Test(arguments: [AddressFamily.ipv4, .ipv6], [1, 2, 3] as [UInt64])
  func randomTables(family: AddressFamily, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    // Few distinct bits, so that prefixes nest and meet; the ends of the space are among them.
    func address() -> IPAddress {
      let ends: [UInt64] = [0, .max, 0x8000_0000_0000_0000, 0x0a00_0000_0000_0000]
      let high =
        ends.randomElement(using: &generator)! ^ UInt64.random(in: 0...3, using: &generator)
        << UInt64.random(in: 0...62, using: &generator)
      let low =
        ends.randomElement(using: &generator)! ^ UInt64.random(in: 0...3, using: &generator)
        << UInt64.random(in: 0...62, using: &generator)
      return family == .ipv4
        ? IPAddress(ipv4: UInt32(high >> 32)) : IPAddress(high: high, low: low)
    }
    for round in 0..<60 {
      let routes = (0..<Int.random(in: 0...40, using: &generator)).map { number in
        Route(
          IPPrefix(
            address(), length: Int.random(in: 0...family.addressBits, using: &generator),
            family: family),
          type: RouteType.allCases.randomElement(using: &generator)!,
          table: RouteTableName.allCases.randomElement(using: &generator)!,
          metric: UInt32.random(in: 0...2, using: &generator),
          hops: [RouteHop(interface: number)])
      }
      let table =
        family == .ipv4
        ? RoutingTable(ipv4: routes, ipv6: nil) : RoutingTable(ipv4: nil, ipv6: routes)
      for _ in 0..<100 {
        var asked = address()
        // Near a route's edges, where mistakes are.
        if let route = routes.randomElement(using: &generator), Bool.random(using: &generator) {
          asked = route.prefix.address
          if Bool.random(using: &generator) {
            asked.low = asked.low &- 1
            if family == .ipv4 { asked.low &= 0xffff_ffff }
          }
        }
        let expected = RoutingTableTests.plainLookup(routes, asked)
        let found = table.lookup(asked, family)
        if found?.interface != expected?.hops[0].interface || found?.type != expected?.type {
          Issue.record("seed \(seed), round \(round), \(asked)")
        }
      }
    }
  }

  @Test func emptyTables() {
    let unknown = RoutingTable()
    #expect(!unknown.knows(.ipv4) && !unknown.knows(.ipv6))
    #expect(unknown.lookup(ip("192.0.2.1"), .ipv4) == nil)
    let empty = RoutingTable(ipv4: [], ipv6: [])
    #expect(empty.knows(.ipv4) && empty.knows(.ipv6))
    #expect(empty.lookup(ip("2001:db8::1"), .ipv6) == nil)
  }

  @Test func multipathInProportionToWeights() {
    let table = RoutingTable(
      ipv4: [
        Route(
          net("default"),
          hops: [RouteHop(interface: 0, weight: 1), RouteHop(interface: 1, weight: 3)])
      ], ipv6: nil)
    var counts = [0, 0]
    for step in 0..<400 {
      let hash = UInt32((step << 32) / 400 + 1)
      counts[table.lookup(ip("192.0.2.1"), .ipv4, flowHash: hash)!.interface!] += 1
    }
    #expect(counts == [100, 300])
    #expect(table.lookup(ip("192.0.2.1"), .ipv4)?.interface == 0)
    #expect(table.lookup(ip("192.0.2.1"), .ipv4, flowHash: .max)?.interface == 1)
    #expect(table.reaches(ip("192.0.2.1"), .ipv4, through: 1))
    #expect(!table.reaches(ip("192.0.2.1"), .ipv4, through: 2))
  }

  @Test func throughOneInterface() {
    let linkLocal = net("fe80::/64")
    let table = RoutingTable(
      ipv4: nil,
      ipv6: [
        Route(linkLocal, metric: 256, hops: [RouteHop(interface: 0)]),
        Route(linkLocal, metric: 256, hops: [RouteHop(interface: 1)]),
        Route(
          net("fe80::b/128"), type: .local, table: .local, hops: [RouteHop(interface: 1)]),
      ])
    #expect(table.lookup(ip("fe80::9"), .ipv6)?.interface == 0)
    #expect(table.lookup(ip("fe80::9"), .ipv6, through: 1)?.interface == 1)
    #expect(table.lookup(ip("fe80::9"), .ipv6, through: 2) == nil)
    // An address of one link is a neighbour's on another.
    #expect(table.lookup(ip("fe80::b"), .ipv6, through: 1)?.type == .local)
    #expect(table.lookup(ip("fe80::b"), .ipv6, through: 0)?.type == .unicast)
  }
}
