// Nothing traps on any bytes: mutated files of a snapshot, from seeds that repeat a failure. What is
// accepted must make a machine that answers.

import Firewall
import Foundation
import Testing
import Wire

@testable import HostSnapshot

@Suite struct SnapshotMutationTests {
  @Test(arguments: [1, 2] as [UInt64])
  func jsonFiles(seed: UInt64) throws {
    let addresses = try bytes("two-tuns/addresses.json")
    let routes = try bytes("router/routes.json") { line in
      ["nexthops", "\"via\"", "metrics", "tos", "\"100\"", "10.6"].contains { line.contains($0) }
    }
    let routes6 = try bytes("two-tuns/routes6.json")
    var generator = SeededGenerator(seed: seed)
    var accepted = 0
    for _ in 0..<1_500 {
      do throws(HostSnapshotError) {
        let interfaces = try AddressesFile.parse(mutated(addresses, &generator))
        var table = RoutesFile(interfaces: interfaces)
        try table.readIPv4(mutated(routes, &generator), takingIPv6: true)
        try table.readIPv6(mutated(routes6, &generator))
        accepted += 1
        let host = HostConfiguration(
          interfaces: table.interfaces, ipv4Routes: table.ipv4, ipv6Routes: table.ipv6)
        ask(host, &generator)
      } catch {
        #expect(!error.description.contains("\n"))
      }
    }
    // Enough of both kinds, or the test tests little.
    #expect((50...1_450).contains(accepted))
  }

  @Test(arguments: [3] as [UInt64])
  func sysctlFile(seed: UInt64) throws {
    let original = try bytes("router/sysctl.conf") { line in
      ["forward", "tcp_loose", "udp_timeout", "icmp"].contains { line.contains($0) }
    }
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<3_000 {
      do throws(HostSnapshotError) {
        let sysctls = try SysctlFile.parse(mutated(original, &generator))
        var host = HostConfiguration(
          interfaces: [], ipv4Routes: nil, ipv6Routes: nil, sysctls: sysctls)
        _ = host.addInterface(named: "lan0")
      } catch {
        #expect(error.line != nil)
      }
    }
  }

  @Test(arguments: [5] as [UInt64])
  func timeoutsFile(seed: UInt64) throws {
    let original = Array(TimeoutsTests.listed.utf8)
    var generator = SeededGenerator(seed: seed)
    var accepted = 0
    for _ in 0..<3_000 {
      do throws(HostSnapshotError) {
        _ = try TimeoutsFile.parse(mutated(original, &generator))
        accepted += 1
      } catch {
        #expect(error.line != nil)
      }
    }
    #expect((100...2_900).contains(accepted))
  }

  @Test(arguments: [4] as [UInt64])
  func addressTexts(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<50_000 {
      let text = String(
        (0..<Int.random(in: 0...20, using: &generator)).map { _ in
          "0123456789abcdefg:./%\0é ".randomElement(using: &generator)!
        })
      _ = IPAddress.parse(text)
      _ = AddressText.prefix(text, .ipv4)
      _ = AddressText.prefix(text, .ipv6)
      _ = AddressText.mac(text)
    }
  }

  private func ask(_ host: HostConfiguration, _ generator: inout SeededGenerator) {
    for family in AddressFamily.allCases {
      for _ in 0..<10 {
        let route =
          host.routing.routes.randomElement(using: &generator)
          ?? Route(IPPrefix(.any, length: 0, family: family))
        let source =
          route.prefix.family == family
          ? route.prefix.address : IPAddress(ipv4: .random(in: 0...UInt32.max, using: &generator))
        let interface = host.interfaces.indices.randomElement(using: &generator)
        let destination = IPAddress(ipv4: UInt32.random(in: 0...UInt32.max, using: &generator))
        _ = host.routeInput(
          source: source, destination: destination, family: family, interface: interface)
        if let interface {
          _ = host.sourceAddress(
            family, through: interface, nextHop: destination, destination: source)
        }
      }
    }
  }

  /// A fixture; where lines are chosen, only those and, of JSON, the brackets around them.
  private func bytes(
    _ name: String, choosing isChosen: ((Substring) -> Bool)? = nil
  ) throws -> [UInt8] {
    let text = try String(contentsOfFile: Fixtures.path(name), encoding: .utf8)
    guard let isChosen else { return Array(text.utf8) }
    var lines = text.split(separator: "\n").filter(isChosen)
    if name.hasSuffix(".json") {
      lines = lines.map { $0.first == "[" ? $0.dropFirst() : $0 }
      lines = lines.map { $0.last == "," || $0.last == "]" ? $0.dropLast() : $0 }
      return Array("[\(lines.joined(separator: ",\n"))]".utf8)
    }
    return Array(lines.joined(separator: "\n").utf8)
  }

  private func mutated(
    _ original: [UInt8], _ generator: inout SeededGenerator
  ) -> SnapshotFile {
    var bytes = original
    // Often none: three files are read together, and all must pass for the machine to be asked.
    for _ in 0..<Int.random(in: 0...2, using: &generator) {
      guard !bytes.isEmpty else { break }
      let place = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<6, using: &generator) {
      case 0: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
      case 1, 2:
        // A digit for a digit: values change, the form does not.
        if let digit = bytes[place...].firstIndex(where: { (0x30...0x39).contains($0) }) {
          bytes[digit] = UInt8.random(in: 0x30...0x39, using: &generator)
        }
      case 3: bytes.insert(UInt8.random(in: 0x30...0x39, using: &generator), at: place)
      case 4: bytes.remove(at: place)
      default: bytes.removeSubrange(place..<min(bytes.count, place + 40))
      }
    }
    return SnapshotFile(path: "f", bytes: Data(bytes))
  }
}
