// The tracker: packets in, their connection and ctstate out. One per worker; it owns its table and
// asks no clock: time comes in with every packet.

import Wire

/// Connection tracking for one network namespace.
///
/// The life of a packet here: `advance` moves the clock, `track` finds or begins its connection, and
/// at the end of the packet's way `finish` either confirms the connection it began or forgets it.
///
/// After `init` nothing is allocated (event recording excepted, which is off unless asked for).
public struct ConnectionTracker: ~Copyable {
  public var settings: ConntrackSettings
  public internal(set) var statistics = ConntrackStatistics()
  var table: ConnectionTable
  /// The settings under each timeout policy.
  private let policies: FlatArray<ConntrackSettings>
  let policyCount: Int
  /// The latest time seen, nanoseconds; it never goes back.
  public internal(set) var now: Int64 = 0
  public var generator: SeededGenerator
  var bindingGuess = BindingGuess()

  /// Connections confirmed since the start.
  public internal(set) var created: UInt64 = 0
  /// Whether events are kept for `takeEvents`.
  public var recordsEvents = false {
    didSet { table.expectations.recordsEvents = recordsEvents }
  }
  var events: [ConnectionEvent] = []
  /// Who has to give way when room is needed next, in place of those whom the table's own hash finds: to
  /// lay it beside another table, whose hash is another.
  package var foreseenVictims: [ZonedTuple]?
  /// Of the connection that began last, where an expectation had announced it.
  public internal(set) var adoption: Adoption?

  /// - Parameters:
  ///   - settings: `max` fixes the capacity of the table; 0 (no limit in the kernel) counts as the
  ///     default.
  ///   - seed: every choice (hash secret, ports) comes from it.
  ///   - policies: what `TrackingTemplate.timeoutPolicy` counts, at most 65,534.
  public init(
    settings: ConntrackSettings = ConntrackSettings(), policies: [TimeoutPolicy] = [], seed: UInt64
  ) {
    precondition(policies.count < Int(UInt16.max))
    self.settings = settings
    var generator = SeededGenerator(seed: seed)
    let capacity = settings.max == 0 ? 262_144 : min(settings.max, 1 << 30)
    table = ConnectionTable(
      capacity: Int(capacity), expectations: Int(min(max(settings.expectMax, 0), 1 << 20)),
      seed: &generator)
    self.generator = generator
    policyCount = policies.count
    self.policies = FlatArray(count: max(policies.count, 1))
    for (number, policy) in policies.enumerated() {
      self.policies[number] = policy.applied(to: settings)
    }
  }

  /// Takes the table's memory from the system now, so that no packet waits for a page.
  /// - Parameter hasNAT: connections will be filed by their source too.
  /// - Complexity: O(capacity).
  public func populate(sources hasNAT: Bool) {
    table.populate(
      counters: settings.acct != 0, timestamps: settings.timestamp != 0, sources: hasNAT)
  }

  // MARK: Time

  /// The latest time there is (about the year 2190): no timeout added to it overflows.
  public static let latestTime: Int64 = 6_900_000_000_000_000_000

  /// How connections whose time is over are found. To be chosen before there are any.
  public var expiry: Expiry {
    get { table.expiry }
    set {
      precondition(table.count == 0, "connections would be lost sight of")
      table.expiry = newValue
    }
  }

  /// Moves the clock to `time` (never back, never past `latestTime`) and expires what is due.
  @inline(__always)
  public mutating func advance(to time: Int64) {
    now = max(now, min(time, ConnectionTracker.latestTime))
    expireExpectations()
    switch table.expiry {
    case .swept: sweep()
    case .exact: expire()
    }
  }

  @inline(__always)
  private mutating func sweep() {
    let share = table.sweep.share(of: table.used, now: now)
    if share > 0 { sweep(share) }
  }

  @inline(never)
  private mutating func sweep(_ share: Int) {
    var left = min(share, table.used)
    while left > 0 {
      // A few at a time: what they have in the index is asked for before the first of them goes.
      let count = min(left, ConnectionTable.SweptBatch.count)
      var batch = ConnectionTable.SweptBatch(repeating: -1)
      table.sweep(count, now: now, into: &batch)
      for place in 0..<count {
        let record = Int(batch[place])
        // One that went may have taken another with it.
        if record >= 0, table.isOver(record, now: now) { destroy(record) }
      }
      left -= count
    }
  }

