// Asking the rules of one table at one hook: the walk through chains, and one rule's comparison. For
// the firewall, once per packet, table and hook.

import Wire

extension CompiledRuleset {
  /// Asks the rules of `table` at `chain`. Marks in `context` change as the rules say, counters
  /// count. O(rules asked); of a long chain only those are asked that its index does not rule out.
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
    if Observer.isActive { observer.entered(chain: entry) }
    var walk = RuleWalk()
    walk.entry = entry
    walk.index = firstRule(entry, &context, &walk.form, &walk.candidates, Observer.self)
    return go(on: walk, &context, now: now, &observer)
  }

  /// Asks the rules behind the one whose verdict was `limitMSS`, once that is done. Nothing else may
  /// have been evaluated since.
  public mutating func resume<Observer: RuleObserver & ~Copyable>(
    context: inout MatchContext, now: Int64, observer: inout Observer
  ) -> RuleVerdict {
    go(on: left, &context, now: now, &observer)
  }

  @inlinable @inline(__always)
  mutating func go<Observer: RuleObserver & ~Copyable>(
    on walk: RuleWalk, _ context: inout MatchContext, now: Int64, _ observer: inout Observer
  ) -> RuleVerdict {
    let entry = walk.entry
    let inClass = patterns.interfaceClass(context.inInterface)
    let outClass = patterns.interfaceClass(context.outInterface)
    var (depth, form, candidates, index) = (walk.depth, walk.form, walk.candidates, walk.index)
    // Every rule is asked at most once on each way to it, and ways do not loop: the compiler has
    // checked both.
    while true {
      let outcome = compare(index, with: &context, inClass, outClass, now: now)
      if outcome != .matches {
        if Observer.isActive { observer.asked(reference(index), matched: false) }
        if outcome == .malformed {
          return RuleVerdict(.drop, rule: reference(index), isMalformed: true)
        }
        index = rule(after: index, &candidates)
        continue
      }
      let counted = counters[index]
      counters[index] = RuleCounters(
        packets: counted.packets &+ 1, bytes: counted.bytes &+ UInt64(context.length))
      if journalCount < journal.count { journal[journalCount] = Int32(truncatingIfNeeded: index) }
      journalCount &+= 1
      let isEnd = rules[index].flags.contains(.isEnd)
      if Observer.isActive && !isEnd { observer.asked(reference(index), matched: true) }
      let action = rules[index].action
      switch action.kind {
      case .none, .setMark, .setConnectionMark, .saveMark, .restoreMark, .doNotTrack, .track:
        context.apply(action)
        index = rule(after: index, &candidates)
      case .clampMSS:
        context.heedsPacket = true
        let at = reference(index)
        index = rule(after: index, &candidates)
        left = RuleWalk(
          entry: entry, depth: depth, form: form, candidates: candidates, index: index)
        return RuleVerdict(action.verdict, rule: at)
      case .log:
        context.heedsPacket = true
        observer.logged(reference(index), log: Int(action.a), context: context)
        index = rule(after: index, &candidates)
      case .jump, .goTo:
        // A goto leaves nothing to come back to.
        if action.kind == .jump {
          if candidates.count == 0 {
            stack[depth] = Int32(truncatingIfNeeded: index)
          } else {
            stack[depth] = ~Int32(truncatingIfNeeded: index)
            candidateStack[depth] = candidates
          }
          depth &+= 1
        }
        let aim = Int32(bitPattern: action.a)
        if Observer.isActive { observer.entered(chain: aim) }
        index = firstRule(aim, &context, &form, &candidates, Observer.self)
      case .returnFromChain:
        if depth == 0 {
          // RETURN in the built-in chain, or in a chain gone to from it: its policy.
          if Observer.isActive && rules[index].chain != entry { observer.returned(chain: entry) }
          index = Int(chains[Int(entry)].end)
        } else {
          depth &-= 1
          let left = stack[depth]
          if left < 0 {
            candidates = candidateStack[depth]
          } else {
            candidates.count = 0
          }
          let jump = Int(left < 0 ? ~left : left)
          if Observer.isActive { observer.returned(chain: rules[jump].chain) }
          index = rule(after: jump, &candidates)
        }
      case .accept, .drop, .reject, .queue, .sourceNAT, .destinationNAT, .masquerade, .redirect,
        .netmap:
        return RuleVerdict(action.verdict, rule: reference(index))
      }
    }
  }

  /// The first rule to ask of a chain: by its index, where it has one.
  @inlinable @inline(__always)
  func firstRule<Observer: RuleObserver & ~Copyable>(
    _ chain: Int32, _ context: inout MatchContext, _ form: inout PacketForm?,
    _ candidates: inout Candidates, _: Observer.Type
  ) -> Int {
    let index = chains[Int(chain)].index
    if !Observer.hearsEveryRule && index >= 0 {
      return firstRule(index: Int(index), chain, &context, &form, &candidates)
    }
    candidates.count = 0
    return Int(chains[Int(chain)].first)
  }

  @usableFromInline
  func firstRule(
    index: Int, _ chain: Int32, _ context: inout MatchContext, _ form: inout PacketForm?,
    _ candidates: inout Candidates
  ) -> Int {
    let known: PacketForm
    if let form {
      known = form
    } else {
      known = readKeys(&context)
      form = known
    }
    if known == .fragment {
      candidates.count = 0
      return Int(chains[Int(chain)].first)
    }
    return indexes.find(index, known, keys, &candidates)
  }

  /// The rule to ask after one of the same chain.
  @inlinable @inline(__always)
  func rule(after rule: Int, _ candidates: inout Candidates) -> Int {
    candidates.count == 0 ? rule &+ 1 : indexes.next(after: rule, &candidates)
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
  func reference(_ index: Int) -> RuleReference {
    let chain = rules[index].chain
    let number = Int32(truncatingIfNeeded: index) &- chains[Int(chain)].first &+ 1
    return RuleReference(
      chain: chain, number: rules[index].flags.contains(.isEnd) ? 0 : number)
  }

  @inlinable @inline(__always)
  mutating func compare(
    _ index: Int, with context: inout MatchContext, _ inClass: UInt32, _ outClass: UInt32,
    now: Int64
  ) -> RuleOutcome {
    let flags = rules[index].flags
    let source = context.source.differs(
      from: rules[index].source, under: rules[index].sourceMask)
    let destination = context.destination.differs(
      from: rules[index].destination, under: rules[index].destinationMask)
    if source != flags.contains(.sourceInverted)
      || destination != flags.contains(.destinationInverted)
    {
      return .differs
    }
    let number = rules[index].protocolNumber
    if number != 0 {
      if !context.isProtocolKnown {
        return flags.contains(.dropsUnknownProtocol) && context.fragmentOffset == 0
          ? .malformed : .differs
      }
      if (context.protocolNumber == number) == flags.contains(.protocolInverted) {
        return .differs
      }
    }
    let inPattern = rules[index].inPattern
    if inPattern >= 0,
      patterns.matches(inClass, pattern: inPattern) == flags.contains(.inInverted)
    {
      return .differs
    }
    let outPattern = rules[index].outPattern
    if outPattern >= 0,
      patterns.matches(outClass, pattern: outPattern) == flags.contains(.outInverted)
    {
      return .differs
    }
    if flags.contains(.laterFragment) && !context.isFragmentNotFirst { return .differs }
    if flags.contains(.notLaterFragment) && context.isFragmentNotFirst { return .differs }
    let count = Int(rules[index].testCount)
    if count == 0 { return .matches }
    if flags.contains(.heedsPacket) { context.heedsPacket = true }
    let first = Int(rules[index].firstTest)
    return RuleTests.hold(
      tests, first..<(first &+ count), portSpans, state, &context, now: now)
  }
}

