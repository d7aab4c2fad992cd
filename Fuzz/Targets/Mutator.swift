// A seeded mutator: from inputs that mean something to inputs that nearly do. The same seed gives the
// same inputs, so that a failure can be had again.

/// Random numbers from a seed (SplitMix64).
public struct FuzzRandom: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }
  /// Below `limit`, which is not 0.
  public mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
  /// True once in `count` times.
  public mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }
}

public struct Mutator: Sendable {
  public var random: FuzzRandom
  private static let edges: [UInt8] = [
    0, 1, 2, 4, 5, 6, 8, 15, 16, 17, 20, 40, 44, 58, 127, 128, 255,
  ]

  public init(seed: UInt64) { random = FuzzRandom(seed: seed) }

  /// `input` with one to `most` changes; `others` are spliced in now and then.
  public mutating func mutate(
    _ input: [UInt8], with others: [[UInt8]], most: Int = 6, limit: Int = 1 << 16
  ) -> [UInt8] {
    var bytes = input
    for _ in 0...random.below(most) { change(&bytes, others) }
    return bytes.count > limit ? Array(bytes.prefix(limit)) : bytes
  }

  private mutating func change(_ bytes: inout [UInt8], _ others: [[UInt8]]) {
    guard !bytes.isEmpty else {
      bytes = (0..<1 + random.below(64)).map { _ in UInt8(random.below(256)) }
      return
    }
    let at = random.below(bytes.count)
    switch random.below(10) {
    case 0, 1: bytes[at] ^= 1 << UInt8(random.below(8))
    case 2: bytes[at] = UInt8(random.below(256))
    case 3: bytes[at] = Mutator.edges[random.below(Mutator.edges.count)]
    case 4: bytes[at] &+= random.oneIn(2) ? 1 : 255
    case 5:
      // A big-endian word near an edge.
      let word = [0, 1, 0x7fff, 0x8000, 0xffff, bytes.count, bytes.count - 1, 0x1fff, 0x2000]
      let value = word[random.below(word.count)]
      bytes[at] = UInt8(truncatingIfNeeded: value >> 8)
      if at + 1 < bytes.count { bytes[at + 1] = UInt8(truncatingIfNeeded: value) }
    case 6: bytes.removeSubrange(at..<min(bytes.count, at + 1 + random.below(16)))
    case 7:
      bytes.insert(
        contentsOf: (0..<1 + random.below(16)).map { _ in UInt8(random.below(256)) }, at: at)
    case 8:
      let end = min(bytes.count, at + 1 + random.below(64))
      bytes.insert(contentsOf: bytes[at..<end], at: random.below(bytes.count))
    default:
      if let other = others.randomElement(using: &random), !other.isEmpty {
        let from = random.below(other.count)
        let part = other[from..<min(other.count, from + 1 + random.below(200))]
        if random.oneIn(2) {
          bytes.insert(contentsOf: part, at: at)
        } else {
          bytes.replaceSubrange(at..<min(bytes.count, at + part.count), with: part)
        }
      } else {
        bytes.removeLast(bytes.count - at)
      }
    }
  }
}
