// Runs a measurement: rounds of the engine and of its floor, in turn, so that what disturbs the machine
// disturbs both.

import Conntrack
import Dispatch
import Synchronization
import Wire

/// What a measurement gave.
public struct BenchReport: Sendable {
  public var options: BenchOptions
  /// Nanoseconds a packet (of `expire`: an entry) of one worker.
  public var engine = Rounds()
  /// Nanoseconds to touch one random record's lines.
  public var floor = Rounds()
  /// Packets a second of all workers together: the sum of their rates.
  public var packetsPerSecond = 0.0
  /// What the table takes with this many connections, over their number.
  public var bytesPerConnection = 0.0
  /// What the packets took of the allocator; of `expire` nothing is counted.
  public var counted = Counted()
  /// The longest a burst waited for expiry, nanoseconds.
  public var longestWait: Double?
}

public enum Bench {
  /// - Throws: options that make no sense together, or an engine that did not do what it was to be
  ///   timed at.
  public static func run(_ options: BenchOptions) throws -> BenchReport {
    try options.check()
    if options.workers == 1 { return try run(options, worker: 0) }
    let reports = Mutex<[Result<BenchReport, any Error>]>([])
    // Each worker has a thread, a table and traffic of its own: they share nothing.
    DispatchQueue.concurrentPerform(iterations: options.workers) { worker in
      let result = Result { try run(options, worker: worker) }
      reports.withLock { $0.append(result) }
    }
    let all = try reports.withLock { try $0.map { try $0.get() } }
    var whole = all[0]
    whole.engine = Rounds()
    whole.counted = all.reduce(Counted()) { $0 + $1.counted }
    for report in all { for value in report.engine.sorted { whole.engine.add(value) } }
    whole.packetsPerSecond = all.reduce(0) { $0 + $1.packetsPerSecond }
    return whole
  }

  private static func run(_ options: BenchOptions, worker: Int) throws -> BenchReport {
    var report = BenchReport(options: options)
    var engine = try Engine(options, worker: worker)
    // One floor does for all.
    let measuresFloor = worker == 0
    let floor = Floor(connections: measuresFloor ? options.connections : 1)
    var generator = SeededGenerator(seed: options.seed)
    var sum: UInt64 = 0
    func measureFloor(_ report: inout BenchReport, packets: Int) {
      if !measuresFloor { return }
      let watch = Stopwatch()
      sum &+= floor.touch(packets, burst: options.burst, &generator)
      report.floor.add(watch.nanoseconds / Double(packets))
    }
    switch options.work {
    case .established:
      try engine.establish(options.connections)
      _ = try engine.established(min(options.packets, 200_000))
      for _ in 0..<options.rounds {
        report.engine.add(try engine.established(options.packets))
        measureFloor(&report, packets: options.packets)
      }
    case .create:
      // Each round fills its share of the table.
      let share = options.connections / options.rounds
      for _ in 0..<options.rounds {
        report.engine.add(try engine.create(share))
        measureFloor(&report, packets: max(share, 200_000))
      }
    case .expire:
      try engine.establish(options.connections)
      let (perEntry, longest) = engine.expire()
      report.engine.add(perEntry)
      report.longestWait = longest
      measureFloor(&report, packets: 1_000_000)
    }
    report.counted = engine.counted
    report.bytesPerConnection = Double(engine.memoryBytes) / Double(options.connections)
    report.packetsPerSecond = 1e9 / report.engine.median
    withExtendedLifetime(sum) {}
    return report
  }
}
