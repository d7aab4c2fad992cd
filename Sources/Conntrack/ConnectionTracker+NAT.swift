// What NAT needs of the table: the tuples of a connection, whether a tuple is taken, and the
// connections one source already has.

import Wire

extension ConnectionTracker {
  public func tuple(_ number: ConnectionNumber, _ direction: Direction) -> Tuple {
    table.tuple(number.index, direction)
  }

  public func status(_ number: ConnectionNumber) -> ConnectionStatus {
    table.records[number.index].status
  }

  public func addStatus(_ number: ConnectionNumber, _ status: ConnectionStatus) {
    table.records[number.index].status.formUnion(status)
  }

  /// Replaces the reply tuple of an unconfirmed connection: what NAT does, and all it may do.
  public func setReply(_ number: ConnectionNumber, _ tuple: Tuple) {
    precondition(!table.records[number.index].status.contains(.confirmed))
    table.setTuple(number.index, .reply, tuple)
  }

  /// Whether a reply tuple is taken by a connection other than `number`.
  public mutating func isTaken(_ tuple: Tuple, except number: ConnectionNumber) -> Bool {
    let zone = table.zone(number.index)
    guard table.index.mayHold(table.hash(tuple, zone: zone[.reply])) else { return false }
    guard let found = table.find(tuple, filedIn: zone[.reply], zone: zone),
      isLiving(found.record), found.record != number.index
    else { return false }
    // The same UDP flow, begun by the other end in a zone this one does not see: no other port is
    // looked for, and the packet goes when it is to be confirmed.
    if tuple.protocolNumber == IPProtocolNumber.udp, found.direction == .original,
      table.tuple(found.record, .reply) == table.tuple(number.index, .original)
    {
      return false
    }
    statistics.found += 1
    return true
  }

  /// Ends the connection that a reply tuple belongs to, where it gives way to the new TCP connection
  /// `number`, which NAT finds no other port for: it is over but for its timeout (or both ends have only
  /// sent SYNs), its own source was translated, and the new sequence numbers lie behind its client's, so
  /// that the server can tell the two apart. Listeners hear of its end.
  /// - Returns: whether the tuple is free now.
  public mutating func evict(_ tuple: Tuple, for number: ConnectionNumber) -> Bool {
    guard tuple.protocolNumber == IPProtocolNumber.tcp,
      table.records[number.index].tcp.state == .synSent
    else { return false }
    let zone = table.zone(number.index)
    guard let found = table.find(tuple, filedIn: zone[.reply], zone: zone),
      found.direction == .reply, found.record != number.index
    else { return false }
    let other = table.records[found.record]
    let ahead = table.records[number.index].tcp.peers.0.end &- other.tcp.peers.0.end
    guard [.timeWait, .close, .synSent2].contains(other.tcp.state), Int32(bitPattern: ahead) > 0,
      other.status.intersection([.sourceNAT, .fixedTimeout]) == .sourceNAT
    else { return false }
    destroy(found.record)
    return true
  }

  public func zone(_ number: ConnectionNumber) -> TrackingZone { table.zone(number.index) }
  public func mark(_ number: ConnectionNumber) -> UInt32 { table.records[number.index].mark }

  public func setMark(_ number: ConnectionNumber, _ mark: UInt32) {
    table.records[number.index].mark = mark
    // Rules may ask for it.
    table.records[number.index].ways = (0, 0)
    note(number.index, .mark)
  }

  /// Seconds until a connection expires, rounded down.
  public func timeoutSeconds(_ number: ConnectionNumber) -> UInt32 {
    UInt32(clamping: max(0, table.records[number.index].deadline - now) / 1_000_000_000)
  }

  /// A rule has answered a packet of this TCP connection with a reset: the connection is closed,
  /// whatever either end will say. Listeners hear of it with the reset.
  public mutating func closeAfterReset(_ number: ConnectionNumber) {
    let record = number.index
    let stored = table.records[record]
    guard stored.protocolNumber == IPProtocolNumber.tcp, stored.status.contains(.confirmed),
      !stored.status.contains(.dying)
    else { return }
    if stored.tcp.state != .close { note(record, .protocolState) }
    table.records[record].tcp.state = .close
    table.setDeadline(record, now + timeout(record) { $0.tcpTimeoutClose })
  }

  /// The out interface a MASQUERADE was bound on.
  public func masqueradeInterface(_ number: ConnectionNumber) -> Int? {
    let stored = table.records[number.index].masqueradeInterface
    return stored == 0 ? nil : Int(stored) - 1
  }

