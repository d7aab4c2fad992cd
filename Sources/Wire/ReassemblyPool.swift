// Where the bytes of waiting fragments lie: small blocks cut from larger slabs, as many as the limit
// on memory allows and no more. Used by `FragmentStore` only.

/// Blocks of equal length; the bytes of one fragment are a chain of them.
struct FragmentPool: Sendable {
  static var blockLength: Int { 512 }
  private static var blocksPerSlab: Int { 256 }
  /// The end of a chain.
  static var none: Int32 { -1 }

  /// How many blocks there may be.
  let limit: Int
  private var slabs: [[UInt8]] = []
  /// The block that follows in a chain or in the list of free ones; as many as there are blocks.
  private var following: [Int32] = []
  private var firstFree = FragmentPool.none
  private var usedCount = 0

  init(limit: Int) {
    self.limit = Swift.min(limit, Int(Int32.max) - FragmentPool.blocksPerSlab)
  }

  /// Allocates all blocks, so that `store` does not have to.
  mutating func prepare() {
    slabs.reserveCapacity(limit / FragmentPool.blocksPerSlab + 1)
    following.reserveCapacity(limit + FragmentPool.blocksPerSlab)
    while following.count < limit { addSlab() }
  }

  private mutating func addSlab() {
    slabs.append(
      [UInt8](repeating: 0, count: FragmentPool.blocksPerSlab * FragmentPool.blockLength))
    for _ in 0..<FragmentPool.blocksPerSlab {
      following.append(firstFree)
      firstFree = Int32(following.count - 1)
    }
  }

  /// How many blocks hold that many bytes.
  static func blocks(for length: Int) -> Int { (length + blockLength - 1) / blockLength }

  /// Copies `source` into a new chain; nil, with nothing taken, when too few blocks are free.
  mutating func store(_ source: RawSpan) -> Int32? {
    let count = FragmentPool.blocks(for: source.byteCount)
    guard count <= limit - usedCount else { return nil }
    var head = FragmentPool.none
    // From the last block to the first, so that each knows its follower when it is taken.
    for index in (0..<count).reversed() {
      let start = index * FragmentPool.blockLength
      let end = Swift.min(start + FragmentPool.blockLength, source.byteCount)
      let block = takeBlock()
      write(source.slice(start..<end), to: block)
      following[Int(block)] = head
      head = block
    }
    return head
  }

  private mutating func takeBlock() -> Int32 {
    if firstFree == FragmentPool.none { addSlab() }
    let block = firstFree
    firstFree = following[Int(block)]
    usedCount += 1
    return block
  }

  private func place(of block: Int32) -> (slab: Int, offset: Int) {
    let (slab, index) = Int(block).quotientAndRemainder(dividingBy: FragmentPool.blocksPerSlab)
    return (slab, index * FragmentPool.blockLength)
  }

  private mutating func write(_ source: RawSpan, to block: Int32) {
    let (slab, offset) = place(of: block)
    var elements = slabs[slab].mutableSpan
    // The elements are bytes: every value is one, and there is no padding to see.
    var bytes = unsafe elements.mutableBytes
    var at = 0
    while at + 8 <= source.byteCount {
      bytes.store64(source.uint64(at: at), at: offset + at)
      at += 8
    }
    while at < source.byteCount {
      bytes.store8(source.uint8(at: at), at: offset + at)
      at += 1
    }
  }

  /// Adds the first `length` bytes of a chain to `packet`. False when they do not fit there.
  func append(_ head: Int32, length: Int, to packet: inout PacketBuffer) -> Bool {
    guard length <= packet.capacity - packet.count else { return false }
    var block = head
    var left = length
    while block != FragmentPool.none, left > 0 {
      let (slab, offset) = place(of: block)
      let part = Swift.min(left, FragmentPool.blockLength)
      let bytes = slabs[slab]
      guard packet.append(bytes.rawSpan.slice(offset..<offset + part)) else { return false }
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
      usedCount -= 1
      block = next
    }
  }
}
