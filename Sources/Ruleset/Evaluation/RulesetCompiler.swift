// From the rule model to flat arrays: numbers chains, lays rules out, collects tests and actions.

import Conntrack
import NAT
import Wire

/// What matches and targets compile into.
public struct RulesetCompiler {
  let source: FamilyRules
  public let family: AddressFamily
  public var dialect: RuleDialect { source.dialect }
  private(set) var rules: [CompiledRule] = []
  private(set) var tests: [RuleTest] = []
  private(set) var portSpans: [PortSpan] = []
  var chains: [CompiledChain] = []
  private(set) var entries = InlineArray<25, Int32>(repeating: -1)
  private(set) var counters: [RuleCounters] = []
  private(set) var patterns: [String] = []
  private(set) var ranges: [NATRange] = []
  private(set) var logs: [LogOptions] = []
  private(set) var trackingOptions: [TrackingOptions] = []
  private(set) var templates: [CompiledTemplate] = []
  private(set) var buckets: [TokenBucket] = []
  private(set) var turns: [NthCounter] = []
  let seed: UInt64
  var uses: CompiledRuleset.Uses = []
  private var action = RuleAction(.none)
  private var patternNumbers: [String: Int32] = [:]
  private let tickNanoseconds: Int64
  private let policies: [TimeoutPolicy]
  /// The place of the timeout policy that the rule being compiled names.
  private var policy: Int?

  init(
    _ source: FamilyRules, tickNanoseconds: Int64, seed: UInt64, policies: [TimeoutPolicy]
  ) {
    self.policies = policies
    self.source = source
    family = source.family
    self.tickNanoseconds = min(max(1, tickNanoseconds), 1_000_000_000)
    self.seed = seed
  }

  mutating func compile() throws(RulesetError) {
    for (tableIndex, table) in source.tables.enumerated() {
      try ChainGraph(table).check()
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
  }

  private mutating func append(
    _ rule: Rule, chain: Int32, _ numbers: [String: Int32]
  ) throws(RulesetError) {
    do throws(TimeoutPolicyProblem) {
      policy = try rule.specification.timeoutPolicy(among: policies, family)
    } catch {
      throw error.error(at: rule.location)
    }
    var compiled = header(rule.specification, chain: chain)
    compiled.firstTest = UInt32(tests.count)
    for match in rule.specification.matches { match.body.compile(into: &self) }
    compiled.testCount = UInt32(tests.count) - compiled.firstTest
    if tests[Int(compiled.firstTest)...].contains(where: \.heedsPacket) {
      compiled.flags.insert(.heedsPacket)
    }
    action = RuleAction(.none)
    switch rule.specification.target {
    case nil: break
    case .accept: action = RuleAction(.accept)
    case .drop: action = RuleAction(.drop)
    case .returnFromChain: action = RuleAction(.returnFromChain)
    // The graph was checked: every aim exists.
    case .jump(let name): action = RuleAction(.jump, a: UInt32(numbers[name] ?? 0))
    case .goTo(let name): action = RuleAction(.goTo, a: UInt32(numbers[name] ?? 0))
    case .custom(let target): target.body.compile(into: &self)
    }
    compiled.action = action
    rules.append(compiled)
    counters.append(rule.counters)
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
      if dialect == .legacy { compiled.flags.insert(.dropsUnknownProtocol) }
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
    templates.append(CompiledTemplate(options, policy: policy))
    return UInt32(trackingOptions.count - 1)
  }

  /// - Parameters:
  ///   - averageUnits: time a packet takes, in 1/10000 s.
  ///   - rate: the same as so many packets in so many seconds.
  mutating func addBucket(
    averageUnits: UInt64, rate: (packets: UInt64, seconds: UInt64), burst: UInt64
  ) -> UInt64 {
    buckets.append(
      dialect == .legacy
        ? TokenBucket(averageUnits: averageUnits, burst: burst, tickNanoseconds: tickNanoseconds)
        : TokenBucket(packets: rate.packets, seconds: rate.seconds, burst: burst))
    return UInt64(buckets.count - 1)
  }

  mutating func addCounter(every: UInt32, packet: UInt32) -> UInt64 {
    turns.append(NthCounter(every: every, packet: packet))
    return UInt64(turns.count - 1)
  }
}