  public func setMasqueradeInterface(_ number: ConnectionNumber, _ interface: Int) {
    table.records[number.index].masqueradeInterface = UInt16(clamping: interface + 1)
  }

  /// Ends the connections that MASQUERADE bound on an interface.
  /// - Parameter address: only those bound to this one; nil: all.
  /// - Complexity: O(connections).
  public mutating func forgetMasqueraded(
    on interface: Int, as address: (IPAddress, AddressFamily)?
  ) {
    var gone: [Int] = []
    table.forEachConfirmed { record in
      guard Int(table.records[record].masqueradeInterface) == interface + 1 else { return }
      if let (address, family) = address {
        let reply = table.tuple(record, .reply)
        guard reply.family == family, reply.destination == address else { return }
      }
      gone.append(record)
    }
    // One may have taken another along.
    for record in gone where table.records[record].family != 0 { destroy(record) }
  }

  /// Files a connection under its original source.
  public func fileBySource(_ number: ConnectionNumber) {
    let tuple = table.tuple(number.index, .original)
    table.sources.insert(
      number.index, hash: sourceHash(tuple, zone: zone(number)), table.records)
  }

  /// The translated source of another connection from the same source, if it satisfies `accept`.
  public func mappedSource(
    of tuple: Tuple, zone: TrackingZone,
    where accept: (_ address: IPAddress, _ port: UInt16) -> Bool
  ) -> (address: IPAddress, port: UInt16)? {
    var mapped: (IPAddress, UInt16)?
    _ = table.sources.first(sourceHash(tuple, zone: zone)) { record in
      let original = table.tuple(record, .original)
      guard
        original.source == tuple.source && original.sourcePort == tuple.sourcePort
          && original.protocolNumber == tuple.protocolNumber && original.family == tuple.family
          && table.zone(record)[.original] == zone[.original]
      else { return false }
      let reply = table.tuple(record, .reply)
      let port =
        tuple.protocolNumber == IPProtocolNumber.icmp
          || tuple.protocolNumber == IPProtocolNumber.icmpv6
        ? reply.sourcePort : reply.destinationPort
      guard accept(reply.destination, port) else { return false }
      mapped = (reply.destination, port)
      return true
    }
    return mapped
  }

  @inline(__always)
  func sourceHash(_ tuple: Tuple, zone: TrackingZone) -> UInt64 {
    var source = tuple
    source.destination = .any
    source.destinationPort = 0
    return table.hash(source, zone: zone[.original])
  }
}

extension ConnectionTracker {
  /// A keyed hash of two addresses: for choices that must be the same for the same two hosts.
  public func pairHash(_ a: IPAddress, _ b: IPAddress) -> UInt64 {
    table.hash(
      Tuple(
        source: a, destination: b, sourcePort: 0, destinationPort: 0, protocolNumber: 0,
        family: .ipv6), zone: 0)
  }
}

extension ConnectionTracker {
  /// The tuple that a packet seen after translation had before it. Nil where its connection is not
  /// known.
  public mutating func tupleBeforeTranslation(
    _ bytes: RawSpan, _ headers: PacketHeaders
  ) -> Tuple? {
    // The answer to the packet is what the table has the other direction's tuple for.
    guard var seen = Tuple(bytes, headers) else { return nil }
    table.completeCall(&seen, bytes, at: headers.transportOffset, end: headers.end)
    guard let answer = seen.inverted,
      let found = findLiving(answer, zone: TrackingZone())
    else { return nil }
    return table.tuple(found.record, found.direction.opposite)
  }
}

extension ConnectionTracker {
  /// Gives a confirmed connection another reply tuple, as if its binding had been chosen so: for an
  /// instrument that follows another table's choices.
  /// - Parameter status: which ends that binding changes.
  /// - Returns: false, and nothing changed, where no connection has `original`, or another has `reply`.
  package mutating func rebind(
    _ original: Tuple, reply: Tuple, status: ConnectionStatus, zone: TrackingZone
  ) -> Bool {
    guard let found = table.find(original, zone: zone), found.direction == .original else {
      return false
    }
    guard table.refile(found.record, reply: reply) else { return false }
    table.records[found.record].status.subtract([.sourceNAT, .destinationNAT])
    table.records[found.record].status.formUnion(status)
    return true
  }
}
