// How records whose time is over are found, where nobody listens for the moment.

/// How a table finds the connections whose time is over.
@frozen
public enum Expiry: UInt8, Sendable, BitwiseCopyable {
  /// Each ends, and listeners hear of it, before the first packet after its time is looked at: a timer
  /// wheel knows when. For replay, where every event has its place.
  case exact
  /// The table is swept from end to end every `Sweep.period`, a little with each packet; an expired
  /// connection that is met earlier counts as gone. Costs packets nothing, and no connection anything
  /// but its time. For a gateway.
  case swept
}

/// The sweep's place in the table.
struct Sweep: ~Copyable {
  /// Every record is looked at once in about 8.6 s (2^33 ns).
  private static let periodShift: Int64 = 33
  /// What one call may take, so that no packet waits long.
  private static let most: Int64 = 64

  /// The next record to look at.
  var position = 0
  /// How far the time is paid for, nanoseconds.
  private var time = Int64.min

  /// How many of `count` records to look at now.
  @inline(__always)
  mutating func share(of count: Int, now: Int64) -> Int {
    // Most calls come so soon after the last that nothing is due.
    let passed = now &- time
    if passed >= 0 && passed < Sweep.step { return 0 }
    return newShare(of: count, now: now)
  }

  /// The time that must have passed for anything to be done: 2^13 ns.
  private static let step: Int64 = 8192

  private mutating func newShare(of count: Int, now: Int64) -> Int {
    if count == 0 || time == .min {
      time = now
      return 0
    }
    // Behind by more than a whole pass means nothing that one pass does not mend.
    let period: Int64 = 1 << Sweep.periodShift
    time = max(time, now - period)
    // Below 2^63: a table has at most 2^30 records.
    let due = ((now - time) * Int64(count)) >> Sweep.periodShift
    let share = min(due, Sweep.most)
    time += share * period / Int64(count)
    return Int(share)
  }
}
