// The kernel was asked, and its answers stand in Fixtures: routes, source addresses, and what becomes of
// incoming packets. Weir must give the same.

import Firewall
import Foundation
import Testing
import Wire

@testable import HostSnapshot

@Suite struct KernelAnswersTests {
  /// `ip route get` for each address of lookups.txt, on the machine of Fixtures/router.
  @Test func routes() throws {
    let host = try HostSnapshot(folder: Fixtures.path("router")).configuration
    let lines = try Fixtures.lines("router/lookups.txt")
    #expect(lines.count == 60)
    for words in lines {
      let (address, family) = (ip(words[0]), family(words[0]))
      let found = host.routing.lookup(address, family)
      if words[1] == "error" {
        let type: RouteType? =
          ["Invalid_argument": .blackhole, "No_route_to_host": .unreachable][words[2]] ?? .prohibit
        #expect(found?.type == type, "\(words[0])")
        continue
      }
      let route = try #require(found, "\(words[0])")
      #expect(route.type.name == words[1], "\(words[0])")
      guard route.type == .unicast || route.type == .broadcast, let interface = route.interface
      else { continue }
      #expect(host.interfaces[interface].name == words[2], "\(words[0])")
      #expect(route.gateway == (words[3] == "-" ? nil : ip(words[3])), "\(words[0])")
      #expect(route.mtu == Int(words[5]), "\(words[0])")
      let source =
        route.preferredSource
        ?? host.sourceAddress(
          family, through: interface,
          nextHop: route.gatewayFamily == family ? route.nextHop(to: address) : .any,
          destination: address)
      #expect(source == ip(words[4]), "\(words[0])")
    }
  }

  /// The same machine without routes: what is local, and what a broadcast, follows from addresses.
  @Test func localWithoutRoutes() throws {
    let text = try String(contentsOfFile: Fixtures.path("router/addresses.json"), encoding: .utf8)
    let path = try folder(["addresses.json": text])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let host = try HostSnapshot(folder: path).configuration
    for words in try Fixtures.lines("router/lookups.txt") {
      let (address, family) = (ip(words[0]), family(words[0]))
      #expect(
        host.isLocal(address, family) == (words[1] == "local" || words[1] == "anycast"),
        "\(words[0])")
      if family == .ipv4 {
        #expect(host.isBroadcast(address) == (words[1] == "broadcast"), "\(words[0])")
      }
    }
    #expect(host.isBroadcast(ip("255.255.255.255")))
  }

  private struct SourceCase: Decodable {
    var addresses: [Ignored]
    /// Family, out interface, next hop or destination, the kernel's choice or `-`.
    var queries: [[String]]

    struct Ignored: Decodable {}
  }

  /// `ip route get` where the route leaves the source to the interface.
  @Test func sourceAddresses() throws {
    let path = Fixtures.path("source-addresses.json")
    let data = try Data(contentsOf: URL(filePath: path))
    let cases = try JSONDecoder().decode([SourceCase].self, from: data)
    let raw = try #require(try JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    #expect(cases.count == 24)
    for (number, (test, raw)) in zip(cases, raw).enumerated() {
      let addresses = SnapshotFile(
        path: "case \(number)",
        bytes: try JSONSerialization.data(withJSONObject: try #require(raw["addresses"])))
      let host = HostConfiguration(
        interfaces: try AddressesFile.parse(addresses), ipv4Routes: nil, ipv6Routes: nil)
      for query in test.queries {
        let interface = try #require(host.interfaceIndex(named: query[1]))
        let chosen = host.sourceAddress(
          query[0] == "inet" ? .ipv4 : .ipv6, through: interface, nextHop: ip(query[2]),
          destination: ip(query[2]))
        // Without an address of its own, the kernel's answer is `-` or the unspecified address.
        let expected = query[3] == "-" || query[3] == "::" ? nil : ip(query[3])
        #expect(chosen == expected, "case \(number): \(query)")
      }
    }
  }

  /// Packets written to a TUN interface under eleven settings; counters told how far each came.
  @Test func incomingPackets() throws {
    var settings: [String] = []
    var host = HostConfiguration()
    var count = 0
    for words in try Fixtures.lines("two-tuns/verdicts.txt") {
      if words[0] == "#" {
        settings += words.filter { $0.hasPrefix("ipv") }.map { "net." + $0 }
        host = try HostSnapshot(folder: Fixtures.path("two-tuns"), settings: settings)
          .configuration
        continue
      }
      // Refused before PREROUTING: Wire's part.
      if words.contains("early") { continue }
      let decision = host.routeInput(
        source: ip(words[0]), destination: ip(words[1]), family: family(words[0]),
        interface: host.interfaceIndex(named: "tunA"))
      // One packet was IGMP, which makes no difference.
      #expect(words[2] == "17" || words[2] == "2" || words[2] == "58")
      let said = "\(settings.last ?? ""): \(words.joined(separator: " "))"
      switch decision {
      case .deliver: #expect(words[3] == "deliver", "\(said)")
      case .forward(let route):
        #expect(words[3] == "forward", "\(said)")
        #expect(route.interface.map { host.interfaces[$0].name } == words[4], "\(said)")
      case .drop(let reason):
        #expect(words[3] == "drop", "\(said): \(reason)")
        var icmp = "-"
        if family(words[0]) == .ipv4, let code = reason.icmpCode { icmp = "3/\(code)" }
        if family(words[0]) == .ipv6, let code = reason.icmpv6Code { icmp = "1/\(code)" }
        // To sources without a way back there is no answer, whatever the reason.
        let source = host.routing.lookup(ip(words[0]), family(words[0]))
        if source?.type == .unicast { #expect(icmp == words[4], "\(said): \(reason)") }
      }
      count += 1
    }
    #expect(count > 500)
  }
}
