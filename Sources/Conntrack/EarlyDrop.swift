// A table that is full: who gives way to a new connection, and when there is no room at all.

import Wire

extension ConnectionTracker {
  /// Whether a connection more may begin, after others were made to give way where there is no room.
  @inline(__always)
  mutating func hasRoom(for tuple: Tuple, zone: UInt16) -> Bool {
    table.count < limit || dropEarly(tuple, zone)
  }

  /// How many connections there may be: never more than the memory taken at the start has room for.
  var limit: Int {
    settings.max == 0 ? table.capacity : Int(clamping: min(settings.max, Int64(table.capacity)))
  }

  /// Makes room for `tuple` as the kernel does: it looks through the eight hash buckets from the tuple's own
  /// on, and in the first in which anyone is not assured, all that are not have to go.
  @inline(never)
  private mutating func dropEarly(_ tuple: Tuple, _ zone: UInt16) -> Bool {
    if let chosen = foreseenVictims {
      foreseenVictims = nil
      return dropEarly(chosen)
    }
    let buckets = UInt64(max(settings.buckets, 1))
    let own = ((table.hash(tuple, zone: zone) >> 32) * buckets) >> 32
    let window = own..<own + min(8, buckets)
    // Those whose time is over are gone already, but for their room.
    for bucket in window {
      while let victim = victim(inBucket: bucket % buckets, of: buckets, isOver: true) {
        destroy(victim)
      }
    }
    if table.count < limit { return true }
    for bucket in window {
      var hasDropped = false
      while let victim = victim(inBucket: bucket % buckets, of: buckets, isOver: false) {
        statistics.earlyDrop += 1
        hasDropped = true
        destroy(victim)
      }
      if hasDropped { return true }
    }
    return false
  }

  /// A connection in a bucket whose time is over, or one that is not assured.
  ///
  /// - Complexity: O(connections in the bucket).
  private func victim(inBucket bucket: UInt64, of buckets: UInt64, isOver: Bool) -> Int? {
    // The upper halves of the hashes that fall into the bucket.
    let first = ((bucket << 32) + buckets - 1) / buckets
    let last = (((bucket + 1) << 32) + buckets - 1) / buckets - 1
    var victim: Int?
    table.index.scan(from: first << 32, to: last << 32 | 0xffff_ffff) { reference in
      let record = reference.record
      let mayGo =
        isOver
        ? table.records[record].deadline <= now
        : !table.records[record].status.contains(.assured)
      guard mayGo, (first...last).contains(table.hash(record, reference.direction) >> 32) else {
        return false
      }
      victim = record
      return true
    }
    return victim
  }

  /// Lets those give way that a caller has chosen; nobody does where one of them may not.
  private mutating func dropEarly(_ chosen: [ZonedTuple]) -> Bool {
    let found = chosen.map { table.find($0.tuple, zone: $0.zone)?.record }
    for record in found {
      guard let record, !table.records[record].status.contains(.assured) else { return false }
    }
    for case let record? in found {
      statistics.earlyDrop += 1
      destroy(record)
    }
    return !found.isEmpty
  }

  /// A tuple and the zone it is looked for in.
  package struct ZonedTuple: Hashable, Sendable {
    package var tuple: Tuple
    package var zone: TrackingZone

    package init(_ tuple: Tuple, zone: TrackingZone) {
      self.tuple = tuple
      self.zone = zone
    }
  }
}
