// The packets of one address family that wait for fragments: found by their key, in the order of
// their deadlines, within a fixed amount of memory. What makes a fragment acceptable is decided in
// `Reassembler`; this keeps the books.

/// What the fragments of one packet have in common.
struct FragmentKey: Hashable {
  var source: IPAddress
  var destination: IPAddress
  var identification: UInt32
  var user: UInt32
  /// IPv4's protocol. 0 for IPv6, where the next header of a later fragment says nothing.
  var transportProtocol: UInt8
}

/// A fragment that waits.
struct WaitingFragment {
  /// Bytes from the start of the data of the whole packet.
  var offset: Int
  /// Bytes of data.
  var length: Int
  /// Bytes kept before the data; only of the first fragment (offset 0), whose header the whole
  /// packet gets.
  var keptHeader: Int
  /// The length of what stands before the data (IPv6: before the fragment header).
  var headerLength: Int
  /// False when this fragment came right after the one before it, in order: they form one run.
  var startsRun: Bool
  var block: Int32
  /// The next one by offset.
  var next: Int32
  /// Memory charged for it.
  var cost: Int

  var end: Int { offset + length }
}

/// The fragments of one packet.
struct FragmentQueue {
  var key: FragmentKey
  var deadlineNanoseconds: Int64
  /// Neighbours in the order of deadlines.
  var earlier: Int32 = FragmentPool.none
  var later: Int32 = FragmentPool.none
  /// The fragments with the lowest and the highest offset.
  var first: Int32 = FragmentPool.none
  var last: Int32 = FragmentPool.none
  /// The end of the whole packet's data when `hasLast`; until then, the highest end seen.
  var length = 0
  /// Bytes of data waiting.
  var received = 0
  var hasFirst = false
  var hasLast = false
  /// A set of ECN fields: bit n stands for the field's value n.
  var ecnSet: UInt8 = 0
  /// IP lengths of the longest fragment and of the longest one with DF.
  var maxSize = 0
  var maxSizeDontFragment = 0
  /// The count of the source's fragments when the latest of this queue came.
  var sourceCount: UInt32 = 0
  /// IPv6: where in the first fragment the next header field is that names the fragment header.
  var nextHeaderOffset = 0
  var firstOrigin = FragmentOrigin()
  var lastOrigin = FragmentOrigin()

  var isComplete: Bool { hasFirst && hasLast && received == length }
}

/// How many fragments came from a source that has queues.
private struct FragmentSource {
  var fragmentCount: UInt32
  var queueCount: Int
}

struct FragmentStore: ~Copyable, Sendable {
  /// What the kernel charges for a queue itself.
  let queueCost: Int
  let highThreshold: Int
  let timeoutNanoseconds: Int64
  private(set) var queueCount = 0
  /// The deadline of the queue that ends first.
  private(set) var nextDeadlineNanoseconds = Int64.max

  private var memory = 0
  private var queues: [FragmentQueue] = []
  private var freeQueues: [Int32] = []
  private var fragments: [WaitingFragment] = []
  private var freeFragments: [Int32] = []
  private var index: [FragmentKey: Int32] = [:]
  private var sources: [IPAddress: FragmentSource] = [:]
  private var pool: FragmentPool
  private var earliest = FragmentPool.none
  private var latest = FragmentPool.none

  init(queueCost: Int, highThreshold: Int, timeoutNanoseconds: Int64) {
    self.queueCost = queueCost
    // The upper bound keeps counts of queues and fragments in 32 bits.
    self.highThreshold = Swift.min(Swift.max(0, highThreshold), 1 << 38)
    self.timeoutNanoseconds = Swift.max(0, timeoutNanoseconds)
    // A fragment is let in as long as the threshold is not passed: one may go over it.
    pool = FragmentPool(
      limit: FragmentPool.blocks(for: self.highThreshold) + FragmentPool.blocks(for: 65_536))
  }

  /// Allocates everything the threshold allows, so that no fragment has to.
  mutating func prepare() {
    guard highThreshold > 0 else { return }
    pool.prepare()
    let fragmentLimit = highThreshold / FragmentStore.cost(packetLength: 0) + 1
    fragments.reserveCapacity(fragmentLimit)
    freeFragments.reserveCapacity(fragmentLimit)
    let queueLimit = highThreshold / queueCost + 1
    queues.reserveCapacity(queueLimit)
    freeQueues.reserveCapacity(queueLimit)
    index.reserveCapacity(queueLimit)
    sources.reserveCapacity(queueLimit)
  }

