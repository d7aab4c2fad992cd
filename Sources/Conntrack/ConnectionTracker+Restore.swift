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
    table.records[record].status = connection.status.subtracting(.confirmed)
    // Entries in a listing have been through the nat table, if there is one.
    table.records[record].status.formUnion([.sourceNATDone, .destinationNATDone])
    if connection.reply.destination != connection.original.source
      || connection.reply.destinationPort != connection.original.sourcePort
    {
      table.records[record].status.insert(.sourceNAT)
    }
    if connection.reply.source != connection.original.destination
      || connection.reply.sourcePort != connection.original.destinationPort
    {
      table.records[record].status.insert(.destinationNAT)
    }
    if connection.original.protocolNumber == IPProtocolNumber.icmp
      || connection.original.protocolNumber == IPProtocolNumber.icmpv6
    {
      // The port fields are the query's id, type and code, which differ by themselves.
      table.records[record].status.subtract([.sourceNAT, .destinationNAT])
      if connection.reply.destination != connection.original.source
        || connection.reply.sourcePort != connection.original.sourcePort
      {
        table.records[record].status.insert(.sourceNAT)
      }
      if connection.reply.source != connection.original.destination {
        table.records[record].status.insert(.destinationNAT)
      }
    }
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
