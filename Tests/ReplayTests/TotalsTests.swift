// Totals alone are made from bursts: what they say must be what reports of one packet at a time say.

import Capture
import Conntrack
import Firewall
import HostSnapshot
import PacketForge
import Replay
import Ruleset
import Testing
import Wire

@Suite struct TotalsTests {
  /// Two sessions of the same machine: one is asked for reports, the other for totals.
  private static func session(hasRoutes: Bool) throws -> ReplaySession {
    var snapshot = try HostSnapshot(
      localAddresses: hasRoutes ? ["198.51.100.1"] : [],
      settings: ["net.netfilter.nf_conntrack_max=60"])
    if hasRoutes {
      let lan = HostInterface(
        name: "lan0", macAddress: 0x0200_0000_0102,
        addresses: [
          InterfaceAddress(IPAddress(ipv4: 0x0a00_0001), .ipv4, prefixLength: 8)
        ])
      let wan = HostInterface(
        name: "wan0", macAddress: 0x0200_0000_0202,
        addresses: [
          InterfaceAddress(IPAddress(ipv4: 0xc633_6401), .ipv4, prefixLength: 24)
        ])
      snapshot.configuration = HostConfiguration(
        interfaces: [lan, wan],
        ipv4Routes: [
          Route(
            IPPrefix(IPAddress(ipv4: 0x0a00_0000), length: 8, family: .ipv4),
            hops: [RouteHop(interface: 0)]),
          Route(
            IPPrefix(.any, length: 0, family: .ipv4),
            hops: [
              RouteHop(interface: 1, gateway: IPAddress(ipv4: 0xc633_64fe), gatewayFamily: .ipv4)
            ]),
        ], ipv6Routes: [])
    }
    var ruleset = Ruleset()
    try ruleset.apply(
      """
      *nat
      :POSTROUTING ACCEPT [0:0]
      -A POSTROUTING -o wan0 -j SNAT --to-source 198.51.100.1
      COMMIT
      *filter
      :FORWARD DROP [0:0]
      -A FORWARD -p tcp -m tcp --dport 23 -j REJECT
      -A FORWARD -m conntrack --ctstate INVALID -j DROP
      -A FORWARD -i wan0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      -A FORWARD -i lan0 -j ACCEPT
      COMMIT

      """, file: "rules", family: .ipv4)
    var settings = ConntrackSettings()
    settings.max = 60
    return try ReplaySession(
      ruleset: ruleset, snapshot: snapshot, settings: settings, seed: 5, options: ReplayOptions())
  }

  private struct Shown {
    var frame: CapturedFrame
    var bytes: [UInt8]
  }

