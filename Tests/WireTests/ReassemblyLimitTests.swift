// Time and memory of the reassembler, and long random runs whose packets must come out as they were.

import Testing
import Wire

@Suite struct ReassemblyLimitTests {
  @Test(arguments: AddressFamily.allCases) func expiry(_ family: AddressFamily) {
    var bench = ReassemblyBench()
    var first = PacketBuffer()
    let timeout: Int64 = family == .ipv4 ? 30_000_000_000 : 60_000_000_000
    let fragment = piece(family, 0, 16, more: true)
    #expect(bench.send(fragment) == "held")
    bench.now = 1_000_000_000
    // Another comes, which gives no more time; and one whose first fragment never does.
    #expect(bench.send(piece(family, 16, 8, more: true)) == "held")
    #expect(bench.send(piece(family, 16, 8, more: true, id: 9), user: 5) == "held")
    let early = bench.reassembler.takeExpired(now: timeout - 1, firstFragment: &first)
    #expect(early == nil)
    let expired = bench.reassembler.takeExpired(now: timeout, firstFragment: &first)
    #expect(expired?.family == family)
    #expect(expired?.deadlineNanoseconds == timeout)
    #expect(first.bytes.array == fragment)
    let notYet = bench.reassembler.takeExpired(now: timeout, firstFragment: &first)
    #expect(notYet == nil)
    let later = timeout + 1_000_000_000
    let second = bench.reassembler.takeExpired(now: later, firstFragment: &first)
    #expect(second?.user == 5)
    #expect(first.bytes.array.isEmpty)
    #expect(bench.reassembler.waiting == 0)
  }

  @Test(arguments: AddressFamily.allCases) func overdueIsForgotten(_ family: AddressFamily) {
    var bench = ReassemblyBench()
    #expect(bench.send(piece(family, 0, 16, more: true)) == "held")
    bench.now = 60_000_000_000
    #expect(bench.send(piece(family, 16, 8, more: false)) == "held")
    #expect(bench.send(piece(family, 0, 16, more: true)) == "complete")
  }

