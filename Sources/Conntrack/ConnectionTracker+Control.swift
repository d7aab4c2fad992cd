// What a command does to the table (`conntrack -I`, `-U`, `-D`, `-F`, `-z`): by ctnetlink's rules, with its
// events. For a gateway's control side, between two bursts.

import Wire

/// What a command makes of a connection; nil: as it is.
public struct ConnectionChange: Hashable, Sendable {
  public var timeoutNanoseconds: Int64?
  public var status: ConnectionStatus?
  public var protocolState: ProtocolState?
  public var mark: UInt32?
  public var labels: ConnectionLabels?
  /// Which labels `labels` speaks of; nil: all.
  public var labelMask: ConnectionLabels?
  /// SCTP's verification tags.
  public var originalTag: UInt32?
  public var replyTag: UInt32?

  public init() {}
}

/// Why a change was refused. What comes before it in the order of `ConnectionChange`'s members is done.
@frozen
public enum ChangeRefusal: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// Status bits that may not change so: what was seen is not unseen, and nobody else decides what was
  /// expected, confirmed or is dying.
  case busy
  /// The timeout is fixed.
  case notPermitted
}

/// Why a connection could not be made.
@frozen
public enum InsertionRefusal: UInt8, Error, Hashable, Sendable, BitwiseCopyable {
  case exists
  case full
  case busy
}

extension ConnectionTracker {
  // MARK: Finding and changing

  /// The connection that has `tuple` in one of its directions, and which.
  public mutating func find(_ tuple: Tuple, zone: TrackingZone) -> (
    connection: ConnectionNumber, direction: Direction
  )? {
    guard let found = findLiving(tuple, zone: zone) else { return nil }
    return (ConnectionNumber(rawValue: UInt32(found.record)), found.direction)
  }

  /// Changes a confirmed connection and tells listeners.
  /// - Parameter requester: who asked, for the event.
  public mutating func change(
    _ number: ConnectionNumber, _ change: ConnectionChange, by requester: EventRequester?
  ) -> ChangeRefusal? {
    let record = number.index
    if let timeout = change.timeoutNanoseconds {
      if table.records[record].status.contains(.fixedTimeout) { return .notPermitted }
      table.setDeadline(record, deadline(in: timeout))
    }
    if let refusal = apply(change, record) { return refusal }
    // What is remembered of its packets' way may no longer hold.
    table.records[record].ways = (0, 0)
    guard recordsEvents, eventMask(record) != [] else { return nil }
    var event = ConnectionEvent(
      kind: .update, connection: ConnectionTracker.connection(table, record, now: now),
      timeNanoseconds: now)
    event.markChanged = true
    event.requester = requester
    table.records[record].pendingEvents = []
    events.append(event)
    return nil
  }

  private func deadline(in timeout: Int64) -> Int64 {
    // Beyond this no clock comes.
    min(now.addingReportingOverflow(max(timeout, 0)).partialValue, Int64.max - 1)
  }

  /// All but the timeout.
  private mutating func apply(_ change: ConnectionChange, _ record: Int) -> ChangeRefusal? {
    if let status = change.status {
      let old = table.records[record].status
      let changed = old.symmetricDifference(status)
      if !changed.isDisjoint(with: [.expected, .confirmed, .dying])
        || !old.subtracting(status).isDisjoint(with: [.seenReply, .assured])
      {
        return .busy
      }
      table.records[record].status.formUnion(
        status.intersection([.seenReply, .assured, .fixedTimeout]))
    }
    switch (change.protocolState, table.records[record].protocolNumber) {
    case (.tcp(let state), IPProtocolNumber.tcp): table.records[record].tcp.state = state
    case (.sctp(let state), IPProtocolNumber.sctp):
      var sctp = table.records[record].sctp
      sctp.state = state
      if let tag = change.originalTag { sctp.originalTag = tag }
      if let tag = change.replyTag { sctp.replyTag = tag }
      table.records[record].sctp = sctp
    default: break
    }
    if let mark = change.mark { table.records[record].mark = mark }
    if let labels = change.labels {
      let mask = change.labelMask ?? ConnectionLabels(low: .max, high: .max)
      let old = self.labels(record)
      table.records[record].extensions.insert(.labels)
      table.labels[record] = ConnectionLabels(
        low: old.low & ~mask.low | labels.low & mask.low,
        high: old.high & ~mask.high | labels.high & mask.high)
    }
    return nil
  }

  private func labels(_ record: Int) -> ConnectionLabels {
    table.records[record].extensions.contains(.labels)
      ? table.labels[record] : ConnectionLabels()
  }

  /// Ends a confirmed connection, which listeners hear of.
  public mutating func remove(_ number: ConnectionNumber, by requester: EventRequester?) {
    let before = events.count
    destroy(number.index)
    for index in before..<events.count { events[index].requester = requester }
  }

  // MARK: Making

