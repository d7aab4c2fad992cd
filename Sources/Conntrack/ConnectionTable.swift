// The table: records by number, found by either of their tuples, freed when their time is over.
// Everything has a limit set at the start; after it, nothing is allocated.

import Wire

/// Storage and index of all connections. A record begins *unconfirmed*: it has a number but no tuple
/// finds it. `confirm` files it under both tuples and arms its timer; `release` gives one up that
/// never was confirmed; `remove` takes a confirmed one out.
struct ConnectionTable: ~Copyable {
  private let inPlace = InPlace()
  let records: FlatArray<Record>
  let wide: FlatArray<WideAddresses>
  let counters: FlatArray<CounterPair>
  let timestamps: FlatArray<Timestamps>
  let templates: FlatArray<TemplateRecord>
  let helpers: FlatArray<HelperRecord>
  let kin: FlatArray<Kinship>
  let shifts: FlatArray<SequenceShifts>
  let labels: FlatArray<ConnectionLabels>
  var expectations: ExpectationTable
  var callKeys: CallKeys
  let index: TableIndex
  let hash: TupleHash
  var wheel = TimerWheel()
  var sweep = Sweep()
  /// How records whose time is over are found.
  var expiry = Expiry.exact
  var sources: SourceIndex

  let capacity: Int
  /// Records in use, unconfirmed ones included.
  private(set) var count = 0
  /// Records that have never been used begin here.
  private var firstUnused = 0
  /// Head of the list of freed records, plus one; 0: empty.
  private var freeHead: UInt32 = 0
  private var nextID: UInt32 = 1
  /// Whether any connection ever had a zone of one direction only.
  private(set) var hasZonesOfOneDirection = false

  /// - Parameters:
  ///   - capacity: how many connections at most, 1 to 2^30.
  ///   - expectations: how many expectations at most, 0 to 2^30.
  init(capacity: Int, expectations: Int, seed: inout SeededGenerator) {
    precondition(capacity > 0 && capacity <= 1 << 30)
    precondition(Record.isLaidOut)
    precondition(expectations >= 0 && expectations <= 1 << 30)
    self.capacity = capacity
    records = FlatArray(count: capacity)
    wide = FlatArray(count: capacity)
    counters = FlatArray(count: capacity)
    timestamps = FlatArray(count: capacity)
    templates = FlatArray(count: capacity)
    helpers = FlatArray(count: capacity)
    kin = FlatArray(count: capacity)
    shifts = FlatArray(count: capacity)
    labels = FlatArray(count: capacity)
    self.expectations = ExpectationTable(capacity: expectations)
    callKeys = CallKeys(expectations: expectations)
    index = TableIndex(entries: 2 * capacity)
    hash = TupleHash(seed: &seed)
    sources = SourceIndex(capacity: capacity)
  }

  // MARK: Tuples

  @inline(__always)
  func tuple(_ record: Int, _ direction: Direction) -> Tuple {
    let protocolNumber = records[record].protocolNumber
    let isOriginal = direction == .original
    let sourcePort =
      isOriginal ? records[record].originalSourcePort : records[record].replySourcePort
    let destinationPort =
      isOriginal ? records[record].originalDestinationPort : records[record].replyDestinationPort
    if records[record].family == AddressFamily.ipv6.rawValue {
      return Tuple(
        source: isOriginal ? wide[record].originalSource : wide[record].replySource,
        destination: isOriginal ? wide[record].originalDestination : wide[record].replyDestination,
        sourcePort: sourcePort, destinationPort: destinationPort, protocolNumber: protocolNumber,
        family: .ipv6)
    }
    return Tuple(
      source: IPAddress(
        ipv4: isOriginal ? records[record].originalSource : records[record].replySource),
      destination: IPAddress(
        ipv4: isOriginal ? records[record].originalDestination : records[record].replyDestination),
      sourcePort: sourcePort, destinationPort: destinationPort, protocolNumber: protocolNumber,
      family: .ipv4)
  }

  @inline(__always)
  func setTuple(_ record: Int, _ direction: Direction, _ tuple: Tuple) {
    records[record].protocolNumber = tuple.protocolNumber
    records[record].family = tuple.family.rawValue
    let isWide = tuple.family == .ipv6
    switch direction {
    case .original:
      records[record].originalSourcePort = tuple.sourcePort
      records[record].originalDestinationPort = tuple.destinationPort
      records[record].originalSource = isWide ? 0 : tuple.source.ipv4
      records[record].originalDestination = isWide ? 0 : tuple.destination.ipv4
      if isWide {
        wide[record].originalSource = tuple.source
        wide[record].originalDestination = tuple.destination
      }
    case .reply:
      records[record].replySourcePort = tuple.sourcePort
      records[record].replyDestinationPort = tuple.destinationPort
      records[record].replySource = isWide ? 0 : tuple.source.ipv4
      records[record].replyDestination = isWide ? 0 : tuple.destination.ipv4
      if isWide {
        wide[record].replySource = tuple.source
        wide[record].replyDestination = tuple.destination
      }
    }
  }

