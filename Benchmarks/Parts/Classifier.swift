// Asking a chain: each kind of ruleset in four sizes, by its index and, beside it, rule by rule.

import Benchmark
import RuleForge
import Ruleset

/// Rules and packets for them, half of which match none.
private final class Rules {
  var rules: CompiledRuleset
  let packets: [MatchContext]

  init(_ character: RuleCharacter, count: Int) {
    let text = character.text(count: count, seed: 1)
    var interfaces = InterfaceTable()
    for number in 0..<count { _ = interfaces.register("vm\(number)") }
    do {
      let parsed = try Ruleset(parsing: text, family: character.family)[character.family]
      rules = try CompiledRuleset(parsed, interfaces: interfaces)
      var forge = RulePackets(parsed, interfaces: interfaces, seed: 2)
      packets = (0..<8192).map { $0 & 1 == 0 ? forge.aimed() : forge.stray() }
    } catch { fatalError("\(error)") }
  }

  @inline(__always)
  func ask<Observer: RuleObserver>(_ call: Int, _ observer: inout Observer) -> RuleVerdict {
    var context = packets[call & 8191]
    return rules.evaluate(
      table: .filter, chain: .forward, context: &context, now: 0, observer: &observer)
  }
}

/// Listens to nothing, and has every rule asked.
private struct EveryRule: RuleObserver {
  static var isActive: Bool { false }
  static var hearsEveryRule: Bool { true }
  mutating func asked(_ rule: RuleReference, matched: Bool) {}
  mutating func entered(chain: Int32) {}
  mutating func returned(chain: Int32) {}
  mutating func logged(_ rule: RuleReference, log: Int, context: MatchContext) {}
}

func classifierBenchmarks() {
  for character in RuleCharacter.allCases {
    for count in isBrief ? [100] : [10, 100, 1000, 10_000] {
      Benchmark.part("classifier \(character) \(count)") {
        Rules(character, count: count)
      } _: { rules, call in
        var observer = SilentRuleObserver()
        blackHole(rules.ask(call, &observer))
      }
      // A thousand packets against 10,000 rules take tens of milliseconds.
      Benchmark.part("classifier \(character) \(count) rule by rule") {
        Rules(character, count: count)
      } _: { rules, call in
        var observer = EveryRule()
        blackHole(rules.ask(call, &observer))
      }
    }
    let count = isBrief ? 100 : 10_000
    Benchmark(
      "compile \(character) \(count)",
      configuration: .init(timeUnits: .milliseconds, scalingFactor: .one)
    ) { benchmark, parsed in
      for _ in benchmark.scaledIterations {
        do {
          let compiled = try CompiledRuleset(parsed)
          blackHole(compiled.uses)
        } catch { fatalError("\(error)") }
      }
    } setup: {
      try Ruleset(parsing: character.text(count: count, seed: 1), family: character.family)[
        character.family]
    }
  }
}