  private mutating func expire() {
    let now = now
    // Listeners hear of every expiry before the packet after it, so not even a tick later. Others do
    // not see the difference: an expired record that is met counts as gone.
    guard recordsEvents else {
      return table.advance(to: now) { table, record in
        for direction in Direction.allCases {
          if let call = table.takeCall(of: record, direction, now: now) { table.remove(call) }
        }
        table.remove(record)
      }
    }
    var expired: [ConnectionEvent] = []
    func expire(_ table: inout ConnectionTable, _ record: Int) {
      expired.append(
        ConnectionTracker.end(table, record, now: now, at: table.records[record].deadline))
      for direction in Direction.allCases {
        guard let call = table.takeCall(of: record, direction, now: now) else { continue }
        expired.append(ConnectionTracker.end(table, call, now: now, at: now))
        table.remove(call)
      }
      table.remove(record)
    }
    table.advance(to: now, expire)
    table.expireWithinTick(now, expire)
    events.append(contentsOf: expired)
  }

  // MARK: Tracking

  /// Finds or begins the connection of a packet, defragmented, whose headers are decoded.
  ///
  /// - Complexity: O(1) expected.
  /// - Parameter key: of this packet, where one was made.
  /// - Returns: the packet's ctstate and connection. Whatever the packet's fate, give the result back
  ///   to `finish`.
  @inline(__always)
  public mutating func track(
    _ bytes: RawSpan, _ headers: PacketHeaders, hook: TrackingHook,
    template: TrackingTemplate = TrackingTemplate(),
    key: ConnectionKey = ConnectionKey()
  ) -> Tracking {
    let number = headers.transportProtocol
    if number == IPProtocolNumber.icmp || number == IPProtocolNumber.icmpv6 {
      if (number == IPProtocolNumber.icmp) != (headers.family == .ipv4) {
        return invalid(.icmpOfOtherFamily(protocolNumber: number))
      }
      if case .decided(let tracking) = judgeICMP(bytes, headers, hook, template.zone) {
        // conntrack -S counts these apart from what is wrong in other protocols.
        if tracking.state == .invalid { statistics.error += 1 }
        return tracking
      }
    }
    guard var tuple = Tuple(bytes, headers) else {
      let isWhole = headers.transportOffset >= 0 && headers.end - headers.transportOffset >= 8
      return invalid(
        number == IPProtocolNumber.gre && isWhole
          ? .greNotPPTP : .truncated(protocolNumber: number))
    }
    if number == IPProtocolNumber.gre {
      table.completeCall(&tuple, bytes, at: headers.transportOffset, end: headers.end)
    }
    // A second round only where a finished connection gave way to a new one.
    for _ in 0..<2 {
      if let found = findLiving(tuple, zone: template.zone, key) {
        switch trackKnown(found.record, found.direction, bytes, headers, hook) {
        case .done(let tracking): return tracking
        case .again: continue
        }
      }
      return begin(tuple, bytes, headers, hook, template)
    }
    return begin(tuple, bytes, headers, hook, template)
  }

  private enum Round {
    case done(Tracking)
    case again
  }

  @inline(__always)
  private mutating func trackKnown(
    _ record: Int, _ direction: Direction, _ bytes: RawSpan, _ headers: PacketHeaders,
    _ hook: TrackingHook
  ) -> Round {
    var tracking = Tracking()
    tracking.connection = ConnectionNumber(rawValue: UInt32(record))
    tracking.direction = direction
    let status = table.records[record].status
    if direction == .reply || status.contains(.seenReply) {
      tracking.state = .established
    } else {
      tracking.state = status.contains(.expected) ? .related : .new
    }
    if let reason = packetError(bytes, headers, hook) { return .done(invalid(reason)) }

    switch dispatch(record, direction, isNew: false, bytes, headers) {
    case .accept: break
    case .ignore(let reason): tracking.reason = reason
    case .invalid(let reason): return .done(invalid(reason))
    case .reopen:
      destroy(record)
      return .again
    case .close:
      kill(record)
      tracking.isDying = true
    }
    if direction == .reply && !status.contains(.seenReply) {
      table.records[record].status.insert(.seenReply)
      note(record, .reply)
    }
    return .done(tracking)
  }

