// `weir top`: a table as it lives: who holds it, what is fast in it, what does not get through. On a terminal, or
// as text or JSON for scripts.

#if os(Linux)
  import ArgumentParser
  import Foundation
  import Gateway
  import KernelTable
  import TableControl
  import Wire

  struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "top",
      abstract: "Watch a table of connections: who holds it, what is fast, what is dropped.",
      discussion: """
        Keys: q ends, s orders connections by bytes or packets, f shows IPv4, IPv6 or both, p pauses, \
        space looks again at once.
        """)

    @Flag(help: "The running kernel's table (as root).")
    var kernel = false

    @Option(
      help: ArgumentHelp(
        "The table of the gateway that listens there; without either: of the one that listens on "
          + "/run/weir.sock.", valueName: "SOCKET"))
    var control: String?

    @Option(help: ArgumentHelp("Time between two looks, 0.1 to 3600.", valueName: "SECONDS"))
    var interval = 2.0

    @Flag(help: "Print what one interval shows as text, and end.")
    var once = false

    @Option(
      help: ArgumentHelp("Print that N times as text; 0: until it is ended.", valueName: "N"))
    var batch: Int?

    @Flag(help: "JSON instead of text: an object a line (docs/top.md).")
    var json = false

    @Option(help: ArgumentHelp("bytes or packets.", valueName: "ORDER"))
    var sort = TopOrder.bytes

    @Option(help: ArgumentHelp("Only ipv4 or ipv6.", valueName: "FAMILY"))
    var family: TopFamily?

    @Option(
      help: ArgumentHelp("How many of each kind without a terminal, 1 to 1000.", valueName: "N"))
    var rows = 10

    func validate() throws {
      if kernel && control != nil { throw ValidationError("--kernel or --control: one of them") }
      if once && batch != nil { throw ValidationError("--once or --batch: one of them") }
      if !(0.1...3600).contains(interval) {
        throw ValidationError("--interval: 0.1 to 3600 seconds")
      }
      if let batch, batch < 0 { throw ValidationError("--batch: 0 or more") }
      if !(1...1000).contains(rows) { throw ValidationError("--rows: 1 to 1000") }
    }

    func run() throws {
      do {
        if kernel {
          var table = try KernelTable()
          table.ruleSource = { KernelRules.read().facts }
          return try watch(table, "kernel")
        }
        let path = control ?? ControlServer.defaultPath
        try watch(try GatewayTable(path), path)
      } catch let error as TableError {
        throw Failure(message: "weir top: \(error.reason(.other))", status: 1)
      }
    }

    private func watch<Table: WatchedTable>(_ table: Table, _ name: String) throws {
      var watch = TopWatch(table, name, self)
      if let times = once ? 1 : batch ?? (json ? 0 : nil) { return try watch.printAll(times) }
      // What ends it, after the terminal is as it was.
      let signal = try TopCommand.onTerminal(&watch)
      if signal > 0 { Foreign.exit(128 + signal) }
    }

    private static func onTerminal<Table: WatchedTable>(
      _ watch: inout TopWatch<Table>
    ) throws -> Int32 {
      guard let terminal = Terminal.open() else {
        throw Failure.unusable(
          "weir top: standard input and output are no terminal; see --once, --batch and --json")
      }
      return try watch.show(on: terminal)
    }
  }

  enum TopFamily: String, ExpressibleByArgument, CaseIterable {
    case ipv4
    case ipv6

    var family: AddressFamily { self == .ipv4 ? .ipv4 : .ipv6 }
  }

  extension TopOrder: ExpressibleByArgument {}

  /// A table that is watched.
  private struct TopWatch<Table: WatchedTable> {
    private var table: Table
    private let name: String
    private let interval: Duration
    private let json: Bool
    private var order: TopOrder
    private var sampler: TopSampler
    private var isPaused = false
    private let clock = ContinuousClock()
    private let began: ContinuousClock.Instant

    init(_ table: Table, _ name: String, _ options: TopCommand) {
      self.table = table
      self.name = name
      interval = .milliseconds(Int(options.interval * 1000))
      json = options.json
      order = options.sort
      sampler = TopSampler(rows: options.rows, family: options.family?.family)
      began = clock.now
    }

    private mutating func look(_ each: () throws -> Void = {}) throws -> TopReport {
      let (seconds, attoseconds) = (clock.now - began).components
      return try sampler.report(
        of: &table, now: seconds * 1_000_000_000 + attoseconds / 1_000_000_000, each: each)
    }

    private var title: String {
      let time = Date().formatted(
        Date.VerbatimFormatStyle(
          format:
            "\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased)):\(minute: .twoDigits):\(second: .twoDigits)",
          timeZone: .current, calendar: Calendar(identifier: .gregorian)))
      let family = sampler.family.map { $0 == .ipv4 ? ", IPv4 only" : ", IPv6 only" } ?? ""
      return "weir top  \(name)  \(time)\(family)\(isPaused ? ", paused" : "")"
    }

    // MARK: For scripts

    /// - Parameter times: 0: until it is ended.
    mutating func printAll(_ times: Int) throws {
      _ = try look()
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      var output = Output()
      var done = 0
      while times == 0 || done < times {
        Thread.sleep(forTimeInterval: interval / .seconds(1))
        let report = try look()
        if json {
          try output.append(String(decoding: try encoder.encode(report), as: UTF8.self) + "\n")
        } else {
          let lines = TopScreen(width: 160, title: title).lines(report, order: order)
          if done > 0 { try output.append("\n") }
          try output.append(lines.map { $0.text + "\n" }.joined())
        }
        try output.flush()
        done += 1
      }
    }

    // MARK: On a terminal

    /// Ends a pass half-way.
    private struct Ended: Error { let signal: Int32 }

    /// - Returns: the signal that ended it; 0: none.
    mutating func show(on terminal: borrowing Terminal) throws -> Int32 {
      do {
        var report: TopReport?
        var next = clock.now
        while true {
          let now = clock.now
          if now >= next && !isPaused {
            report = try pass(terminal) ?? report
            next = clock.now + interval
          }
          if let report { try draw(report, terminal) }
          let left = isPaused ? Duration.seconds(3600) : max(next - clock.now, .zero)
          guard let event = terminal.wait(milliseconds: Int(left / .milliseconds(1)) + 1) else {
            continue
          }
          if try heed(event) { next = clock.now }
        }
      } catch let ended as Ended {
        return ended.signal
      }
    }

    /// One look; nil where a key made it worthless.
    private mutating func pass(_ terminal: borrowing Terminal) throws -> TopReport? {
      var count = 0
      var keys: [Terminal.Event] = []
      // The terminal is looked at now and then: a large table takes its time.
      let report = try look {
        count += 1
        guard count % 4096 == 0, let event = terminal.wait(milliseconds: 0) else { return }
        if let signal = TopWatch.end(event) { throw Ended(signal: signal) }
        keys.append(event)
      }
      let family = sampler.family
      for key in keys { _ = try heed(key) }
      return family == sampler.family ? report : nil
    }

    private func draw(_ report: TopReport, _ terminal: borrowing Terminal) throws {
      let size = terminal.size
      let screen = TopScreen(
        width: size.columns, height: size.lines,
        title: title + "   q: end, s: order, f: family, p: pause")
      let lines = screen.lines(report, order: order).map { ($0.text, $0.isHeading) }
      guard terminal.show(lines) else { throw Ended(signal: 0) }
    }

    private static func end(_ event: Terminal.Event) -> Int32? {
      switch event {
      case .end(let signal): signal
      case .key(UInt8(ascii: "q")), .key(UInt8(ascii: "Q")): 0
      default: nil
      }
    }

    /// - Returns: whether to look at once.
    private mutating func heed(_ event: Terminal.Event) throws -> Bool {
      if let signal = TopWatch.end(event) { throw Ended(signal: signal) }
      guard case .key(let key) = event else { return false }
      switch key {
      case UInt8(ascii: "s"): order = order == .bytes ? .packets : .bytes
      case UInt8(ascii: "p"):
        isPaused.toggle()
        return !isPaused
      case UInt8(ascii: "f"):
        switch sampler.family {
        case nil: sampler.family = .ipv4
        case .ipv4: sampler.family = .ipv6
        case .ipv6: sampler.family = nil
        }
        isPaused = false
        return true
      case UInt8(ascii: " "):
        isPaused = false
        return true
      default: break
      }
      return false
    }
  }
#endif
