// Asking the rules of one table at one hook: the walk through chains, and one rule's comparison. For
// the firewall, once per packet, table and hook.

import Wire

extension CompiledRuleset {
  /// Asks the rules of `table` at `chain`. Marks in `context` change as the rules say, counters
  /// count. O(rules asked).
  ///
  /// - Parameters:
  ///   - now: nanoseconds on any clock that does not go back, for `-m limit`.
  ///   - observer: hears of each rule.
  /// - Returns: the verdict; accept by `RuleReference.none` where the table or chain does not exist.
  @inlinable
  public mutating func evaluate<Observer: RuleObserver & ~Copyable>(
    table: TableName, chain: BuiltInChain, context: inout MatchContext, now: Int64,
    observer: inout Observer
  ) -> RuleVerdict {
    let entry = entries[Int(table.rawValue) &* 5 &+ Int(chain.rawValue)]
    guard entry >= 0 else { return RuleVerdict(.accept, rule: .none) }
    let base = chains[Int(entry)]
    if Observer.isActive { observer.entered(chain: entry) }
    var depth = 0
    var index = Int(base.first)
    // Every rule is asked at most once on each way to it, and ways do not loop: the compiler has
    // checked both.
    while true {
      let rule = rules[index]
      let outcome = compare(rule, with: context, now: now)
      if outcome != .matches {
        if Observer.isActive { observer.asked(reference(index, rule), matched: false) }
        if outcome == .malformed {
          return RuleVerdict(.drop, rule: reference(index, rule), isMalformed: true)
        }
        index &+= 1
        continue
      }
      count(index, context.length)
      if Observer.isActive && !rule.flags.contains(.isEnd) {
        observer.asked(reference(index, rule), matched: true)
      }
      switch rule.action.kind {
      case .none, .setMark, .setConnectionMark, .saveMark, .restoreMark, .doNotTrack, .track,
        .clampMSS:
        context.apply(rule.action)
        index &+= 1
      case .log:
        observer.logged(reference(index, rule), log: Int(rule.action.a), context: context)
        index &+= 1
      case .jump, .goTo:
        let target = Int(rule.action.a)
        // A goto leaves nothing to come back to.
        if rule.action.kind == .jump {
          stack[depth] = Int32(truncatingIfNeeded: index)
          depth &+= 1
        }
        if Observer.isActive { observer.entered(chain: Int32(truncatingIfNeeded: target)) }
        index = Int(chains[target].first)
      case .returnFromChain:
        if depth == 0 {
          // RETURN in the built-in chain, or in a chain gone to from it: its policy.
          if Observer.isActive && rule.chain != entry { observer.returned(chain: entry) }
          index = Int(base.end)
        } else {
          depth &-= 1
          index = Int(stack[depth]) &+ 1
          if Observer.isActive { observer.returned(chain: rules[index &- 1].chain) }
        }
      case .accept, .drop, .reject, .queue, .sourceNAT, .destinationNAT, .masquerade, .redirect:
        return RuleVerdict(rule.action.verdict, rule: reference(index, rule))
      }
    }
  }

  /// The same without an observer.
  @inlinable
  public mutating func evaluate(
    table: TableName, chain: BuiltInChain, context: inout MatchContext, now: Int64
  ) -> RuleVerdict {
    var silent = SilentRuleObserver()
    return evaluate(
      table: table, chain: chain, context: &context, now: now, observer: &silent)
  }

  @inlinable
  func reference(_ index: Int, _ rule: CompiledRule) -> RuleReference {
    let number = Int32(truncatingIfNeeded: index) &- chains[Int(rule.chain)].first &+ 1
    return RuleReference(chain: rule.chain, number: rule.flags.contains(.isEnd) ? 0 : number)
  }

  @inlinable
  mutating func count(_ index: Int, _ length: UInt32) {
    counters[index].packets &+= 1
    counters[index].bytes &+= UInt64(length)
  }

  @inlinable
  mutating func compare(
    _ rule: CompiledRule, with context: MatchContext, now: Int64
  ) -> RuleOutcome {
    let flags = rule.flags
    if context.source.differs(from: rule.source, under: rule.sourceMask)
      != flags.contains(.sourceInverted)
    {
      return .differs
    }
    if context.destination.differs(from: rule.destination, under: rule.destinationMask)
      != flags.contains(.destinationInverted)
    {
      return .differs
    }
    if rule.inPattern >= 0,
      patterns.matches(context.inInterface, pattern: rule.inPattern) == flags.contains(.inInverted)
    {
      return .differs
    }
    if rule.outPattern >= 0,
      patterns.matches(context.outInterface, pattern: rule.outPattern)
        == flags.contains(.outInverted)
    {
      return .differs
    }
    if rule.protocolNumber != 0 {
      if !context.isProtocolKnown {
        return flags.contains(.dropsUnknownProtocol) && context.fragmentOffset == 0
          ? .malformed : .differs
      }
      if (context.protocolNumber == rule.protocolNumber) == flags.contains(.protocolInverted) {
        return .differs
      }
    }
    if flags.contains(.laterFragment) && !context.isFragmentNotFirst { return .differs }
    if flags.contains(.notLaterFragment) && context.isFragmentNotFirst { return .differs }
    return rule.testCount == 0
      ? .matches : runTests(Int(rule.firstTest), Int(rule.testCount), context, now: now)
  }

