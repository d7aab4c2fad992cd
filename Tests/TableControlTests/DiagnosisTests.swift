// What `weir doctor` finds in tables made for it, and what it leaves alone.

import Conntrack
import Testing
import Wire

@testable import TableControl

@Suite struct DiagnosisTests {
  private static let second: Int64 = 1_000_000_000

  private func address(_ number: UInt32) -> IPAddress { IPAddress(ipv4: 0x0A00_0000 | number) }

  /// A connection that was answered, but for what the test changes.
  private func connection(
    from source: UInt32, _ port: UInt16, to destination: UInt32 = 1, _ service: UInt16 = 443,
    protocolNumber: UInt8 = 6, _ change: (inout Connection) -> Void = { _ in }
  ) -> Connection {
    let original = Tuple(
      source: address(source), destination: address(destination), sourcePort: port,
      destinationPort: service, protocolNumber: protocolNumber, family: .ipv4)
    var connection = Connection(
      original: original,
      reply: Tuple(
        source: original.destination, destination: original.source, sourcePort: service,
        destinationPort: port, protocolNumber: protocolNumber, family: .ipv4))
    connection.status = [.seenReply, .confirmed]
    change(&connection)
    return connection
  }

  private func kinds(_ diagnosis: TableDiagnosis) -> [TableFinding.Kind] {
    diagnosis.findings().map(\.kind)
  }

  private func settings(_ change: (inout ConntrackSettings) -> Void = { _ in }) -> TableSurroundings
  {
    var settings = ConntrackSettings()
    change(&settings)
    return TableSurroundings(settings: settings)
  }

  @Test func anOrdinaryTableIsLeftAlone() {
    var diagnosis = TableDiagnosis(settings())
    for port in 0..<2000 { diagnosis.add(connection(from: UInt32(port % 50), UInt16(port + 1024))) }
    #expect(diagnosis.findings().isEmpty)
    #expect(diagnosis.unchecked.count == 1)
  }

