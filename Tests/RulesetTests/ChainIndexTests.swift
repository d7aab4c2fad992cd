// Chains asked through their index against the same chains asked rule by rule: verdicts, marks, logs,
// counters of every rule, and what matches remember, over random rules and packets.

import Conntrack
import RuleForge
import Ruleset
import Testing
import Wire

/// Hears what matched, and counts what was asked.
private struct RuleRecorder<Hearing: RuleHearing>: RuleObserver {
  static var isActive: Bool { true }
  static var hearsEveryRule: Bool { Hearing.hearsEveryRule }
  var matched: [RuleReference] = []
  var logged: [RuleReference] = []
  var ways: [Int32] = []
  var asked = 0

  mutating func asked(_ rule: RuleReference, matched: Bool) {
    asked += 1
    if matched { self.matched.append(rule) }
  }
  mutating func entered(chain: Int32) { ways.append(chain) }
  mutating func returned(chain: Int32) { ways.append(-1 - chain) }
  mutating func logged(_ rule: RuleReference, log: Int, context: MatchContext) {
    logged.append(rule)
  }
}

private protocol RuleHearing { static var hearsEveryRule: Bool { get } }
private enum Every: RuleHearing { static let hearsEveryRule = true }
private enum Candidate: RuleHearing { static let hearsEveryRule = false }

/// Only logs are heard: the way packets go.
private struct LogRecorder: RuleObserver {
  static var isActive: Bool { false }
  var logged: [RuleReference] = []
  mutating func asked(_ rule: RuleReference, matched: Bool) {}
  mutating func entered(chain: Int32) {}
  mutating func returned(chain: Int32) {}
  mutating func logged(_ rule: RuleReference, log: Int, context: MatchContext) {
    logged.append(rule)
  }
}

@Suite struct ChainIndexTests {
  /// The same rules three times: asked one by one, by index with an observer, by index without.
  private struct Trio: ~Copyable {
    var byRule: CompiledRuleset
    var byIndex: CompiledRuleset
    var silent: CompiledRuleset
    var asked = (byRule: 0, byIndex: 0)

    init(_ rules: FamilyRules, _ interfaces: InterfaceTable) throws {
      let first = try CompiledRuleset(rules, interfaces: interfaces, seed: 5)
      let second = try CompiledRuleset(rules, interfaces: interfaces, seed: 5)
      let third = try CompiledRuleset(rules, interfaces: interfaces, seed: 5)
      byRule = first
      byIndex = second
      silent = third
    }

    mutating func learn(_ interfaces: InterfaceTable) {
      byRule.learn(interfaces)
      byIndex.learn(interfaces)
      silent.learn(interfaces)
    }

    mutating func send(
      _ packet: MatchContext, _ table: TableName, _ chain: BuiltInChain, now: Int64,
      _ about: String
    ) {
      var (first, second, third) = (packet, packet, packet)
      var every = RuleRecorder<Every>()
      var some = RuleRecorder<Candidate>()
      var logs = LogRecorder()
      let expected = byRule.evaluate(
        table: table, chain: chain, context: &first, now: now, observer: &every)
      let indexed = byIndex.evaluate(
        table: table, chain: chain, context: &second, now: now, observer: &some)
      let unheard = silent.evaluate(
        table: table, chain: chain, context: &third, now: now, observer: &logs)
      #expect(indexed == expected, "\(about)")
      #expect(unheard == expected, "\(about)")
      #expect(some.matched == every.matched, "\(about)")
      #expect(some.ways == every.ways, "\(about)")
      #expect(some.logged == every.logged, "\(about)")
      #expect(logs.logged == every.logged, "\(about)")
      for other in [second, third] {
        #expect(other.mark == first.mark, "\(about)")
        #expect(other.connectionMark == first.connectionMark, "\(about)")
        #expect(other.ctState == first.ctState, "\(about)")
      }
      asked.byRule += every.asked
      asked.byIndex += some.asked
    }

