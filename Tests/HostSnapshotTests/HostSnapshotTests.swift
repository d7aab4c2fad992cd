// A folder into a machine: a router's own files, absent ones, and what is said of files that cannot be
// used.

import Firewall
import Foundation
import Testing
import Wire

@testable import HostSnapshot

@Suite struct HostSnapshotTests {
  @Test func router() throws {
    let snapshot = try HostSnapshot(folder: Fixtures.path("router"))
    let host = snapshot.configuration
    #expect(
      host.interfaces.map(\.name) == [
        "lo", "port0", "eth0", "port1", "lan0", "port2", "eth0.100", "br0", "tun0", "tun1", "port3",
        "down0",
      ])
    let eth0 = host.interfaces[try #require(host.interfaceIndex(named: "eth0"))]
    #expect(eth0.kernelIndex == 3)
    #expect(eth0.macAddress == 0x0200_0000_0101)
    #expect(eth0.mtu == 1500)
    #expect(eth0.linkType == "ether")
    #expect(eth0.flags == [.up, .broadcast, .multicast])
    #expect(
      eth0.addresses == [
        InterfaceAddress(ip("169.254.1.1"), .ipv4, prefixLength: 16, scope: .link),
        InterfaceAddress(
          ip("192.0.2.1"), .ipv4, prefixLength: 24, broadcast: ip("192.0.2.255")),
        InterfaceAddress(ip("192.0.3.1"), .ipv4, prefixLength: 24),
        InterfaceAddress(ip("192.0.2.9"), .ipv4, prefixLength: 24, isSecondary: true),
        InterfaceAddress(ip("2001:db8:1::1"), .ipv6, prefixLength: 64),
        InterfaceAddress(ip("fe80::ff:fe00:101"), .ipv6, prefixLength: 64, scope: .link),
      ])
    let tun0 = host.interfaces[try #require(host.interfaceIndex(named: "tun0"))]
    #expect(tun0.macAddress == nil)
    #expect(tun0.flags == [.up, .pointToPoint, .noARP, .multicast])
    #expect(tun0.addresses[0].network == net("10.9.0.2/32"))
    let down0 = host.interfaces[try #require(host.interfaceIndex(named: "down0"))]
    #expect(!down0.flags.contains(.up))
    let lan0 = host.interfaces[try #require(host.interfaceIndex(named: "lan0"))]
    #expect(lan0.settings.reversePathFilter == .strict)
    #expect(eth0.settings.reversePathFilter == .off)
    #expect(lan0.addresses.filter(\.isDeprecated).map(\.address) == [ip("2001:db8:2::dead")])
    #expect(host.soleInterface == nil)
    #expect(snapshot.notes.count == 2)
    #expect(snapshot.notes[0].hasSuffix("table 100 are ignored: no rule leads there"))
    #expect(snapshot.notes[1].hasSuffix("(`tos`, `from`) are ignored"))
    #expect(snapshot.rules4 == nil && snapshot.conntrackLines.isEmpty)
  }

  /// Without a file of their own, IPv6 routes are taken from routes.json, which has both.
  @Test func ipv6RoutesFromTheCommonFile() throws {
    let both = Fixtures.path("router")
    let path = try folder([
      "routes.json": try String(contentsOfFile: both + "/routes.json", encoding: .utf8)
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let (common, separate) = (
      try HostSnapshot(folder: path).configuration, try HostSnapshot(folder: both).configuration
    )
    #expect(common.routing.knowsIPv6)
    let address = ip("2001:db8:71::1")
    let (found, expected) = (
      common.routing.lookup(address, .ipv6), separate.routing.lookup(address, .ipv6)
    )
    #expect(found?.gateway == ip("fe80::5"))
    #expect(found?.gateway == expected?.gateway && found?.mtu == expected?.mtu)
    // Routes name the interfaces, where nothing else does.
    #expect(common.interfaceIndex(named: "lan0") == found?.interface)
    #expect(
      common.routing.routes.filter { $0.prefix.family == .ipv6 }.count
        == separate.routing.routes.filter { $0.prefix.family == .ipv6 }.count)
  }

  @Test func emptyFolder() throws {
    let path = try folder([:])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let host = try HostSnapshot(folder: path).configuration
    #expect(host.interfaces.isEmpty)
    #expect(!host.routing.knowsIPv4 && !host.routing.knowsIPv6)
    #expect(!host.isLocal(ip("127.0.0.1"), .ipv4))
    let unknown = InputRoute.forward(RouteResult(type: .unicast, interface: nil))
    #expect(
      host.routeInput(
        source: ip("192.0.2.1"), destination: ip("192.0.2.2"), family: .ipv4, interface: nil)
        == unknown)
    #expect(
      host.routeInput(
        source: ip("2001:db8::1"), destination: ip("2001:db8::2"), family: .ipv6, interface: nil)
        == unknown)
  }

  @Test func otherFiles() throws {
    let path = try folder([
      "rules.v4": "*filter\nCOMMIT\n", "rules.v6": "",
      "conntrack.txt": "\nipv4 2 tcp 6 1 CLOSE\n\n  udp  \nconntrack v1.4.7: 2 flow entries\n",
      "sysctl.conf": "net.ipv4.ip_forward = 0\n",
      "addresses.json":
        "[{\"ifname\":\"lo\",\"flags\":[\"LOOPBACK\",\"UP\"]},{},{\"ifname\":\"wan\"}]",
    ])
    defer { try? FileManager.default.removeItem(atPath: path) }
    let snapshot = try HostSnapshot(folder: path + "/", settings: ["net.ipv4.ip_default_ttl=63"])
    #expect(snapshot.rules4?.text == "*filter\nCOMMIT\n")
    #expect(snapshot.rules4?.path == path + "/rules.v4")
    #expect(snapshot.rules6?.text.isEmpty == true)
    #expect(
      snapshot.conntrackLines == [
        SnapshotLine(number: 2, text: "ipv4 2 tcp 6 1 CLOSE"), SnapshotLine(number: 4, text: "udp"),
      ])
    #expect(snapshot.configuration.soleInterface == 1)
    #expect(snapshot.configuration.settings.defaultTTL == 63)
    #expect(!snapshot.configuration.interfaces[1].settings.forwardsIPv4)
  }

