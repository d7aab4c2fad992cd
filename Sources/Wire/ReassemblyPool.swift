// Where the bytes of waiting fragments lie: one allocation cut into small blocks, so that a bound on
// memory is a bound on blocks and nothing is allocated for a fragment. Used by `FragmentStore` only.

/// A fixed number of blocks of equal length; the bytes of one fragment are a chain of them.
struct FragmentPool: ~Copyable {
  static var blockLength: Int { 512 }
  /// The end of a chain.
  static var none: Int32 { -1 }

  private var bytes: PacketBuffer
  /// The block that follows in a chain or in the list of free ones.
  private var following: [Int32]
  private var firstFree: Int32
  private(set) var freeCount: Int

  /// Room for `blockCount` blocks; 0 allocates nothing.
  init(blockCount: Int) {
    bytes = PacketBuffer(capacity: blockCount * FragmentPool.blockLength)
    bytes.resize(to: bytes.capacity)
    following = (0..<blockCount).map { Int32($0 + 1) }
    if blockCount > 0 { following[blockCount - 1] = FragmentPool.none }
    firstFree = blockCount > 0 ? 0 : FragmentPool.none
    freeCount = blockCount
  }

  static func blocks(for length: Int) -> Int {
    (length + blockLength - 1) / blockLength
  }

  /// Copies `source` into a new chain; nil, with nothing taken, when too few blocks are free.
  mutating func store(_ source: RawSpan) -> Int32? {
    guard FragmentPool.blocks(for: source.byteCount) <= freeCount else { return nil }
    var head = FragmentPool.none
    // From the last block to the first, so that each knows its follower when it is taken.
    var start = (FragmentPool.blocks(for: source.byteCount) - 1) * FragmentPool.blockLength
    while start >= 0 {
      let block = firstFree
      firstFree = following[Int(block)]
      freeCount -= 1
      let end = Swift.min(start + FragmentPool.blockLength, source.byteCount)
      bytes.copy(source.slice(start..<end), at: Int(block) * FragmentPool.blockLength)
      following[Int(block)] = head
      head = block
      start -= FragmentPool.blockLength
    }
    return head
  }

  /// Adds the first `length` bytes of a chain to `packet`. False when they do not fit there.
  func append(_ head: Int32, length: Int, to packet: inout PacketBuffer) -> Bool {
    guard length <= packet.capacity - packet.count else { return false }
    var block = head
    var left = length
    while block != FragmentPool.none, left > 0 {
      let start = Int(block) * FragmentPool.blockLength
      let part = Swift.min(left, FragmentPool.blockLength)
      guard packet.append(bytes.bytes.slice(start..<start + part)) else { return false }
      left -= part
      block = following[Int(block)]
    }
    return left == 0
  }

  /// Gives the blocks of a chain back.
  mutating func release(_ head: Int32) {
    var block = head
    while block != FragmentPool.none {
      let next = following[Int(block)]
      following[Int(block)] = firstFree
      firstFree = block
      freeCount += 1
      block = next
    }
  }
}
