// Expiry and the index against naive models: seeded runs over days, with long gaps and much coming and
// going. What the table lists is exact to the nanosecond; its memory follows within a tick.

import Conntrack
import PacketForge
import TestLab
import Testing
import Wire

/// Random numbers from a seed.
struct TestRandom: RandomNumberGenerator {
  private var generator: SeededGenerator
  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }
  mutating func next() -> UInt64 { generator.next() }
  mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
}

@Suite struct TimerTests {
  /// Entries of one lab by the source port and protocol that make them: when they expire.
  struct Model {
    var deadlines: [String: Int64] = [:]
    func living(at now: Int64) -> Set<String> {
      Set(deadlines.filter { $0.value > now }.keys)
    }
  }

  @Test(arguments: UInt64(1)...12)
  func expiryAgainstAModel(seed: UInt64) {
    var random = TestRandom(seed: seed)
    let seconds = [1, 2, 10, 29, 30, 120, 600, 3600, 86_400, 432_000, 2_000_000].map { Int64($0) }
    let udp = seconds[random.below(seconds.count)]
    let icmp = seconds[random.below(seconds.count)]
    let generic = seconds[random.below(seconds.count)]
    let lab = TrackerLab(seed: seed, test: "expiryAgainstAModel") {
      $0.udpTimeout = udp * 1_000_000_000
      $0.icmpTimeout = icmp * 1_000_000_000
      $0.genericTimeout = generic * 1_000_000_000
    }
    var model = Model()
    let ends: [Int64] = [
      0, 1, 1 << 20, (1 << 20) - 1, 1 << 30, 1 << 39, 1_000_000, 999_999_999, 1_000_000_000,
      30_000_000_000, 86_400_000_000_000, 432_000_000_000_000, 1_000_000_000_000_000,
    ]
    for _ in 0..<400 {
      switch random.below(4) {
      case 0:
        let number = UInt16(random.below(40))
        lab.sees(Socket(lan, number).udp(to: Socket(wan, 53)))
        model.deadlines["udp \(number)"] = lab.now + udp * 1_000_000_000
      case 1:
        let number = UInt16(random.below(40))
        lab.sees(.echoRequest(from: lan, to: wan, id: number))
        model.deadlines["icmp \(number)"] = lab.now + icmp * 1_000_000_000
      case 2:
        let number = UInt8(200 + random.below(40))
        lab.sees(Packet(number, from: lan, to: wan, payload: []))
        model.deadlines["other \(number)"] = lab.now + generic * 1_000_000_000
      default:
        let gap = ends[random.below(ends.count)]
        lab.wait(nanoseconds: random.below(2) == 0 ? gap : gap / Int64(1 + random.below(1000)))
      }
      let living = Set(
        lab.tracker.connections().map { entry -> String in
          switch entry.original.protocolNumber {
          case IPProtocolNumber.udp: "udp \(entry.original.sourcePort)"
          case IPProtocolNumber.icmp: "icmp \(entry.original.sourcePort)"
          default: "other \(entry.original.protocolNumber)"
          }
        })
      #expect(living == model.living(at: lab.now))
      if living != model.living(at: lab.now) { return }
      // Memory is given back within a tick, give or take what has its turn just now.
      let late = model.deadlines.filter { $0.value <= lab.now && $0.value > lab.now - 1 << 21 }
      #expect(lab.tracker.count <= living.count + late.count)
    }
    lab.wait(nanoseconds: 2_000_001 * 1_000_000_000)
    #expect(lab.tracker.count == 0)
  }

  @Test(arguments: UInt64(1)...6)
  func everyExpiryIsToldOnceAndInOrder(seed: UInt64) {
    var random = TestRandom(seed: seed)
    let lab = TrackerLab(seed: seed, test: "everyExpiryIsToldOnceAndInOrder")
    var begun = 0
    var ended = 0
    for _ in 0..<300 {
      lab.sees(Socket(lan, UInt16(random.below(500))).udp(to: Socket(wan, 53)))
      lab.wait(nanoseconds: Int64(random.below(2_000_000_000)))
      let events = lab.tracker.takeEvents()
      begun += events.count { $0.kind == .new }
      let times = events.filter { $0.kind == .destroy }.map(\.timeNanoseconds)
      ended += times.count
      #expect(times.allSatisfy { $0 <= lab.now && $0 > lab.now - 4_000_000_000 })
    }
    lab.wait(3600)
    ended += lab.tracker.takeEvents().count { $0.kind == .destroy }
    #expect(begun == ended)
    #expect(begun > 200)
  }

  @Test func timeNeverGoesBack() {
    let lab = TrackerLab()
    lab.sees(Socket(lan, 1).udp(to: Socket(wan, 53)))
    lab.wait(-3600)
    #expect(lab.entry == "30 [UNREPLIED]")
    lab.wait(3600)
    #expect(lab.entry == "30 [UNREPLIED]")
  }

  // MARK: The index

  /// Comes and goes in a table that is always nearly full, against a dictionary.
  @Test(arguments: UInt64(1)...6)
  func churnAgainstADictionary(seed: UInt64) {
    var random = TestRandom(seed: seed)
    let capacity = 300
    let lab = TrackerLab(seed: seed, test: "churnAgainstADictionary") {
      $0.max = Int64(capacity)
      $0.buckets = 64
      $0.udpTimeout = 1_000_000_000
    }
    var living: [UInt32: Int64] = [:]
    for _ in 0..<6000 {
      let number = UInt32(random.below(1200))
      let source = Address("10.0.\(1 + number / 200).\(1 + number % 200)")
      let result = lab.sees(Socket(source, 7).udp(to: Socket(wan, 53)))
      living = living.filter { $0.value > lab.now }
      if living[number] != nil {
        // Known, whatever else came and went: it is found, not begun again.
        #expect(lab.tracker.takeEvents().allSatisfy { $0.kind == .destroy })
      }
      if result == "table full" {
        #expect(living.count >= capacity - 2)
      } else {
        #expect(result == "NEW/o")
        living[number] = lab.now + 1_000_000_000
      }
      lab.wait(nanoseconds: Int64(random.below(5_000_000)))
      // Early drops take unreplied ones: learn which by asking.
      let listed = Set(lab.tracker.connections().map { $0.original.source.ipv4 })
      living = living.filter { key, _ in
        listed.contains(UInt32(10) << 24 | (1 + key / 200) << 8 | (1 + key % 200))
      }
      #expect(listed.count <= capacity)
      _ = lab.tracker.takeEvents()
    }
    lab.wait(10)
    #expect(lab.tracker.count == 0)
  }
}
