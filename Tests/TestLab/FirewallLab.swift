// A router on a bench: packets arrive at its ports or come from itself, and what leaves is there to be
// looked at. Its addresses are those of the lab in which the kernel was asked.

import Conntrack
import ConntrackFormat
import Firewall
import PacketForge
import Ruleset
import Wire

/// A packet that left, and by which port.
public struct Departure: Hashable, Sendable, CustomStringConvertible {
  public var port: String
  public var packet: Packet

  public init(_ port: String, _ packet: Packet) {
    self.port = port
    self.packet = packet
  }

  /// The same with what the kernel draws at random (the IPv4 identification, the IPv6 flow label)
  /// and what follows from it set to zero.
  public var masked: Departure { Departure(port, packet.masked) }

  public var description: String { "\(port): \(packet)" }
}

extension Packet {
  /// With identification and header checksum, or flow label, set to zero.
  public var masked: Packet {
    var copy = self
    if family == .ipv4 {
      copy.bytes.replaceSubrange(4..<6, with: [0, 0])
      copy.bytes.replaceSubrange(10..<12, with: [0, 0])
    } else {
      copy.bytes[1] &= 0xf0
      copy.bytes.replaceSubrange(2..<4, with: [0, 0])
    }
    return copy
  }
}

/// What became of one packet.
public struct Seen {
  public var outcome: PacketOutcome
  /// What left, in order; answers too.
  public var left: [Departure]
  /// What the router took for itself; answers too.
  public var delivered: [Packet]
  /// The prefixes of the LOG rules it met, in order.
  public var logs: [String]

  /// `ACCEPT NEW/o`
  public var text: String {
    var text = outcome.verdict.name
    if let state = outcome.ctState {
      text += " " + state.name
      if let direction = outcome.direction { text += direction == .original ? "/o" : "/r" }
    }
    return text
  }
}

/// One router: `lan0` 10.0.1.1/24, fd00:1::1/64, fe80::1:1; `wan0` 198.51.100.1/24, 2001:db8:9::1/64,
/// fe80::2:1; default routes by 198.51.100.254 and 2001:db8:9::fe.
public final class FirewallLab {
  public var firewall: Firewall
  public private(set) var now: Int64 = 1_700_000_000_000_000_000
  private var buffer = PacketBuffer()

  public init(
    _ rules: String = "", ipv6 rules6: String = "", sysctls: [String: String] = [:],
    routes: [Route] = [], seed: UInt64 = 1, _ change: (inout ConntrackSettings) -> Void = { _ in }
  ) {
    var settings = ConntrackSettings()
    settings.max = 1024
    settings.buckets = 1024
    change(&settings)
    do {
      var ruleset = Ruleset()
      try ruleset.apply(rules, file: "rules", family: .ipv4)
      try ruleset.apply(rules6, file: "rules6", family: .ipv6)
      firewall = try Firewall(
        ruleset: ruleset, host: try FirewallLab.host(sysctls, routes), settings: settings,
        seed: seed)
    } catch {
      preconditionFailure("\(error)")
    }
    firewall.tracker.recordsEvents = true
  }

  private static func host(
    _ values: [String: String], _ more: [Route]
  ) throws -> HostConfiguration {
    var sysctls = Sysctls()
    try sysctls.set("net.ipv4.ip_forward", "1")
    try sysctls.set("net.ipv6.conf.all.forwarding", "1")
    for (name, value) in values { try sysctls.set(name, value) }
    func address(_ text: String, _ length: Int, scope: AddressScope = .global) -> InterfaceAddress {
      let address = Address(text)
      return InterfaceAddress(
        address.value, address.family, prefixLength: length, scope: scope)
    }
    func route(_ text: String, _ length: Int, _ interface: Int, via gateway: String? = nil) -> Route
    {
      let address = Address(text)
      return Route(
        IPPrefix(address.value, length: length, family: address.family),
        hops: [
          RouteHop(
            interface: interface, gateway: gateway.map { Address($0).value },
            gatewayFamily: address.family)
        ])
    }
    return HostConfiguration(
      interfaces: [
        HostInterface(
          name: "lan0", kernelIndex: 2, macAddress: 0x0200_0000_0101,
          addresses: [
            address("10.0.1.1", 24), address("fd00:1::1", 64),
            address("fe80::1:1", 64, scope: .link),
          ]),
        HostInterface(
          name: "wan0", kernelIndex: 3, macAddress: 0x0200_0000_0201,
          addresses: [
            address("198.51.100.1", 24), address("2001:db8:9::1", 64),
            address("fe80::2:1", 64, scope: .link),
          ]),
        HostInterface(
          name: "lo", kernelIndex: 1, mtu: 65536, flags: [.up, .loopback],
          addresses: [
            address("127.0.0.1", 8, scope: .host), address("::1", 128, scope: .host),
          ]),
      ],
      ipv4Routes: [
        route("10.0.1.0", 24, 0), route("198.51.100.0", 24, 1),
        route("0.0.0.0", 0, 1, via: "198.51.100.254"),
      ] + more.filter { $0.prefix.family == .ipv4 },
      ipv6Routes: [
        route("fd00:1::", 64, 0), route("2001:db8:9::", 64, 1),
        route("::", 0, 1, via: "2001:db8:9::fe"),
      ] + more.filter { $0.prefix.family == .ipv6 },
      sysctls: sysctls)
  }

