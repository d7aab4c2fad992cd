// What `weir top` makes of passes over a table, and how it lays it out: without a terminal.

import Conntrack
import ConntrackFormat
import Testing
import Wire

@testable import TableControl

@Suite struct TopTests {
  /// A table that is what the test says.
  private struct Table: WatchedTable {
    var connections: [Connection] = []
    var told = TableActivity()
    var counters = ConntrackStatistics()
    var settings = ConntrackSettings()

    func list(_ request: ListRequest, _ each: (Connection) throws -> Void) throws {
      for connection in connections
      where (request.family ?? connection.original.family) == connection.original.family {
        try each(connection)
      }
    }

    func activity() -> TableActivity { told }
    func surroundings() -> TableSurroundings { TableSurroundings(settings: settings) }
    func statistics() -> [ProcessorStatistics] {
      [ProcessorStatistics(processor: 0, connections: counters)]
    }

    func now() -> Int64 { 0 }
    func count() -> Int { connections.count }
    func get(_ request: ConnectionRequest) throws -> Connection { throw TableError.notSupported }
    func create(_ request: ConnectionRequest) throws { throw TableError.notSupported }
    func update(_ request: ConnectionRequest) throws { throw TableError.notSupported }
    func delete(_ connection: Connection) throws { throw TableError.notSupported }
    func flush(_ family: AddressFamily?) throws { throw TableError.notSupported }
    func listExpectations(_ family: AddressFamily, _ each: (Conntrack.Expectation) throws -> Void) {
    }
    func getExpectation(_ request: ExpectationRequest) throws -> Conntrack.Expectation {
      throw TableError.notSupported
    }
    func createExpectation(_ request: ExpectationRequest) throws { throw TableError.notSupported }
    func deleteExpectation(_ request: ExpectationRequest) throws { throw TableError.notSupported }
    func flushExpectations() throws { throw TableError.notSupported }
    func follow(_ request: FollowRequest, _ each: (TableEvent) throws -> Bool) throws {
      throw TableError.notSupported
    }
  }

  private func connection(
    _ id: UInt32, packets: UInt64? = nil, bytes: UInt64 = 0, family: AddressFamily = .ipv4,
    _ change: (inout Connection) -> Void = { _ in }
  ) -> Connection {
    let client = IPAddress(ipv4: 0x0A00_0000 | id)
    let server = IPAddress(ipv4: 0xCB00_710A)
    let original = Tuple(
      source: client, destination: server, sourcePort: UInt16(1000 + id), destinationPort: 443,
      protocolNumber: 6, family: family)
    var connection = Connection(
      original: original,
      reply: Tuple(
        source: server, destination: client, sourcePort: 443, destinationPort: UInt16(1000 + id),
        protocolNumber: 6, family: family))
    connection.id = id
    connection.status = [.seenReply, .confirmed]
    connection.protocolState = .tcp(.established)
    connection.originalCounters = packets.map { ConnectionCounters(packets: $0, bytes: bytes) }
    if packets != nil { connection.replyCounters = ConnectionCounters() }
    change(&connection)
    return connection
  }

  @Test func ratesAreWhatCountersGrewBy() throws {
    var table = Table()
    var sampler = TopSampler(rows: 2)
    table.connections = [
      connection(1, packets: 10, bytes: 1000), connection(2, packets: 5, bytes: 9000),
      connection(3, packets: 7, bytes: 70),
    ]
    let first = try sampler.report(of: &table, now: 0)
    #expect(first.byBytes.isEmpty && first.seconds == nil && first.newPerSecond == nil)
    #expect(first.isCounted && first.entries == 3)

    table.connections = [
      connection(1, packets: 30, bytes: 1200), connection(2, packets: 9, bytes: 19_000),
      // Nothing came.
      connection(3, packets: 7, bytes: 70),
      // New: all of it is.
      connection(4, packets: 2, bytes: 80),
    ]
    let second = try sampler.report(of: &table, now: 2_000_000_000)
    #expect(second.seconds == 2)
    #expect(second.newPerSecond == 0.5)
    #expect(second.byBytes.map(\.bytesPerSecond) == [5000, 100])
    #expect(second.byBytes.map(\.source) == ["10.0.0.2:1002", "10.0.0.1:1001"])
    #expect(second.byPackets.map(\.packetsPerSecond) == [10, 2])

    // Counters that begin anew: what they have now is new.
    table.connections = [connection(1, packets: 3, bytes: 300)]
    let third = try sampler.report(of: &table, now: 3_000_000_000)
    #expect(third.byBytes.map(\.bytesPerSecond) == [300])
    // Another connection of the same id is not the same.
    table.connections = [
      connection(1, packets: 4, bytes: 400) { $0.original.sourcePort = 9 }
    ]
    let fourth = try sampler.report(of: &table, now: 4_000_000_000)
    #expect(fourth.byBytes.map(\.bytesPerSecond) == [400])
    #expect(fourth.newPerSecond == 1)
  }

