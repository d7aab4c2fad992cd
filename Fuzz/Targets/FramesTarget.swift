// Fuzz target (a): any frames through the whole firewall, link layer to what leaves. Beyond not
// crashing it holds the engine to what must be true of every packet and of the table.

import Conntrack
import Firewall
import PacketForge
import Ruleset
import Wire

/// Takes what leaves and checks it.
struct CheckingSink: PacketSink {
  /// Whether the packet under way came in with a right transport checksum (nil: none to check).
  var arrivedRight: Bool?
  var arrived: Packet?
  var emitted: [(packet: Packet, interface: InterfaceID)] = []
  var loopback = InterfaceID.none

  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
    let packet = Packet(bytes: bytes.array)
    var headers = PacketHeaders()
    // Options that reassembly moved to where they are looked at are for the next host to refuse.
    let drop = PacketHeaders.decodeAgain(
      bytes, family: bytes.uint8(at: 0) >> 4 == 6 ? .ipv6 : .ipv4, into: &headers)
    // What was sent to a group and redirected is answered in the group's name.
    if let drop, drop != .multicastSource {
      broken("a packet leaves that no host would take (\(drop))", packet)
    }
    if drop == nil && headers.end != bytes.byteCount {
      broken("a packet leaves with bytes behind its end", packet)
    }
    if !packet.headerChecksumIsRight { broken("a wrong header checksum leaves", packet) }
    // Over the loopback the kernel leaves the checksums of resets open.
    // Nor does it heed at which place an option stands whose numbers it moves, under FTP's helper, or an
    // MSS that it lowers.
    if (arrivedRight == true || isAnswer && interface != loopback) && !mayHaveMovedOptions(packet)
      && !hasMSSAtOddPlace(packet)
    {
      if packet.transportChecksumIsRight == false {
        broken("a wrong transport checksum leaves", packet)
      }
    }
    emitted.append((packet, interface))
  }

  private func mayHaveMovedOptions(_ packet: Packet) -> Bool {
    guard let layout = packet.layout, layout.transportProtocol == IPProtocolNumber.tcp,
      layout.transport + 20 <= layout.end
    else { return false }
    let ports = [0, 2].map {
      UInt16(packet.bytes[layout.transport + $0]) << 8
        | UInt16(packet.bytes[layout.transport + $0 + 1])
    }
    return ports.contains(21) && packet.bytes[layout.transport + 12] >> 4 > 5
  }

  private func hasMSSAtOddPlace(_ packet: Packet) -> Bool {
    guard let layout = packet.layout, layout.transportProtocol == IPProtocolNumber.tcp,
      layout.transport + 20 <= layout.end
    else { return false }
    let header = packet.bytes[layout.transport..<layout.end]
    guard header[header.startIndex + 13] & 2 != 0 else { return false }
    let end = min(layout.end, layout.transport + Int(header[header.startIndex + 12] >> 4) * 4)
    return stride(from: layout.transport + 21, to: end - 3, by: 2).contains {
      header[$0] == 2 && header[$0 + 1] == 4
    }
  }

  func broken(_ what: String, _ packet: Packet) -> Never {
    fatalError("\(what): \(packet); arrived as \(arrived.map(\.description) ?? "nothing")")
  }
}

/// Hears everything and keeps nothing, so that the paths that tell observers run.
struct CountingObserver: FirewallObserver {
  static var isActive: Bool { true }
  var asked = 0
  var logged = 0
  mutating func asked(_ rule: RuleReference, matched: Bool) { asked += 1 }
  mutating func entered(chain: Int32) {}
  mutating func returned(chain: Int32) {}
  mutating func logged(_ rule: RuleReference, log: Int, context: MatchContext) { logged += 1 }
  mutating func willAsk(_ table: TableName, _ chain: BuiltInChain, _ family: AddressFamily) {}
  mutating func decided(_ table: TableName, _ chain: BuiltInChain, _ verdict: RuleVerdict) {}
  mutating func beginAnswer() {}
  mutating func endAnswer() {}
}

/// A firewall under test and its clock.
public struct FrameRun: ~Copyable {
  private var firewall: Firewall
  private var interfaces: [InterfaceID] = []
  private var packet = PacketBuffer()
  private var now: Int64 = 1_700_000_000_000_000_000
  /// What came out, and became of the packets, and listeners heard: each in its order.
  private var digests = Digests()
  /// A digest of everything that came out: the same frames must give the same.
  public var digest: UInt64 {
    (digests.verdicts &* 31 &+ digests.packets) &* 31 &+ digests.events
  }
  public private(set) var verdicts: [PacketVerdict: Int] = [:]
  /// What the last frame made leave, for whoever wants to answer it.
  public private(set) var emitted: [(packet: Packet, interface: Int)] = []