  public func wait(_ seconds: Double) {
    now += Int64(seconds * 1e9)
    firewall.advance(to: now)
  }

  /// A packet from the inside.
  @discardableResult
  public func lan(_ packet: Packet, _ type: PacketType = .unicast) -> Seen {
    passes(packet, "lan0", type, isOutput: false)
  }

  /// A packet from the outside.
  @discardableResult
  public func wan(_ packet: Packet, _ type: PacketType = .unicast) -> Seen {
    passes(packet, "wan0", type, isOutput: false)
  }

  /// A packet of the router's own.
  @discardableResult
  public func own(_ packet: Packet) -> Seen { passes(packet, nil, .unicast, isOutput: true) }

  /// The same, of a program that no socket tells what went wrong.
  @discardableResult
  public func program(_ packet: Packet) -> Seen {
    passes(packet, nil, .unicast, isOutput: true, isProgram: true)
  }

  private func passes(
    _ packet: Packet, _ port: String?, _ type: PacketType, isOutput: Bool, isProgram: Bool = false
  ) -> Seen {
    precondition(buffer.assign(packet.bytes.rawSpan))
    var arrival = Arrival(
      interface: port.map { firewall.interface(named: $0) } ?? .none, family: packet.family,
      timeNanoseconds: now)
    arrival.packetType = type
    var sink = Collector()
    var listener = Listener()
    let outcome =
      isProgram
      ? firewall.sendForProgram(&buffer, arrival, to: &sink, observer: &listener)
      : isOutput
        ? firewall.send(&buffer, arrival, to: &sink, observer: &listener)
        : firewall.receive(&buffer, arrival, to: &sink, observer: &listener)
    return Seen(
      outcome: outcome,
      left: sink.left.map { Departure(firewall.interfaces.name($0) ?? "-", $1) },
      delivered: sink.delivered, logs: listener.logs.map { firewall.logPrefix($0, packet.family) })
  }

  /// `conntrack -L`, oldest first.
  public var table: [String] {
    let writer = ConnectionWriter()
    return firewall.tracker.connections().map { writer.line($0) }
  }

  /// `conntrack -L expect`, oldest first.
  public var expectations: [String] {
    let writer = ExpectationWriter()
    return firewall.tracker.expectations().map { writer.line($0) }
  }

  /// What `conntrack -E expect` printed since the last call.
  public func heardOfExpectations() -> [String] {
    let writer = ExpectationWriter()
    return firewall.tracker.takeExpectationEvents().map { writer.line($0) }
  }

  /// What `conntrack -E` printed since the last call.
  public func heard() -> [String] {
    let writer = ConnectionWriter()
    return firewall.tracker.takeEvents().map { writer.line($0) }
  }
}

private struct Collector: PacketSink {
  var left: [(InterfaceID, Packet)] = []
  var delivered: [Packet] = []
  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    left.append((interface, Packet(bytes: bytes.array)))
  }

  mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool) {
    delivered.append(Packet(bytes: bytes.array))
  }
}

private struct Listener: FirewallObserver {
  static var isActive: Bool { true }
  var logs: [Int] = []
  mutating func asked(_ rule: RuleReference, matched: Bool) {}
  mutating func entered(chain: Int32) {}
  mutating func returned(chain: Int32) {}
  mutating func logged(_ rule: RuleReference, log: Int, context: MatchContext) { logs.append(log) }
  mutating func willAsk(_ table: TableName, _ chain: BuiltInChain, _ family: AddressFamily) {}
  mutating func decided(_ table: TableName, _ chain: BuiltInChain, _ verdict: RuleVerdict) {}
  mutating func beginAnswer() {}
  mutating func endAnswer() {}
}
