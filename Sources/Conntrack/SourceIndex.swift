// Connections by their original source: NAT asks for it, since one client port should be seen as
// the same port by everyone it talks to.

import Wire

/// A chained hash over the original tuple's source end. Only connections that NAT has been asked for
/// are in it.
struct SourceIndex: ~Copyable {
  private let heads: FlatArray<UInt32>
  private let links: FlatArray<Link>
  private let mask: Int

  struct Link: BitwiseCopyable {
    /// Record numbers plus one; 0: none.
    var next: UInt32 = 0
    var previous: UInt32 = 0
    /// The bucket, so that a record can leave without being hashed again.
    var bucket: UInt32 = 0
  }

  init(capacity: Int) {
    let count = 1 << (Int.bitWidth - (max(capacity, 2) - 1).leadingZeroBitCount)
    heads = FlatArray(count: count)
    links = FlatArray(count: capacity)
    mask = count - 1
  }

  func insert(_ record: Int, hash: UInt64, _ records: borrowing FlatArray<Record>) {
    if records[record].extensions.contains(.bySource) { return }
    let bucket = Int(truncatingIfNeeded: hash) & mask
    let head = heads[bucket]
    links[record] = Link(next: head, previous: 0, bucket: UInt32(bucket))
    if head != 0 { links[Int(head - 1)].previous = UInt32(record) + 1 }
    heads[bucket] = UInt32(record) + 1
    records[record].extensions.insert(.bySource)
  }

  func remove(_ record: Int, _ records: borrowing FlatArray<Record>) {
    guard records[record].extensions.contains(.bySource) else { return }
    let link = links[record]
    if link.next != 0 { links[Int(link.next - 1)].previous = link.previous }
    if link.previous != 0 {
      links[Int(link.previous - 1)].next = link.next
    } else {
      heads[Int(link.bucket)] = link.next
    }
    records[record].extensions.remove(.bySource)
  }

  /// Asks for the memory of the bucket a hash belongs in.
  @inline(__always)
  func prefetch(_ hash: UInt64) {
    heads.prefetch(Int(truncatingIfNeeded: hash) & mask, bytes: MemoryLayout<UInt32>.stride)
  }

  /// Asks for the memory of a record's neighbours.
  func prefetchLink(_ record: Int) { links.prefetch(record, bytes: MemoryLayout<Link>.stride) }

  /// The first record under `hash` that `isMatch` accepts, newest first.
  func first(_ hash: UInt64, where isMatch: (Int) -> Bool) -> Int? {
    var next = heads[Int(truncatingIfNeeded: hash) & mask]
    while next != 0 {
      let record = Int(next - 1)
      if isMatch(record) { return record }
      next = links[record].next
    }
    return nil
  }
}