  /// A record's zone.
  @inline(__always)
  func zone(_ record: Int) -> TrackingZone {
    TrackingZone(id: records[record].zone, direction: records[record].zoneDirection)
  }

  /// A tuple's hash, by its connection's zone in that direction.
  func hash(_ record: Int, _ direction: Direction) -> UInt64 {
    hash(tuple(record, direction), zone: zone(record)[direction])
  }

  @inline(__always)
  private func holds(_ reference: IndexReference, _ wanted: Tuple, _ zone: UInt16) -> Bool {
    let record = reference.record
    return self.zone(record)[reference.direction] == zone
      && tuple(record, reference.direction) == wanted
  }

  // MARK: Finding

  /// The confirmed connection that has `tuple` in one of its directions, expired or not, and is in
  /// the same zone there. Zones of one direction may let several have it: of these the newest.
  /// - Complexity: O(1) expected.
  @inline(__always)
  func find(
    _ tuple: Tuple, zone: TrackingZone, _ key: ConnectionKey = ConnectionKey()
  ) -> IndexReference? {
    if !hasZonesOfOneDirection && zone.direction == .both {
      let hash = hash(tuple, zone.id, key)
      return !index.mayHold(hash) ? nil : index.find(hash) { holds($0, tuple, zone.id) }
    }
    if zone.direction == .both { return find(tuple, filedIn: zone.id, zone: zone) }
    return find(tuple, filedIn: zone[.original], zone: zone)
      ?? find(tuple, filedIn: zone[.reply], zone: zone)
  }

  /// The same among those that are filed under one zone number, as the new connection of a packet
  /// in `zone` would be in one direction.
  func find(_ tuple: Tuple, filedIn number: UInt16, zone: TrackingZone) -> IndexReference? {
    var newest: IndexReference?
    _ = index.find(hash(tuple, zone: number)) {
      guard zone[$0.direction] == number, holds($0, tuple, number) else { return false }
      if let old = newest, records[old.record].id > records[$0.record].id { return false }
      newest = $0
      return !hasZonesOfOneDirection
    }
    return newest
  }

  // MARK: Life of a record

  /// Takes a record for a new, unconfirmed connection. Nil when the table is full.
  mutating func allocate(original: Tuple, reply: Tuple, zone: TrackingZone) -> Int? {
    let record: Int
    if freeHead != 0 {
      record = Int(freeHead - 1)
      freeHead = records[record].next
    } else if firstUnused < capacity {
      record = firstUnused
      firstUnused += 1
    } else {
      return nil
    }
    // What the next one takes.
    let next = freeHead != 0 ? Int(freeHead - 1) : min(firstUnused, capacity - 1)
    records.prefetch(next, bytes: MemoryLayout<Record>.stride)
    count += 1
    records[record] = Record()
    records[record].timerSlot = TimerWheel.unarmed
    records[record].zone = zone.id
    records[record].zoneDirection = zone.direction
    if zone.direction != .both { hasZonesOfOneDirection = true }
    records[record].id = nextID
    nextID &+= 1
    setTuple(record, .original, original)
    setTuple(record, .reply, reply)
    return record
  }

  /// Files an unconfirmed record under both its tuples and arms its timer. False, and nothing
  /// changed, when another connection has one of the tuples.
  /// - Parameter key: of the original tuple, where one was made.
  mutating func confirm(_ record: Int, _ key: ConnectionKey = ConnectionKey()) -> Bool {
    let zone = zone(record)
    let original = tuple(record, .original)
    let reply = tuple(record, .reply)
    let originalHash = hash(original, zone[.original], key)
    let replyHash = hash(reply, zone: zone[.reply])
    if isFiled(original, originalHash, zone, .original) || isFiled(reply, replyHash, zone, .reply) {
      return false
    }
    // What goes from an end to itself is found as its own answer, hence first under the reply tuple.
    guard index.insert(replyHash, IndexReference(record: record, direction: .reply)) else {
      return false
    }
    guard index.insert(originalHash, IndexReference(record: record, direction: .original)) else {
      index.remove(replyHash, IndexReference(record: record, direction: .reply))
      return false
    }
    records[record].status.insert(.confirmed)
    if expiry == .exact { arm(record) }
    return true
  }