  /// A capture of both sides of a router: conversations, what they lead to seen leaving (all, some or
  /// none of it), fragments, an ICMP error, nonsense, and pauses in which much expires.
  private static func frames(seed: UInt64, leaving: UInt64, hasRoutes: Bool) throws -> [Shown] {
    var random = SeededGenerator(seed: seed)
    var machine = try session(hasRoutes: hasRoutes)
    let interfaces = Self.interfaces
    var shown: [Shown] = []
    var now: Int64 = 1_700_000_000_000_000_000
    func below(_ limit: UInt64) -> UInt64 { random.next() % limit }
    func show(
      _ packet: [UInt8], _ interface: Int, _ direction: FrameDirection?,
      _ machine: inout ReplaySession
    ) -> PacketReport {
      let header: [UInt8] =
        direction == .outbound
        ? [2, 0, 0, 0, 9, 9, 2, 0, 0, 0, UInt8(interface + 1), 2, 8, 0]
        : [2, 0, 0, 0, UInt8(interface + 1), 2, 2, 0, 0, 0, 9, 9, 8, 0]
      let bytes = header + packet
      let frame = CapturedFrame(
        number: shown.count + 1, timeNanoseconds: now, interfaceIndex: interface,
        linkType: LinkType.ethernet, direction: direction, capturedLength: bytes.count,
        originalLength: bytes.count)
      shown.append(Shown(frame: frame, bytes: bytes))
      return machine.report(frame, bytes.rawSpan, in: interfaces)
    }
    for _ in 0..<700 {
      now += Int64(below(40) == 0 ? below(200) * 1_000_000_000 : below(2_000_000))
      let client = Endpoint(
        IPAddress(ipv4: 0x0a00_0100 + UInt32(below(5))), .ipv4, port: UInt16(1000 + below(6)))
      let server = Endpoint(
        IPAddress(ipv4: 0xcb00_7100 + UInt32(below(4))), .ipv4,
        port: below(8) == 0 ? 23 : 443)
      var packet: [UInt8]
      switch below(12) {
      case 0: packet = PacketBuilder.tcp(from: client, to: server, flags: [.syn])
      case 1: packet = PacketBuilder.tcp(from: client, to: server, flags: [.rst])
      case 2: packet = [UInt8](repeating: UInt8(below(256)), count: Int(below(60)))
      case 3:
        packet = PacketBuilder.udp(
          from: client, to: server, payload: [UInt8](repeating: 7, count: 2200))
      default:
        packet = PacketBuilder.udp(
          from: client, to: server, payload: [UInt8](repeating: 7, count: Int(below(40))))
      }
      // Too few hops left, or changed under way.
      if below(30) == 0 && packet.count > 12 { packet[8] = 1 }
      let report = show(packet, 0, below(3) == 0 ? nil : .inbound, &machine)
      for (name, emitted) in report.emitted {
        let port = name == "wan0" ? 1 : 0
        if below(10) < leaving {
          now += Int64(below(100_000))
          _ = show(emitted.bytes, port, .outbound, &machine)
        }
        // The far end answers.
        guard port == 1, below(2) == 0, emitted.bytes.count >= 28 else { continue }
        let bytes = emitted.bytes.rawSpan
        let (source, destination) = (
          Endpoint(IPAddress(ipv4: bytes.uint32(at: 12)), .ipv4, port: bytes.uint16(at: 20)),
          Endpoint(IPAddress(ipv4: bytes.uint32(at: 16)), .ipv4, port: bytes.uint16(at: 22))
        )
        let answer =
          bytes.uint8(at: 9) == IPProtocolNumber.tcp
          ? PacketBuilder.tcp(from: destination, to: source, flags: [.syn, .ack])
          : PacketBuilder.udp(from: destination, to: source, payload: [1, 2, 3])
        _ = show(answer, 1, .inbound, &machine)
      }
    }
    return shown
  }

  private static let interfaces = [
    CaptureInterface(name: "lan0", linkType: LinkType.ethernet),
    CaptureInterface(name: "wan0", linkType: LinkType.ethernet),
  ]

  @Test(arguments: 1...8 as ClosedRange<UInt64>, [true, false])
  func totalsAreThoseOfReports(seed: UInt64, hasRoutes: Bool) throws {
    let frames = try Self.frames(seed: seed, leaving: seed % 3 * 5, hasRoutes: hasRoutes)
    var reported = try Self.session(hasRoutes: hasRoutes)
    var counted = try Self.session(hasRoutes: hasRoutes)
    for shown in frames {
      _ = reported.report(shown.frame, shown.bytes.rawSpan, in: Self.interfaces)
      counted.count(shown.frame, shown.bytes.rawSpan, in: Self.interfaces)
    }
    let (a, b) = (reported.finish(), counted.finish())
    #expect("\(Self.sorted(a))" == "\(Self.sorted(b))")
    // It is worth something only where much has happened.
    #expect(a.frames == frames.count && a.emitted > 100 && a.connectionsCreated > 10)
    #expect((a.verdicts[.accept] ?? 0) > 100 && !a.dropsByReason.isEmpty)
    #expect(reported.firewall.tracker.connections() == counted.firewall.tracker.connections())
    let rules = (reported.firewall.countedRules(), counted.firewall.countedRules())
    #expect(rules.0.ipv4 == rules.1.ipv4)
  }

  /// Everything a summary says, in one order.
  private static func sorted(_ summary: ReplaySummary) -> [String] {
    var plain = summary
    plain.verdicts = [:]
    plain.dropsByReason = [:]
    plain.ignoredByKind = [:]
    return ["\(plain)"] + summary.verdicts.map { "\($0.key) \($0.value)" }.sorted()
      + summary.dropsByReason.map { "\($0.key) \($0.value)" }.sorted()
      + summary.ignoredByKind.map { "\($0.key) \($0.value)" }.sorted()
  }
}
