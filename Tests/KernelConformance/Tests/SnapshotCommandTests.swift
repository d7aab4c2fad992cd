// `weir snapshot` of a namespace with addresses, routes, rules and a connection, read back by the reader that
// `weir replay --host` uses. Needs root and Linux.

import Conformance
import Foundation
import HostSnapshot
import Testing

@Suite(.serialized) struct SnapshotCommandTests {
  @Test(.enabled(if: ConntrackCommandTests.obstacle == nil, ConntrackCommandTests.skipText))
  func whatIsWrittenIsRead() throws {
    let weir = try #require(ConntrackCommandTests.command)
    // While another test makes the kernel's table small, entries could not be made.
    let turn = try LaboratoryTurn(alone: false)
    defer { withExtendedLifetime(turn) {} }
    let namespace = try ConntrackCommandTests.Namespace("weirsnap")
    let folder = NSTemporaryDirectory() + "weir-snapshot-\(UUID().uuidString.prefix(8))"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let setUp = """
      ip link set lo up; ip link add wan0 type veth peer name wan1; ip link set wan0 up; ip link set wan1 up
      ip addr add 192.0.2.2/24 dev wan0; ip -6 addr add 2001:db8::2/64 dev wan0 nodad
      ip route add default via 192.0.2.1
      sysctl -qw net.ipv4.ip_forward=1 net.netfilter.nf_conntrack_udp_timeout=77
      iptables -t nat -A POSTROUTING -o wan0 -j MASQUERADE
      ip6tables -A INPUT -p tcp --dport 23 -j DROP
      conntrack -I -s 192.0.2.2 -d 192.0.2.9 -p udp --sport 7 --dport 53 -t 100
      """
    #expect(try namespace.run(["/bin/sh", "-ec", setUp]).status == 0)
    let answer = try namespace.run([weir, "snapshot", folder])
    #expect(answer.status == 0, "\(answer.errors)")
    let snapshot = try HostSnapshot(folder: folder)
    #expect(snapshot.rules4?.text.contains("-A POSTROUTING -o wan0 -j MASQUERADE") == true)
    #expect(snapshot.rules6?.text.contains("-A INPUT -p tcp -m tcp --dport 23 -j DROP") == true)
    #expect(snapshot.configuration.interfaces.contains { $0.name == "wan0" })
    #expect(snapshot.conntrackLines.contains { $0.text.contains("dst=192.0.2.9 sport=7 dport=53") })
    let sysctls = snapshot.configuration.sysctls
    #expect(sysctls.text("net.netfilter.nf_conntrack_udp_timeout") == "77")
    #expect(sysctls.text("net.ipv4.ip_forward") == "1")
    // iptables' rules are not there a second time.
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/ruleset.nft"))
    let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/rules.v4")
    #expect((attributes[.posixPermissions] as? Int) == 0o600)
    let example = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../Examples/home-router/capture.pcapng").standardized.path
    let replay = try namespace.run([
      weir, "replay", example, "--host", folder, "--format", "none",
    ])
    #expect(replay.status == 0, "\(replay.errors)")
  }
}
