// What matches remember between packets: the token buckets of `limit`, the counters and generators
// of `statistic`.

/// The token bucket of one `-m limit`, in the kernel's arithmetic: credit grows with time and a
/// match costs a fixed amount, both whole numbers.
@usableFromInline
struct TokenBucket: BitwiseCopyable, Sendable {
  private let tickNanoseconds: Int64
  private let creditPerTick: UInt64
  private let cost: UInt64
  private let cap: UInt64
  private var credit: UInt64
  private var lastTick: Int64?

  /// As the older implementation counts: time goes by the kernel's timer ticks, and a tick's credit
  /// is the largest power of two with which a day's still fits in 32 bits.
  ///
  /// - Parameter averageUnits: time a token takes, in 1/10000 s.
  init(averageUnits: UInt64, burst: UInt64, tickNanoseconds: Int64) {
    self.tickNanoseconds = tickNanoseconds
    let ticksPerSecond = UInt64(1_000_000_000 / tickNanoseconds)
    let most = 0xFFFF_FFFF / (ticksPerSecond * 86_400)
    creditPerTick = most == 0 ? 1 : 1 << UInt64(63 - most.leadingZeroBitCount)
    let perSecond = ticksPerSecond * creditPerTick
    cost = Self.credits(averageUnits, perSecond)
    cap = Self.credits(averageUnits &* burst & 0xFFFF_FFFF, perSecond)
    credit = cap
  }

  /// As the newer implementation counts: a nanosecond's credit is 1.
  init(packets: UInt64, seconds: UInt64, burst: UInt64) {
    tickNanoseconds = 1
    creditPerTick = 1
    // At most a day in nanoseconds times a burst of 10000: below 2^60.
    let nanoseconds = seconds * 1_000_000_000
    cost = nanoseconds / max(1, packets)
    cap = nanoseconds * burst / max(1, packets)
    credit = cap
  }

  /// Takes a token, if there is one at this time.
  @usableFromInline
  mutating func take(now: Int64) -> Bool {
    let tick = now / tickNanoseconds
    // The first packet finds a full bucket: no time has passed that could add to it.
    let elapsed = UInt64(max(0, tick &- (lastTick ?? tick)))
    lastTick = tick
    // No more ticks than fill the bucket, so the product stays far below 2^64.
    credit = min(cap, credit &+ min(elapsed, cap) &* creditPerTick)
    guard credit >= cost else { return false }
    credit &-= cost
    return true
  }

  /// Credit worth `units` of 1/10000 s; large values are rounded before they are multiplied, as
  /// 32-bit arithmetic must.
  private static func credits(_ units: UInt64, _ perSecond: UInt64) -> UInt64 {
    units > 0xFFFF_FFFF / perSecond ? units / 10_000 * perSecond : units * perSecond / 10_000
  }
}

/// The counter of one `-m statistic --mode nth`.
@usableFromInline
struct NthCounter: BitwiseCopyable, Sendable {
  let every: UInt32
  private var count: UInt32

  init(every: UInt32, packet: UInt32) {
    self.every = every
    // A packet's turn is when the count wraps, `packet` packets from now at first.
    count = every &- 1 &- packet
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
struct MatchState: ~Copyable, Sendable {
  private let buckets: FlatArray<TokenBucket>
  private let counters: FlatArray<NthCounter>
  private let generator: FlatArray<Splitmix>

  init(_ compiler: RulesetCompiler) {
    buckets = FlatArray(compiler.buckets)
    counters = FlatArray(compiler.turns)
    generator = FlatArray([Splitmix(seed: compiler.seed)])
  }

  func takeToken(_ index: Int, now: Int64) -> Bool {
    var bucket = buckets[index]
    defer { buckets[index] = bucket }
    return bucket.take(now: now)
  }

  func takeTurn(_ index: Int) -> Bool {
    var counter = counters[index]
    defer { counters[index] = counter }
    return counter.take()
  }

  func nextRandom() -> UInt64 {
    var state = generator[0]
    defer { generator[0] = state }
    return state.next()
  }
}
