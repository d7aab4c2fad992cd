// The hash index of the table: from a tuple's hash to the records that may hold it. Buckets are one
// cache line of twelve slots; a slot is an eight-bit tag and a reference.

import CIntrinsics
import Wire

/// A slot's reference: a record and which of its two tuples this slot is for.
struct IndexReference: Hashable, BitwiseCopyable {
  var rawValue: UInt32

  @inline(__always)
  init(record: Int, direction: Direction) {
    rawValue = UInt32(truncatingIfNeeded: record) << 1 | UInt32(direction.rawValue)
  }
  @inline(__always) var record: Int { Int(rawValue >> 1) }
  @inline(__always) var direction: Direction { rawValue & 1 == 0 ? .original : .reply }
}

/// One cache line: sixteen tag bytes (twelve used; 0 is empty) and twelve references. The last tag
/// bytes count the entries that wanted this bucket, or came past it, and lie further on.
struct IndexBucket: BitwiseCopyable {
  static var slots: Int { 12 }
  var tags: SIMD16<UInt8> = .zero
  var references: InlineArray<12, UInt32> = .init(repeating: 0)

  @inline(__always)
  var overflow: UInt16 {
    get { UInt16(tags[12]) | UInt16(tags[13]) << 8 }
    set {
      tags[12] = UInt8(truncatingIfNeeded: newValue)
      tags[13] = UInt8(truncatingIfNeeded: newValue >> 8)
    }
  }

  private static var slotBits: UInt32 { (1 << UInt32(slots)) - 1 }

  /// A bit for each slot whose tag is `tag`.
  @inline(__always)
  func matches(_ tag: UInt8) -> UInt32 {
    // Sixteen bytes are read, and a bucket's tags are sixteen.
    unsafe withUnsafeBytes(of: tags) { unsafe weir_matches($0.baseAddress, tag) } & Self.slotBits
  }
}

struct TableIndex: ~Copyable {
  let buckets: FlatArray<IndexBucket>
  private let bucketCount: Int

  /// Room for `entries` slots at three quarters full.
  init(entries: Int) {
    bucketCount = TableIndex.bytes(entries: entries) / MemoryLayout<IndexBucket>.stride
    buckets = FlatArray(count: bucketCount)
  }

  static func bytes(entries: Int) -> Int {
    (entries / 9 + 2) * MemoryLayout<IndexBucket>.stride
  }

  /// The bucket a hash belongs in: its upper half scaled to the number of buckets, so that hashes
  /// near each other lie near each other.
  @inline(__always) func home(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: ((hash >> 32) &* UInt64(bucketCount)) >> 32)
  }

  @inline(__always) func following(_ position: Int) -> Int {
    position + 1 == bucketCount ? 0 : position + 1
  }

  /// The eight bits a slot keeps of a hash; never 0.
  @inline(__always) private func tag(_ hash: UInt64) -> UInt8 {
    let tag = UInt8(truncatingIfNeeded: hash)
    return tag == 0 ? 1 : tag
  }

  /// Calls `body` with every reference whose hash may lie in `first...last`, until it returns true.
  /// - Complexity: O(buckets between the two), and what they have pushed further on.
  func scan(from first: UInt64, to last: UInt64, _ body: (IndexReference) -> Bool) {
    var position = home(first)
    let end = home(last)
    for _ in 0..<bucketCount {
      for slot in 0..<IndexBucket.slots where buckets[position].tags[slot] != 0 {
        var reference = IndexReference(record: 0, direction: .original)
        reference.rawValue = buckets[position].references[slot]
        if body(reference) { return }
      }
      if position >= end && buckets[position].overflow == 0 { return }
      position = following(position)
    }
  }

  /// Asks for the memory of the bucket a hash belongs in.
  @inline(__always)
  func prefetch(_ hash: UInt64) { buckets.prefetch(home(hash), bytes: 64) }

  /// The first reference in a hash's own bucket that may be filed under it; where there is none,
  /// whether another bucket may have one.
  @inline(__always)
  func candidate(_ hash: UInt64, _ isElsewhere: inout Bool) -> IndexReference? {
    let position = home(hash)
    let candidates = buckets[position].matches(tag(hash))
    if candidates == 0 {
      // Another bucket may have it.
      if buckets[position].overflow != 0 { isElsewhere = true }
      return nil
    }
    var reference = IndexReference(record: 0, direction: .original)
    reference.rawValue = buckets[position].references[candidates.trailingZeroBitCount]
    return reference
  }

  /// False where nothing can be filed under `hash`, which one look at its own bucket mostly tells.
  @inline(__always)
  func mayHold(_ hash: UInt64) -> Bool {
    let position = home(hash)
    return buckets[position].matches(tag(hash)) != 0 || buckets[position].overflow != 0
  }

  /// The first reference filed under `hash` that `isMatch` accepts.
  /// - Complexity: O(1) expected: one bucket in nearly all cases.
  @inline(__always)
  func find(_ hash: UInt64, _ isMatch: (IndexReference) -> Bool) -> IndexReference? {
    var position = home(hash)
    let tag = tag(hash)
    // At most all buckets, so that a full index cannot loop.
    for _ in 0..<bucketCount {
      var candidates = buckets[position].matches(tag)
      while candidates != 0 {
        let slot = candidates.trailingZeroBitCount
        var reference = IndexReference(record: 0, direction: .original)
        reference.rawValue = buckets[position].references[slot]
        if isMatch(reference) { return reference }
        candidates &= candidates &- 1
      }
      if buckets[position].overflow == 0 { return nil }
      position = following(position)
    }
    return nil
  }

  /// Files `reference` under `hash`. False when no slot is free in the whole index.
  func insert(_ hash: UInt64, _ reference: IndexReference) -> Bool {
    let start = home(hash)
    var position = start
    for _ in 0..<bucketCount {
      let free = buckets[position].matches(0)
      if free != 0 {
        let slot = free.trailingZeroBitCount
        buckets[position].tags[slot] = tag(hash)
        buckets[position].references[slot] = reference.rawValue
        var passed = start
        while passed != position {
          // At the top it stays there: then the bucket is always looked past, which is right too.
          if buckets[passed].overflow < .max { buckets[passed].overflow += 1 }
          passed = following(passed)
        }
        return true
      }
      position = following(position)
    }
    return false
  }

  /// Takes out the slot that holds `reference` under `hash`.
  func remove(_ hash: UInt64, _ reference: IndexReference) {
    let start = home(hash)
    let tag = tag(hash)
    var position = start
    for _ in 0..<bucketCount {
      var candidates = buckets[position].matches(tag)
      while candidates != 0 {
        let slot = candidates.trailingZeroBitCount
        if buckets[position].references[slot] == reference.rawValue {
          buckets[position].tags[slot] = 0
          var passed = start
          while passed != position {
            if buckets[passed].overflow < .max { buckets[passed].overflow -= 1 }
            passed = following(passed)
          }
          return
        }
        candidates &= candidates &- 1
      }
      if buckets[position].overflow == 0 { return }
      position = following(position)
    }
  }
}