  /// Begins a connection nobody has sent a packet of. Until `settle` it is in no one's way; NAT may bind it.
  public mutating func begin(
    _ original: Tuple, reply: Tuple, zone: TrackingZone, _ change: ConnectionChange
  ) -> Result<ConnectionNumber, InsertionRefusal> {
    if findLiving(original, zone: zone) != nil || findLiving(reply, zone: zone) != nil {
      return .failure(.exists)
    }
    if let status = change.status, !status.isDisjoint(with: [.expected, .dying]) {
      return .failure(.busy)
    }
    if settings.max != 0 && table.count >= settings.max { return .failure(.full) }
    guard let record = table.allocate(original: original, reply: reply, zone: zone) else {
      return .failure(.full)
    }
    if settings.acct != 0 {
      table.counters[record] = CounterPair()
      table.records[record].extensions.insert(.counters)
    }
    if settings.timestamp != 0 {
      table.timestamps[record] = Timestamps(start: now)
      table.records[record].extensions.insert(.timestamps)
    }
    if original.protocolNumber == IPProtocolNumber.sctp {
      table.records[record].sctp = SCTPRecord(
        originalTag: change.originalTag ?? 0, replyTag: change.replyTag ?? 0)
    }
    var change = change
    change.status?.remove(.confirmed)
    _ = apply(change, record)
    if original.protocolNumber == IPProtocolNumber.tcp {
      // Its windows are not known: nothing is held against it.
      table.records[record].tcp.peers.0.flags = [.liberal, .sackPermitted]
      table.records[record].tcp.peers.1.flags = [.liberal, .sackPermitted]
    }
    table.records[record].deadline = deadline(in: change.timeoutNanoseconds ?? 0)
    return .success(ConnectionNumber(rawValue: UInt32(record)))
  }

  /// Puts a connection that `begin` began into the table, which listeners hear of.
  /// - Returns: false, and it is gone, where one of its tuples is another's by now.
  public mutating func settle(_ number: ConnectionNumber, by requester: EventRequester?) -> Bool {
    let record = number.index
    let zone = table.zone(record)
    _ = findLiving(table.tuple(record, .reply), zone: zone)
    guard table.confirm(record) else {
      table.release(record)
      return false
    }
    created += 1
    statistics.insert += 1
    if recordsEvents {
      var event = ConnectionEvent(
        kind: .new, connection: ConnectionTracker.connection(table, record, now: now),
        timeNanoseconds: now)
      event.markChanged = true
      event.requester = requester
      events.append(event)
    }
    return true
  }

  // MARK: Slices of the table

  /// Copies the living connections out of a slice of the table. Whoever walks all slices in turn meets each
  /// connection that lives during the whole walk exactly once.
  /// - Parameters:
  ///   - position: 0, or what the slice before gave back.
  ///   - count: how many records a slice has.
  ///   - zeroing: whether their counters begin anew.
  /// - Returns: where the next slice begins; nil after the last.
  public mutating func copy(
    from position: Int, count: Int, zeroing: Bool = false, to copies: inout [Connection]
  ) -> Int? {
    let end = min(position + count, table.used)
    for record in position..<max(position, end) where isListed(record) {
      copies.append(ConnectionTracker.connection(table, record, now: now))
      if zeroing && table.records[record].extensions.contains(.counters) {
        table.counters[record] = CounterPair()
      }
    }
    return end < table.used ? end : nil
  }

  /// Shows the living connections of a slice without copying them; as `copy`.
  public func visit(
    from position: Int, count: Int, _ body: (ConnectionNumber, AddressFamily) -> Void
  ) -> Int? {
    let end = min(position + count, table.used)
    for record in position..<max(position, end) where isListed(record) {
      body(
        ConnectionNumber(rawValue: UInt32(record)),
        table.records[record].family == AddressFamily.ipv6.rawValue ? .ipv6 : .ipv4)
    }
    return end < table.used ? end : nil
  }

  private func isListed(_ record: Int) -> Bool {
    table.records[record].family != 0
      && table.records[record].status.intersection([.confirmed, .dying]) == .confirmed
      && table.records[record].deadline > now
  }

  /// Ends the connections of a slice; as `copy`.
  public mutating func remove(
    from position: Int, count: Int, by requester: EventRequester?
  ) -> Int? {
    let end = min(position + count, table.used)
    for record in position..<max(position, end) where isListed(record) {
      remove(ConnectionNumber(rawValue: UInt32(record)), by: requester)
    }
    return end < table.used ? end : nil
  }

  /// Gives up every expectation.
  public mutating func forgetExpectations() {
    var numbers: [Int] = []
    table.expectations.visitAll { numbers.append($0) }
    for number in numbers { table.forgetExpectation(number) }
  }

  /// Gives up the expectation of this tuple; false where there is none.
  public mutating func forgetExpectation(_ tuple: Tuple) -> Bool {
    var found: Int?
    table.expectations.visitAll { number in
      if table.expectations[number].tuple == tuple { found = number }
    }
    guard let found else { return false }
    table.forgetExpectation(found)
    return true
  }
}
