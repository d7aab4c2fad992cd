// Time and memory of the reassembler, and a long random run that compares it with a plain model.

import Testing
import Wire

@Suite struct ReassemblyLimitTests {
  @Test(arguments: AddressFamily.allCases) func expiry(_ family: AddressFamily) throws {
    var bench = Bench()
    var first = PacketBuffer()
    let timeout: Int64 = family == .ipv4 ? 30_000_000_000 : 60_000_000_000
    let fragment = piece(family, 0, 16, more: true, dontFragment: true)
    _ = bench.send(fragment)
    bench.now = 1_000_000_000
    // Another comes, which gives no more time; and one whose first fragment never does.
    _ = bench.send(piece(family, 16, 8, more: true))
    _ = bench.send(piece(family, 16, 8, more: true, id: 9), user: 5)
    #expect(bench.reassembler.nextExpiryNanoseconds == timeout)
    let early = bench.reassembler.expire(now: timeout - 1, first: &first)
    #expect(early == nil)
    let expired = bench.reassembler.expire(now: timeout, first: &first)
    #expect(expired?.family == family)
    #expect(expired?.hasFirstFragment == true)
    #expect(first.array == fragment)
    let notYet = bench.reassembler.expire(now: timeout, first: &first)
    #expect(notYet == nil)
    let second = bench.reassembler.expire(now: timeout + 1_000_000_000, first: &first)
    #expect(second?.hasFirstFragment == false)
    #expect(second?.user == 5)
    #expect(bench.reassembler.waitingCount == 0)
    #expect(bench.reassembler.nextExpiryNanoseconds == nil)
  }

  @Test(arguments: AddressFamily.allCases) func overdueIsForgotten(_ family: AddressFamily) {
    var bench = Bench()
    _ = bench.send(piece(family, 0, 16, more: true))
    bench.now = 60_000_000_000
    #expect(bench.send(piece(family, 16, 8, more: false)) == "held")
    #expect(bench.send(piece(family, 0, 16, more: true)) == "complete")
  }

  /// How many packets of one fragment 6.18 holds with a threshold of 100,000 bytes, as counted in
  /// /proc/net/sockstat (IPv4) and by completing them (IPv6).
  @Test(arguments: [
    (AddressFamily.ipv4, 8, 97), (.ipv4, 120, 97), (.ipv4, 200, 68), (.ipv4, 600, 68),
    (.ipv4, 1000, 40), (.ipv4, 1480, 40), (.ipv4, 3000, 22), (.ipv4, 8000, 8),
    (.ipv6, 8, 99), (.ipv6, 136, 99),
  ])
  func memory(_ family: AddressFamily, _ length: Int, _ expected: Int) {
    var settings = ReassemblySettings()
    settings.ipv4HighThreshold = 100_000
    settings.ipv6HighThreshold = 100_000
    settings.ipv4MaximumDistance = 0
    var bench = Bench(settings)
    var held = 0
    for id in 0..<200 {
      let answer = bench.send(piece(family, 0, length, more: true, id: UInt32(id)))
      if answer == "held" { held += 1 } else { #expect(answer == "memoryLimit") }
    }
    #expect(held == expected)
    // All of it comes back.
    var first = PacketBuffer()
    var expired = 0
    while bench.reassembler.expire(now: .max, first: &first) != nil { expired += 1 }
    #expect(expired == held)
    #expect(bench.send(piece(family, 0, length, more: true)) == "held")
  }

  @Test func thresholdOfZeroTakesNone() {
    var settings = ReassemblySettings()
    settings.ipv4HighThreshold = 0
    var bench = Bench(settings)
    #expect(bench.send(piece(.ipv4, 0, 8, more: true)) == "memoryLimit")
    #expect(bench.send(piece(.ipv6, 0, 8, more: true)) == "held")
  }

  @Test func smallBufferIsNoTrap() throws {
    var reassembler = Reassembler()
    var small = PacketBuffer(capacity: 100)
    for (offset, length) in [(0, 64), (64, 64)] {
      let bytes = piece(.ipv4, offset, length, more: offset == 0)
      _ = small.assign(bytes.span.octets)
      let headers = try decode(bytes).get()
      let result = reassembler.add(&small, headers: headers, now: 0, user: 0)
      guard offset > 0 else { continue }
      guard case .dropped(.bufferTooSmall) = result else {
        Issue.record("\(result)")
        return
      }
    }
  }

  /// Packets cut at random, shuffled, with duplicates, from many senders at once: every one comes
  /// out as it was, and no block is lost.
  @Test(arguments: AddressFamily.allCases, [1, 2, 3] as [UInt64])
  func random(_ family: AddressFamily, _ seed: UInt64) {
    var random = SplitMix64(seed: seed)
    var settings = ReassemblySettings()
    settings.ipv4MaximumDistance = 0
    var bench = Bench(settings)
    for round in 0..<30 {
      var pieces: [(id: UInt32, bytes: [UInt8])] = []
      var lengths: [UInt32: Int] = [:]
      for packet in 0..<5 {
        let id = UInt32(round * 5 + packet)
        let length = 1 + random.below(random.oneIn(4) ? 20_000 : 400)
        lengths[id] = length
        var offset = 0
        while offset < length {
          let size = min(8 * (1 + random.below(length / 24 + 1)), length - offset)
          let more = offset + size < length
          let bytes = piece(family, offset, size, more: more, id: id, next: 200)
          pieces.append((id, bytes))
          offset += size
        }
      }
      pieces.shuffle(using: &random)
      var complete = 0
      for (id, bytes) in pieces {
        let answer = bench.send(bytes)
        let whole = decode(bytes)
        // A packet of one piece is no fragment to IPv4.
        if answer == "held" || answer == "unchanged" {
          if answer == "unchanged", family == .ipv4, case .success(let headers) = whole {
            #expect(!headers.isFragment)
            complete += 1
          }
          continue
        }
        #expect(answer == "complete", "seed \(seed) round \(round)")
        complete += 1
        let start = family == .ipv4 ? 20 : 40
        #expect(bench.packet.count == start + lengths[id]!)
        let right = (0..<lengths[id]!).allSatisfy {
          bench.packet.uint8(at: start + $0) == UInt8(truncatingIfNeeded: $0 / 8)
        }
        #expect(right, "seed \(seed) round \(round)")
      }
      #expect(complete == 5, "seed \(seed) round \(round)")
      #expect(bench.reassembler.waitingCount == 0)
    }
  }
}
