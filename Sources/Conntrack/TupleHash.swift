// The keyed hash of a tuple. An attacker chooses tuples, so which bucket one falls into must not be
// known without the secret.

import Wire

/// A secret of 256 bits, and the hash it keys: two rounds of 64 × 64 → 128-bit multiplication with
/// the halves folded. Every input word meets a secret word before it is multiplied.
struct TupleHash: BitwiseCopyable {
  private let key0, key1, key2, key3: UInt64

  init(seed: inout SeededGenerator) {
    key0 = seed.next()
    key1 = seed.next() | 1
    key2 = seed.next()
    key3 = seed.next() | 1
  }

  /// - Complexity: O(1): two multiplications for IPv4, four for IPv6.
  @inline(__always)
  func callAsFunction(_ tuple: Tuple, zone: UInt16) -> UInt64 {
    let ports =
      UInt64(tuple.sourcePort) << 48 | UInt64(tuple.destinationPort) << 32
      | UInt64(zone) << 16 | UInt64(tuple.protocolNumber) << 8 | UInt64(tuple.family.rawValue)
    if tuple.family == .ipv4 {
      let addresses = tuple.source.low << 32 | tuple.destination.low
      return fold(fold(addresses ^ key0, ports ^ key1) ^ key2, addresses ^ key3)
    }
    let sources = fold(tuple.source.high ^ key0, tuple.source.low ^ key1)
    let destinations = fold(tuple.destination.high ^ key2, tuple.destination.low ^ key3)
    return fold(fold(sources ^ key2, ports ^ key1) ^ key0, destinations ^ key3)
  }

  @inline(__always)
  private func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }
}

/// The seeded generator every choice comes from (splitmix64; Steele, Lea, Flood, 2014): the same
/// seed, the same run.
public struct SeededGenerator: RandomNumberGenerator, Sendable, BitwiseCopyable {
  private var state: UInt64

  public init(seed: UInt64) {
    state = seed
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
