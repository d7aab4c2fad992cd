// Memory for fragments: blocks of 512 bytes, each holding the data of one stretch of one waiting
// packet at its final place, with a bit for every 8 bytes. For the reassembler only.

/// A pool of blocks, found by the waiting packet's number and the block's place in that packet.
///
/// Fragments start at multiples of 8 bytes, so that 64 bits say of a block which of its bytes have
/// come, where fragments start, and where runs start: what the kernel takes for a duplicate depends
/// on runs, fragments that came one behind the other in order.
struct FragmentBlocks: ~Copyable {
  static let blockSize = 512
  static let unitSize = 8
  static let none: Int32 = -1

  struct Block {
    var owner: Int32 = FragmentBlocks.none
    var place: Int32 = 0
    var nextOfOwner: Int32 = FragmentBlocks.none
    var nextInBucket: Int32 = FragmentBlocks.none
    var present: UInt64 = 0
    var fragmentStarts: UInt64 = 0
    var runStarts: UInt64 = 0
  }

  private var memory: PacketBuffer
  private var blocks: [Block]
  private var buckets: [Int32]
  private let bucketShift: Int
  private var firstFree: Int32
  private(set) var freeCount: Int

  init(count: Int) {
    memory = PacketBuffer(capacity: count * FragmentBlocks.blockSize)
    memory.resize(to: count * FragmentBlocks.blockSize)
    blocks = Array(repeating: Block(), count: count)
    for index in 0..<count {
      blocks[index].nextOfOwner = index + 1 < count ? Int32(index + 1) : FragmentBlocks.none
    }
    var bits = 4
    while 1 << bits < count { bits += 1 }
    buckets = Array(repeating: FragmentBlocks.none, count: 1 << bits)
    bucketShift = 64 - bits
    firstFree = count > 0 ? 0 : FragmentBlocks.none
    freeCount = count
  }

  private func bucket(_ owner: Int32, _ place: Int32) -> Int {
    let key = UInt64(UInt32(bitPattern: owner)) << 32 | UInt64(UInt32(bitPattern: place))
    // Owners are numbers this side chose; a plain multiplicative hash is enough.
    return Int((key &* 0x9e37_79b9_7f4a_7c15) >> UInt64(bucketShift))
  }

  /// The block at `place` of `owner`, or `none`.
  func find(_ owner: Int32, _ place: Int32) -> Int32 {
    var index = buckets[bucket(owner, place)]
    while index >= 0 {
      if blocks[Int(index)].owner == owner && blocks[Int(index)].place == place { return index }
      index = blocks[Int(index)].nextInBucket
    }
    return FragmentBlocks.none
  }

  /// Takes a free block for `place` of `owner` and puts it before `chain`. Traps when none is free.
  mutating func take(_ owner: Int32, _ place: Int32, chain: inout Int32) -> Int32 {
    let index = firstFree
    precondition(index >= 0, "freeCount was not asked")
    firstFree = blocks[Int(index)].nextOfOwner
    freeCount -= 1
    let bucket = bucket(owner, place)
    blocks[Int(index)] = Block(
      owner: owner, place: place, nextOfOwner: chain, nextInBucket: buckets[bucket])
    buckets[bucket] = index
    chain = index
    return index
  }

  /// Gives back all blocks of `chain`.
  mutating func release(chain: inout Int32) {
    var index = chain
    while index >= 0 {
      let next = blocks[Int(index)].nextOfOwner
      unlink(index)
      blocks[Int(index)] = Block(nextOfOwner: firstFree)
      firstFree = index
      freeCount += 1
      index = next
    }
    chain = FragmentBlocks.none
  }

  private mutating func unlink(_ index: Int32) {
    let block = blocks[Int(index)]
    let bucket = bucket(block.owner, block.place)
    if buckets[bucket] == index {
      buckets[bucket] = block.nextInBucket
      return
    }
    var before = buckets[bucket]
    while blocks[Int(before)].nextInBucket != index { before = blocks[Int(before)].nextInBucket }
    blocks[Int(before)].nextInBucket = block.nextInBucket
  }
}

// MARK: - Ranges of data

extension FragmentBlocks {
  /// How a new range lies to the data that came before.
  enum Relation {
    case apart
    /// Wholly in one run.
    case contained
    case overlapping
  }

  /// The places of the blocks that hold the bytes from `start` to before `end` (not empty).
  private static func places(_ start: Int, _ end: Int) -> ClosedRange<Int> {
    start / blockSize...(end - 1) / blockSize
  }