  public init(seed: UInt64 = 1) {
    firewall = FuzzHost.firewall(seed: seed)
    firewall.tracker.recordsEvents = true
    for name in FrameRecord.interfaceNames { interfaces.append(firewall.interface(named: name)) }
  }

  private struct Digests {
    var verdicts: UInt64 = 0xcbf2_9ce4_8422_2325
    var packets: UInt64 = 0xcbf2_9ce4_8422_2325
    var events: UInt64 = 0xcbf2_9ce4_8422_2325
  }

  /// Shows the firewall one frame.
  public mutating func show(_ record: FrameRecord) {
    now += record.pause
    emitted.removeAll(keepingCapacity: true)
    guard let arrival = read(record) else { return }
    pass(arrival, isOutput: record.flags.contains(.isOutput))
  }

  /// Shows it frames as they come in together; what the host sends itself goes between two bursts.
  public mutating func show(
    together records: some Sequence<FrameRecord>, in burst: inout PacketBurst
  ) {
    emitted.removeAll(keepingCapacity: true)
    for record in records {
      now += record.pause
      guard let arrival = read(record) else { continue }
      let isOutput = record.flags.contains(.isOutput)
      if !isOutput {
        if burst.append(packet.bytes, arrival) { continue }
        finish(&burst)
        if burst.append(packet.bytes, arrival) { continue }
      }
      finish(&burst)
      pass(arrival, isOutput: isOutput)
    }
    finish(&burst)
  }

  private mutating func finish(_ burst: inout PacketBurst) {
    var sink = CheckingSink()
    sink.loopback = firewall.interface(named: "lo")
    var observer = SilentObserver()
    firewall.receive(&burst, to: &sink, observer: &observer)
    for index in 0..<burst.count { note(burst.outcome(index)) }
    burst.removeAll()
    note(sink)
  }

  /// Shows another firewall the same frames, in bursts of random sizes: nothing may come out otherwise.
  public func checkBursts(of records: [FrameRecord], seed: UInt64) {
    var other = FrameRun(seed: seed)
    var random = FuzzRandom(seed: seed)
    var burst = PacketBurst()
    var rest = records[...]
    while !rest.isEmpty {
      let size = random.oneIn(3) ? 1 + random.below(PacketBurst.capacity) : 1 + random.below(4)
      other.show(together: rest.prefix(size), in: &burst)
      rest = rest.dropFirst(size)
    }
    for (what, mine, its) in [
      ("verdicts", digests.verdicts, other.digests.verdicts),
      ("packets", digests.packets, other.digests.packets),
      ("events", digests.events, other.digests.events),
    ] where mine != its {
      fatalError("in bursts other \(what) come out")
    }
    other.checkTable()
  }

  /// Puts a frame's packet into `packet`, and says how it arrives; nil where there is none.
  private mutating func read(_ record: FrameRecord) -> Arrival? {
    var frame = record.frame
    let linkType = record.flags.contains(.isEthernet) ? 1 : 101
    if record.flags.contains(.repairsChecksums) {
      let link = LinkFrame.decode(frame.rawSpan, linkType: linkType)
      if link.family != nil {
        var packet = Packet(bytes: Array(frame[link.networkOffset...]))
        packet.repairChecksums()
        frame.replaceSubrange(link.networkOffset..., with: packet.bytes)
      }
    }
    let link = LinkFrame.decode(frame.rawSpan, linkType: linkType)
    guard let family = link.family else { return nil }
    let bytes = frame.rawSpan.slice(
      link.networkOffset..<link.networkOffset + link.networkLength)
    guard packet.assign(bytes) else { return nil }
    var arrival = Arrival(
      interface: interfaces[record.interface], family: family, timeNanoseconds: now)
    arrival.sourceMAC = link.sourceMAC
    if let destination = link.destinationMAC, destination >> 40 & 1 == 1 {
      arrival.packetType = destination == 0xffff_ffff_ffff ? .broadcast : .multicast
    }
    return arrival
  }