  /// Whether all tests from `first` on hold.
  @usableFromInline
  mutating func runTests(
    _ first: Int, _ count: Int, _ context: MatchContext, now: Int64
  ) -> RuleOutcome {
    var index = first
    let end = first + count
    while index < end {
      let test = tests[index]
      index += 1
      if test.kind == .connection {
        if context.hasConnection { continue }
        if test.a == 0 { return .differs }
        index += Int(test.a)
        continue
      }
      if test.kind == .header {
        if context.fragmentOffset != 0 {
          return test.b == 1 && context.fragmentOffset == 1 ? .malformed : .differs
        }
        if UInt64(context.transportAvailable) < test.a {
          return test.b == 2 ? .differs : .malformed
        }
        continue
      }
      if test.kind == .readableOptions {
        if !context.hasReadableTCPOptions { return .malformed }
        continue
      }
      if holds(test, context, now: now) == test.isInverted { return .differs }
    }
    return .matches
  }

  private mutating func holds(
    _ test: RuleTest, _ context: MatchContext, now: Int64
  ) -> Bool {
    switch test.kind {
    case .range:
      let value = context.value(test.packetField) & test.c
      return value >= test.a && value <= test.b
    case .anyBit:
      return context.value(test.packetField) & test.a != 0
    case .masked:
      return !context.address(test.addressField).differs(
        from: IPAddress(high: test.a, low: test.b), under: IPAddress(high: test.c, low: test.d))
    case .addressRange:
      let address = context.address(test.addressField)
      return address >= IPAddress(high: test.a, low: test.b)
        && address <= IPAddress(high: test.c, low: test.d)
    case .ports:
      return isPort(context.value(test.packetField), in: test)
    case .eitherPort:
      return isPort(UInt64(context.sourcePort), in: test)
        || isPort(UInt64(context.destinationPort), in: test)
    case .tcpOption:
      return context.tcpOptionKinds[Int(test.a >> 6) & 3] & (1 << (test.a & 63)) != 0
    case .limit:
      return state.buckets[Int(test.a)].take(now: now)
    case .everyNth:
      return state.counters[Int(test.a)].take()
    case .random:
      return state.generator.next() >> 33 < test.b
    case .present:
      return context.isPresent(test.packetField)
    case .always, .connection, .header, .readableOptions:
      return true
    }
  }

  private func isPort(_ port: UInt64, in test: RuleTest) -> Bool {
    for index in Int(test.a)..<Int(test.a + test.b) {
      if port >= UInt64(portSpans[index].low) && port <= UInt64(portSpans[index].high) {
        return true
      }
    }
    return false
  }
}

/// How a comparison of one rule with one packet ends.
@usableFromInline
enum RuleOutcome: UInt8, BitwiseCopyable, Sendable {
  case differs
  case matches
  /// A match could not read the header it needs.
  case malformed
}

extension IPAddress {
  @inlinable
  func differs(from other: IPAddress, under mask: IPAddress) -> Bool {
    ((high ^ other.high) & mask.high) | ((low ^ other.low) & mask.low) != 0
  }
}

extension RuleTest {
  var packetField: PacketField { PacketField(rawValue: field) ?? .none }
  var addressField: AddressField { AddressField(rawValue: field) ?? .source }
}

extension MatchContext {
  func isPresent(_ field: PacketField) -> Bool {
    switch field {
    case .userID: socketUserID != nil
    case .groupID: socketGroupID != nil
    case .sourceMAC: sourceMAC != nil
    default: true
    }
  }

  /// Does what a rule that is not a verdict says.
  @usableFromInline
  mutating func apply(_ action: RuleAction) {
    switch action.kind {
    case .setMark:
      mark = (mark & ~action.a) ^ action.b
    case .setConnectionMark:
      guard hasConnection else { return }
      connectionMark = ((connectionMark & ~action.a) ^ action.b).shifted(action.c)
    case .saveMark:
      guard hasConnection else { return }
      connectionMark = (connectionMark & ~action.a) ^ (mark & action.b).shifted(action.c)
    case .restoreMark:
      guard hasConnection else { return }
      mark = (mark & ~action.b) ^ (connectionMark & action.a).shifted(action.c)
    case .doNotTrack:
      // A packet that tracking has seen already stays as it is.
      guard ctState == nil, trackingOptions < 0 else { return }
      ctState = .untracked
      isNotTracked = true
    case .track:
      guard ctState == nil, trackingOptions < 0 else { return }
      trackingOptions = Int32(bitPattern: action.a)
    case .clampMSS:
      if action.a == UInt16.max {
        clampsMSSToPath = true
      } else {
        // A rule only ever lowers what one before has set.
        maximumMSS = min(maximumMSS, UInt16(truncatingIfNeeded: action.a))
      }
    default:
      break
    }
  }
}

extension RuleAction {
  @inlinable var verdict: RuleVerdict.Kind {
    switch kind {
    case .drop: .drop
    case .reject: .reject(RejectWith(rawValue: UInt8(truncatingIfNeeded: a)) ?? .tcpReset)
    case .queue: .queue(UInt16(truncatingIfNeeded: a), bypass: b != 0)
    case .sourceNAT: .sourceNAT(range: Int32(bitPattern: a))
    case .destinationNAT: .destinationNAT(range: Int32(bitPattern: a))
    case .masquerade: .masquerade(range: Int32(bitPattern: a))
    case .redirect: .redirect(range: Int32(bitPattern: a))
    default: .accept
    }
  }
}

extension UInt32 {
  /// Shifted left by a positive, right by a negative distance.
  func shifted(_ distance: Int32) -> UInt32 {
    distance >= 0 ? self << UInt32(distance) : self >> UInt32(-distance)
  }
}
