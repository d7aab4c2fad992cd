// Passes over a table one after the other, each compared with the one before. For `weir top`: bounded memory
// for names, a few words for each connection that counts its packets.

import Conntrack
import ConntrackFormat
import Wire

/// Makes reports of a table.
public struct TopSampler: Sendable {
  /// How many of each kind are told.
  public var rows: Int
  /// Only entries of this family; nil: of both.
  public var family: AddressFamily? {
    didSet { if family != oldValue { timeBefore = nil } }
  }

  /// What tells a connection from others, in a word: its id and its ports.
  private struct Key: Hashable {
    var id: UInt32
    var ports: UInt32
  }

  private struct Counted {
    var packets: UInt64
    var bytes: UInt64
  }

  private var before: [Key: Counted] = [:]
  private var dropsBefore: [DropCount] = []
  private var acceptedBefore: UInt64?
  private var timeBefore: Int64?

  public init(rows: Int = 10, family: AddressFamily? = nil) {
    self.rows = rows
    self.family = family
  }

  /// Looks at all of a table.
  /// - Parameters:
  ///   - now: nanoseconds, of a clock that does not go back.
  ///   - each: called for every connection; what it throws ends the pass, and nothing is remembered of it.
  public mutating func report<Table: WatchedTable>(
    of table: inout Table, now: Int64, each: () throws -> Void = {}
  ) throws -> TopReport {
    let surroundings = try table.surroundings()
    var pass = Pass(surroundings, self, now)
    // Without limits on what is listed: the table itself is filtered by family.
    try table.list(ListRequest(family: family)) { connection in
      try each()
      pass.add(connection)
    }
    var activity = try table.activity()
    activity.drops += TopSampler.counters(try table.statistics())
    let report = pass.report(activity, self)
    before = pass.counted
    dropsBefore = activity.drops
    acceptedBefore = activity.accepted
    timeBefore = now
    return report
  }

  /// What conntrack itself counts of lost packets and connections.
  private static func counters(_ processors: [ProcessorStatistics]) -> [DropCount] {
    let all: [(String, KeyPath<ConntrackStatistics, UInt64>)] = [
      ("conntrack: INVALID packets", \.invalid),
      ("conntrack: no room, or not confirmed (drop)", \.drop),
      ("conntrack: gave way in a full table (early_drop)", \.earlyDrop),
      ("conntrack: its tuple was another's (insert_failed)", \.insertFailed),
      ("conntrack: ICMP that cannot be believed (error)", \.error),
    ]
    return all.compactMap { name, path in
      let count = processors.reduce(0) { $0 &+ $1.connections[keyPath: path] }
      return count == 0 ? nil : DropCount(reason: name, packets: count)
    }
  }

  /// One pass under way.
  private struct Pass {
    private let seconds: Double?
    private let rows: Int
    private let before: [Key: Counted]
    private var diagnosis: TableDiagnosis
    private var states: [StateKey: Int] = [:]
    private var result = TopReport()
    private var fresh = 0
    private var byBytes: Ranking
    private var byPackets: Ranking
    var counted: [Key: Counted] = [:]

    private struct StateKey: Hashable {
      var protocolNumber: UInt8
      var state: ProtocolState
    }

    init(_ surroundings: TableSurroundings, _ sampler: TopSampler, _ now: Int64) {
      diagnosis = TableDiagnosis(surroundings)
      seconds = sampler.timeBefore.map { max(Double(now - $0) / 1e9, 1e-6) }
      rows = sampler.rows
      before = sampler.timeBefore == nil ? [:] : sampler.before
      byBytes = Ranking(rows)
      byPackets = Ranking(rows)
      counted.reserveCapacity(before.count)
      result.seconds = seconds
      result.limit = surroundings.settings.flatMap { $0.max > 0 ? $0.max : nil }
    }

    mutating func add(_ connection: Connection) {
      diagnosis.add(connection)
      if connection.original.family == .ipv4 { result.ipv4 += 1 } else { result.ipv6 += 1 }
      if !connection.status.contains(.seenReply) { result.unreplied += 1 }
      if connection.status.contains(.assured) { result.assured += 1 }
      let state = StateKey(
        protocolNumber: connection.original.protocolNumber, state: connection.protocolState)
      states[state, default: 0] += 1
      let key = Key(
        id: connection.id,
        ports: UInt32(connection.original.sourcePort) << 16
          | UInt32(connection.original.destinationPort))
      guard let original = connection.originalCounters else {
        // Remembered all the same, to tell the new ones.
        if before[key] == nil { fresh += 1 }
        counted[key] = Counted(packets: 0, bytes: 0)
        return
      }
      result.isCounted = true
      let reply = connection.replyCounters ?? ConnectionCounters()
      let now = Counted(
        packets: original.packets &+ reply.packets, bytes: original.bytes &+ reply.bytes)
      counted[key] = now
      let last = before[key]
      if last == nil { fresh += 1 }
      // Who zeroes counters makes them smaller: then all of them is new.
      guard let seconds else { return }
      let isSame = last.map { $0.packets <= now.packets && $0.bytes <= now.bytes } ?? false
      let packets = isSame ? now.packets - (last?.packets ?? 0) : now.packets
      let bytes = isSame ? now.bytes - (last?.bytes ?? 0) : now.bytes
      guard packets > 0 else { return }
      let (packetRate, byteRate) = (Double(packets) / seconds, Double(bytes) / seconds)
      byBytes.add(byteRate) { TopReport.Flow(connection, packetRate, byteRate) }
      byPackets.add(packetRate) { TopReport.Flow(connection, packetRate, byteRate) }
    }