  /// Whether a connection has `tuple` that would be met in a direction of one in `zone`.
  @inline(__always)
  private mutating func isFiled(
    _ tuple: Tuple, _ hash: UInt64, _ zone: TrackingZone, _ direction: Direction
  ) -> Bool {
    if hasZonesOfOneDirection { return find(tuple, filedIn: zone[direction], zone: zone) != nil }
    return index.mayHold(hash) && index.find(hash) { holds($0, tuple, zone.id) } != nil
  }

  /// The hash by which the index is asked: of a tuple in zone 0 it may be known already.
  @inline(__always)
  private func hash(_ tuple: Tuple, _ zone: UInt16, _ key: ConnectionKey) -> UInt64 {
    key.hash != 0 && zone == 0 ? key.hash : hash(tuple, zone: zone)
  }

  /// Files a confirmed record under another reply tuple. False, and nothing changed, where another
  /// connection has it.
  mutating func refile(_ record: Int, reply: Tuple) -> Bool {
    let zone = zone(record)[.reply]
    if let holder = find(reply, filedIn: zone, zone: self.zone(record)),
      holder.record != record
    {
      return false
    }
    let reference = IndexReference(record: record, direction: .reply)
    let old = tuple(record, .reply)
    index.remove(hash(old, zone: zone), reference)
    setTuple(record, .reply, reply)
    if index.insert(hash(reply, zone: zone), reference) { return true }
    setTuple(record, .reply, old)
    _ = index.insert(hash(old, zone: zone), reference)
    return false
  }

  /// Takes a confirmed record out of the index and frees it.
  mutating func remove(_ record: Int) {
    unfile(record)
    release(record)
  }

  /// Takes a confirmed record out of the index and off the wheel, but keeps it.
  mutating func unfile(_ record: Int) {
    forgetExpectations(of: record)
    for direction in Direction.allCases {
      index.remove(
        hash(record, direction), IndexReference(record: record, direction: direction))
    }
    disarm(record)
  }

  /// Frees a record that no tuple finds. One that announced others stays, out of the table, until the
  /// last of them goes.
  mutating func release(_ record: Int) {
    precondition(records[record].family != 0, "released twice")
    forgetExpectations(of: record)
    if records[record].extensions.contains(.kin) {
      if kin[record].children != 0 {
        records[record].status.insert(.dying)
        return
      }
      leave(record)
    }
    sources.remove(record, records)
    records[record].family = 0
    records[record].next = freeHead
    freeHead = UInt32(record) + 1
    count -= 1
  }

  // MARK: Relatives

  /// Makes `record` a child of `master`.
  func join(_ record: Int, master: Int) {
    if !records[master].extensions.contains(.kin) {
      kin[master] = Kinship()
      records[master].extensions.insert(.kin)
    }
    kin[master].children += 1
    kin[record] = Kinship(master: UInt32(master) + 1)
    records[record].extensions.insert(.kin)
  }

  /// Parts a child that goes from its master, which goes too if it only stayed for it.
  private mutating func leave(_ record: Int) {
    let link = kin[record].master
    guard link != 0 else { return }
    kin[record].master = 0
    let master = Int(link - 1)
    // A PPTP call's flow takes the keys of its call along, also where it was never confirmed.
    if records[record].protocolNumber == IPProtocolNumber.gre { forgetCallKeys(of: master) }
    kin[master].children -= 1
    if kin[master].children == 0 && records[master].status.contains(.dying) { release(master) }
  }

  // MARK: Timers

  mutating func arm(_ record: Int) {
    let slot = wheel.slot(for: records[record].deadline)
    let head = wheel.heads[slot]
    records[record].next = head
    records[record].previous = 0
    if head != 0 { records[Int(head - 1)].previous = UInt32(record) + 1 }
    wheel.heads[slot] = UInt32(record) + 1
    records[record].timerSlot = UInt16(slot)
    wheel.count(1, in: slot)
  }

  mutating func disarm(_ record: Int) {
    let slot = records[record].timerSlot
    if slot == TimerWheel.unarmed { return }
    let next = records[record].next
    let previous = records[record].previous
    if next != 0 { records[Int(next - 1)].previous = previous }
    if previous != 0 {
      records[Int(previous - 1)].next = next
    } else {
      wheel.heads[Int(slot)] = next
    }
    records[record].timerSlot = TimerWheel.unarmed
    wheel.count(-1, in: Int(slot))
  }

