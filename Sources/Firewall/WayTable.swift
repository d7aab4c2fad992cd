// Ways that packets of established connections have gone: what the rules, routing and NAT made of a
// plain packet, where all of that depended only on what is constant for the connection. A connection
// remembers the number of its way in each direction; the next packet takes it without asking anyone.

import Conntrack
import Ruleset
import Wire

/// The number of a way; 0: none.
typealias WayNumber = UInt16

/// One way. It holds for a packet only by the interface it was learnt on.
struct Way: BitwiseCopyable {
  /// What becomes of a packet that takes it, but for its connection and direction.
  var outcome = PacketOutcome()
  var inInterface = InterfaceID.none
  /// A longer packet goes by the hooks.
  var longest: Int32 = 0
  /// The family has a nat table, so bindings are applied.
  var translates = false
  /// The rules that count the packet: places in the table's list.
  var firstRule: Int32 = 0
  var ruleCount: Int32 = 0
  /// Packets and bytes that have gone this way and that its rules have not been told of.
  var packets: UInt64 = 0
  var bytes: UInt64 = 0
}

/// All ways there are, a fixed number. Ways are shared: few rulesets have more than some dozens.
struct WayTable: ~Copyable {
  private static let mostWays = 4096
  private static let mostRules = 65_536
  private static let mostProbes = 16

  let ways = FlatArray<Way>(count: mostWays)
  private let rules = FlatArray<Int32>(count: mostRules)
  /// An open hash of way numbers.
  private let slots = FlatArray<WayNumber>(count: 2 * mostWays)
  /// Way numbers in use, 0 left out.
  private(set) var count = 0
  private var ruleCount = 0

  /// Forgets all ways; nobody may still hold the number of one.
  mutating func removeAll() {
    count = 0
    ruleCount = 0
    for slot in 0..<slots.count { slots[slot] = 0 }
  }

  func rule(_ way: Way, _ place: Int) -> Int32 { rules[Int(way.firstRule) + place] }

  /// The number of a way like `way` that these rules count, a new one where there is none; nil where
  /// there is no room.
  mutating func number(
    of way: Way, journal: borrowing CompiledRuleset
  ) -> WayNumber? {
    let length = journal.journalLength
    guard length <= CompiledRuleset.journalRoom else { return nil }
    var hash = UInt64(UInt32(bitPattern: way.inInterface.rawValue)) &* 0x9E37_79B9_7F4A_7C15
    hash ^= UInt64(UInt32(bitPattern: way.outcome.outInterface.rawValue)) &* 0xC2B2_AE3D_27D4_EB4F
    for place in 0..<length {
      hash = (hash ^ UInt64(UInt32(bitPattern: journal.journalEntry(place)))) &* 0x0100_0000_01B3
    }
    var slot = Int(truncatingIfNeeded: hash >> 40) & (slots.count - 1)
    for _ in 0..<WayTable.mostProbes {
      let number = slots[slot]
      if number == 0 { return insert(way, journal, length, slot) }
      if isSame(Int(number), way, journal, length) { return number }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  private func isSame(
    _ number: Int, _ way: Way, _ journal: borrowing CompiledRuleset, _ length: Int
  ) -> Bool {
    let known = ways[number]
    guard known.inInterface == way.inInterface, known.longest == way.longest,
      known.translates == way.translates, Int(known.ruleCount) == length,
      known.outcome.family == way.outcome.family, known.outcome.hook == way.outcome.hook,
      known.outcome.outInterface == way.outcome.outInterface,
      known.outcome.reason == way.outcome.reason
    else { return false }
    for place in 0..<length where rule(known, place) != journal.journalEntry(place) {
      return false
    }
    return true
  }

  private mutating func insert(
    _ way: Way, _ journal: borrowing CompiledRuleset, _ length: Int, _ slot: Int
  ) -> WayNumber? {
    guard count + 1 < ways.count, ruleCount + length <= rules.count else { return nil }
    count += 1
    var new = way
    new.firstRule = Int32(ruleCount)
    new.ruleCount = Int32(length)
    for place in 0..<length { rules[ruleCount + place] = journal.journalEntry(place) }
    ruleCount += length
    ways[count] = new
    slots[slot] = WayNumber(count)
    return WayNumber(count)
  }
}

extension Firewall {
  /// Tells the rules of all packets that went past them by remembered ways, so that their counters are
  /// exact. O(ways).
  func settleCounters() {
    for number in 1..<(ways.count + 1) {
      let way = ways.ways[number]
      if way.packets == 0 { continue }
      for place in 0..<Int(way.ruleCount) {
        let rule = ways.rule(way, place)
        if way.outcome.family == .ipv4 {
          ipv4Rules.count(rule, packets: way.packets, bytes: way.bytes)
        } else {
          ipv6Rules.count(rule, packets: way.packets, bytes: way.bytes)
        }
      }
      ways.ways[number].packets = 0
      ways.ways[number].bytes = 0
    }
  }

  /// Forgets how packets went: rules, routes, addresses or settings are no longer what they were.
  mutating func forgetWays() {
    settleCounters()
    tracker.forgetWays()
    ways.removeAll()
  }

  /// Begins to note which rules count a packet.
  mutating func beginJournal(_ family: AddressFamily) {
    if family == .ipv4 { ipv4Rules.beginJournal() } else { ipv6Rules.beginJournal() }
  }

  /// Remembers the way of a packet that has just gone it, where the next may go the same.
  mutating func rememberWay(_ passage: borrowing Passage, _ bytes: RawSpan) {
    guard passage.plain.isPlain, passage.outcome.verdict == .accept,
      passage.tracking.state == .established,
      passage.tracking.reason == nil, !passage.context.heedsPacket,
      passage.arrival.packetType == .unicast, !passage.arrival.isFilledUp,
      passage.outcome.hook == .forward,
      passage.route.interface != nil || !host.routing.knows(passage.headers.family),
      // Such packets are answered with a redirect.
      passage.route.interface != index(passage.arrival.interface)
        || passage.route.interface == nil,
      !passage.outcome.lacksAddressForNAT,
      tracker.isSteady(passage.tracking.connection, bytes, passage.plain)
    else { return }
    var way = Way()
    way.outcome = passage.outcome
    way.outcome.connection = .none
    way.outcome.direction = nil
    way.inInterface = passage.arrival.interface
    way.translates = hasTable(.nat, passage.headers.family)
    // Where nothing is known of routes, no packet is too long.
    let device = passage.route.interface.map {
      passage.headers.family == .ipv4 ? host.interfaces[$0].mtu : host.interfaces[$0].ipv6MTU
    }
    way.longest = device.map { Int32(clamping: min(passage.route.mtu ?? $0, $0)) } ?? .max
    let number =
      passage.headers.family == .ipv4
      ? ways.number(of: way, journal: ipv4Rules) : ways.number(of: way, journal: ipv6Rules)
    guard let number else { return }
    tracker.setWay(passage.tracking.connection, passage.tracking.direction, number)
  }
}