  /// Whether the kernel would look at another fragment at all.
  var hasRoom: Bool { highThreshold > 0 && memory <= highThreshold }

  // MARK: Queues

  subscript(queue: Int32) -> FragmentQueue {
    get { queues[Int(queue)] }
    set { queues[Int(queue)] = newValue }
  }

  /// The queue of `key`, made when there is none.
  mutating func queue(_ key: FragmentKey, now: Int64) -> Int32 {
    if let known = index[key] { return known }
    let queue = FragmentQueue(key: key, deadlineNanoseconds: deadline(now))
    let number: Int32
    if let free = freeQueues.popLast() {
      queues[Int(free)] = queue
      number = free
    } else {
      queues.append(queue)
      number = Int32(queues.count - 1)
    }
    index[key] = number
    sources[key.source, default: FragmentSource(fragmentCount: 0, queueCount: 0)].queueCount += 1
    queueCount += 1
    memory += queueCost
    link(number)
    return number
  }

  /// Discards a queue and all its fragments.
  mutating func remove(_ number: Int32) {
    let queue = self[number]
    releaseFragments(queue.first)
    unlink(number)
    index[queue.key] = nil
    if var source = sources[queue.key.source] {
      source.queueCount -= 1
      sources[queue.key.source] = source.queueCount > 0 ? source : nil
    }
    queueCount -= 1
    memory -= queueCost
    freeQueues.append(number)
    if queueCount == 0 { assert(memory == 0 && index.isEmpty && sources.isEmpty) }
  }

  /// Discards the fragments of a queue and starts its time anew. The sizes seen stay, as they do in
  /// the kernel.
  mutating func restart(_ number: Int32, now: Int64) {
    var queue = self[number]
    releaseFragments(queue.first)
    queue.first = FragmentPool.none
    queue.last = FragmentPool.none
    queue.length = 0
    queue.received = 0
    queue.hasFirst = false
    queue.hasLast = false
    queue.ecnSet = 0
    self[number] = queue
    unlink(number)
    self[number].deadlineNanoseconds = deadline(now)
    link(number)
  }

  /// The queue whose time has come, nil when there is none.
  func expired(now: Int64) -> Int32? {
    earliest != FragmentPool.none && now >= nextDeadlineNanoseconds ? earliest : nil
  }

  /// Counts one more fragment of the queue's source.
  ///
  /// - Returns: how many of its fragments came since the latest of this queue, this one included.
  mutating func countFragment(_ number: Int32) -> UInt32 {
    let key = self[number].key
    guard var source = sources[key.source] else { return 0 }
    source.fragmentCount &+= 1
    sources[key.source] = source
    let distance = source.fragmentCount &- self[number].sourceCount
    self[number].sourceCount = source.fragmentCount
    return distance
  }

  private func deadline(_ now: Int64) -> Int64 {
    let (sum, overflow) = now.addingReportingOverflow(timeoutNanoseconds)
    return overflow ? .max : sum
  }

  // MARK: Order of deadlines

  private mutating func link(_ number: Int32) {
    // Almost always the latest of all: times only go back when a capture's clock does.
    var earlier = latest
    while earlier != FragmentPool.none,
      self[earlier].deadlineNanoseconds > self[number].deadlineNanoseconds
    {
      earlier = self[earlier].earlier
    }
    let later = earlier == FragmentPool.none ? earliest : self[earlier].later
    self[number].earlier = earlier
    self[number].later = later
    if earlier == FragmentPool.none { earliest = number } else { self[earlier].later = number }
    if later == FragmentPool.none { latest = number } else { self[later].earlier = number }
    noteEarliest()
  }

  private mutating func unlink(_ number: Int32) {
    let (earlier, later) = (self[number].earlier, self[number].later)
    if earlier == FragmentPool.none { earliest = later } else { self[earlier].later = later }
    if later == FragmentPool.none { latest = earlier } else { self[later].earlier = earlier }
    noteEarliest()
  }

