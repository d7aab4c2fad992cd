// The table that a capture leaves behind, for `weir conntrack --capture`: it can be looked at, not changed.

import Capture
import Conntrack
import ConntrackFormat
import Foundation
import Gateway
import Replay
import TableControl
import Wire

/// A replay, run as far as whoever asks needs it.
final class ReplayTable: DiagnosedTable {
  private var session: ReplaySession
  private var reader: CaptureReader
  private let path: String
  private var isOver = false

  /// Whether there is something to know rules from.
  private let knowsRules: Bool

  init(_ path: String, _ options: HostOptions) throws {
    self.path = path
    let machine = options.machine
    knowsRules = machine.host != nil || machine.rules != nil || machine.rules6 != nil
    session = try options.session()
    reader = try CaptureReader.opening(path)
  }

  convenience init(_ path: String, hostWords: [String]) throws {
    let options: HostOptions
    do {
      options = try HostOptions.parse(hostWords)
    } catch {
      throw Failure.unusable("weir conntrack: \(HostOptions.message(for: error))")
    }
    try self.init(path, options)
  }

  /// Reads the capture to its end, once.
  private func finish(_ afterEach: () throws -> Bool = { true }) throws {
    if isOver { return }
    isOver = true
    var output = Output()
    while let frame = try reader.nextFrame(after: &output) {
      session.count(frame, reader.frameBytes, in: reader.interfaces)
      guard try afterEach() else { return }
    }
    session.settle()
    if let cut = reader.cut { StandardError.say("\(reader.name): \(cut)") }
  }

  // MARK: Looking

  func now() throws -> Int64 {
    try finish()
    return session.firewall.tracker.now
  }

  func list(_ request: ListRequest, _ each: (Connection) throws -> Void) throws {
    if request.zeroesCounters { throw ReplayTable.readOnly }
    try finish()
    guard request.table == .conntrack else { return }
    for connection in session.firewall.tracker.connections() { try each(connection) }
  }

  func get(_ request: ConnectionRequest) throws -> Connection {
    try finish()
    guard let family = request.family, let tuple = request.original.tuple(family) else {
      throw TableError.invalid
    }
    let found = session.firewall.tracker.connections().first {
      $0.zone == 0 && ($0.original == tuple || $0.reply == tuple)
    }
    guard let found else { throw TableError.noSuchEntry }
    return found
  }

  func count() throws -> Int {
    try finish()
    return session.firewall.tracker.count
  }

  func statistics() throws -> [ProcessorStatistics] {
    try finish()
    return [
      ProcessorStatistics(
        processor: 0, connections: session.firewall.tracker.statistics,
        expectations: session.firewall.tracker.expectationStatistics)
    ]
  }

  func surroundings() throws -> TableSurroundings {
    try finish()
    let rules = session.firewall.countedRules()
    return TableSurroundings(
      settings: session.firewall.tracker.settings,
      rules: knowsRules ? TranslationRule.all(of: rules) : nil)
  }

  func listExpectations(
    _ family: AddressFamily, _ each: (Expectation) throws -> Void
  ) throws {
    try finish()
    for expectation in session.firewall.tracker.expectations()
    where expectation.tuple.family == family {
      try each(expectation)
    }
  }

  func getExpectation(_ request: ExpectationRequest) throws -> Expectation {
    try finish()
    guard let tuple = request.expected.tuple(request.family) else { throw TableError.invalid }
    let found = session.firewall.tracker.expectations().first { $0.tuple == tuple }
    guard let found else { throw TableError.noSuchEntry }
    return found
  }

  func follow(_ request: FollowRequest, _ each: (TableEvent) throws -> Bool) throws {
    session.firewall.tracker.recordsEvents = true
    guard try each(.began(bufferBytes: nil)) else { return }
    try finish {
      for event in session.firewall.tracker.takeEvents()
      where !request.expectations && request.kinds.contains(event.kind) {
        guard try each(.connection(event)) else { return false }
      }
      for event in session.firewall.tracker.takeExpectationEvents() where request.expectations {
        guard try each(.expectation(event)) else { return false }
      }
      return true
    }
  }

  // MARK: Changing

  private static let readOnly = TableError(
    number: 30,
    explanation: "the table of a replayed capture ends with the command, so it is not changed")

  func create(_ request: ConnectionRequest) throws { throw ReplayTable.readOnly }
  func update(_ request: ConnectionRequest) throws { throw ReplayTable.readOnly }
  func delete(_ connection: Connection) throws { throw ReplayTable.readOnly }
  func flush(_ family: AddressFamily?) throws { throw ReplayTable.readOnly }
  func createExpectation(_ request: ExpectationRequest) throws { throw ReplayTable.readOnly }
  func deleteExpectation(_ request: ExpectationRequest) throws { throw ReplayTable.readOnly }
  func flushExpectations() throws { throw ReplayTable.readOnly }

  // MARK: /proc

  /// `--procfs`: the lines of `/proc/net/nf_conntrack`, or of `nf_conntrack_expect`.
  func listAsProc(_ commands: ConntrackCommands) throws {
    guard case .line(let line) = commands, line.operation == .list, line.outputWordCount == 0 else {
      throw Failure.unusable("weir conntrack: --procfs is a form of -L, and stands without -o")
    }
    try finish()
    var output = Output()
    if line.table == .expect {
      let writer = ExpectationWriter()
      for expectation in session.firewall.tracker.expectations() {
        try output.append { writer.append(proc: expectation, to: &$0) }
        try output.append("\n")
      }
    } else if line.table == .conntrack {
      var writer = ProcWriter(nowNanoseconds: session.firewall.tracker.now)
      let settings = session.firewall.tracker.settings
      writer.greTimeoutSeconds = (
        UInt32(clamping: settings.greTimeout / 1_000_000_000),
        UInt32(clamping: settings.greTimeoutStream / 1_000_000_000)
      )
      for connection in session.firewall.tracker.connections()
      where line.filter.matches(connection) {
        try output.append { writer.append(connection, to: &$0) }
        try output.append("\n")
      }
    }
    try output.flush()
  }
}
