// What matches remember between packets: the token buckets of `limit`, the counters and generators
// of `statistic`.

/// The token bucket of one `-m limit`, in the kernel's arithmetic: credit grows by a fixed amount
/// each timer tick and a match costs a fixed amount, both whole numbers.
@usableFromInline
struct TokenBucket: BitwiseCopyable, Sendable {
  /// Credit a tick adds: the largest power of two with which a day still fits in 32 bits.
  let creditPerTick: UInt64
  let cost: UInt64
  let cap: UInt64
  private var credit: UInt64
  private var lastTick: Int64?

  /// - Parameters:
  ///   - averageUnits: time a token takes, in 1/10000 s.
  ///   - ticksPerSecond: the kernel's HZ.
  init(averageUnits: UInt64, burst: UInt64, ticksPerSecond: UInt64) {
    creditPerTick = TokenBucket.creditPerTick(ticksPerSecond)
    cost = TokenBucket.credits(averageUnits, ticksPerSecond)
    cap = TokenBucket.credits(averageUnits &* burst & 0xFFFF_FFFF, ticksPerSecond)
    credit = cap
  }

  /// Takes a token, if there is one at this tick.
  @usableFromInline
  mutating func take(tick: Int64) -> Bool {
    // The first packet finds a full bucket: no time has passed that could add to it.
    let elapsed = max(0, tick &- (lastTick ?? tick))
    lastTick = tick
    // Cannot overflow: the product is bounded by the cap before it is used.
    let gain =
      elapsed > Int64(cap)
      ? cap
      : UInt64(elapsed).multipliedReportingOverflow(by: creditPerTick)
        .partialValue
    credit = min(cap, credit &+ gain)
    guard credit >= cost else { return false }
    credit &-= cost
    return true
  }

  static func creditPerTick(_ ticksPerSecond: UInt64) -> UInt64 {
    let most = 0xFFFF_FFFF / (ticksPerSecond * 86_400)
    return most == 0 ? 1 : 1 << UInt64(63 - most.leadingZeroBitCount)
  }

  /// Credit worth `units` of 1/10000 s; large values are rounded before they are multiplied, as
  /// 32-bit arithmetic must.
  static func credits(_ units: UInt64, _ ticksPerSecond: UInt64) -> UInt64 {
    let factor = ticksPerSecond * creditPerTick(ticksPerSecond)
    return units > 0xFFFF_FFFF / factor ? units / 10_000 * factor : units * factor / 10_000
  }
}

/// The counter of one `-m statistic --mode nth`.
@usableFromInline
struct NthCounter: BitwiseCopyable, Sendable {
  let every: UInt32
  private var count: UInt32

  init(every: UInt32, packet: UInt32) {
    self.every = every
    // The packet whose turn it is is the one at which the count wraps.
    count = packet == 0 ? every &- 1 : packet &- 1
  }

  @usableFromInline
  mutating func take() -> Bool {
    if count == every &- 1 {
      count = 0
      return true
    }
    count &+= 1
    return false
  }
}

/// A small seeded generator (splitmix64, public domain).
@usableFromInline
struct Splitmix: BitwiseCopyable, Sendable {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  @usableFromInline
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

/// The state of all matches of one compiled ruleset.
@usableFromInline
struct MatchState: Sendable {
  @usableFromInline var buckets: [TokenBucket] = []
  @usableFromInline var counters: [NthCounter] = []
  @usableFromInline var generator: Splitmix
  @usableFromInline let tickNanoseconds: Int64

  init(tickNanoseconds: Int64, seed: UInt64) {
    self.tickNanoseconds = tickNanoseconds
    generator = Splitmix(seed: seed)
  }
}