  private mutating func noteEarliest() {
    nextDeadlineNanoseconds =
      earliest == FragmentPool.none ? .max : self[earliest].deadlineNanoseconds
  }

  // MARK: Fragments

  func fragment(_ number: Int32) -> WaitingFragment { fragments[Int(number)] }

  enum Place {
    /// Behind the fragment of that number; `none`: before all others.
    case after(Int32)
    case duplicate
    case overlap
  }

  /// Where a fragment's bytes belong among those that wait. Linear in the queue's fragments, except
  /// for one behind all others.
  ///
  /// A duplicate is what lies wholly in one run: fragments that came one right after the other.
  /// What shares bytes with others in any other way overlaps.
  func place(_ number: Int32, offset: Int, end: Int) -> Place {
    let queue = self[number]
    guard queue.last != FragmentPool.none else { return .after(FragmentPool.none) }
    let last = fragment(queue.last)
    if last.end < end { return last.end > offset ? .overlap : .after(queue.last) }
    var before = FragmentPool.none
    var at = queue.first
    while at != FragmentPool.none {
      let runStart = fragment(at).offset
      var tail = at
      while let next = following(tail), !fragment(next).startsRun { tail = next }
      if end <= runStart { return .after(before) }
      if offset < fragment(tail).end {
        return offset >= runStart && end <= fragment(tail).end ? .duplicate : .overlap
      }
      before = tail
      at = fragment(tail).next
    }
    return .after(before)
  }

  private func following(_ number: Int32) -> Int32? {
    let next = fragment(number).next
    return next == FragmentPool.none ? nil : next
  }

  /// Keeps a fragment behind the one `place` gave. False when there is no room for its bytes.
  ///
  /// - Parameter kept: the bytes to keep: the data, after `keptHeader` bytes of header.
  mutating func insert(
    _ number: Int32, after previous: Int32, kept: RawSpan, keptHeader: Int, offset: Int,
    headerLength: Int, packetLength: Int
  ) -> Bool {
    guard let block = pool.store(kept) else { return false }
    let isTail = previous != FragmentPool.none && previous == self[number].last
    let fragment = WaitingFragment(
      offset: offset, length: kept.byteCount - keptHeader, keptHeader: keptHeader,
      headerLength: headerLength,
      startsRun: !isTail || self.fragment(previous).end != offset, block: block,
      next: previous == FragmentPool.none ? self[number].first : self.fragment(previous).next,
      cost: FragmentStore.cost(packetLength: packetLength))
    memory += fragment.cost
    let place: Int32
    if let free = freeFragments.popLast() {
      fragments[Int(free)] = fragment
      place = free
    } else {
      fragments.append(fragment)
      place = Int32(fragments.count - 1)
    }
    if previous == FragmentPool.none {
      self[number].first = place
    } else {
      fragments[Int(previous)].next = place
    }
    if fragment.next == FragmentPool.none { self[number].last = place }
    self[number].received += fragment.length
    return true
  }

  /// Adds the kept bytes of a fragment to `packet`. False when they do not fit.
  func append(_ fragment: WaitingFragment, to packet: inout PacketBuffer) -> Bool {
    pool.append(fragment.block, length: fragment.keptHeader + fragment.length, to: &packet)
  }

  private mutating func releaseFragments(_ head: Int32) {
    var at = head
    while at != FragmentPool.none {
      let fragment = fragments[Int(at)]
      pool.release(fragment.block)
      memory -= fragment.cost
      freeFragments.append(at)
      at = fragment.next
    }
  }

  /// What the kernel charges for a packet of that many bytes of IP which came by a veth (6.18,
  /// x86-64; measured by /proc/net/sockstat): its buffer and its description. Other devices' buffers
  /// differ somewhat. Never less than the blocks that keep the packet here.
  static func cost(packetLength: Int) -> Int {
    let description = 256
    let smallBuffer = 576
    let linear = (packetLength + 30 + 63) / 64 * 64 + 320
    if linear <= smallBuffer { return description + smallBuffer }
    if packetLength + 30 < 4096 {
      var buffer = 1024
      while buffer < linear { buffer *= 2 }
      return description + buffer
    }
    return description + smallBuffer + (packetLength + 4095) / 4096 * 4096
  }
}
