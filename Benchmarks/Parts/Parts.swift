// What is measured, part by part. Figures count in thousands of calls; docs/performance.md says how to
// read them.

import Benchmark
import Foundation

/// Each benchmark only once, and none that takes long to set up: to see that they all run.
let isBrief = !(ProcessInfo.processInfo.environment["WEIR_BENCH_BRIEF"] ?? "").isEmpty

let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock], timeUnits: .nanoseconds, scalingFactor: .kilo,
    maxDuration: .milliseconds(isBrief ? 1 : 400), maxIterations: isBrief ? 1 : .max)
  checksumBenchmarks()
  tableBenchmarks()
  rewriteBenchmarks()
  classifierBenchmarks()
}

/// Counts calls over all measurements of a benchmark, so that each goes on where the last one ended.
private final class Calls: @unchecked Sendable {
  // A benchmark runs on one thread.
  var next = 0
}

extension Benchmark {
  /// Measures `body`, which gets the number of a call and is called a thousand times a measurement.
  /// The thing it works on is made by `setup`, once, and not if the benchmark is not run.
  static func part<Thing>(
    _ name: String, setup: @escaping @Sendable () -> Thing,
    _ body: @escaping @Sendable (Thing, Int) -> Void
  ) {
    let calls = Calls()
    Benchmark(name) { benchmark, thing in
      let first = calls.next
      for call in benchmark.scaledIterations { body(thing, first &+ call) }
      calls.next = first &+ benchmark.scaledIterations.count
    } setup: {
      setup()
    }
  }
}
