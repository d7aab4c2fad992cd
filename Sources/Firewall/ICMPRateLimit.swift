// How many ICMP errors go out: one bucket for each host they are sent to, one for all together. As the
// kernel's icmp_ratelimit, icmp_ratemask and icmp_msgs_* (icmp(7)) were measured to work.

import Wire

/// Buckets of time: an error costs one interval; six intervals at most are saved up.
struct ICMPRateLimiter {
  private struct Bucket {
    var tokens: Int64
    var time: Int64
    /// Redirects sent in a row.
    var redirects = 0
  }

  private static let burst: Int64 = 6
  /// The kernel's clock for these limits, at the usual 250 Hz: what comes within one tick comes at once.
  private static let tick: Int64 = 4_000_000
  /// Hosts remembered at most. Beyond, all are forgotten: each then has a full bucket again, which
  /// is also what a host never met before has.
  private static let mostHosts = 16_384

  private let settings: HostSettings
  private var buckets: [Key: Bucket] = [:]
  private var commonCredit: Int
  private var commonTime: Int64 = .min / 2

  private struct Key: Hashable {
    var address: IPAddress
    var family: AddressFamily
  }

  init(_ settings: HostSettings) {
    self.settings = settings
    commonCredit = settings.icmpMessagesBurst
  }

  /// Whether an error of this type and code may go to `destination` now, and counts it if so.
  mutating func allows(
    _ type: UInt8, code: UInt8, to destination: IPAddress, _ family: AddressFamily, now: Int64
  ) -> Bool {
    let interval: Int64
    if family == .ipv4 {
      // Fragmentation needed is never held back: path MTU discovery lives by it.
      let isFragmentationNeeded =
        type == ICMPType.destinationUnreachable && code == 4
      guard type < 32, settings.icmpRateMask >> UInt32(type) & 1 != 0, !isFragmentationNeeded
      else { return true }
      interval = settings.icmpRateLimitNanoseconds
    } else {
      guard settings.icmpv6RateMask.contains(type) else { return true }
      interval = settings.icmpv6RateLimitNanoseconds
    }
    guard takeCommon(now) else { return false }
    // No limit of its own, IPv4's still empties the bucket, for those on routing's errors too.
    if interval == 0 && family == .ipv6 { return true }
    return take(interval, cap: ICMPRateLimiter.burst * interval, from: destination, family, now)
  }

  /// The further limit on errors that routing itself makes (`net.ipv4.route.error_cost` and
  /// `error_burst`: one second, five saved up), on the same bucket.
  mutating func allowsRoutingError(to destination: IPAddress, now: Int64) -> Bool {
    take(1_000_000_000, cap: 5_000_000_000, from: destination, .ipv4, now)
  }

  /// Whether a redirect may go to `destination` now (`net.ipv4.route.redirect_load`,
  /// `redirect_number`, `redirect_silence`): each waits twice as long as the one before, nine in all,
  /// and it begins anew after 20.48 s in which none was asked for. The bucket is the same, and an
  /// error soon after the first redirect finds it empty.
  mutating func allowsRedirect(to destination: IPAddress, now: Int64) -> Bool {
    let key = Key(address: destination, family: .ipv4)
    makeRoom(for: key)
    let load: Int64 = 20_000_000
    var bucket = buckets[key] ?? Bucket(tokens: 0, time: now)
    if buckets[key] == nil || now - bucket.time > load << 10 {
      bucket.tokens = 0
      bucket.redirects = 0
    }
    let mayHaveMore = bucket.redirects < 9
    let allowed =
      mayHaveMore
      && (bucket.redirects == 0 || now - bucket.time > load << Int64(bucket.redirects))
    if allowed { bucket.redirects += 1 }
    if allowed || !mayHaveMore { bucket.time = now }
    buckets[key] = bucket
    return allowed
  }

  private mutating func makeRoom(for key: Key) {
    if buckets.count >= ICMPRateLimiter.mostHosts && buckets[key] == nil {
      buckets.removeAll(keepingCapacity: true)
    }
  }

  private mutating func take(
    _ cost: Int64, cap: Int64, from destination: IPAddress, _ family: AddressFamily, _ now: Int64
  ) -> Bool {
    let key = Key(address: destination, family: family)
    makeRoom(for: key)
    let now = now - now % ICMPRateLimiter.tick
    var bucket = buckets[key] ?? Bucket(tokens: cap, time: now)
    // What a limit of another kind has just left in the bucket is not cut down to this one's cap.
    if now > bucket.time {
      bucket.tokens = min(cap, bucket.tokens + now - bucket.time)
      bucket.time = now
    }
    let allowed = bucket.tokens >= cost
    if allowed { bucket.tokens -= cost }
    buckets[key] = bucket
    return allowed
  }

  /// The limit on all errors together: refilled only when used up, at most every 20 ms. The kernel
  /// takes none, one or two at random for each; this takes the mean.
  private mutating func takeCommon(_ now: Int64) -> Bool {
    if commonCredit <= 0 {
      let elapsed = min(now - commonTime, 1_000_000_000)
      if elapsed >= 20_000_000 {
        let earned = Int(Int64(settings.icmpMessagesPerSecond) * elapsed / 1_000_000_000)
        commonCredit = min(settings.icmpMessagesBurst, earned)
        commonTime = now
      }
    }
    guard commonCredit > 0 else { return false }
    commonCredit -= 1
    return true
  }
}
