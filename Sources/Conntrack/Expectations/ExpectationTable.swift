// The table of expectations: few, found by the destination of a connection that is about to begin.
// Its size is fixed at the start, and who expects nothing pays nothing for it.

import Wire

/// An expectation as stored. Links are numbers plus one; 0 is none.
struct ExpectationRecord: BitwiseCopyable {
  var source = IPAddress.any
  var destination = IPAddress.any
  var sourceMask = IPAddress.any
  var sourcePort: UInt16 = 0
  var destinationPort: UInt16 = 0
  var sourcePortMask: UInt16 = 0
  var savedPort: UInt16 = 0
  var savedSourcePort: UInt16 = 0
  var zone: UInt16 = 0
  var protocolNumber: UInt8 = 0
  /// `AddressFamily`'s raw value; 0: the record is free.
  var family: UInt8 = 0
  var helper = HelperKind.none
  var classNumber: UInt8 = 0
  var flags: ExpectationFlags = []
  var direction = Direction.original
  var following = ExpectationFollowing.nothing
  var policy: UInt8 = 0
  /// The record number of the connection that announced it.
  var master: UInt32 = 0
  var id: UInt32 = 0
  var deadline: Int64 = 0
  /// Neighbours in the bucket; `next` of a free record is the next free one.
  var next: UInt32 = 0
  var previous: UInt32 = 0
  /// Neighbours among those of the same master, newest first.
  var nextOfMaster: UInt32 = 0
  var previousOfMaster: UInt32 = 0
  /// Neighbours among those with the same time to live, in the order they run out.
  var nextDue: UInt32 = 0
  var previousDue: UInt32 = 0

  var tuple: Tuple {
    Tuple(
      source: source, destination: destination, sourcePort: sourcePort,
      destinationPort: destinationPort, protocolNumber: protocolNumber,
      family: family == AddressFamily.ipv6.rawValue ? .ipv6 : .ipv4)
  }

  /// Whether a connection with this original tuple is what was expected.
  func awaits(_ tuple: Tuple) -> Bool {
    destination == tuple.destination && destinationPort == tuple.destinationPort
      && protocolNumber == tuple.protocolNumber && family == tuple.family.rawValue
      && sourcePort & sourcePortMask == tuple.sourcePort & sourcePortMask
      && source.masked(sourceMask) == tuple.source.masked(sourceMask)
  }

  /// Whether some connection would fulfil both.
  func overlaps(_ draft: ExpectationDraft) -> Bool {
    let portMask = sourcePortMask & draft.sourcePortMask
    let mask = sourceMask.masked(draft.sourceMask)
    return destination == draft.tuple.destination
      && destinationPort == draft.tuple.destinationPort
      && protocolNumber == draft.tuple.protocolNumber && family == draft.tuple.family.rawValue
      && sourcePort & portMask == draft.tuple.sourcePort & portMask
      && source.masked(mask) == draft.tuple.source.masked(mask)
  }

  func isSame(_ draft: ExpectationDraft) -> Bool {
    tuple == draft.tuple && sourceMask == draft.sourceMask
      && sourcePortMask == draft.sourcePortMask
  }
}

/// Storage, index and timers of all expectations.
struct ExpectationTable: ~Copyable {
  private let records: FlatArray<ExpectationRecord>
  private let heads: FlatArray<UInt32>
  /// Ends of the list of each time to live: whoever runs out first comes first.
  private let oldest: FlatArray<UInt32>
  private let newest: FlatArray<UInt32>
  private let mask: Int
  let capacity: Int
  private(set) var count = 0
  private var firstUnused = 0
  private var freeHead: UInt32 = 0
  private var nextID: UInt32 = 1
  var statistics = ExpectationStatistics()
  /// The latest time, nanoseconds.
  var now: Int64 = 0
  /// Whether events are kept.
  var recordsEvents = false
  var events: [ExpectationEvent] = []

  init(capacity: Int) {
    self.capacity = capacity
    let buckets = 1 << (Int.bitWidth - (max(capacity, 2) - 1).leadingZeroBitCount)
    records = FlatArray(count: max(capacity, 1))
    heads = FlatArray(count: buckets)
    oldest = FlatArray(count: HelperPolicy.count)
    newest = FlatArray(count: HelperPolicy.count)
    mask = buckets - 1
  }

  var isEmpty: Bool { count == 0 }
  var isFull: Bool { count >= capacity }

  subscript(number: Int) -> ExpectationRecord { records[number] }