  @Test func localAddresses() throws {
    let host = try HostSnapshot(localAddresses: ["192.0.2.1", "2001:db8::1"]).configuration
    #expect(host.isLocal(ip("192.0.2.1"), .ipv4))
    #expect(host.isLocal(ip("2001:db8::1"), .ipv6))
    #expect(!host.isLocal(ip("192.0.2.2"), .ipv4))
    func decision(_ destination: String) -> InputRoute {
      host.routeInput(
        source: ip("198.51.100.1"), destination: ip(destination), family: .ipv4, interface: nil)
    }
    #expect(decision("192.0.2.1") == .deliver(.local))
    #expect(decision("192.0.2.2") == .forward(RouteResult(type: .unicast, interface: nil)))
    do throws(HostSnapshotError) {
      _ = try HostSnapshot(localAddresses: ["192.0.2"])
      Issue.record("taken")
    } catch {
      #expect(
        error.description
          == "--local: `192.0.2` is no address; expected one such as 192.0.2.1 or 2001:db8::1")
    }
  }

  @Test func nftRules() throws {
    let path = try folder(["ruleset.nft": "table ip t {}"])
    defer { try? FileManager.default.removeItem(atPath: path) }
    do throws(HostSnapshotError) {
      _ = try HostSnapshot(folder: path)
      Issue.record("taken")
    } catch {
      #expect(
        error.description
          == path + "/ruleset.nft: nft rules are not supported yet; take the file away, "
          + "or pass it over with --ignore-unsupported")
    }
    let snapshot = try HostSnapshot(folder: path, ignoringUnsupported: true)
    #expect(snapshot.notes == [path + "/ruleset.nft: nft rules are not supported yet: ignored"])
  }

  @Test func noFolder() {
    do throws(HostSnapshotError) {
      _ = try HostSnapshot(folder: "/nowhere")
      Issue.record("taken")
    } catch {
      #expect(
        error.description
          == "/nowhere: is no folder; a host snapshot is one, made by `weir snapshot DIR`")
    }
  }

  @Test(arguments: [
    ("", "f: is empty; make it with `ip -j addr show`"),
    (
      "1: lo: <LOOPBACK>",
      "f:1: is not the JSON `ip -j addr show` prints; make it again with that (the `-j` matters)"
    ),
    (
      "[{]",
      "f: is not the JSON `ip -j addr show` prints; make it again with that (the `-j` matters)"
    ),
    ("{}", "f: the whole is not as `ip -j addr show` prints it; make it again so"),
    (
      "[{},{\"ifname\":\"a\",\"mtu\":\"x\"}]",
      "f: entry 2, mtu is not as `ip -j addr show` prints it; make it again so"
    ),
    (
      "[{\"ifname\":\"a\",\"addr_info\":[{},{\"prefixlen\":\"x\"}]}]",
      "f: entry 1, addr_info 2, prefixlen is not as `ip -j addr show` prints it; "
        + "make it again so"
    ),
    (
      "[{\"ifname\":\"a\"},{\"ifname\":\"a\"}]",
      "f: entry 2: the interface `a` is there twice; leave one "
        + "(it should be what `ip -j addr show` prints)"
    ),
    (
      "[{\"ifname\":\"a\",\"addr_info\":[{\"family\":\"inet\",\"local\":\"1.2.3.4\",\"prefixlen\":33}]}]",
      "f: entry 1: `prefixlen` of 1.2.3.4 cannot be 33; expected 0 to 32 "
        + "(it should be what `ip -j addr show` prints)"
    ),
    (
      "[{\"ifname\":\"a\",\"addr_info\":[{\"family\":\"inet\",\"local\":\"::1\",\"prefixlen\":32}]}]",
      "f: entry 1: `local` of a, `::1`, is no inet address "
        + "(it should be what `ip -j addr show` prints)"
    ),
  ])
  func addressesRefused(text: String, message: String) {
    do throws(HostSnapshotError) {
      _ = try AddressesFile.parse(snapshotFile(text))
      Issue.record("taken: \(text)")
    } catch {
      #expect(error.description == message)
    }
  }

  @Test(arguments: [
    ("[{\"dst\":\"10.0.0.0/33\"}]", "f: entry 1: `dst`, `10.0.0.0/33`, is no ipv4 network"),
    ("[{\"dst\":\"10.0.0/8\"}]", "f: entry 1: `dst`, `10.0.0/8`, is no ipv4 network"),
    (
      "[{},{\"dst\":\"default\",\"gateway\":\"router\"}]",
      "f: entry 2: `gateway`, `router`, is no address"
    ),
    (
      "[{\"dst\":\"default\",\"dev\":\"a\",\"prefsrc\":\"::1\"}]",
      "f: entry 1: `prefsrc`, `::1`, is no ipv4 address"
    ),
    (
      "[{\"dst\":\"default\",\"nexthops\":[{\"dev\":\"a\",\"weight\":0}]}]",
      "f: entry 1: `weight` cannot be 0; expected 1 to 256"
    ),
    (
      "default via 192.0.2.1 dev eth0",
      "f:1: is not the JSON `ip -j route show table all` prints; make it again with that (the `-j` matters)"
    ),
  ])
  func routesRefused(text: String, message: String) {
    var routes = RoutesFile(interfaces: [])
    do throws(HostSnapshotError) {
      try routes.readIPv4(snapshotFile(text), takingIPv6: true)
      Issue.record("taken: \(text)")
    } catch {
      #expect(error.description == message)
    }
  }

  @Test func deadRoutesAreNone() throws {
    var routes = RoutesFile(interfaces: [])
    try routes.readIPv4(
      snapshotFile(
        """
        [{"dst":"10.0.0.0/8","dev":"a","flags":["dead","linkdown"]},
         {"dst":"11.0.0.0/8","nexthops":[{"dev":"a","weight":1,"flags":["dead"]},
           {"dev":"b","weight":1,"flags":[]}]},
         {"dst":"12.0.0.0/8","nexthops":[{"dev":"a","weight":1,"flags":["dead"]}]}]
        """), takingIPv6: true)
    #expect(routes.ipv4?.map(\.prefix) == [net("11.0.0.0/8")])
    #expect(routes.ipv4?[0].hops.count == 1)
    #expect(routes.ipv6 == nil)
  }
}
