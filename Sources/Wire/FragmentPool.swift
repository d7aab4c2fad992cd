// The packets of one family that wait for fragments: found by key, given up by age, charged for
// memory as the kernel charges. For the reassembler only.

/// What the fragments of one packet have in common.
struct FragmentKey: Hashable, BitwiseCopyable {
  var source: IPAddress
  var destination: IPAddress
  var identification: UInt32
  var transportProtocol: UInt8
  var user: UInt32
  var interface: UInt32

  /// A hash that cannot be aimed at without knowing `seed`.
  func hash(_ seed: UInt64) -> UInt64 {
    var state = KeyedMix(seed)
    state.mix(source.high)
    state.mix(source.low)
    state.mix(destination.high)
    state.mix(destination.low)
    state.mix(UInt64(identification) << 32 | UInt64(user))
    state.mix(UInt64(interface) << 8 | UInt64(transportProtocol))
    return state.value
  }
}

/// A keyed mixer: multiply and fold, 128 bits wide.
struct KeyedMix {
  private(set) var value: UInt64
  private let key: UInt64

  init(_ seed: UInt64) {
    value = seed
    key = seed &* 0x9e37_79b9_7f4a_7c15 | 1
  }

  mutating func mix(_ word: UInt64) {
    let product = (word ^ value ^ 0xa076_1d64_78bd_642f).multipliedFullWidth(
      by: key ^ 0xe703_7ed1_a0b4_28db)
    value = product.high ^ product.low ^ (value << 23 | value >> 41)
  }
}

struct FragmentPool: ~Copyable {
  static let none: Int32 = -1

  /// One packet that waits.
  struct Queue {
    var key: FragmentKey
    var nextInBucket = FragmentPool.none
    var older = FragmentPool.none
    var newer = FragmentPool.none
    var deadline: Int64
    /// Its blocks of data and, apart, of the first fragment's headers.
    var dataChain = FragmentPool.none
    var headerChain = FragmentPool.none
    /// Bytes of the first fragment's headers (IPv6: with the fragment header); 0: it has not come.
    var headerLength = 0
    /// The packet's payload as far as known, in bytes: final once `hasLast`.
    var length = 0
    var received = 0
    var tailEnd = 0
    var hasLast = false
    /// Bit n: a fragment had the ECN bits n.
    var congestionMarks: UInt8 = 0
    var maximumSize = 0
    var maximumDontFragmentSize = 0
    var cost: Int
    var source = FragmentPool.none
    var sourceCounter: UInt32 = 0

    var isComplete: Bool { headerLength > 0 && hasLast && received == length }

    /// Whether a last fragment that ends at `end` contradicts none before.
    func acceptsEnd(_ end: Int) -> Bool { end >= length && (!hasLast || end == length) }

    mutating func note(size: Int, trafficClass: UInt8) {
      maximumSize = max(maximumSize, size)
      congestionMarks |= 1 << (trafficClass & 3)
    }
  }

  var queues: [Queue]
  private var blocks: FragmentBlocks
  private var buckets: [Int32]
  private var firstFree: Int32
  private var oldest = FragmentPool.none
  private var newest = FragmentPool.none
  private var charged = 0
  private let highThreshold: Int
  private let queueCost: Int
  private let seed: UInt64
  let capacity: Int
  private(set) var waitingCount = 0

  init(highThreshold: Int, queueCost: Int, seed: UInt64) {
    self.highThreshold = highThreshold
    self.queueCost = queueCost
    self.seed = seed
    // The smallest fragment is charged `leastCost`; the one that crosses the threshold is still
    // taken in, whence the room for two more.
    let smallest = FragmentPool.cost(packetLength: 0) + queueCost
    capacity = max(highThreshold, 0) / smallest + 2
    // A fragment of 16 bytes is charged 832 and may need two blocks of 512 and one for its header.
    blocks = FragmentBlocks(
      count: capacity * 3
        + 2 * (131_072 / FragmentBlocks.blockSize))
    let unused = FragmentKey(
      source: .any, destination: .any, identification: 0, transportProtocol: 0, user: 0,
      interface: 0)
    queues = Array(repeating: Queue(key: unused, deadline: 0, cost: 0), count: capacity)
    for index in 0..<capacity {
      queues[index].nextInBucket =
        index + 1 < capacity ? Int32(index + 1) : FragmentPool.none
    }
    firstFree = 0
    var size = 16
    while size < capacity { size *= 2 }
    buckets = Array(repeating: FragmentPool.none, count: size)
  }

