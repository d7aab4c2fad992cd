// Who holds the most of a table, in bounded memory however many keys there are. For `weir doctor`.

/// Counts of the most frequent keys of a stream, by the method of Misra and Gries ("Finding repeated
/// elements", 1982): with room for k keys, a key met n times out of N is counted between n - N/(k + 1) and n,
/// so that none met more often than N/(k + 1) is missed. Up to k different keys the counts are exact. The
/// result depends on the order of the stream alone.
public struct HeavyHitters<Key: Hashable & Comparable & Sendable>: Sendable {
  /// The most keys that are held at once.
  public let capacity: Int
  private var counts: [Key: Int] = [:]
  /// How much less than the truth a count may be.
  public private(set) var largestError = 0

  public init(capacity: Int) {
    self.capacity = capacity
  }

  /// Counts `key` once. O(1) on average over a stream.
  public mutating func add(_ key: Key) {
    if let count = counts[key] {
      counts[key] = count + 1
    } else if counts.count < capacity {
      counts[key] = 1
    } else {
      // One of every key held, and the new one, cancel each other out.
      largestError += 1
      counts = counts.compactMapValues { $0 > 1 ? $0 - 1 : nil }
    }
  }

  /// At least how often `key` was met.
  public subscript(key: Key) -> Int { counts[key] ?? 0 }

  /// The keys met at least `least` times as far as is known, most frequent first, then by key.
  public func keys(atLeast least: Int = 1) -> [(key: Key, count: Int)] {
    counts.filter { $0.value >= least }
      .sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
      .map { ($0.key, $0.value) }
  }
}