  private mutating func pass(_ arrival: Arrival, isOutput: Bool) {
    var sink = CheckingSink()
    sink.loopback = firewall.interface(named: "lo")
    let arrived = Packet(bytes: packet.bytes.array)
    sink.arrived = arrived
    sink.arrivedRight = arrived.transportChecksumIsRight
    var observer = CountingObserver()
    let outcome =
      isOutput
      ? firewall.send(&packet, arrival, to: &sink, observer: &observer)
      : firewall.receive(&packet, arrival, to: &sink, observer: &observer)
    // What the host sends itself may be dropped in INPUT after it left by the loopback.
    if outcome.verdict != .accept
      && sink.emitted.contains(where: { $0.packet == arrived && $0.interface != sink.loopback })
    {
      sink.broken("a packet that was not accepted leaves", arrived)
    }
    note(outcome)
    note(sink)
  }

  private mutating func note(_ outcome: PacketOutcome) {
    verdicts[outcome.verdict, default: 0] += 1
    FrameRun.mix(
      UInt64(outcome.verdict.rawValue) << 8 | UInt64(outcome.ctState?.rawValue ?? 9),
      &digests.verdicts)
  }

  /// What left, and what listeners heard meanwhile.
  private mutating func note(_ sink: CheckingSink) {
    for (packet, interface) in sink.emitted {
      FrameRun.mix(UInt64(bitPattern: Int64(interface.rawValue)), &digests.packets)
      for byte in packet.bytes { FrameRun.mix(UInt64(byte), &digests.packets) }
      emitted.append((packet, interfaces.firstIndex(of: interface) ?? 3))
    }
    for event in firewall.tracker.takeEvents() {
      FrameRun.mix(
        UInt64(event.connection.id) << 8 | UInt64(event.connection.status.rawValue),
        &digests.events)
    }
  }

  private static func mix(_ value: UInt64, _ digest: inout UInt64) {
    digest = (digest ^ value) &* 0x100_0000_01b3
  }

  /// Holds the table to what must always be true of it.
  public mutating func checkTable() {
    let connections = firewall.tracker.connections()
    if connections.count > firewall.tracker.count || firewall.tracker.count > FuzzHost.tableLimit {
      fatalError("the table counts \(firewall.tracker.count), lists \(connections.count)")
    }
    var tuples: Set<Tuple> = []
    for connection in connections {
      if !connection.status.contains(.confirmed) { fatalError("unconfirmed: \(connection)") }
      // A packet to its own sender, port and all, is its own answer: one tuple for both directions.
      let isItsOwnAnswer = connection.original == connection.reply
      if !tuples.insert(connection.original).inserted
        || !isItsOwnAnswer && !tuples.insert(connection.reply).inserted
      {
        fatalError("two connections of one tuple: \(connection)")
      }
      for tuple in [connection.original, connection.reply]
      where !finds(tuple) {
        fatalError("listed but not found: \(tuple)")
      }
    }
  }

  /// Whether a connection of this tuple is found: by one that is not number 0, or not number 1.
  private mutating func finds(_ tuple: Tuple) -> Bool {
    firewall.tracker.isTaken(tuple, except: ConnectionNumber(rawValue: 0))
      || firewall.tracker.isTaken(tuple, except: ConnectionNumber(rawValue: 1))
  }

  /// No connection outlives all timeouts.
  public mutating func expireEverything() {
    firewall.advance(to: now + 600_000 * 1_000_000_000)
    if firewall.tracker.count != 0 {
      fatalError("\(firewall.tracker.count) connections outlive every timeout")
    }
  }
}

/// The fuzz targets: each takes any bytes, and traps where the engine is wrong.
public enum FuzzTarget: String, CaseIterable, Sendable {
  case frames
  case capture
  case ruleset
  case control
  case timeouts
  case neighbours

  /// - Returns: a digest of what came out, the same for the same bytes.
  @discardableResult
  public func run(_ bytes: [UInt8]) -> UInt64 {
    switch self {
    case .frames: FuzzTarget.runFrames(bytes)
    case .capture: FuzzTarget.runCapture(bytes)
    case .ruleset: FuzzTarget.runRuleset(bytes)
    case .control: FuzzTarget.runControl(bytes)
    case .timeouts: FuzzTarget.runTimeouts(bytes)
    case .neighbours: FuzzTarget.runNeighbours(bytes)
    }
  }

  static func runFrames(_ bytes: [UInt8]) -> UInt64 {
    let records = FrameRecord.records(bytes)
    var run = FrameRun()
    for record in records { run.show(record) }
    run.checkTable()
    run.checkBursts(of: records, seed: 1)
    run.expireEverything()
    return run.digest
  }
}