  /// Bytes of kernel memory that a packet of this length takes (`skb->truesize`), as measured on
  /// 6.18: the buffer with 64 bytes of headroom and 320 of bookkeeping, rounded up as the allocator
  /// does, and 256 more. Other drivers differ.
  static func cost(packetLength: Int) -> Int {
    let size = packetLength + 64 + 320
    if size <= 576 { return 576 + 256 }
    if size > 8192 { return (size + 4095) / 4096 * 4096 + 256 }
    var rounded = 1024
    while rounded < size { rounded *= 2 }
    return rounded + 256
  }

  var isOverThreshold: Bool { charged > highThreshold || highThreshold == 0 }

  var nextExpiry: Int64? { oldest < 0 ? nil : queues[Int(oldest)].deadline }

  func isOverdue(_ queue: Int32, _ now: Int64) -> Bool { queues[Int(queue)].deadline <= now }

  /// The oldest queue, if it is due.
  func overdue(_ now: Int64) -> Int32? {
    oldest >= 0 && isOverdue(oldest, now) ? oldest : nil
  }
}

// MARK: - The table

extension FragmentPool {
  private func bucket(_ key: FragmentKey) -> Int {
    Int(truncatingIfNeeded: key.hash(seed) & UInt64(buckets.count - 1))
  }

  func find(_ key: FragmentKey) -> Int32 {
    var index = buckets[bucket(key)]
    while index >= 0 {
      if queues[Int(index)].key == key { return index }
      index = queues[Int(index)].nextInBucket
    }
    return FragmentPool.none
  }

  /// A new queue, or `none` when there are too many.
  mutating func insert(_ key: FragmentKey, deadline: Int64) -> Int32 {
    let index = firstFree
    guard index >= 0 else { return FragmentPool.none }
    firstFree = queues[Int(index)].nextInBucket
    let bucket = bucket(key)
    queues[Int(index)] = Queue(
      key: key, nextInBucket: buckets[bucket], deadline: deadline, cost: queueCost)
    buckets[bucket] = index
    charged += queueCost
    waitingCount += 1
    appendNewest(index)
    return index
  }

  mutating func remove(_ index: Int32) {
    blocks.release(chain: &queues[Int(index)].dataChain)
    blocks.release(chain: &queues[Int(index)].headerChain)
    charged -= queues[Int(index)].cost
    waitingCount -= 1
    unlinkAge(index)
    let bucket = bucket(queues[Int(index)].key)
    let next = queues[Int(index)].nextInBucket
    if buckets[bucket] == index {
      buckets[bucket] = next
    } else {
      var before = buckets[bucket]
      while queues[Int(before)].nextInBucket != index {
        before = queues[Int(before)].nextInBucket
      }
      queues[Int(before)].nextInBucket = next
    }
    queues[Int(index)].nextInBucket = firstFree
    firstFree = index
  }

  /// Throws away what a queue holds and lets it wait anew.
  mutating func restart(_ index: Int32, deadline: Int64) {
    blocks.release(chain: &queues[Int(index)].dataChain)
    blocks.release(chain: &queues[Int(index)].headerChain)
    charged -= queues[Int(index)].cost - queueCost
    unlinkAge(index)
    let old = queues[Int(index)]
    // The sizes seen stay, as in the kernel.
    queues[Int(index)] = Queue(
      key: old.key, nextInBucket: old.nextInBucket, deadline: deadline,
      maximumSize: old.maximumSize, maximumDontFragmentSize: old.maximumDontFragmentSize,
      cost: queueCost, source: old.source, sourceCounter: old.sourceCounter)
    appendNewest(index)
  }