  @Test func aPassThatIsBrokenOffIsForgotten() throws {
    struct Enough: Error {}
    var table = Table(connections: [connection(1, packets: 10, bytes: 1000)])
    var sampler = TopSampler()
    _ = try sampler.report(of: &table, now: 0)
    table.connections = [connection(1, packets: 20, bytes: 2000)]
    #expect(throws: Enough.self) {
      try sampler.report(of: &table, now: 1_000_000_000) { throw Enough() }
    }
    table.connections = [connection(1, packets: 50, bytes: 5000)]
    let report = try sampler.report(of: &table, now: 2_000_000_000)
    #expect(report.byBytes.first?.bytesPerSecond == 2000)
  }

  @Test func holdersStatesPortsAndDrops() throws {
    var table = Table()
    table.settings.max = 100
    table.connections = (1...5).map { id in
      connection(id) {
        $0.status.insert(.sourceNAT)
        $0.reply.destination = IPAddress(ipv4: 0xCB00_7102)
        $0.reply.destinationPort = UInt16(2000 + id)
        if id == 5 {
          $0.status.remove(.seenReply)
          $0.protocolState = .tcp(.synSent)
          // Toward another destination the same ports are free.
          $0.reply.source = IPAddress(ipv4: 0xCB00_710B)
        }
      }
    }
    table.connections.append(connection(6, family: .ipv6))
    table.told.accepted = 100
    table.told.drops = [
      DropCount(reason: "dropped by the policy of filter FORWARD", family: .ipv4, packets: 7),
      DropCount(reason: "dropped by the policy of filter FORWARD", family: .ipv6, packets: 1),
    ]
    table.told.holdings = [
      RuleHolding(rule: "filter FORWARD rule 1", family: .ipv4, entries: 5),
      RuleHolding(rule: "filter FORWARD rule 1", family: .ipv6, entries: 1),
    ]
    var sampler = TopSampler()
    let first = try sampler.report(of: &table, now: 0)
    #expect(first.limit == 100 && first.ipv4 == 5 && first.ipv6 == 1)
    #expect(first.unreplied == 1 && !first.isCounted)
    #expect(
      first.states == [
        TopReport.Holder(name: "tcp ESTABLISHED", entries: 5),
        TopReport.Holder(name: "tcp SYN_SENT", entries: 1),
      ])
    #expect(
      first.ports == [
        TopReport.Ports(
          address: "203.0.113.2", destination: "203.0.113.10 tcp port 443", used: 4, left: 64_508)
      ])
    #expect(
      first.services == [
        TopReport.Holder(name: "tcp port 443", entries: 5),
        TopReport.Holder(name: "tcp port 443", entries: 1),
      ])

    table.told.accepted = 150
    table.told.drops[0].packets = 27
    table.counters.drop = 3
    sampler.rows = 1
    let second = try sampler.report(of: &table, now: 5_000_000_000)
    #expect(second.acceptedPerSecond == 10)
    #expect(second.drops.map(\.perSecond) == [4, 0.6, 0])
    #expect(second.drops.map(\.packets) == [27, 3, 1])
    #expect(second.rules?.count == 1 && second.sources.count == 1)

    sampler.family = .ipv6
    let third = try sampler.report(of: &table, now: 6_000_000_000)
    #expect(third.entries == 1 && third.ipv4 == 0 && third.ports.isEmpty)
    // Of another family than before nothing is known.
    #expect(third.seconds == nil && third.newPerSecond == nil)
    #expect(third.rules == [TopReport.Holder(name: "filter FORWARD rule 1", entries: 1)])
    #expect(third.drops.map(\.packets) == [3, 1])
  }

  @Test(arguments: [(40, 10), (80, 24), (120, 30), (200, 60), (20, 4), (1, 1)])
  func whateverTheSizeItFits(_ width: Int, _ height: Int) throws {
    var table = Table()
    table.connections = (1...50).map { connection($0, packets: 1, bytes: 99) }
    table.told.holdings = [RuleHolding(rule: "r", family: .ipv4, entries: 50)]
    var sampler = TopSampler(rows: 40)
    _ = try sampler.report(of: &table, now: 0)
    table.connections = (1...50).map { connection($0, packets: 2, bytes: 199) }
    let report = try sampler.report(of: &table, now: 1_000_000_000)
    let lines = TopScreen(width: width, height: height, title: "weir top").lines(
      report, order: .bytes)
    #expect(lines.count <= height)
    #expect(lines.allSatisfy { $0.text.count <= max(width, 20) })
    #expect(lines.first?.text == "weir top")
    if height >= 24 {
      #expect(lines.contains { $0.text.contains("tcp 10.0.0.1:1001 -> 203.0.113.10:443") })
      #expect(lines.contains { $0.text.contains("ENTRIES  SOURCES") && $0.isHeading })
      #expect(lines.contains { $0.text.contains("REASON") })
    }
  }

  @Test func withoutCountersThatIsSaid() throws {
    var table = Table(connections: [connection(1)])
    var sampler = TopSampler()
    let report = try sampler.report(of: &table, now: 0)
    let text = TopScreen(width: 120).lines(report, order: .packets).map(\.text)
    #expect(text.contains { $0.contains("nf_conntrack_acct=0") })
    #expect(text.contains { $0.contains("not known here") })
    #expect(text.allSatisfy { !$0.hasSuffix(" ") })
  }

  @Test(arguments: [
    (0.0, "0"), (0.04, "0.0"), (0.35, "0.4"), (9.94, "9.9"), (9.96, "10"), (9999, "9999"),
    (10_000, "10k"), (1_234_567, "1235k"), (99_999_999, "100M"), (12e12, "12T"), (9e18, "9000000T"),
  ])
  func numbersAreShort(_ value: Double, _ text: String) {
    #expect(TopScreen.number(value) == text)
  }

  @Test func activityCrossesTheSocket() throws {
    for activity in [
      TableActivity(),
      TableActivity(
        accepted: 7,
        drops: [
          DropCount(reason: "a", family: .ipv6, packets: .max), DropCount(reason: "", packets: 0),
        ],
        holdings: [RuleHolding(rule: "b", family: .ipv4, entries: 9)]),
    ] {
      var writer = ByteWriter()
      writer.put(activity)
      var reader = ByteReader(writer.bytes[...])
      #expect(try reader.activity() == activity)
      for length in 0..<writer.bytes.count {
        var cut = ByteReader(writer.bytes.prefix(length))
        #expect(throws: DecodingFailure.self) { try cut.activity() }
      }
    }
  }
}
