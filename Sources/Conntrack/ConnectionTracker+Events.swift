// What listeners hear, and copies of entries for everyone who looks at the table.

import Wire

extension ConnectionTracker {
  /// The events since the last call, oldest first.
  public mutating func takeEvents() -> [ConnectionEvent] {
    defer { events.removeAll(keepingCapacity: true) }
    return events
  }

  /// Tells listeners what has changed since they last heard of a connection.
  @inline(__always)
  mutating func tell(_ record: Int) {
    let pending = table.records[record].pendingEvents
    if pending.isEmpty || !recordsEvents { return }
    table.records[record].pendingEvents = []
    // A mask says whether there is anything to tell; what is told then tells all.
    if pending.isDisjoint(with: eventMask(record)) { return }
    var connection = ConnectionTracker.connection(table, record, now: now)
    let isNew = !pending.isDisjoint(with: [.new, .related])
    // An update tells of the state only where that is what changed.
    if !isNew && !pending.contains(.protocolState) { connection.protocolState = .none }
    var event = ConnectionEvent(
      kind: isNew ? .new : .update, connection: connection, timeNanoseconds: now)
    event.markChanged = pending.contains(.mark)
    events.append(event)
  }

  /// What of a connection is told at all.
  @inline(__always)
  func eventMask(_ record: Int) -> ConnectionEventMask {
    table.records[record].extensions.contains(.template) ? table.templates[record].events : .all
  }

  /// Tells listeners of a connection that a packet has left for, though the packet that `tracking`
  /// is about did not. A connection that is not confirmed, or no longer in the table, is left alone.
  public mutating func tellChanges(_ tracking: Tracking) {
    if tracking.connection.isNone || tracking.isUnconfirmed || tracking.isDying { return }
    tell(tracking.connection.index)
  }

  mutating func tellDestroyed(_ record: Int) {
    guard recordsEvents, eventMask(record).contains(.destroy) else { return }
    events.append(ConnectionTracker.end(table, record, now: now, at: now))
  }

  /// The event that a connection is gone since `time`.
  static func end(
    _ table: borrowing ConnectionTable, _ record: Int, now: Int64, at time: Int64
  ) -> ConnectionEvent {
    var connection = ConnectionTracker.connection(table, record, now: now, stop: now)
    connection.status.insert(.dying)
    return ConnectionEvent(kind: .destroy, connection: connection, timeNanoseconds: time)
  }

  /// A copy of one connection as it is now. Nil for `.none`.
  public func connection(_ number: ConnectionNumber) -> Connection? {
    number.isNone ? nil : ConnectionTracker.connection(table, number.index, now: now)
  }

  /// Every confirmed connection whose time is not over, oldest first.
  /// - Complexity: O(n log n).
  public func connections() -> [Connection] {
    var all: [Connection] = []
    all.reserveCapacity(table.count)
    table.forEachConfirmed { record in
      if table.records[record].deadline > now {
        all.append(ConnectionTracker.connection(table, record, now: now))
      }
    }
    all.sort { $0.id < $1.id }
    return all
  }

  /// How many records are in use, unconfirmed and expired ones included (`conntrack -C`).
  public var count: Int { table.count }

  static func connection(
    _ table: borrowing ConnectionTable, _ record: Int, now: Int64, stop: Int64? = nil
  ) -> Connection {
    let stored = table.records[record]
    var connection = Connection(
      original: table.tuple(record, .original), reply: table.tuple(record, .reply))
    connection.status = stored.status
    connection.timeoutNanoseconds = max(0, stored.deadline - now)
    connection.mark = stored.mark
    connection.zone = stored.zone
    connection.zoneDirection = stored.zoneDirection
    connection.id = stored.id
    switch stored.protocolNumber {
    case IPProtocolNumber.tcp: connection.protocolState = .tcp(stored.tcp.state)
    case IPProtocolNumber.sctp:
      connection.protocolState = .sctp(stored.sctp.state)
      connection.originalTag = stored.sctp.originalTag
      connection.replyTag = stored.sctp.replyTag
    default: break
    }
    if stored.extensions.contains(.helper) {
      connection.helperName = table.helpers[record].kind.name
    }
    if stored.extensions.contains(.kin) {
      connection.useCount += table.kin[record].children
      let master = table.kin[record].master
      if master != 0 { connection.master = table.tuple(Int(master - 1), .original) }
    }
    if stored.extensions.contains(.counters) {
      connection.originalCounters = table.counters[record].original
      connection.replyCounters = table.counters[record].reply
    }
    if stored.extensions.contains(.labels) { connection.labels = table.labels[record] }
    if stored.extensions.contains(.timestamps) {
      connection.startNanoseconds = table.timestamps[record].start
      connection.stopNanoseconds = stop
    }
    return connection
  }
}

extension ConnectionTracker {
  /// How many connections fit at most: the number of every one is below it.
  public var capacity: Int { table.capacity }

  /// What tells the connection of this number from those that had the number before.
  @inline(__always)
  public func identity(_ number: ConnectionNumber) -> UInt32 { table.records[number.index].id }
}