  /// The bits of block `place` for the bytes from `start` to before `end`.
  private static func mask(_ place: Int, _ start: Int, _ end: Int) -> UInt64 {
    let base = place * blockSize
    let low = max(start - base, 0) / unitSize
    let high = (min(end - base, blockSize) + unitSize - 1) / unitSize
    // Shifts by 64 give 0, as an upper bound at the block's end needs.
    return (UInt64.max << UInt64(low)) & ~(UInt64.max << UInt64(high))
  }

  func relation(_ owner: Int32, from start: Int, to end: Int) -> Relation {
    var any = false
    var all = true
    var crossesRuns = false
    for place in FragmentBlocks.places(start, end) {
      let mask = FragmentBlocks.mask(place, start, end)
      let index = find(owner, Int32(place))
      let present = index < 0 ? 0 : blocks[Int(index)].present & mask
      if present != 0 { any = true }
      if present != mask { all = false }
      guard index >= 0 else { continue }
      var starts = blocks[Int(index)].runStarts & mask
      if place == start / FragmentBlocks.blockSize {
        starts &= ~(1 << UInt64(start % FragmentBlocks.blockSize / FragmentBlocks.unitSize))
      }
      if starts != 0 { crossesRuns = true }
    }
    if !any { return .apart }
    return all && !crossesRuns ? .contained : .overlapping
  }

  /// How many blocks must be taken before the range can be stored.
  func missingCount(_ owner: Int32, from start: Int, to end: Int) -> Int {
    var count = 0
    for place in FragmentBlocks.places(start, end) where find(owner, Int32(place)) < 0 {
      count += 1
    }
    return count
  }

  /// Stores data at its place. Traps when `missingCount` blocks are not free.
  mutating func store(
    _ owner: Int32, _ data: RawSpan, at start: Int, startsRun: Bool, chain: inout Int32
  ) {
    let end = start + data.byteCount
    for place in FragmentBlocks.places(start, end) {
      var index = find(owner, Int32(place))
      if index < 0 { index = take(owner, Int32(place), chain: &chain) }
      let base = place * FragmentBlocks.blockSize
      let from = max(start, base)
      let to = min(end, base + FragmentBlocks.blockSize)
      memory.copy(
        data.slice(from - start..<to - start),
        at: Int(index) * FragmentBlocks.blockSize + from - base)
      blocks[Int(index)].present |= FragmentBlocks.mask(place, start, end)
      guard from == start else { continue }
      let bit: UInt64 = 1 << UInt64((start - base) / FragmentBlocks.unitSize)
      blocks[Int(index)].fragmentStarts |= bit
      if startsRun { blocks[Int(index)].runStarts |= bit }
    }
  }

  /// Writes the bytes from 0 to before `length` of `owner` into `target` at `offset`. They must all
  /// have been stored, and `target` must have room.
  func copy(_ owner: Int32, length: Int, into target: inout PacketBuffer, at offset: Int) {
    guard length > 0 else { return }
    for place in FragmentBlocks.places(0, length) {
      let index = find(owner, Int32(place))
      precondition(index >= 0)
      let base = place * FragmentBlocks.blockSize
      let count = min(length - base, FragmentBlocks.blockSize)
      let start = Int(index) * FragmentBlocks.blockSize
      target.copy(memory.bytes.slice(start..<start + count), at: offset + base)
    }
  }

  /// The lengths of the fragments of `owner`, whose data is complete up to `length`.
  func geometry(_ owner: Int32, length: Int) -> FragmentGeometry {
    var geometry = FragmentGeometry()
    var start = 0
    for place in FragmentBlocks.places(0, length) {
      let index = find(owner, Int32(place))
      guard index >= 0 else { break }
      var starts = blocks[Int(index)].fragmentStarts
      while starts != 0 {
        let at =
          place * FragmentBlocks.blockSize
          + starts.trailingZeroBitCount * FragmentBlocks.unitSize
        if at > start { geometry.append(at - start) }
        start = at
        starts &= starts - 1
      }
    }
    geometry.append(length - start)
    return geometry
  }

  /// How many bytes the fragment at offset 0 has, `tailEnd` being the end of the last one there is.
  func firstFragmentLength(_ owner: Int32, tailEnd: Int) -> Int {
    // The first fragment ends where another starts or where data is missing.
    var at = FragmentBlocks.unitSize
    while at < tailEnd {
      let index = find(owner, Int32(at / FragmentBlocks.blockSize))
      guard index >= 0 else { return at }
      let bit: UInt64 =
        1 << UInt64(at % FragmentBlocks.blockSize / FragmentBlocks.unitSize)
      let block = blocks[Int(index)]
      if block.present & bit == 0 || block.fragmentStarts & bit != 0 { return at }
      at += FragmentBlocks.unitSize
    }
    return tailEnd
  }
}