  /// Sets a confirmed record's deadline. Later ones cost a store; an earlier one moves the record on
  /// the wheel, where it hangs there.
  @inline(__always)
  mutating func setDeadline(_ record: Int, _ deadline: Int64) {
    let earlier = deadline < records[record].deadline
    records[record].deadline = deadline
    if earlier && expiry == .exact { rearm(record) }
  }

  /// How many records have ever been used.
  var used: Int { firstUnused }

  /// Records found by one step of the sweep; -1: none.
  typealias SweptBatch = InlineArray<16, Int32>

  /// Sweeps `count` records further, at most as many as a batch has and as were ever used; gives those
  /// whose connection's time is over. Asks for the memory that their end will need.
  mutating func sweep(_ count: Int, now: Int64, into batch: inout SweptBatch) {
    for place in 0..<count {
      if sweep.position >= firstUnused { sweep.position = 0 }
      let record = sweep.position
      sweep.position += 1
      // So far ahead that it is there when the sweep is.
      records.prefetch(
        min(record + SweptBatch.count, capacity - 1), bytes: MemoryLayout<Record>.stride)
      guard isOver(record, now: now) else { continue }
      batch[place] = Int32(truncatingIfNeeded: record)
      index.prefetch(hash(record, .original))
      index.prefetch(hash(record, .reply))
      if records[record].extensions.contains(.bySource) { sources.prefetchLink(record) }
    }
  }

  /// Whether a record is that of a confirmed connection whose time is over.
  func isOver(_ record: Int, now: Int64) -> Bool {
    records[record].family != 0 && records[record].deadline <= now
      && records[record].status.intersection([.confirmed, .dying]) == .confirmed
  }

  /// Moves the clock to `now` and calls `expire` with each record whose deadline has passed; `expire`
  /// must remove it.
  mutating func advance(to now: Int64, _ expire: (inout ConnectionTable, Int) -> Void) {
    let target = now >> TimerWheel.tickShift
    if wheel.tick == .min { wheel.tick = target }
    while wheel.tick < target {
      let slot = wheel.fineSlot(of: wheel.tick)
      while wheel.heads[slot] != 0 {
        let record = Int(wheel.heads[slot] - 1)
        if records[record].deadline <= now {
          expire(&self, record)
        } else {
          rearm(record)
        }
      }
      wheel.tick = wheel.nextTick(before: target)
      // A slot of a coarser wheel is spread when time enters it, the coarsest first.
      if let coarse = wheel.coarseSlot(entering: wheel.tick) { spread(coarse) }
      if let middle = wheel.middleSlot(entering: wheel.tick) { spread(middle) }
    }
  }

  /// Calls `expire` with each record that is due within the tick that has not wholly passed yet.
  /// - Complexity: O(records due in the same millisecond).
  mutating func expireWithinTick(_ now: Int64, _ expire: (inout ConnectionTable, Int) -> Void) {
    let slot = wheel.fineSlot(of: wheel.tick)
    var next = wheel.heads[slot]
    while next != 0 {
      let record = Int(next - 1)
      next = records[record].next
      guard records[record].deadline <= now else { continue }
      // One that takes others along may take the next one.
      let isAlone = !records[record].extensions.contains(.helper)
      expire(&self, record)
      if !isAlone { next = wheel.heads[slot] }
    }
  }

  @inline(never)
  private mutating func rearm(_ record: Int) {
    disarm(record)
    arm(record)
  }

  /// Hangs every record of a slot again, where its deadline now belongs.
  private mutating func spread(_ slot: Int) {
    var next = wheel.heads[slot]
    while next != 0 {
      let record = Int(next - 1)
      next = records[record].next
      rearm(record)
    }
  }

  /// Takes what packets will touch of its memory from the system now.
  func populate(counters hasCounters: Bool, timestamps hasTimestamps: Bool, sources hasNAT: Bool) {
    index.buckets.populate(index.buckets.count)
    records.populate(capacity)
    if hasCounters { counters.populate(capacity) }
    if hasTimestamps { timestamps.populate(capacity) }
    if hasNAT { sources.populate() }
  }

  /// What the index takes, and what lies in memory of each record that was ever used.
  var memoryBytes: Int {
    TableIndex.bytes(entries: 2 * capacity) + firstUnused * MemoryLayout<Record>.stride
  }

  // MARK: Walking

  /// Every confirmed record's number, in no particular order.
  func forEachConfirmed(_ body: (Int) -> Void) {
    for record in 0..<firstUnused
    where records[record].family != 0
      && records[record].status.intersection([.confirmed, .dying]) == .confirmed
    {
      body(record)
    }
  }
}
