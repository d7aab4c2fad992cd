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

  /// Never 0, so that 0 can stand for none.
  /// - Complexity: O(1): two multiplications for IPv4, four for IPv6.
  @inline(__always)
  func callAsFunction(_ tuple: Tuple, zone: UInt16) -> UInt64 {
    let ports = UInt32(tuple.sourcePort) << 16 | UInt32(tuple.destinationPort)
    if tuple.family == .ipv4 {
      return self(
        ipv4: tuple.source.low << 32 | tuple.destination.low, ports: ports,
        protocolNumber: tuple.protocolNumber, zone: zone)
    }
    return self(
      ipv6: tuple.source, tuple.destination, ports: ports, protocolNumber: tuple.protocolNumber,
      zone: zone)
  }

  /// The same from a tuple's parts, as they stand in a packet: source before destination.
  @inline(__always)
  func callAsFunction(
    ipv4 addresses: UInt64, ports: UInt32, protocolNumber: UInt8, zone: UInt16
  ) -> UInt64 {
    let rest = Self.rest(ports, protocolNumber, zone, .ipv4)
    return fold(fold(addresses ^ key0, rest ^ key1) ^ key2, addresses ^ key3) | Self.mark
  }

  @inline(__always)
  func callAsFunction(
    ipv6 source: IPAddress, _ destination: IPAddress, ports: UInt32, protocolNumber: UInt8,
    zone: UInt16
  ) -> UInt64 {
    let rest = Self.rest(ports, protocolNumber, zone, .ipv6)
    let sources = fold(source.high ^ key0, source.low ^ key1)
    let destinations = fold(destination.high ^ key2, destination.low ^ key3)
    return fold(fold(sources ^ key2, rest ^ key1) ^ key0, destinations ^ key3) | Self.mark
  }

  /// A bit that neither bucket nor tag looks at.
  private static var mark: UInt64 { 1 << 8 }

  @inline(__always)
  private static func rest(
    _ ports: UInt32, _ protocolNumber: UInt8, _ zone: UInt16, _ family: AddressFamily
  ) -> UInt64 {
    UInt64(ports) << 32 | UInt64(zone) << 16 | UInt64(protocolNumber) << 8
      | UInt64(family.rawValue)
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
