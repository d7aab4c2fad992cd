// Putting connections into the table that were listed elsewhere: a snapshot's, say.

import Wire

extension ConnectionTracker {
  /// Adds a confirmed connection as a listing shows it.
  ///
  /// What a listing does not show, a TCP connection's windows and an SCTP association's verification
  /// tags, is learnt from its next packets, as the kernel learns the windows of an entry made by
  /// `conntrack -I`.
  /// - Returns: false when the table is full or one of its tuples is taken.
  public mutating func restore(_ connection: Connection) -> Bool {
    guard
      let record = table.allocate(
        original: connection.original, reply: connection.reply,
        zone: TrackingZone(id: connection.zone, direction: connection.zoneDirection))
    else { return false }
    table.records[record].status = connection.status.subtracting([
      .confirmed, .sourceNAT, .destinationNAT,
    ])
    // Entries in a listing have been through the nat table, if there is one.
    table.records[record].status.formUnion([.sourceNATDone, .destinationNATDone])
    table.records[record].status.formUnion(
      .translation(original: connection.original, reply: connection.reply))
    table.records[record].deadline = now + connection.timeoutNanoseconds
    table.records[record].mark = connection.mark
    switch connection.protocolState {
    case .tcp(let state): table.records[record].tcp.state = state
    case .sctp(let state):
      table.records[record].sctp = SCTPRecord(
        state: state, flags: [.takesAnyTag(.original), .takesAnyTag(.reply)])
    case .none, .dccp: break
    }
    if let original = connection.originalCounters, let reply = connection.replyCounters {
      table.records[record].extensions.insert(.counters)
      table.counters[record] = CounterPair(original: original, reply: reply)
    }
    guard table.confirm(record) else {
      table.release(record)
      return false
    }
    fileBySource(ConnectionNumber(rawValue: UInt32(record)))
    return true
  }
}

extension ConnectionStatus {
  /// Which ends a binding has changed, by a connection's tuples. The identifier of an ICMP query is of
  /// neither end: it counts as the source's.
  package static func translation(original: Tuple, reply: Tuple) -> ConnectionStatus {
    var status: ConnectionStatus = []
    let isQuery = original.isICMPQuery
    // A query's other port field is its type and code, which differ by themselves.
    let sourcePort = isQuery ? reply.sourcePort : reply.destinationPort
    if reply.destination != original.source || sourcePort != original.sourcePort {
      status.insert(.sourceNAT)
    }
    if reply.source != original.destination
      || !isQuery && reply.sourcePort != original.destinationPort
    {
      status.insert(.destinationNAT)
    }
    return status
  }
}