  /// A connection that no entry knows.
  private mutating func begin(
    _ tuple: Tuple, _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook,
    _ template: TrackingTemplate
  ) -> Tracking {
    guard let reply = tuple.inverted else {
      return invalid(
        .icmpTypeNotTracked(
          type: UInt8(tuple.destinationPort >> 8),
          code: UInt8(truncatingIfNeeded: tuple.destinationPort)))
    }
    // A packet that turns out to be INVALID needs room all the same.
    guard hasRoom(for: tuple, zone: template.zone[.original]) else {
      statistics.drop += 1
      return full()
    }
    let announced =
      table.expectations.isEmpty ? nil : expectation(of: tuple, zone: template.zone.id)
    if let reason = packetError(bytes, headers, hook) {
      // A packet that begins nothing uses up what was expected all the same.
      if let announced {
        table.expectations.statistics.new += 1
        useUp(announced)
      }
      return invalid(reason)
    }
    guard let record = table.allocate(original: tuple, reply: reply, zone: template.zone) else {
      statistics.drop += 1
      return full()
    }
    fetchReply(tuple, reply, template.zone)
    if settings.acct != 0 {
      table.counters[record] = CounterPair()
      table.records[record].extensions.insert(.counters)
    }
    if settings.timestamp != 0 {
      table.timestamps[record] = Timestamps()
      table.records[record].extensions.insert(.timestamps)
    }
    heed(template, record)
    if let announced { adopt(record, announced) }
    var refusal: InvalidReason?
    switch tuple.protocolNumber {
    case IPProtocolNumber.tcp:
      if let segment = TCPHeader(bytes, at: headers.transportOffset, end: headers.end) {
        if TCPSegmentKind(segment.flags) == .syn {
          openTCP(record, segment, bytes, headers)
          return began(record, announced)
        }
        refusal = beginTCP(record, segment, bytes, headers)
      }
    case IPProtocolNumber.sctp:
      if let packet = SCTPHeader(bytes, at: headers.transportOffset, end: headers.end) {
        refusal = beginSCTP(record, packet, bytes, headers)
      }
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6:
      let type = UInt8(tuple.destinationPort >> 8)
      if !ICMPQuery.isRequest(type, protocolNumber: tuple.protocolNumber) {
        refusal = .icmpReplyWithoutQuery(type: type)
      }
    default: break
    }
    if refusal == nil {
      switch dispatch(record, .original, isNew: true, bytes, headers) {
      case .accept, .ignore, .close, .reopen: break
      case .invalid(let reason): refusal = reason
      }
    }
    if let refusal {
      table.release(record)
      return invalid(refusal)
    }
    return began(record, announced)
  }

  @inline(__always)
  private func began(_ record: Int, _ announced: Int?) -> Tracking {
    note(record, announced == nil ? .new : .related)
    var tracking = Tracking()
    tracking.connection = ConnectionNumber(rawValue: UInt32(record))
    tracking.state = announced == nil ? .new : .related
    tracking.isUnconfirmed = true
    tracking.isAdopted = announced != nil
    return tracking
  }

  /// Gives a connection that begins what its template asks for.
  @inline(__always)
  private func heed(_ template: TrackingTemplate, _ record: Int) {
    let events = template.events ?? (settings.events == 0 ? [] : .all)
    if events == .all && template.timeoutPolicy == 0 { return }
    table.templates[record] = TemplateRecord(
      timeoutPolicy: template.timeoutPolicy, events: events)
    table.records[record].extensions.insert(.template)
  }

  /// What is wrong with a packet on its own.
  @inline(__always)
  private func packetError(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook
  ) -> InvalidReason? {
    switch headers.transportProtocol {
    case IPProtocolNumber.tcp: tcpError(bytes, headers, hook)
    case IPProtocolNumber.udp: udpError(bytes, headers, hook)
    case IPProtocolNumber.udpLite: udpLiteError(bytes, headers, hook)
    case IPProtocolNumber.sctp: sctpError(bytes, headers, hook)
    default: nil
    }
  }

  @inline(__always)
  private mutating func dispatch(
    _ record: Int, _ direction: Direction, isNew: Bool, _ bytes: RawSpan,
    _ headers: PacketHeaders
  ) -> TrackerVerdict {
    switch headers.transportProtocol {
    case IPProtocolNumber.tcp:
      guard let segment = TCPHeader(bytes, at: headers.transportOffset, end: headers.end) else {
        return .invalid(.truncated(protocolNumber: IPProtocolNumber.tcp))
      }
      return trackTCP(record, direction, segment, bytes, headers)
    case IPProtocolNumber.udp, IPProtocolNumber.udpLite:
      return trackUDP(record, direction, isNew: isNew, headers)
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6:
      return trackICMPQuery(record, direction, headers)
    case IPProtocolNumber.sctp:
      guard let packet = SCTPHeader(bytes, at: headers.transportOffset, end: headers.end) else {
        return .invalid(.truncated(protocolNumber: IPProtocolNumber.sctp))
      }
      return trackSCTP(record, direction, packet, bytes, headers)
    case IPProtocolNumber.gre:
      return trackGRE(record, direction, headers)
    default:
      return trackGeneric(record, direction, headers)
    }
  }

