// A packet's way through the hooks, in Netfilter's order: lay it beside Netfilter's own diagram.
//
//   receive:  PREROUTING    raw → conntrack → mangle → nat (DNAT)
//             route, IPv4 options
//                           ├─ for this host:  INPUT    mangle → filter → nat (SNAT) → security → help → confirm
//                           └─ for another:    TTL, MTU, redirect
//                                              FORWARD      mangle → filter → security
//                                              POSTROUTING  mangle → nat (SNAT) → help → confirm
//   send:     OUTPUT        raw → conntrack → mangle → nat (DNAT) → filter → security, then POSTROUTING
//             to the host itself: over the loopback, PREROUTING and INPUT (`Loopback.swift`)
//
// Every step either lets the packet on or ends its way, with the reason in `passage.outcome`.

import Conntrack
import NAT
import Ruleset
import Wire

/// What a step says.
enum Step {
  case on
  case stop
}

extension Firewall {
  /// A packet that came in from outside.
  ///
  /// - Parameters:
  ///   - packet: the packet, layer 3; rewritten in place.
  ///   - sink: gets what leaves: the packet, its fragments, or an answer to its sender.
  /// - Returns: what became of it.
  public mutating func receive<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ arrival: Arrival, to sink: inout Sink,
    observer: inout Observer
  ) -> PacketOutcome {
    advance(to: arrival.timeNanoseconds, to: &sink, observer: &observer)
    return receive(&packet, arrival, PlainPacket(), to: &sink, observer: &observer)
  }

  /// The same once the clock has been moved.
  /// - Parameter plain: what was found out about the packet ahead of its turn.
  mutating func receive<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ arrival: Arrival, _ plain: PlainPacket, to sink: inout Sink,
    observer: inout Observer
  ) -> PacketOutcome {
    var headers = PacketHeaders()
    if plain.isPlain && arrival.family == .ipv4 {
      headers.readPlainIPv4(packet.bytes)
    } else if let drop = PacketHeaders.decode(
      packet.bytes, family: arrival.family, into: &headers) ?? headers.ipv6InterfaceDrop
    {
      if arrival.family == .ipv6 { answerOptionProblem(drop, packet, arrival, &sink, &observer) }
      return .dropped(.ipHeader(drop), arrival.family)
    }
    packet.resize(to: headers.end)
    var passage = Passage(headers, packet.bytes, arrival, isOutput: false)
    passage.plain = plain
    if plain.isPlain { beginJournal(arrival.family) }
    if case .stop = defragment(&packet, &passage) { return passage.outcome }

    // PREROUTING
    guard case .on = ask(.raw, .prerouting, &packet, &passage, &observer),
      case .on = track(packet.bytes, &passage, .prerouting),
      case .on = ask(.mangle, .prerouting, &packet, &passage, &observer),
      case .on = translate(.destination, .prerouting, &packet, &passage, &observer)
    else { return end(&packet, &passage, &sink, &observer) }

    var way = routeInput(passage)
    guard case .on = heedOptions(&way, &packet, &passage, &sink, &observer) else {
      return end(&packet, &passage, &sink, &observer)
    }
    switch way {
    case .deliver:
      passage.outcome.hook = .input
      return input(&packet, &passage, &sink, &observer)

    case .forward(let route):
      return forward(route, &packet, &passage, &sink, &observer)

    case .drop(let reason):
      // The time to live is looked at before the source.
      if reason.comesAfterTimeToLive(arrival.family),
        case .stop = hasTimeToLive(packet, &passage, &sink, &observer)
      {
        return end(&packet, &passage, &sink, &observer)
      }
      passage.outcome.reason = .routing(reason)
      answerUnroutable(reason, packet, passage, &sink, &observer)
      return end(&packet, &passage, &sink, &observer)
    }
  }

  /// The way of a packet that goes on to another machine.
  @inline(__always)
  mutating func forward<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ route: RouteResult, _ packet: inout PacketBuffer, _ passage: inout Passage,
    _ sink: inout Sink, _ observer: inout Observer
  ) -> PacketOutcome {
    setRoute(route, &passage)
    guard case .on = mayForward(&packet, &passage, &sink, &observer) else {
      return end(&packet, &passage, &sink, &observer)
    }
    decrementTimeToLive(&packet, &passage)
    sendRedirect(packet, passage, &sink, &observer)
    // FORWARD
    passage.outcome.hook = .forward
    guard case .on = ask(.mangle, .forward, &packet, &passage, &observer),
      case .on = ask(.filter, .forward, &packet, &passage, &observer),
      case .on = ask(.security, .forward, &packet, &passage, &observer)
    else { return end(&packet, &passage, &sink, &observer) }
    fillOptions(&packet, &passage)
    return postrouting(&packet, &passage, &sink, &observer)
  }

  /// A packet that the host itself sends. `arrival.interface` is where it leaves, where that is
  /// known; else routing says. What the host sends itself leaves by the loopback and comes in again:
  /// the outcome is that of both, and its hook is OUTPUT.
  public mutating func send<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ arrival: Arrival, to sink: inout Sink,
    observer: inout Observer
  ) -> PacketOutcome {
    advance(to: arrival.timeNanoseconds, to: &sink, observer: &observer)
    var headers = PacketHeaders()
    if let drop = PacketHeaders.decodeAgain(packet.bytes, family: arrival.family, into: &headers) {
      return .dropped(.ipHeader(drop), arrival.family)
    }
    packet.resize(to: headers.end)
    var passage = Passage(headers, packet.bytes, arrival, isOutput: true)
    passage.outcome.hook = .output
    if case .stop = defragment(&packet, &passage) { return passage.outcome }
    setRoute(outputRoute(passage), &passage)
    // To itself the host sends by the loopback.
    if arrival.interface != .none && passage.route.type != .local {
      passage.context.outInterface = arrival.interface
    }
    return output(&packet, &passage, &sink, &observer)
  }

  /// OUTPUT and what follows, of the host's own packets and of answers. An answer that belongs to a
  /// connection from the start is not tracked again.
  mutating func output<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    guard case .on = ask(.raw, .output, &packet, &passage, &observer),
      case .on = passage.isAttached ? .on : track(packet.bytes, &passage, .output),
      case .on = ask(.mangle, .output, &packet, &passage, &observer),
      case .on = translate(.destination, .output, &packet, &passage, &observer),
      case .on = ask(.filter, .output, &packet, &passage, &observer),
      case .on = ask(.security, .output, &packet, &passage, &observer)
    else { return end(&packet, &passage, &sink, &observer) }
    if let route = passage.newRoute {
      passage.context.outInterface = .none
      setRoute(route, &passage)
    }
    if isAlsoForHost(passage) { return sendToAll(&packet, &passage, &sink, &observer) }
    let outcome = postrouting(&packet, &passage, &sink, &observer)
    guard outcome.verdict == .accept, passage.route.type == .local else { return outcome }
    return comesBackInPieces(passage)
      ? comeBackInPieces(&packet, &passage, &sink, &observer)
      : comeBack(&packet, &passage, &sink, &observer)
  }

  /// INPUT, the end of the way of every packet for the host itself.
  mutating func input<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    passage.isForHost = true
    guard case .on = ask(.mangle, .input, &packet, &passage, &observer),
      case .on = ask(.filter, .input, &packet, &passage, &observer),
      case .on = translate(.source, .input, &packet, &passage, &observer),
      case .on = ask(.security, .input, &packet, &passage, &observer),
      case .on = help(&packet, &passage)
    else { return end(&packet, &passage, &sink, &observer) }
    passage.outcome.verdict = .accept
    return end(&packet, &passage, &sink, &observer)
  }

  /// The end of the way of every packet that leaves.
  mutating func postrouting<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    passage.context.inInterface = .none
    guard case .on = ask(.mangle, .postrouting, &packet, &passage, &observer),
      case .on = translate(.source, .postrouting, &packet, &passage, &observer),
      case .on = help(&packet, &passage)
    else { return end(&packet, &passage, &sink, &observer) }
    passage.outcome.verdict = .accept
    return end(&packet, &passage, &sink, &observer)
  }

  /// Confirms or forgets the packet's connection, sends the packet or what answers it, and says what
  /// became of it.
  mutating func end<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    if passage.outcome.verdict == .reject {
      reject(&packet, &passage, &sink, &observer)
    }
    let passed = passage.outcome.verdict == .accept
    if passage.context.outInterface != .none {
      passage.outcome.outInterface = passage.context.outInterface
    }
    if passage.isTracked {
      passage.outcome.ctState = passage.outcome.ctState ?? passage.tracking.state
      passage.outcome.trackingReason = passage.tracking.reason
      if !passage.tracking.connection.isNone {
        passage.outcome.direction = passage.tracking.direction
        passage.outcome.connection = passage.tracking.connection
      }
      // A connection that ends with a packet over the loopback is with it until it has come in.
      let goesOn =
        passed && passage.tracking.isDying && !passage.isForHost
        && (passage.route.type == .local || passage.isAlsoForHost)
      // A copy that is dropped leaves a new connection to the packet itself.
      let isKept = passage.isLoopedCopy && !passed && passage.tracking.isUnconfirmed
      if !goesOn && !isKept,
        case .clash = tracker.finish(passage.tracking, passed: passed, key: passage.plain.key)
      {
        passage.outcome.verdict = .drop
        passage.outcome.reason = .clash
        passage.outcome.connection = .none
        return passage.outcome
      }
      if passage.tracking.isDying || (passage.tracking.isUnconfirmed && !passed) {
        passage.outcome.connection = .none
      }
    }
    if passage.isAttached && passed && !passage.tracking.isDying
      && !(passage.tracking.isUnconfirmed && passage.tracking.direction == .reply)
    {
      // With an answer go the events of what it answers, which itself goes no further. The answer to an
      // answer goes in the original direction, and confirms the connection.
      if case .clash = tracker.finish(passage.tracking, passed: true) { return passage.outcome }
      passage.tracking.isUnconfirmed = false
    }
    if passed {
      if passage.isForHost || passage.route.type == .local { leaveChecksum(&packet, passage) }
      if passage.isForHost {
        sink.deliver(
          packet.bytes, from: passage.arrival.interface, isAnswer: passage.isAnswer)
      } else if !passage.isLoopedCopy && fitsRoute(packet, &passage, &sink, &observer) {
        transmit(&packet, &passage, &sink)
      }
      if !Observer.isActive && passage.plain.isPlain { rememberWay(passage, packet.bytes) }
    }
    return passage.outcome
  }

  // MARK: Steps

  /// Asks a table's rules at a hook.
  @inline(__always)
  mutating func ask<Observer: FirewallObserver & ~Copyable>(
    _ table: TableName, _ chain: BuiltInChain, _ packet: inout PacketBuffer,
    _ passage: inout Passage, _ observer: inout Observer
  ) -> Step {
    let exists =
      passage.headers.family == .ipv4
      ? ipv4Rules.hasChain(table, chain) : ipv6Rules.hasChain(table, chain)
    return exists ? askRules(table, chain, &packet, &passage, &observer) : .on
  }

  private mutating func askRules<Observer: FirewallObserver & ~Copyable>(
    _ table: TableName, _ chain: BuiltInChain, _ packet: inout PacketBuffer,
    _ passage: inout Passage, _ observer: inout Observer
  ) -> Step {
    let verdict = evaluate(table, chain, &packet, &passage, &observer)
    if table == .filter || verdict.kind != .accept {
      passage.outcome.reason =
        verdict.isMalformed ? .unreadableForRule(verdict.rule) : .rule(verdict.rule)
    }
    switch verdict.kind {
    case .accept: return .on
    case .drop: passage.outcome.verdict = .drop
    case .reject(let with):
      passage.outcome.verdict = .reject
      passage.rejectWith = with
    // Nobody listens; told to go on then, the packet does.
    case .queue(_, bypass: true): return .on
    case .queue: passage.outcome.verdict = .queue
    case .sourceNAT, .destinationNAT, .masquerade, .redirect, .netmap, .limitMSS:
      // Only the nat table has these targets, and it is asked by `translate`; TCPMSS is done with.
      return .on
    }
    return .stop
  }

  /// Runs the rules, and carries what they set to packet and connection.
  mutating func evaluate<Observer: FirewallObserver & ~Copyable>(
    _ table: TableName, _ chain: BuiltInChain, _ packet: inout PacketBuffer,
    _ passage: inout Passage, _ observer: inout Observer
  ) -> RuleVerdict {
    let family = passage.headers.family
    readForRules(packet.bytes, &passage)
    observer.willAsk(table, chain, family)
    var verdict =
      family == .ipv4
      ? ipv4Rules.evaluate(
        table: table, chain: chain, context: &passage.context, now: now, observer: &observer)
      : ipv6Rules.evaluate(
        table: table, chain: chain, context: &passage.context, now: now, observer: &observer)
    while case .limitMSS(let limit) = verdict.kind {
      guard limitMSS(limit, &packet, &passage) else {
        verdict.kind = .drop
        verdict.isMalformed = true
        break
      }
      readForRules(packet.bytes, &passage)
      verdict =
        family == .ipv4
        ? ipv4Rules.resume(context: &passage.context, now: now, observer: &observer)
        : ipv6Rules.resume(context: &passage.context, now: now, observer: &observer)
    }
    observer.decided(table, chain, verdict)
    if passage.context.hasNewConnectionMark {
      passage.context.hasNewConnectionMark = false
      if !passage.tracking.connection.isNone {
        tracker.setMark(passage.tracking.connection, passage.context.connectionMark)
      }
    }
    return verdict
  }

  /// Finds the packet's connection, unless a rule of the raw table forbade it.
  mutating func track(
    _ bytes: RawSpan, _ passage: inout Passage, _ hook: TrackingHook
  ) -> Step {
    passage.isTracked = true
    if passage.context.isNotTracked {
      passage.context.ctState = .untracked
      joinTransportHeader(&passage)
      return .on
    }
    var template = TrackingTemplate()
    if passage.context.trackingOptions >= 0 {
      template =
        passage.headers.family == .ipv4
        ? ipv4Rules.template(passage.context) : ipv6Rules.template(passage.context)
    }
    passage.tracking = tracker.track(
      bytes, passage.headers, hook: passage.arrival.isFilledUp ? .output : hook,
      template: template, key: passage.plain.key)
    if passage.tracking.mustDrop {
      passage.outcome.reason = .tableFull
      return .stop
    }
    if passage.tracking.isUnconfirmed { begin(&passage) }
    showConnection(&passage)
    joinTransportHeader(&passage)
    return .on
  }

  /// Puts what rules may ask about the connection into the context.
  func showConnection(_ passage: inout Passage) {
    passage.context.ctState = passage.tracking.state
    let connection = passage.tracking.connection
    guard !connection.isNone else { return }
    passage.context.hasConnection = true
    passage.context.ctStatus = tracker.status(connection)
    passage.context.ctDirection = passage.tracking.direction
    passage.context.connectionMark = tracker.mark(connection)
    let uses = uses(passage.headers.family)
    if uses.contains(.connectionTuples) {
      passage.context.originalTuple = tracker.tuple(connection, .original)
      passage.context.replyTuple = tracker.tuple(connection, .reply)
    }
    if uses.contains(.masterHelper) {
      passage.context.masterHelper =
        tracker.master(of: connection).map { tracker.helper(of: $0) } ?? .none
    }
    if uses.contains(.connectionTimeout) {
      // Before it is confirmed, a connection's time does not run.
      passage.context.ctTimeoutSeconds =
        passage.tracking.isUnconfirmed ? 0 : tracker.timeoutSeconds(connection)
    }
  }

  func setRoute(_ route: RouteResult, _ passage: inout Passage) {
    passage.route = route
    if route.type == .local, let loopback = host.loopback {
      passage.context.outInterface = InterfaceID(rawValue: Int32(loopback))
    } else if let interface = route.interface {
      passage.context.outInterface = InterfaceID(rawValue: Int32(interface))
    } else if passage.context.outInterface == .none, let only = otherInterface(passage) {
      passage.context.outInterface = only
    }
  }

  /// Where routes say nothing: of exactly two interfaces, the other one.
  private func otherInterface(_ passage: borrowing Passage) -> InterfaceID? {
    guard !host.routing.knows(passage.headers.family), passage.arrival.interface != .none,
      forwardingPair.contains(passage.arrival.interface)
    else { return nil }
    return forwardingPair.first { $0 != passage.arrival.interface }
  }

  private mutating func decrementTimeToLive(
    _ packet: inout PacketBuffer, _ passage: inout Passage
  ) {
    let lower = passage.headers.hopLimit - 1
    passage.headers.hopLimit = lower
    passage.context.timeToLive = lower
    if passage.headers.family == .ipv4 {
      let word = packet.uint16(at: IPv4Field.timeToLive)
      packet.store8(lower, at: IPv4Field.timeToLive)
      let checksum = packet.uint16(at: IPv4Field.checksum)
      packet.store16(
        InternetChecksum.updated(
          checksum, from: word, to: packet.uint16(at: IPv4Field.timeToLive)),
        at: IPv4Field.checksum)
    } else {
      packet.store8(lower, at: IPv6Field.hopLimit)
    }
  }
}

extension PacketOutcome {
  static func dropped(_ reason: OutcomeReason, _ family: AddressFamily) -> PacketOutcome {
    var outcome = PacketOutcome()
    outcome.reason = reason
    outcome.family = family
    return outcome
  }
}