    /// The counters of all three.
    func check(_ about: String) {
      let expected = byRule.withCounters()
      let indexed = byIndex.withCounters()
      let unheard = silent.withCounters()
      #expect(indexed == expected, "\(about)")
      #expect(unheard == expected, "\(about)")
    }
  }

  /// Rules of every kind, packets whole, short and in fragments.
  @Test(arguments: 0..<6)
  func mixedRulesAnswerTheSame(_ part: Int) throws {
    var interfaces = InterfaceTable()
    for name in MixedRules.interfaces { _ = interfaces.register(name) }
    var asked = (byRule: 0, byIndex: 0)
    for number in 0..<8 {
      let seed = UInt64(part * 100 + number)
      let mixed = MixedRules(seed: seed, rules: number % 3 == 0 ? 100 : 40)
      var dice = Dice(seed: seed &+ 77)
      // Half of the rulesets learn the interfaces only later.
      var trio = try Trio(
        mixed.parsed(), number & 1 == 0 ? interfaces : InterfaceTable())
      trio.learn(interfaces)
      for packet in 0..<120 {
        trio.send(
          mixed.packet(&dice), mixed.table, mixed.chain, now: Int64(packet) * 20_000_000,
          "seed \(seed), packet \(packet)")
      }
      trio.check("seed \(seed)")
      asked.byRule += trio.asked.byRule
      asked.byIndex += trio.asked.byIndex
    }
    // Else nothing was tried.
    #expect(asked.byIndex * 4 < asked.byRule * 3, "\(asked)")
  }

  /// Large sets as they are written in practice.
  @Test(arguments: RuleCharacter.allCases)
  func setsOfOneCharacterAnswerTheSame(_ character: RuleCharacter) throws {
    var interfaces = InterfaceTable()
    for number in 0..<200 { _ = interfaces.register("vm\(number)") }
    let text = character.text(count: 200, seed: 3)
    let rules = try Ruleset(parsing: text, family: character.family)[character.family]
    var trio = try Trio(rules, interfaces)
    var forge = RulePackets(rules, interfaces: interfaces, seed: 4)
    for number in 0..<300 {
      var packet = number & 1 == 0 ? forge.aimed() : forge.stray()
      if number % 10 == 9 { packet.transportAvailable = UInt32(forge.dice.below(24)) }
      trio.send(packet, .filter, .forward, now: 0, "\(character) packet \(number)")
    }
    trio.check("\(character)")
    #expect(trio.asked.byIndex * 5 < trio.asked.byRule, "\(trio.asked)")
    let bytes = trio.silent.indexByteCount
    #expect(bytes > 0 && bytes < 200 * 1024, "\(bytes) bytes for 200 rules")
  }

  /// What the real iptables has been asked about, all in one chain.
  @Test(arguments: [AddressFamily.ipv4, .ipv6])
  func recordedRulesAnswerTheSame(_ family: AddressFamily) throws {
    var text = "*filter\n:INPUT ACCEPT [0:0]\n:U1 - [0:0]\n"
    for rule in RecordedRule.all
    where rule.family == family && rule.table == "filter" && rule.chain == "INPUT" {
      // Most rules have no target, and those that have one hide the rules after them.
      guard !rule.rule.contains("-j "), rule.text.contains("\n-A INPUT"),
        (try? Ruleset(parsing: rule.text, family: family)) != nil
      else { continue }
      text += rule.text.split(separator: "\n")[2] + "\n"
    }
    let rules = try Ruleset(parsing: text + "COMMIT\n", family: family)[family]
    #expect(rules.tables[0].chains.contains { $0.rules.count > 100 })
    var trio = try Trio(rules, InterfaceTable())
    var forge = RulePackets(rules, seed: 9)
    for number in 0..<300 {
      trio.send(forge.aimed(), .filter, .input, now: 0, "packet \(number)")
    }
    trio.check("recorded")
  }
}
