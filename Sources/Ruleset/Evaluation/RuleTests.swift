// Running the elementary tests of one rule.

import Wire

@usableFromInline
enum RuleTests {
  /// Whether all tests of `range` hold.
  @usableFromInline
  static func hold(
    _ tests: borrowing FlatArray<RuleTest>, _ range: Range<Int>,
    _ ports: borrowing FlatArray<PortSpan>, _ state: borrowing MatchState,
    _ context: inout MatchContext, now: Int64
  ) -> RuleOutcome {
    var index = range.lowerBound
    while index < range.upperBound {
      let isInverted = tests[index].isInverted
      let isHeld: Bool
      switch tests[index].kind {
      case .range:
        let value = context.value(tests[index].field) & tests[index].c
        isHeld = value >= tests[index].a && value <= tests[index].b
      case .allBits:
        let value = context.value(tests[index].field)
        isHeld =
          value & tests[index].a == tests[index].a
          && (tests[index].b == 0 || value & tests[index].b != 0)
      case .anyBit:
        isHeld = context.value(tests[index].field) & tests[index].a != 0
      case .masked:
        isHeld = !context.address(tests[index].address).differs(
          from: IPAddress(high: tests[index].a, low: tests[index].b),
          under: IPAddress(high: tests[index].c, low: tests[index].d))
      case .addressRange:
        let address = context.address(tests[index].address)
        isHeld =
          address >= IPAddress(high: tests[index].a, low: tests[index].b)
          && address <= IPAddress(high: tests[index].c, low: tests[index].d)
      case .ports:
        isHeld = isPort(
          context.value(tests[index].field), in: ports, tests[index].a, tests[index].b)
      case .eitherPort:
        isHeld =
          isPort(UInt64(context.sourcePort), in: ports, tests[index].a, tests[index].b)
          || isPort(UInt64(context.destinationPort), in: ports, tests[index].a, tests[index].b)
      case .header:
        let outcome = header(
          tests[index].a, tests[index].b, context.fragmentOffset, context.transportAvailable)
        if outcome != .matches { return outcome }
        index &+= 1
        continue
      case .readableOptions:
        if !context.hasReadableTCPOptions { return .malformed }
        isHeld = true
      case .tcpOption:
        let kind = tests[index].a
        isHeld = context.tcpOptionKinds[Int(kind >> 6) & 3] & (1 << (kind & 63)) != 0
      case .connection:
        if !context.hasConnection {
          let skipped = Int(tests[index].a)
          if skipped == 0 { return .differs }
          index &+= skipped
        }
        isHeld = true
      case .limit: isHeld = state.takeToken(Int(tests[index].a), now: now)
      case .everyNth: isHeld = state.takeTurn(Int(tests[index].a))
      case .random: isHeld = state.nextRandom() >> 33 < tests[index].b
      case .present: isHeld = context.isPresent(tests[index].field)
      case .always: isHeld = true
      }
      if isHeld == isInverted { return .differs }
      index &+= 1
    }
    return .matches
  }

  private static func header(
    _ needed: UInt64, _ form: UInt64, _ fragmentOffset: UInt16, _ available: UInt32
  ) -> RuleOutcome {
    if fragmentOffset != 0 {
      return form == 1 && fragmentOffset == 1 ? .malformed : .differs
    }
    if UInt64(available) < needed { return form == 2 ? .differs : .malformed }
    return .matches
  }

  private static func isPort(
    _ port: UInt64, in ports: borrowing FlatArray<PortSpan>, _ first: UInt64, _ count: UInt64
  ) -> Bool {
    for index in Int(first)..<Int(first &+ count)
    where port >= UInt64(ports[index].low) && port <= UInt64(ports[index].high) {
      return true
    }
    return false
  }
}