    func report(_ activity: TableActivity, _ sampler: TopSampler) -> TopReport {
      var report = result
      report.entries = diagnosis.entries
      report.byBytes = byBytes.flows.map(\.flow)
      report.byPackets = byPackets.flows.map(\.flow)
      report.sources = holders(diagnosis.sources)
      report.destinations = holders(diagnosis.destinations)
      report.services = holders(diagnosis.services)
      report.states = states.map { key, count in
        let name = ConntrackFormat.name(ofProtocol: key.protocolNumber)
        return TopReport.Holder(
          name: key.state.name.map { "\(name) \($0)" } ?? name, entries: count)
      }.sorted { ($1.entries, $0.name) < ($0.entries, $1.name) }
      report.rules = activity.holdings.map { holdings in
        holdings.filter { (sampler.family ?? $0.family) == $0.family }.prefix(rows).map {
          TopReport.Holder(name: $0.rule, entries: $0.entries)
        }
      }
      report.ports = ports()
      report.drops = drops(activity.drops, sampler)
      if let seconds {
        report.newPerSecond = Double(fresh) / seconds
        if let accepted = activity.accepted, let last = sampler.acceptedBefore, accepted >= last {
          report.acceptedPerSecond = Double(accepted - last) / seconds
        }
      }
      return report
    }

    private func holders(_ hitters: HeavyHitters<TableParty>) -> [TopReport.Holder] {
      hitters.keys().prefix(rows).map { TopReport.Holder(name: $0.key.text, entries: $0.count) }
    }

    /// Of each address the destination toward which it has the fewest left.
    private func ports() -> [TopReport.Ports] {
      var seen: Set<TableParty> = []
      var all: [TopReport.Ports] = []
      for (pair, used) in diagnosis.translations.keys() where seen.insert(pair.first).inserted {
        all.append(
          TopReport.Ports(
            address: pair.first.text, destination: pair.second.text, used: used,
            left: max(diagnosis.ports(of: pair.first) - used, 0)))
        if all.count == rows { break }
      }
      return all
    }

    private func drops(_ drops: [DropCount], _ sampler: TopSampler) -> [TopReport.Drop] {
      drops.filter { $0.family == nil || sampler.family == nil || $0.family == sampler.family }
        .map { drop in
          let last = sampler.dropsBefore.first {
            $0.reason == drop.reason && $0.family == drop.family
          }
          let grown = last.map {
            drop.packets >= $0.packets ? drop.packets - $0.packets : drop.packets
          }
          return TopReport.Drop(
            reason: drop.reason, packets: drop.packets,
            perSecond: seconds.map { Double(grown ?? drop.packets) / $0 } ?? 0)
        }
        .sorted { ($1.perSecond, $1.packets, $0.reason) < ($0.perSecond, $0.packets, $1.reason) }
    }
  }
}

/// The fastest few, in order.
private struct Ranking {
  private let rows: Int
  private(set) var flows: [(rate: Double, flow: TopReport.Flow)] = []

  init(_ rows: Int) { self.rows = rows }

  mutating func add(_ rate: Double, _ flow: () -> TopReport.Flow) {
    if flows.count >= rows, (flows.last?.rate ?? .infinity) >= rate { return }
    let place = flows.firstIndex { $0.rate < rate } ?? flows.count
    flows.insert((rate, flow()), at: place)
    if flows.count > rows { flows.removeLast() }
  }
}

extension TopReport.Flow {
  init(_ connection: Connection, _ packets: Double, _ bytes: Double) {
    let (original, reply) = (connection.original, connection.reply)
    packetsPerSecond = packets
    bytesPerSecond = bytes
    family = original.family == .ipv4 ? "ipv4" : "ipv6"
    self.protocol = ConntrackFormat.name(ofProtocol: original.protocolNumber)
    state = connection.protocolState.name
    func end(_ address: IPAddress, _ port: UInt16) -> String {
      let text = address.text(original.family)
      guard TableParty.withPorts.contains(original.protocolNumber) else { return text }
      return original.family == .ipv4 ? "\(text):\(port)" : "[\(text)]:\(port)"
    }
    source = end(original.source, original.sourcePort)
    destination = end(original.destination, original.destinationPort)
    if connection.status.contains(.destinationNAT) {
      translatedTo = end(reply.source, reply.sourcePort)
    }
    if connection.status.contains(.sourceNAT) {
      translatedFrom = end(reply.destination, reply.destinationPort)
    }
  }
}
