// Time, and what several rounds of it come to.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Rounds of one measurement: nanoseconds per packet of each.
public struct Rounds: Sendable {
  public private(set) var sorted: [Double] = []

  public init() {}

  public mutating func add(_ nanoseconds: Double) {
    sorted.append(nanoseconds)
    sorted.sort()
  }

  public var isEmpty: Bool { sorted.isEmpty }
  public var median: Double {
    if sorted.isEmpty { return 0 }
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  }
  public var least: Double { sorted.first ?? 0 }
  public var most: Double { sorted.last ?? 0 }
}

/// Processor time of this thread, which other programs on the machine do not lengthen.
struct Stopwatch {
  private let start = Stopwatch.now

  private static var now: Double {
    var time = timespec()
    // Filled in by the call.
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
  }

  /// Nanoseconds since it was made.
  var nanoseconds: Double { Stopwatch.now - start }
}
