// An attacker chooses tuples, and may know everything but the secret of the hash: what they make of
// that must cost a table with another secret no more than any traffic.

import Testing
import Wire

@testable import Conntrack

@Suite struct FloodTests {
  private static let entries = 16_384

  private static func hash(seed: UInt64) -> TupleHash {
    var generator = SeededGenerator(seed: seed)
    return TupleHash(seed: &generator)
  }

  /// The `number`th of the tuples an attacker can send: sources and ports as they like.
  private static func tuple(_ number: UInt32) -> Tuple {
    Tuple(
      source: IPAddress(ipv4: 0x0a00_0000 | number >> 8),
      destination: IPAddress(ipv4: 0xcb00_7101), sourcePort: UInt16(1024 + number & 0xff),
      destinationPort: 443, protocolNumber: IPProtocolNumber.tcp, family: .ipv4)
  }

  /// How many lines of the index a lookup reads, on average of these tuples, once all are in.
  private static func linesRead(_ tuples: [Tuple], _ hash: TupleHash) -> Double {
    let index = TableIndex(entries: entries)
    for (record, tuple) in tuples.enumerated() {
      let isIn = index.insert(
        hash(tuple, zone: 0), IndexReference(record: record, direction: .original))
      #expect(isIn)
    }
    var lines = 0
    for (record, tuple) in tuples.enumerated() {
      var position = index.home(hash(tuple, zone: 0))
      lines += 1
      while !index.holds(record, at: position) {
        position = index.following(position)
        lines += 1
      }
    }
    return Double(lines) / Double(tuples.count)
  }

  private static let secret = hash(seed: 1)

  /// 12,000 tuples that fall into a sixteenth of the index under the secret with seed 1.
  private static func crafted() -> [Tuple] {
    let index = TableIndex(entries: entries)
    let part = index.home(.max) / 16
    return Array(
      (0...UInt32.max).lazy.map { tuple($0) }.filter { index.home(secret($0, zone: 0)) < part }
        .prefix(12_000))
  }

  @Test func tuplesChosenForAnotherSecretCostWhatAnyCost() {
    let crafted = Self.crafted()
    // The attack works on the secret it was made for.
    #expect(Self.linesRead(crafted, Self.secret) > 100)
    var generator = SeededGenerator(seed: 9)
    let usual = (0..<12_000).map { _ in Self.tuple(UInt32(truncatingIfNeeded: generator.next())) }
    for seed in 2...6 as ClosedRange<UInt64> {
      let hash = Self.hash(seed: seed)
      let (attack, random) = (Self.linesRead(crafted, hash), Self.linesRead(usual, hash))
      #expect(random < 1.2)
      #expect(abs(attack - random) < 0.05, "\(attack) and \(random) lines, seed \(seed)")
    }
  }

  /// Nor do tuples that differ in a few bits of one field fall together.
  @Test func neighboursFallApart() {
    let neighbours: [[Tuple]] = [
      (0..<12_000 as Range<UInt32>).map { Self.tuple($0) },
      (0..<12_000 as Range<UInt32>).map { Self.tuple($0 << 16 | 0x55) },
      (0..<12_000 as Range<UInt32>).map { number in
        var tuple = Self.tuple(7)
        tuple.destination = IPAddress(ipv4: number << 12)
        return tuple
      },
    ]
    for tuples in neighbours {
      for seed in 1...4 as ClosedRange<UInt64> {
        #expect(Self.linesRead(tuples, Self.hash(seed: seed)) < 1.2)
      }
    }
  }
}

extension TableIndex {
  /// Whether a line has the reference of a record's original tuple.
  fileprivate func holds(_ record: Int, at position: Int) -> Bool {
    let wanted = IndexReference(record: record, direction: .original).rawValue
    return (0..<IndexBucket.slots).contains {
      buckets[position].tags[$0] != 0 && buckets[position].references[$0] == wanted
    }
  }
}