  /// However long the fragments, memory ends where the kernel's did, and all of it comes back.
  @Test(arguments: [
    (AddressFamily.ipv4, 8, 97), (.ipv4, 16, 97), (.ipv4, 520, 68), (.ipv4, 1480, 40),
    (.ipv4, 8000, 11), (.ipv6, 8, 99), (.ipv6, 16, 99), (.ipv6, 520, 69), (.ipv6, 1480, 41),
    (.ipv6, 8000, 11),
  ])
  func memory(_ family: AddressFamily, _ length: Int, _ kernelHeld: Int) {
    let settings = ReassemblySettings(
      ipv4HighThreshold: 100_000, ipv4MaxDistance: 0, ipv6HighThreshold: 100_000)
    var bench = ReassemblyBench(settings)
    var counts: [Int] = []
    for round in 0..<3 {
      var held = 0
      bench.now = Int64(round) * 100_000_000_000
      for id in 0..<200 {
        let answer = bench.send(piece(family, 8, length, more: true, id: UInt32(id)))
        if answer == "held" { held += 1 } else { #expect(answer == "noRoom") }
      }
      counts.append(held)
    }
    #expect(counts == [kernelHeld, kernelHeld, kernelHeld])
  }

  /// Not even the fragment that would complete a packet is let in; what waits stays.
  @Test func nothingIsEvicted() {
    var bench = ReassemblyBench(
      ReassemblySettings(ipv4HighThreshold: 2000, ipv4MaxDistance: 0))
    #expect(bench.send(piece(.ipv4, 0, 16, more: true, id: 1)) == "held")
    #expect(bench.send(piece(.ipv4, 0, 16, more: true, id: 2)) == "held")
    #expect(bench.send(piece(.ipv4, 16, 8, more: false, id: 2)) == "noRoom")
    #expect(bench.reassembler.waiting == 2)
    bench.now = 30_000_000_000
    #expect(bench.send(piece(.ipv4, 16, 8, more: false, id: 2)) == "held")
  }

  /// A capture's clock may go back: deadlines are kept in order all the same.
  @Test func clockThatGoesBack() {
    var bench = ReassemblyBench()
    var first = PacketBuffer()
    let second: Int64 = 1_000_000_000
    for (user, time) in [(1, 10), (2, 5), (3, 7), (4, 1)] as [(UInt32, Int64)] {
      bench.now = time * second
      #expect(bench.send(piece(.ipv4, 0, 16, more: true), user: user) == "held")
    }
    var users: [UInt32] = []
    while let expired = bench.reassembler.takeExpired(
      now: 37 * second, firstFragment: &first)
    {
      users.append(expired.user)
    }
    #expect(users == [4, 2, 3])
    #expect(bench.reassembler.waiting == 1)
  }

  /// Too many fragments of others in between: what waited is discarded, but its size still counts.
  @Test func restartKeepsTheSizesSeen() {
    var bench = ReassemblyBench()
    #expect(bench.send(piece(.ipv4, 0, 1000, more: true, dontFragment: true)) == "held")
    for id in 100..<165 { _ = bench.send(piece(.ipv4, 0, 16, more: true, id: UInt32(id))) }
    #expect(bench.send(piece(.ipv4, 16, 8, more: false)) == "held")
    #expect(bench.send(piece(.ipv4, 0, 16, more: true)) == "complete")
    #expect(bench.info?.maxFragmentSize == 1020)
    #expect(bench.info?.dontFragment == true)
  }

  @Test func preparedWorksTheSame() {
    var bench = ReassemblyBench(
      ReassemblySettings(ipv4HighThreshold: 10_000, ipv6HighThreshold: 0))
    bench.reassembler.prepare()
    #expect(bench.send(piece(.ipv4, 0, 1000, more: true)) == "held")
    #expect(bench.send(piece(.ipv4, 1000, 8, more: false)) == "complete")
  }

  @Test func thresholdOfZeroTakesNone() {
    var bench = ReassemblyBench(ReassemblySettings(ipv4HighThreshold: 0))
    #expect(bench.send(piece(.ipv4, 0, 8, more: true)) == "noRoom")
    #expect(bench.send(piece(.ipv6, 0, 8, more: true)) == "held")
  }

  @Test func smallBufferIsNoTrap() {
    var reassembler = Reassembler(ReassemblySettings())
    var small = PacketBuffer(capacity: 100)
    for offset in [0, 64] {
      let bytes = piece(.ipv4, offset, 64, more: offset == 0)
      _ = small.assign(bytes.rawSpan)
      let result = reassembler.add(&small, headers: headersOf(bytes), now: 0, user: 0)
      guard offset > 0 else { continue }
      guard case .dropped(.noRoom) = result else {
        Issue.record("\(result)")
        return
      }
    }
  }

  /// Packets cut at random, shuffled, from many at once: every one comes out as it was.
  @Test(arguments: AddressFamily.allCases, [1, 2, 3] as [UInt64])
  func shuffled(_ family: AddressFamily, _ seed: UInt64) {
    var random = Shuffler(state: seed)
    var bench = ReassemblyBench(ReassemblySettings(ipv4MaxDistance: 0))
    for round in 0..<20 {
      var fragments: [(id: UInt32, bytes: [UInt8])] = []
      var lengths: [UInt32: Int] = [:]
      for packet in 0..<5 {
        let id = UInt32(round * 5 + packet)
        let length = 9 + random.below(random.below(4) == 0 ? 20_000 : 400)
        lengths[id] = length
        var offset = 0
        while offset < length {
          let most = min(length - 1, length / 24 * 8 + 8)
          let size = min(8 * (1 + random.below(max(most / 8, 1))), length - offset)
          let more = offset + size < length
          fragments.append(
            (id, piece(family, offset, size, more: more, id: id, next: 200)))
          offset += size
        }
      }
      fragments.shuffle(using: &random)
      var complete = 0
      for (id, bytes) in fragments {
        let answer = bench.send(bytes)
        if answer == "held" { continue }
        #expect(answer == "complete", "seed \(seed) round \(round)")
        complete += 1
        let start = family == .ipv4 ? 20 : 40
        let expected = (0..<lengths[id]!).map { UInt8(truncatingIfNeeded: $0 / 8) }
        #expect(Array(bench.bytes[start...]) == expected, "seed \(seed) round \(round)")
      }
      #expect(complete == 5, "seed \(seed) round \(round)")
      #expect(bench.reassembler.waiting == 0)
    }
  }

  /// Fragments of a few packets at random, most of them wrong: nothing traps, nothing is lost.
  @Test func anything() {
    let seed: UInt64 = 77
    var random = Shuffler(state: seed)
    var bench = ReassemblyBench(
      ReassemblySettings(ipv4HighThreshold: 50_000, ipv6HighThreshold: 50_000))
    var answers: [String: Int] = [:]
    for round in 0..<6000 {
      let unit = [8, 16, 504, 1480][random.below(4)]
      let offset = random.below(6) * unit & ~7
      let length = random.below(20) == 0 ? random.below(40) : unit * (1 + random.below(2))
      let bytes = piece(
        random.below(2) == 0 ? .ipv4 : .ipv6, offset, length, more: random.below(3) > 0,
        id: UInt32(random.below(6)),
        trafficClass: [3, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2][random.below(12)])
      bench.now = Int64(round) * 20_000_000
      let answer = bench.send(bytes)
      answers[answer, default: 0] += 1
      guard let info = bench.info else { continue }
      let (_, packets) = leave(bench.bytes, mtu: 600 + random.below(900), info)
      let total = packets.reduce(0) { sum, packet in
        let headers = headersOf(packet)
        return sum + headers.end - (headers.family == .ipv4 ? 20 : 48)
      }
      let whole = headersOf(bench.bytes)
      #expect(packets.isEmpty || total == whole.end - whole.networkHeaderLength, "seed \(seed)")
    }
    for answer in ["held", "duplicate", "overlap", "badLength", "mixedECN", "complete", "passed"] {
      #expect(answers[answer, default: 0] > 0, "\(answer) never came; seed \(seed)")
    }
    bench.reassembler.expire(now: .max)
    #expect(bench.reassembler.waiting == 0)
  }
}

/// SplitMix64.
private struct Shuffler: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