/// A place in the rules: the rule to be asked next, and what it takes to go on from it. The chains to
/// come back to are in `CompiledRuleset.stack`.
@usableFromInline
struct RuleWalk: BitwiseCopyable, Sendable {
  @usableFromInline var entry: Int32 = -1
  @usableFromInline var depth = 0
  @usableFromInline var form: PacketForm?
  @usableFromInline var candidates = Candidates()
  @usableFromInline var index = 0

  @inlinable init() {}

  @inlinable init(
    entry: Int32, depth: Int, form: PacketForm?, candidates: Candidates, index: Int
  ) {
    self.entry = entry
    self.depth = depth
    self.form = form
    self.candidates = candidates
    self.index = index
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

extension MatchContext {
  mutating func isPresent(_ field: PacketField) -> Bool {
    switch field {
    case .userID: socketUserID != nil || hasKernelSocket
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
      setConnectionMark(((connectionMark & ~action.a) ^ action.b).shifted(action.c))
    case .saveMark:
      guard hasConnection else { return }
      setConnectionMark(
        (connectionMark & ~action.a) ^ (mark & action.b).shifted(action.c))
    case .restoreMark:
      guard hasConnection else { return }
      mark = (mark & ~action.b) ^ (connectionMark & action.a).shifted(action.c)
    case .doNotTrack:
      heedsPacket = true
      // A packet that tracking has seen already stays as it is.
      guard ctState == nil, trackingOptions < 0 else { return }
      ctState = .untracked
      isNotTracked = true
    case .track:
      heedsPacket = true
      guard ctState == nil, trackingOptions < 0 else { return }
      trackingOptions = Int32(bitPattern: action.a)
    default:
      break
    }
  }
}

extension MatchContext {
  private mutating func setConnectionMark(_ new: UInt32) {
    if new == connectionMark { return }
    connectionMark = new
    hasNewConnectionMark = true
    heedsPacket = true
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
    case .netmap: .netmap(range: Int32(bitPattern: a))
    case .clampMSS: .limitMSS(UInt16(truncatingIfNeeded: a))
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
