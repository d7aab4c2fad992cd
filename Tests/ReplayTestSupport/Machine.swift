// A machine under test: rules and settings as one writes them on a command line, packets in by a
// replay session, the table out as conntrack prints it. For every test that reads like a scene.

import Capture
import Conntrack
import ConntrackFormat
import Firewall
import HostSnapshot
import Replay
import Ruleset
import Wire

/// One machine and its clock.
public struct Machine: ~Copyable {
  public var session: ReplaySession
  /// Nanoseconds since 1970.
  public private(set) var now: Int64 = 1_700_000_000_000_000_000
  private var number = 0
  private var interfaces: [CaptureInterface] = []

  /// - Parameters:
  ///   - rules: `iptables-save` text or iptables commands, for IPv4.
  ///   - local: the machine's own addresses; none: it forwards everything.
  ///   - settings: `NAME=VALUE`, as after `--set`.
  ///   - host: the machine's interfaces and routes, instead of `local`.
  public init(
    rules: String = "", rules6: String = "", local: [String] = [], settings: [String] = [],
    host: HostConfiguration? = nil, options: ReplayOptions = ReplayOptions()
  ) throws {
    var snapshot = try HostSnapshot(localAddresses: local, settings: settings)
    var conntrack = ConntrackSettings()
    for entry in ConntrackSettings.entries {
      if let value = snapshot.configuration.sysctls.text(entry.name) {
        try conntrack.set(entry.name, to: value)
      }
    }
    if let host { snapshot.configuration = host }
    var ruleset = Ruleset()
    try ruleset.apply(rules, file: "rules", family: .ipv4)
    try ruleset.apply(rules6, file: "rules6", family: .ipv6)
    session = try ReplaySession(
      ruleset: ruleset, snapshot: snapshot, settings: conntrack, seed: 1, options: options)
  }

  /// Shows the machine a packet on an interface.
  @discardableResult
  public mutating func sees(
    _ packet: [UInt8], on interface: String? = "eth0", linkType: Int = LinkType.raw,
    direction: FrameDirection? = nil, originalLength: Int? = nil
  ) -> PacketReport {
    number += 1
    let index: Int
    if let known = interfaces.firstIndex(where: { $0.name == interface }) {
      index = known
    } else {
      index = interfaces.count
      interfaces.append(CaptureInterface(name: interface, linkType: linkType))
    }
    let frame = CapturedFrame(
      number: number, timeNanoseconds: now, interfaceIndex: index, linkType: linkType,
      direction: direction, capturedLength: packet.count,
      originalLength: originalLength ?? packet.count)
    return session.report(frame, packet.rawSpan, in: interfaces)
  }

  /// Lets time pass; what is due expires.
  public mutating func waits(seconds: Int64, milliseconds: Int64 = 0) {
    now += seconds * 1_000_000_000 + milliseconds * 1_000_000
    session.firewall.advance(to: now)
  }

  // MARK: The table

  /// `conntrack -L`, with options of conntrack's own.
  public func conntrack(_ arguments: String = "", extended: Bool = false) throws -> [String] {
    let filter = try ConnectionFilter(
      arguments: arguments.split(separator: " ").map(String.init))
    var output = ConntrackOutput()
    output.extended = extended
    let writer = ConnectionWriter(output)
    return session.firewall.tracker.connections().filter { filter.matches($0) }
      .map { writer.line($0) }
  }

  /// `/proc/net/nf_conntrack` as older kernels print it, without mark and zone and with one user:
  /// the user's notes show it so.
  public func oldProcfs() -> [String] {
    let today = " mark=0 zone=0 use=2"
    return session.firewall.tracker.connections().map { connection in
      let line = ProcWriter().line(connection)
      return line.hasSuffix(today) ? line.dropLast(today.count) + " use=1" : line
    }
  }
}

/// Two ends that speak TCP with each other; each call makes one packet.
public struct TCPTalk {
  public let client: Endpoint
  public let server: Endpoint
  /// The next sequence number of each.
  public var clientNext: UInt32
  public var serverNext: UInt32

  public init(
    _ client: Endpoint, _ server: Endpoint, clientStart: UInt32 = 1000,
    serverStart: UInt32 = 5000
  ) {
    self.client = client
    self.server = server
    clientNext = clientStart
    serverNext = serverStart
  }

  public mutating func fromClient(_ flags: TCPFlags, data: Int = 0) -> [UInt8] {
    let packet = PacketBuilder.tcp(
      from: client, to: server, flags: flags, sequence: clientNext,
      acknowledgement: flags.contains(.ack) ? serverNext : 0, window: 8192,
      payload: [UInt8](repeating: 0x61, count: data))
    clientNext = next(clientNext, flags, data)
    return packet
  }

  public mutating func fromServer(_ flags: TCPFlags, data: Int = 0) -> [UInt8] {
    let packet = PacketBuilder.tcp(
      from: server, to: client, flags: flags, sequence: serverNext,
      acknowledgement: flags.contains(.ack) ? clientNext : 0, window: 8192,
      payload: [UInt8](repeating: 0x62, count: data))
    serverNext = next(serverNext, flags, data)
    return packet
  }

  private func next(_ sequence: UInt32, _ flags: TCPFlags, _ data: Int) -> UInt32 {
    sequence &+ UInt32(data) &+ (flags.contains(.syn) ? 1 : 0) &+ (flags.contains(.fin) ? 1 : 0)
  }

  public mutating func syn() -> [UInt8] { fromClient(.syn) }
  public mutating func synAck() -> [UInt8] { fromServer([.syn, .ack]) }
  public mutating func ack() -> [UInt8] { fromClient(.ack) }
}
