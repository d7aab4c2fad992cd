// From the rule model to flat arrays: numbers chains, lays rules out, collects tests and actions.

import NAT
import Wire

/// What matches and targets compile into.
public struct RulesetCompiler {
  let source: FamilyRules
  public let family: AddressFamily
  private(set) var rules: [CompiledRule] = []
  private(set) var tests: [RuleTest] = []
  private(set) var portSpans: [PortSpan] = []
  private(set) var chains: [CompiledChain] = []
  private(set) var entries = InlineArray<25, Int32>(repeating: -1)
  private(set) var counters: [RuleCounters] = []
  private(set) var patterns: [String] = []
  private(set) var ranges: [NATRange] = []
  private(set) var logs: [LogOptions] = []
  private(set) var trackingOptions: [TrackingOptions] = []
  private(set) var state: MatchState
  var uses: CompiledRuleset.Uses = []
  private var action = RuleAction(.none)
  private var patternNumbers: [String: Int32] = [:]
  private let ticksPerSecond: UInt64

  init(_ source: FamilyRules, tickNanoseconds: Int64, seed: UInt64) {
    self.source = source
    family = source.family
    let tick = min(max(1, tickNanoseconds), 1_000_000_000)
    ticksPerSecond = UInt64(1_000_000_000 / tick)
    state = MatchState(tickNanoseconds: tick, seed: seed)
  }

  mutating func compile() throws(RulesetError) {
    for (tableIndex, table) in source.tables.enumerated() {
      var numbers: [String: Int32] = [:]
      let base = chains.count
      for (chainIndex, chain) in table.chains.enumerated() {
        let number = Int32(base + chainIndex)
        numbers[chain.name] = number
        if let builtIn = chain.builtIn {
          entries[Int(table.name.rawValue) * 5 + Int(builtIn.rawValue)] = number
        }
        chains.append(
          CompiledChain(
            first: 0, count: Int32(chain.rules.count), table: table.name,
            tableIndex: Int32(tableIndex), chainIndex: Int32(chainIndex)))
      }
      for (chainIndex, chain) in table.chains.enumerated() {
        let number = base + chainIndex
        chains[number].first = Int32(rules.count)
        for rule in chain.rules {
          try append(rule, chain: Int32(number), numbers)
        }
        appendEnd(of: chain, number: Int32(number))
      }
    }
    try refuseLoops()
  }

  private mutating func append(
    _ rule: Rule, chain: Int32, _ numbers: [String: Int32]
  ) throws(RulesetError) {
    var compiled = header(rule.specification, chain: chain)
    compiled.firstTest = UInt32(tests.count)
    for match in rule.specification.matches { match.body.compile(into: &self) }
    compiled.testCount = UInt32(tests.count) - compiled.firstTest
    action = RuleAction(.none)
    switch rule.specification.target {
    case nil: break
    case .accept: action = RuleAction(.accept)
    case .drop: action = RuleAction(.drop)
    case .returnFromChain: action = RuleAction(.returnFromChain)
    case .jump(let name): action = RuleAction(.jump, a: try aim(name, numbers, rule))
    case .goTo(let name): action = RuleAction(.goTo, a: try aim(name, numbers, rule))
    case .custom(let target): target.body.compile(into: &self)
    }
    compiled.action = action
    rules.append(compiled)
    counters.append(rule.counters)
  }

  private func aim(
    _ name: String, _ numbers: [String: Int32], _ rule: Rule
  ) throws(RulesetError) -> UInt32 {
    guard let number = numbers[name] else {
      throw RulesetError(
        file: rule.location.file, line: rule.location.line, column: 1,
        message: "no chain `\(name)` in this table", words: name,
        suggestion: NearestWord.find(name, among: Array(numbers.keys)))
    }
    return UInt32(number)
  }