  /// The newest one under `hash` that `isMatch` accepts.
  func first(_ hash: UInt64, where isMatch: (ExpectationRecord) -> Bool) -> Int? {
    var next = heads[Int(truncatingIfNeeded: hash) & mask]
    while next != 0 {
      let number = Int(next - 1)
      if isMatch(records[number]) { return number }
      next = records[number].next
    }
    return nil
  }

  /// Files one; there must be room. `head` is the newest of the same master, plus one.
  mutating func insert(
    _ draft: ExpectationDraft, master: Int, zone: UInt16, deadline: Int64, hash: UInt64,
    head: inout UInt32
  ) -> Int {
    let number: Int
    if freeHead != 0 {
      number = Int(freeHead - 1)
      freeHead = records[number].next
    } else {
      number = firstUnused
      firstUnused += 1
    }
    count += 1
    let link = UInt32(number) + 1
    let tuple = draft.tuple
    var record = ExpectationRecord()
    record.source = tuple.source
    record.destination = tuple.destination
    record.sourceMask = draft.sourceMask
    record.sourcePort = tuple.sourcePort
    record.destinationPort = tuple.destinationPort
    record.sourcePortMask = draft.sourcePortMask
    record.savedPort = draft.savedPort
    record.savedSourcePort = draft.savedSourcePort
    record.zone = zone
    record.protocolNumber = tuple.protocolNumber
    record.family = tuple.family.rawValue
    record.helper = draft.helper
    record.classNumber = draft.classNumber
    record.flags = draft.flags
    record.direction = draft.direction
    record.following = draft.following
    record.policy = UInt8(draft.helper.policy(draft.classNumber).number)
    record.master = UInt32(master)
    record.id = nextID
    nextID &+= 1
    record.deadline = deadline
    let bucket = Int(truncatingIfNeeded: hash) & mask
    record.next = heads[bucket]
    if record.next != 0 { records[Int(record.next - 1)].previous = link }
    heads[bucket] = link
    record.nextOfMaster = head
    if head != 0 { records[Int(head - 1)].previousOfMaster = link }
    head = link
    records[number] = record
    enqueue(number)
    return number
  }

  /// Takes one out.
  mutating func remove(_ number: Int, hash: UInt64, head: inout UInt32) {
    let record = records[number]
    if record.next != 0 { records[Int(record.next - 1)].previous = record.previous }
    if record.previous != 0 {
      records[Int(record.previous - 1)].next = record.next
    } else {
      heads[Int(truncatingIfNeeded: hash) & mask] = record.next
    }
    if record.nextOfMaster != 0 {
      records[Int(record.nextOfMaster - 1)].previousOfMaster = record.previousOfMaster
    }
    if record.previousOfMaster != 0 {
      records[Int(record.previousOfMaster - 1)].nextOfMaster = record.nextOfMaster
    } else {
      head = record.nextOfMaster
    }
    dequeue(number)
    records[number] = ExpectationRecord()
    records[number].next = freeHead
    freeHead = UInt32(number) + 1
    count -= 1
  }

  /// Gives one a new deadline, as far off as a new one's.
  mutating func refresh(_ number: Int, deadline: Int64) {
    dequeue(number)
    records[number].deadline = deadline
    enqueue(number)
  }

  /// One whose time is over.
  /// - Complexity: O(kinds of timeouts).
  func due(_ now: Int64) -> Int? {
    for policy in 0..<HelperPolicy.count {
      let link = oldest[policy]
      if link != 0 && records[Int(link - 1)].deadline <= now { return Int(link - 1) }
    }
    return nil
  }

  // Each helper's expectations of a class live equally long, so a queue is in order by itself.
  private mutating func enqueue(_ number: Int) {
    let policy = Int(records[number].policy)
    let last = newest[policy]
    records[number].previousDue = last
    records[number].nextDue = 0
    if last != 0 {
      records[Int(last - 1)].nextDue = UInt32(number) + 1
    } else {
      oldest[policy] = UInt32(number) + 1
    }
    newest[policy] = UInt32(number) + 1
  }

  private mutating func dequeue(_ number: Int) {
    let policy = Int(records[number].policy)
    let (next, previous) = (records[number].nextDue, records[number].previousDue)
    if next != 0 {
      records[Int(next - 1)].previousDue = previous
    } else {
      newest[policy] = previous
    }
    if previous != 0 {
      records[Int(previous - 1)].nextDue = next
    } else {
      oldest[policy] = next
    }
  }

  /// Every one's number, in no particular order.
  func visitAll(_ body: (Int) -> Void) {
    for number in 0..<firstUnused where records[number].family != 0 { body(number) }
  }
}

extension IPAddress {
  @inlinable func masked(_ mask: IPAddress) -> IPAddress {
    IPAddress(high: high & mask.high, low: low & mask.low)
  }
}