  @Test(arguments: [
    (749, nil), (750, TableFinding.Severity.warning), (899, .warning), (900, .urgent),
  ])
  func fillIsToldFromThreeQuartersOn(_ count: Int, _ severity: TableFinding.Severity?) {
    var diagnosis = TableDiagnosis(settings { $0.max = 1000 })
    for number in 0..<count {
      diagnosis.add(connection(from: number < count / 2 ? 7 : UInt32(1000 + number), 4000))
    }
    let found = diagnosis.findings()
    #expect(found.map(\.severity) == (severity.map { [$0] } ?? []))
    guard let finding = found.first else { return }
    #expect(finding.evidence[0].hasPrefix("\(count) entries of 1000"))
    #expect(
      finding.evidence.contains { $0.hasPrefix("source 10.0.0.7: \(count / 2) entries") })
    #expect(!finding.evidence.contains { $0.hasPrefix("source 10.0.4.") })
  }

  @Test func whoeverNobodyAnswersIsNamed() {
    var diagnosis = TableDiagnosis(TableSurroundings())
    for number in 0..<UInt16(255) {
      diagnosis.add(connection(from: 3, 1024 + number) { $0.status = .confirmed })
    }
    #expect(kinds(diagnosis).isEmpty)
    diagnosis.add(connection(from: 3, 9, to: 2, 22) { $0.status = .confirmed })
    let finding = diagnosis.findings().first
    #expect(finding?.kind == .unreplied)
    #expect(
      finding?.evidence == [
        "256 of its 256 entries are UNREPLIED", "255 of them to tcp port 443",
        "1 of them to tcp port 22",
      ])
    // Among as many that were answered it is a busy host.
    for number in 0..<UInt16(257) { diagnosis.add(connection(from: 3, 5000 + number)) }
    #expect(kinds(diagnosis).isEmpty)
  }

  @Test func countersThatGrowWeighMore() {
    let diagnosis = TableDiagnosis(settings())
    var after = ConntrackStatistics()
    after.drop = 5
    after.insertFailed = 2
    var before = after
    #expect(diagnosis.findings(before: before, after: after).map(\.severity) == [.note, .note])
    before.insertFailed = 1
    before.drop = 4
    let found = diagnosis.findings(before: before, after: after)
    #expect(found.map(\.kind) == [.dropped, .insertFailed])
    #expect(found.map(\.severity) == [.urgent, .warning])
    #expect(found[0].evidence == ["drop=5 since the counters began, 1 of them just now"])
    after = ConntrackStatistics()
    after.earlyDrop = 1
    #expect(diagnosis.findings(after: after).map(\.kind) == [.earlyDrop])
  }

  /// A connection of 10.0.0.`source` translated to 203.0.113.1 `port`.
  private func translated(_ port: UInt16, to destination: UInt32 = 1) -> Connection {
    connection(from: UInt32(port) + 100, 4000, to: destination) {
      $0.status.insert(.sourceNAT)
      $0.reply.destination = IPAddress(ipv4: 0xCB00_7101)
      $0.reply.destinationPort = port
    }
  }

  @Test func portsOfARulesRangeRunOut() {
    let rule = TranslationRule(.ipv4, isSource: true, ports: 2000...2099)
    func found(_ rules: [TranslationRule], _ ports: Range<UInt16>) -> [TableFinding] {
      var diagnosis = TableDiagnosis(TableSurroundings(rules: rules))
      for port in ports { diagnosis.add(translated(port)) }
      // Toward another destination the same ports are free.
      for port in ports { diagnosis.add(translated(port, to: 2 + UInt32(port))) }
      return diagnosis.findings()
    }
    #expect(found([rule], 2000..<2079).isEmpty)
    let some = found([rule], 2000..<2080)
    #expect(some.map(\.kind) == [.portsRunningOut])
    #expect(some.first?.severity == .warning)
    #expect(some.first?.evidence == ["80 of 100 ports in use, 80 %"])
    #expect(some.first?.summary.contains("203.0.113.1 toward 10.0.0.1 tcp port 443") == true)
    #expect(found([rule], 2000..<2095).first?.severity == .urgent)
    // A rule that leaves the ports open, or one for another address.
    #expect(found([rule, TranslationRule(.ipv4, isSource: true)], 2000..<2100).isEmpty)
    let other = TranslationRule(
      .ipv4, isSource: true, addresses: address(1)...address(2), ports: 2000...2099)
    #expect(found([other], 2000..<2100).isEmpty)
  }

  @Test func openPortsRunOutToo() {
    var diagnosis = TableDiagnosis(TableSurroundings())
    for port in UInt16(1024)..<52_633 { diagnosis.add(translated(port)) }
    #expect(kinds(diagnosis).isEmpty)
    for port in UInt16(52_633)..<52_635 { diagnosis.add(translated(port)) }
    #expect(kinds(diagnosis) == [.portsRunningOut])
  }

  @Test func targetsThatNoRuleNamesAreToldForUDP() {
    func found(
      _ rules: [TranslationRule]?, protocolNumber: UInt8 = 17, expected: Bool = false
    ) -> [TableFinding] {
      var diagnosis = TableDiagnosis(TableSurroundings(rules: rules))
      let entry = connection(from: 5, 4000, to: 1, 53, protocolNumber: protocolNumber) {
        $0.status.insert(.destinationNAT)
        if expected { $0.status.insert(.expected) }
        $0.reply.source = address(9)
        $0.reply.sourcePort = 5353
      }
      diagnosis.add(entry)
      return diagnosis.findings()
    }
    func rule(_ number: UInt32, _ ports: ClosedRange<UInt16>?) -> TranslationRule {
      TranslationRule(
        .ipv4, isSource: false, addresses: address(number)...address(number), ports: ports)
    }
    let stale = found([rule(8, nil)])
    #expect(stale.map(\.kind) == [.staleTarget])
    #expect(
      stale.first?.summary
        == "UDP to 10.0.0.1 udp port 53 still goes to 10.0.0.9 udp port 5353, which no rule names "
        + "any more.")
    #expect(stale.first?.advice.first?.hasSuffix("--orig-dst 10.0.0.1 --dst-nat 10.0.0.9") == true)
    #expect(found([]).count == 1)
    #expect(found([rule(9, 1...5352)]).count == 1)
    #expect(found([rule(9, nil)]).isEmpty)
    #expect(found([rule(9, 5353...5353)]).isEmpty)
    // REDIRECT to wherever.
    #expect(found([TranslationRule(.ipv4, isSource: false, ports: 5353...5353)]).isEmpty)
    #expect(found([TranslationRule(.ipv4, isSource: true)]).count == 1)
    #expect(found(nil).isEmpty)
    #expect(found([], protocolNumber: 6).isEmpty)
    #expect(found([], expected: true).isEmpty)
  }

  @Test func timeoutsThatDoNotFitAreTold() {
    func found(_ change: (inout ConntrackSettings) -> Void) -> [String] {
      TableDiagnosis(settings(change)).findings().map { String($0.summary.prefix { $0 != ":" }) }
    }
    #expect(found { $0.udpTimeout = 5 * Self.second } == ["udp_timeout is short"])
    #expect(found { $0.udpTimeout = 3600 * Self.second } == ["udp_timeout is long"])
    #expect(found { $0.udpTimeoutStream = 60 * Self.second } == ["udp_timeout_stream is short"])
    #expect(found { $0.genericTimeout = 86_400 * Self.second } == ["generic_timeout is long"])
    #expect(
      found { $0.tcpTimeoutEstablished = 600 * Self.second }
        == ["tcp_timeout_established is short"])
    #expect(found { _ in }.isEmpty)
  }

  @Test func fiveDaysMatterOnceSilentConnectionsFillTheTable() {
    func found(_ limit: Int64, silent: Int) -> [TableFinding.Kind] {
      var diagnosis = TableDiagnosis(settings { $0.max = limit })
      for number in 0..<100 {
        diagnosis.add(
          connection(from: UInt32(number + 10), 4000) {
            $0.protocolState = .tcp(.established)
            $0.timeoutNanoseconds = (432_000 - (number < silent ? 3600 : 3599)) * Self.second
          })
      }
      return kinds(diagnosis)
    }
    #expect(found(100, silent: 10) == [.tableNearlyFull, .timeout])
    #expect(found(100, silent: 9) == [.tableNearlyFull])
    #expect(found(1000, silent: 100).isEmpty)
  }

  @Test func heavyHittersAreBoundedAndRight() {
    var hitters = HeavyHitters<Int>(capacity: 9)
    var truth: [Int: Int] = [:]
    var most = 0
    for number in 0..<10_000 {
      // Two keys hold a fifth each, the others are ever new.
      let key = number % 5 < 2 ? number % 5 : number
      hitters.add(key)
      truth[key, default: 0] += 1
      most = max(most, hitters.keys().count)
    }
    #expect(most <= 9)
    #expect(hitters.largestError <= 10_000 / 10)
    let found = hitters.keys()
    #expect(found.prefix(2).map(\.key) == [0, 1])
    for (key, count) in found {
      let right = truth[key] ?? 0
      #expect(count <= right && count >= right - hitters.largestError)
    }
  }

  @Test func surroundingsCrossTheSocket() throws {
    for surroundings in [
      TableSurroundings(), settings { $0.max = 77 },
      TableSurroundings(
        rules: [
          TranslationRule(.ipv6, isSource: true, ports: 1...9),
          TranslationRule(.ipv4, isSource: false, addresses: address(1)...address(3)),
        ]),
    ] {
      var writer = ByteWriter()
      writer.put(surroundings)
      var reader = ByteReader(writer.bytes[...])
      #expect(try reader.surroundings() == surroundings)
      for length in 0..<writer.bytes.count {
        var cut = ByteReader(writer.bytes.prefix(length))
        #expect(throws: DecodingFailure.self) { try cut.surroundings() }
      }
    }
  }
}