  private mutating func invalid(_ reason: InvalidReason) -> Tracking {
    statistics.invalid += 1
    return .invalid(reason)
  }

  private func full() -> Tracking {
    var tracking = Tracking.invalid(.tableFull(limit: Int64(limit)))
    tracking.mustDrop = true
    return tracking
  }

  // MARK: The end of a packet's way

  /// What became of a packet's connection when the packet had come to the end of its way.
  public enum Confirmation: Sendable {
    case done
    /// Another connection has one of the tuples by now: the packet must be dropped.
    case clash
  }

  /// Ends a packet's way.
  /// - Parameter passed: whether it came through. Only then does a connection it began enter the
  ///   table, and only then do listeners hear what it changed.
  /// - Parameter key: of the packet as it came, where one was made.
  @inline(__always)
  public mutating func finish(
    _ tracking: Tracking, passed: Bool, key: ConnectionKey = ConnectionKey()
  ) -> Confirmation {
    if tracking.connection.isNone { return .done }
    let record = tracking.connection.index
    if tracking.isDying {
      table.release(record)
      return .done
    }
    guard passed else {
      // An answer to an answer may have confirmed it meanwhile.
      if tracking.isUnconfirmed && !table.records[record].status.contains(.confirmed) {
        table.release(record)
      }
      return .done
    }
    if tracking.isUnconfirmed, case .clash = confirm(record, key) { return .clash }
    tell(record)
    return .done
  }

  private mutating func confirm(_ record: Int, _ key: ConnectionKey) -> Confirmation {
    guard table.confirm(record, key) else {
      statistics.insertFailed += 1
      statistics.drop += 1
      table.release(record)
      return .clash
    }
    created += 1
    if table.records[record].extensions.contains(.timestamps) {
      table.timestamps[record].start = now
    }
    return .done
  }

  // MARK: Finding and ending connections

  /// The connection a tuple belongs to; one whose time is over is met here for the last time.
  @inline(__always)
  mutating func findLiving(
    _ tuple: Tuple, zone: TrackingZone, _ key: ConnectionKey = ConnectionKey()
  ) -> IndexReference? {
    guard let found = table.find(tuple, zone: zone, key) else { return nil }
    return isLiving(found.record) ? found : nil
  }

  /// Whether a confirmed connection's time is not over; if it is, it goes.
  @inline(__always)
  mutating func isLiving(_ record: Int) -> Bool {
    if table.records[record].deadline > now { return true }
    destroy(record)
    return false
  }

  /// Takes a confirmed connection out of the table and tells listeners.
  mutating func destroy(_ record: Int) {
    tellDestroyed(record)
    endCalls(of: record)
    table.remove(record)
  }

  /// Takes a connection out while a packet of it is still under way: no tuple finds it any more, but
  /// the record stays until the packet is finished.
  private mutating func kill(_ record: Int) {
    tellDestroyed(record)
    endCalls(of: record)
    table.unfile(record)
    table.records[record].status.insert(.dying)
  }

  /// Ends the connection of a packet that is under way: no later packet finds it.
  public mutating func end(_ tracking: inout Tracking) {
    guard !tracking.connection.isNone, !tracking.isUnconfirmed, !tracking.isDying else { return }
    kill(tracking.connection.index)
    tracking.isDying = true
  }

  // MARK: What a packet changes

  /// A time of `settings` or, where a rule gave the connection a policy, of that.
  @inline(__always)
  func timeout(
    _ record: Int, _ choose: (borrowing ConntrackSettings) -> Int64
  ) -> Int64 {
    guard table.records[record].extensions.contains(.template),
      table.templates[record].timeoutPolicy != 0
    else { return choose(settings) }
    return choose(policies[Int(table.templates[record].timeoutPolicy) - 1])
  }

  @inline(__always)
  mutating func refresh(_ record: Int, _ direction: Direction, _ timeout: Int64, bytes: Int) {
    if !table.records[record].status.contains(.fixedTimeout) {
      table.setDeadline(record, now + timeout)
    }
    count(record, direction, bytes: bytes)
  }

  @inline(__always)
  mutating func count(_ record: Int, _ direction: Direction, bytes: Int) {
    if table.records[record].extensions.contains(.counters) {
      if direction == .original {
        table.counters[record].original.packets += 1
        table.counters[record].original.bytes += UInt64(bytes)
      } else {
        table.counters[record].reply.packets += 1
        table.counters[record].reply.bytes += UInt64(bytes)
      }
    }
  }

  @inline(__always)
  func note(_ record: Int, _ event: ConnectionEventMask) {
    if recordsEvents { table.records[record].pendingEvents.insert(event) }
  }
}
