// Connections by their original source: NAT asks for it, since one client port should be seen as
// the same port by everyone it talks to.

import Wire

/// A chained hash over the original tuple's source end. Only connections that NAT has been asked for
/// are in it.
struct SourceIndex: ~Copyable {
  private let heads: FlatArray<Head>
  private let links: FlatArray<Link>
  private let mask: Int

  struct Head: BitwiseCopyable {
    /// Record number plus one; 0: none.
    var record: UInt32 = 0
    /// A bit for each hash that is or was in the list since it was empty last: mostly this tells that a
    /// source is not there, and no record need be looked at.
    var seen: UInt32 = 0
  }

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
    let bucket = place(hash)
    let head = heads[bucket]
    links[record] = Link(next: head.record, previous: 0, bucket: UInt32(bucket))
    if head.record != 0 { links[Int(head.record - 1)].previous = UInt32(record) + 1 }
    heads[bucket] = Head(record: UInt32(record) + 1, seen: head.seen | bit(hash))
    records[record].extensions.insert(.bySource)
  }

  func remove(_ record: Int, _ records: borrowing FlatArray<Record>) {
    guard records[record].extensions.contains(.bySource) else { return }
    let link = links[record]
    if link.next != 0 { links[Int(link.next - 1)].previous = link.previous }
    if link.previous != 0 {
      links[Int(link.previous - 1)].next = link.next
    } else {
      let seen = link.next == 0 ? 0 : heads[Int(link.bucket)].seen
      heads[Int(link.bucket)] = Head(record: link.next, seen: seen)
    }
    records[record].extensions.remove(.bySource)
  }

  /// The bucket of a hash. Not by its lowest bits, of which one is always set (`TupleHash`).
  @inline(__always)
  private func place(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> 24) & mask }

  /// By bits of the hash that choose no bucket.
  @inline(__always)
  private func bit(_ hash: UInt64) -> UInt32 { 1 << UInt32(truncatingIfNeeded: hash >> 59) }

  /// Takes its memory from the system now.
  func populate() {
    heads.populate(heads.count)
    links.populate(links.count)
  }

  /// Asks for the memory of the bucket a hash belongs in.
  @inline(__always)
  func prefetch(_ hash: UInt64) {
    heads.prefetch(place(hash), bytes: MemoryLayout<Head>.stride)
  }

  /// Asks for what filing under a hash will write to beside the bucket, which was asked for before.
  @inline(__always)
  func prefetchFirst(_ hash: UInt64) {
    let head = heads[place(hash)].record
    if head != 0 { prefetchLink(Int(head - 1)) }
  }

  /// Asks for the memory of a record's neighbours.
  func prefetchLink(_ record: Int) { links.prefetch(record, bytes: MemoryLayout<Link>.stride) }

  /// The first record under `hash` that `isMatch` accepts, newest first.
  func first(_ hash: UInt64, where isMatch: (Int) -> Bool) -> Int? {
    let head = heads[place(hash)]
    if head.seen & bit(hash) == 0 { return nil }
    var next = head.record
    while next != 0 {
      let record = Int(next - 1)
      if isMatch(record) { return record }
      next = links[record].next
    }
    return nil
  }
}