  private mutating func appendNewest(_ index: Int32) {
    queues[Int(index)].older = newest
    queues[Int(index)].newer = FragmentPool.none
    if newest >= 0 { queues[Int(newest)].newer = index } else { oldest = index }
    newest = index
  }

  private mutating func unlinkAge(_ index: Int32) {
    let older = queues[Int(index)].older
    let newer = queues[Int(index)].newer
    if older >= 0 { queues[Int(older)].newer = newer } else { oldest = newer }
    if newer >= 0 { queues[Int(newer)].older = older } else { newest = older }
  }
}

// MARK: - The data

extension FragmentPool {
  /// Headers are kept in blocks of an owner of their own.
  private static func headerOwner(_ queue: Int32) -> Int32 { -2 - queue }

  func relation(_ queue: Int32, from start: Int, to end: Int) -> FragmentBlocks.Relation {
    blocks.relation(queue, from: start, to: end)
  }

  /// Keeps a fragment that lies apart from all others.
  ///
  /// - Parameters:
  ///   - data: where the fragment's data is in `bytes`.
  ///   - header: how many of the first bytes to keep as the packet's headers.
  ///   - packetLength: of the whole fragment; what it is charged by.
  /// - Returns: false, and nothing is kept, when no block is free.
  mutating func store(
    _ queue: Int32, _ bytes: RawSpan, data: Range<Int>, at start: Int, header: Int,
    packetLength: Int
  ) -> Bool {
    let end = start + data.count
    let owner = FragmentPool.headerOwner(queue)
    var needed = blocks.missingCount(queue, from: start, to: end)
    if header > 0 { needed += blocks.missingCount(owner, from: 0, to: header) }
    guard needed <= blocks.freeCount else { return false }

    // Runs as the kernel keeps them: a fragment that starts where the last one ends goes on with
    // that one's run, every other begins a run.
    let state = queues[Int(queue)]
    let startsRun = state.received == 0 || start != state.tailEnd
    blocks.store(
      queue, bytes.slice(data), at: start, startsRun: startsRun,
      chain: &queues[Int(queue)].dataChain)
    if header > 0 {
      blocks.store(
        owner, bytes.slice(0..<header), at: 0, startsRun: true,
        chain: &queues[Int(queue)].headerChain)
      queues[Int(queue)].headerLength = header
    }
    queues[Int(queue)].tailEnd = max(state.tailEnd, end)
    queues[Int(queue)].received += data.count
    let cost = FragmentPool.cost(packetLength: packetLength)
    queues[Int(queue)].cost += cost
    charged += cost
    return true
  }

  /// Writes headers and data of a complete queue into `packet`, which has room for them.
  func copy(_ queue: Int32, into packet: inout PacketBuffer, headerLength: Int) {
    let length = queues[Int(queue)].length
    packet.resize(to: headerLength + length)
    blocks.copy(FragmentPool.headerOwner(queue), length: headerLength, into: &packet, at: 0)
    blocks.copy(queue, length: length, into: &packet, at: headerLength)
  }

  func geometry(_ queue: Int32) -> FragmentGeometry {
    blocks.geometry(queue, length: queues[Int(queue)].length)
  }

  /// What to tell of a queue that is given up; its first fragment goes into `first`.
  func describe(
    _ queue: Int32, _ family: AddressFamily, first: inout PacketBuffer
  ) -> ExpiredFragments {
    let state = queues[Int(queue)]
    var expired = ExpiredFragments(
      family: family, source: state.key.source, destination: state.key.destination,
      user: state.key.user, hasFirstFragment: false)
    guard state.headerLength > 0 else { return expired }
    let length = blocks.firstFragmentLength(queue, tailEnd: state.tailEnd)
    guard state.headerLength + length <= first.capacity else { return expired }
    first.resize(to: state.headerLength + length)
    blocks.copy(
      FragmentPool.headerOwner(queue), length: state.headerLength, into: &first, at: 0)
    blocks.copy(queue, length: length, into: &first, at: state.headerLength)
    expired.hasFirstFragment = true
    return expired
  }
}
