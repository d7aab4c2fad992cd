// What `conntrack` does: one command line carried out on a table, and what it prints. The same for every
// kind of table; `weir conntrack` and its tests run it.

import Conntrack
import ConntrackFormat

/// Where the words of a command go.
public protocol ConntrackConsole {
  /// Standard output.
  mutating func write(_ append: (inout [UInt8]) -> Void) throws
  mutating func flush() throws
  /// A line on standard error.
  mutating func say(_ line: String)
  /// What local time is ahead of UTC.
  var secondsAheadOfUTC: Int64 { get }
}

/// Carries out command lines on one table.
public struct ConntrackProgram<Backend: ConntrackBackend, Console: ConntrackConsole> {
  public var backend: Backend
  public var console: Console
  /// What `-h` shows.
  public var help = ""
  /// Becomes readable when `-E` is to end.
  public var interruption: Int32?
  /// Within `-R`: what was done is not summed up.
  var isLoading = false

  public init(backend: Backend, console: Console) {
    self.backend = backend
    self.console = console
  }

  /// - Returns: the exit status.
  /// - Throws: what `console` throws.
  public mutating func run(_ line: ConntrackCommandLine) throws -> Int32 {
    for warning in line.warnings { console.say(warning) }
    do {
      let status = try perform(line)
      try console.flush()
      return status
    } catch let error as TableError {
      return try fail(error, .other)
    } catch let failure as ConntrackFailure {
      try console.flush()
      console.say(failure.description)
      return 1
    }
  }

  private mutating func perform(_ line: ConntrackCommandLine) throws -> Int32 {
    switch (line.operation, line.table) {
    case (nil, _), (.help, _):
      try console.write { $0.append(contentsOf: "\(help)\n".utf8) }
      return 0
    case (.version, _):
      try console.write { $0.append(contentsOf: "\(ConntrackFormat.programBanner)\n".utf8) }
      return 0
    case (.list, .expect): return try listExpectations(line)
    case (.list, _): return try list(line)
    case (.get, .expect): return try getExpectation(line)
    case (.get, _): return try get(line)
    case (.create, .expect): return try createExpectation(line)
    case (.create, _), (.add, _): return try create(line)
    case (.delete, .expect): return try deleteExpectation(line)
    case (.delete, _): return try delete(line)
    case (.update, _): return try update(line)
    case (.flush, .expect):
      try backend.flushExpectations()
      console.say(ConntrackMessage.expectationsEmptied)
      return 0
    case (.flush, _):
      try backend.flush(line.filter.family)
      console.say(ConntrackMessage.emptied)
      return 0
    case (.count, _): return try count(line)
    case (.statistics, _): return try statistics(line)
    case (.events, _): return try follow(line)
    }
  }

  /// Says why nothing more is done.
  mutating func fail(_ error: TableError, _ operation: TableError.Operation) throws -> Int32 {
    try console.flush()
    console.say(ConntrackMessage.failed(error.reason(operation)))
    return 1
  }

  /// Says how many entries it was; in a file of commands nobody counts.
  mutating func sum(_ message: String) throws {
    try console.flush()
    if !isLoading { console.say(message) }
  }

  mutating func form(_ line: ConntrackCommandLine) throws -> EntryForm {
    var output = line.output
    output.nowNanoseconds = try backend.now()
    output.secondsAheadOfUTC = console.secondsAheadOfUTC
    return EntryForm(line.form, output)
  }

  // MARK: -L, -G

  private mutating func list(_ line: ConntrackCommandLine) throws -> Int32 {
    let form = try form(line)
    let table = ListedTable(line.table)
    let request = ListRequest(
      table: table, family: line.filter.family, zeroesCounters: line.zeroesCounters,
      mark: line.filter.mark, markMask: line.filter.markMask)
    var listing = Listing(console: console, prologue: form.prologue, epilogue: form.epilogue)
    defer { console = listing.console }
    try backend.list(request) { connection in
      guard line.filter.matches(connection) else { return }
      try listing.add { form.append(connection, to: &$0) }
    }
    try listing.finish(ConntrackMessage.shown)
    return 0
  }

  private mutating func get(_ line: ConntrackCommandLine) throws -> Int32 {
    let connection: Connection
    do {
      connection = try backend.get(line.lookup())
    } catch let error as TableError {
      return try fail(error, .get)
    }
    // Found by its answer, perhaps: then it is not what was asked for.
    let isMeant = line.filter.matches(connection) && (line.id ?? connection.id) == connection.id
    if isMeant {
      let form = try form(line)
      if let prologue = form.prologue {
        try console.write { $0.append(contentsOf: "\(prologue)\n".utf8) }
      }
      try console.write { form.append(connection, to: &$0) }
    }
    try sum(ConntrackMessage.shown(isMeant ? 1 : 0))
    return isMeant || isLoading ? 0 : 1
  }

  // MARK: -C, -S

  private mutating func count(_ line: ConntrackCommandLine) throws -> Int32 {
    do {
      var number = 0
      if line.table == .expect {
        try backend.listExpectations(.ipv4) { _ in number += 1 }
      } else {
        number = try backend.count()
      }
      try console.write { $0.append(contentsOf: "\(ConntrackMessage.count(number))\n".utf8) }
    } catch let error as TableError {
      // conntrack 1.4.7 ends well all the same.
      _ = try fail(error, .other)
    }
    return 0
  }

  private mutating func statistics(_ line: ConntrackCommandLine) throws -> Int32 {
    for processor in try backend.statistics() {
      let text =
        line.table == .expect
        ? ConntrackMessage.statistics(processor.expectations, cpu: processor.processor)
        : ConntrackMessage.statistics(processor.connections, cpu: processor.processor)
      try console.write { $0.append(contentsOf: "\(text)\n".utf8) }
    }
    return 0
  }
}

/// Entries printed one after another, with what comes before the first and after the last.
struct Listing<Console: ConntrackConsole> {
  var console: Console
  let prologue: String?
  let epilogue: String?
  private var count = 0

  init(console: Console, prologue: String?, epilogue: String?) {
    self.console = console
    self.prologue = prologue
    self.epilogue = epilogue
  }

  mutating func add(_ append: (inout [UInt8]) -> Void) throws {
    if count == 0, let prologue {
      try console.write { $0.append(contentsOf: "\(prologue)\n".utf8) }
    }
    count += 1
    try console.write(append)
  }

  /// - Parameter sum: the line on standard error, by the number of entries.
  mutating func finish(_ sum: (Int) -> String) throws {
    if count > 0, let epilogue {
      try console.write { $0.append(contentsOf: "\(epilogue)\n".utf8) }
    }
    try console.flush()
    console.say(sum(count))
  }
}

extension ListedTable {
  init(_ table: ConntrackTable) {
    switch table {
    case .dying: self = .dying
    case .unconfirmed: self = .unconfirmed
    case .conntrack, .expect: self = .conntrack
    }
  }
}