  private mutating func header(_ rule: RuleSpecification, chain: Int32) -> CompiledRule {
    var compiled = CompiledRule()
    compiled.chain = chain
    if let source = rule.source {
      compiled.source = source.address
      compiled.sourceMask = source.mask
      if source.isInverted { compiled.flags.insert(.sourceInverted) }
    }
    if let destination = rule.destination {
      compiled.destination = destination.address
      compiled.destinationMask = destination.mask
      if destination.isInverted { compiled.flags.insert(.destinationInverted) }
    }
    if let inside = rule.inInterface {
      compiled.inPattern = pattern(inside.pattern)
      if inside.isInverted { compiled.flags.insert(.inInverted) }
    }
    if let outside = rule.outInterface {
      compiled.outPattern = pattern(outside.pattern)
      if outside.isInverted { compiled.flags.insert(.outInverted) }
    }
    if let transport = rule.transport {
      compiled.protocolNumber = transport.number
      if transport.isInverted { compiled.flags.insert(.protocolInverted) }
    }
    if let fragment = rule.isLaterFragment {
      compiled.flags.insert(fragment ? .laterFragment : .notLaterFragment)
    }
    return compiled
  }

  private mutating func appendEnd(of chain: Chain, number: Int32) {
    var end = CompiledRule()
    end.chain = number
    end.flags = .isEnd
    end.firstTest = UInt32(tests.count)
    end.action =
      chain.builtIn == nil
      ? RuleAction(.returnFromChain) : RuleAction(chain.policy == .drop ? .drop : .accept)
    rules.append(end)
    counters.append(chain.counters)
  }

  private mutating func pattern(_ text: String) -> Int32 {
    if let number = patternNumbers[text] { return number }
    let number = Int32(patterns.count)
    patterns.append(text)
    patternNumbers[text] = number
    return number
  }

  /// Refuses chains that come back to themselves: a packet would never leave them.
  private func refuseLoops() throws(RulesetError) {
    // 0: not seen, 1: on the way being walked, 2: done. The way is kept by hand, so that no depth
    // of chains exhausts the stack.
    var marks = [UInt8](repeating: 0, count: chains.count)
    for start in chains.indices where marks[start] == 0 {
      var way = [(chain: start, next: Int(chains[start].first))]
      marks[start] = 1
      while let (chain, next) = way.last {
        guard next < Int(chains[chain].end) else {
          marks[chain] = 2
          way.removeLast()
          continue
        }
        way[way.count - 1].next += 1
        let action = rules[next].action
        guard action.kind == .jump || action.kind == .goTo else { continue }
        let target = Int(action.a)
        if marks[target] == 1 { throw loop(at: next, in: chain) }
        if marks[target] == 0 {
          marks[target] = 1
          way.append((target, Int(chains[target].first)))
        }
      }
    }
  }

  private func loop(at rule: Int, in chain: Int) -> RulesetError {
    let place = chains[chain]
    let model = source.tables[Int(place.tableIndex)].chains[Int(place.chainIndex)]
    let written = model.rules[rule - Int(place.first)]
    return RulesetError(
      file: written.location.file, line: written.location.line, column: 1,
      message: "chain `\(model.name)` comes back to itself through this rule", words: written.text)
  }
}

extension RulesetCompiler {
  mutating func add(_ test: RuleTest) { tests.append(test) }

  mutating func set(_ action: RuleAction) { self.action = action }

  /// Adds ports to compare with; what `RuleTest.Kind.ports` takes as `a` and `b`.
  mutating func add(_ spans: [PortSpan]) -> (first: UInt64, count: UInt64) {
    portSpans += spans
    return (UInt64(portSpans.count - spans.count), UInt64(spans.count))
  }

  mutating func add(_ range: NATRange) -> UInt32 {
    if let index = ranges.firstIndex(of: range) { return UInt32(index) }
    ranges.append(range)
    return UInt32(ranges.count - 1)
  }

  mutating func add(_ log: LogOptions) -> UInt32 {
    logs.append(log)
    return UInt32(logs.count - 1)
  }

  mutating func add(_ options: TrackingOptions) -> UInt32 {
    trackingOptions.append(options)
    return UInt32(trackingOptions.count - 1)
  }

  mutating func addBucket(averageUnits: UInt64, burst: UInt64) -> UInt64 {
    state.buckets.append(
      TokenBucket(averageUnits: averageUnits, burst: burst, ticksPerSecond: ticksPerSecond))
    return UInt64(state.buckets.count - 1)
  }

  mutating func addCounter(every: UInt32, packet: UInt32) -> UInt64 {
    state.counters.append(NthCounter(every: every, packet: packet))
    return UInt64(state.counters.count - 1)
  }
}
