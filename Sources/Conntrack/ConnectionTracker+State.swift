// The table as bytes, with all that a listing does not show (TCP's windows, what masquerading depends on), so
// that a program that starts again goes on where it stopped. Read back with the suspicion any file deserves.

import Wire

extension ConnectionTracker {
  /// Appends the confirmed connections among `limit` records from number `first` on, expired ones left
  /// out. Of helpers' state it is known who helps and where FTP's lines end; expectations and PPTP's calls are
  /// not kept.
  /// - Returns: where to go on, nil at the end of the table.
  public func appendState(
    from first: Int, limit: Int, to bytes: inout [UInt8]
  ) -> Int? {
    let first = min(first, table.used)
    let end = first + min(limit, table.used - first)
    for record in first..<end {
      let stored = table.records[record]
      guard stored.family != 0, stored.deadline > now,
        stored.status.intersection([.confirmed, .dying]) == .confirmed
      else { continue }
      append(record, to: &bytes)
    }
    return end < table.used ? end : nil
  }

  /// Puts back what `appendState` wrote.
  ///
  /// - Parameters:
  ///   - isLast: whether no packet came after it was written. Else windows may have moved on: those of
  ///     open TCP connections are learnt anew and held loosely, as of ones picked up in mid-stream.
  ///   - interface: the number an interface has now, by the number it had then; nil where there is none of
  ///     that name.
  /// - Returns: how many connections were put back; nil where the bytes are none of `appendState`'s, with
  ///   those before the fault put back.
  public mutating func restoreState(
    _ bytes: RawSpan, isLast: Bool, interface: (UInt16) -> UInt16?
  ) -> Int? {
    var reader = StateReader(offset: 0)
    var count = 0
    while reader.offset < bytes.byteCount {
      guard var saved = SavedRecord(&reader, bytes) else { return nil }
      if !isLast && saved.original.protocolNumber == IPProtocolNumber.tcp {
        saved.record.tcp.forgetWindows()
        saved.helper?.lines = FTPLines()
      }
      if restore(saved, interface) { count += 1 }
    }
    return count
  }

  private mutating func restore(
    _ saved: SavedRecord, _ interface: (UInt16) -> UInt16?
  ) -> Bool {
    guard saved.record.deadline > now, table.count < table.capacity,
      let record = table.allocate(
        original: saved.original, reply: saved.reply,
        zone: TrackingZone(id: saved.record.zone, direction: saved.record.zoneDirection))
    else { return false }
    table.records[record].status = saved.record.status.subtracting([.confirmed, .dying, .helper])
    table.records[record].deadline = min(saved.record.deadline, ConnectionTracker.latestTime)
    table.records[record].mark = saved.record.mark
    table.records[record].tcp = saved.record.tcp
    if saved.record.masqueradeInterface != 0 {
      let place = interface(saved.record.masqueradeInterface - 1)
      table.records[record].masqueradeInterface = place.map { $0 &+ 1 } ?? 0
    }
    if let counters = saved.counters {
      table.counters[record] = counters
      table.records[record].extensions.insert(.counters)
    }
    if let start = saved.start {
      table.timestamps[record] = Timestamps(start: start)
      table.records[record].extensions.insert(.timestamps)
    }
    if let shifts = saved.shifts {
      table.shifts[record] = shifts
      table.records[record].extensions.insert(.shifts)
    }
    if let helper = saved.helper {
      table.helpers[record] = helper
      table.records[record].extensions.insert(.helper)
      table.records[record].status.insert(.helper)
    }
    // The policies are those of the host as it is now.
    if let template = saved.template, Int(template.timeoutPolicy) <= policyCount {
      table.templates[record] = template
      table.records[record].extensions.insert(.template)
    }
    if let labels = saved.labels {
      table.labels[record] = labels
      table.records[record].extensions.insert(.labels)
    }
    guard table.confirm(record) else {
      table.release(record)
      return false
    }
    fileBySource(ConnectionNumber(rawValue: UInt32(record)))
    return true
  }

  private func append(_ record: Int, to bytes: inout [UInt8]) {
    let stored = table.records[record]
    let extensions = stored.extensions.intersection(SavedRecord.extensions)
    bytes.put(stored.family)
    bytes.put(stored.protocolNumber)
    bytes.put(extensions.rawValue)
    bytes.put(stored.zoneDirection.rawValue)
    bytes.put(stored.zone)
    bytes.put(stored.masqueradeInterface)
    bytes.put(stored.status.rawValue)
    bytes.put(stored.mark)
    bytes.put(UInt64(bitPattern: stored.deadline))
    for direction in Direction.allCases {
      let tuple = table.tuple(record, direction)
      for address in [tuple.source, tuple.destination] {
        bytes.put(address.high)
        bytes.put(address.low)
      }
      bytes.put(tuple.sourcePort)
      bytes.put(tuple.destinationPort)
    }
    for peer in [stored.tcp.peers.0, stored.tcp.peers.1] {
      for word in [peer.end, peer.maxEnd, peer.maxWindow, peer.maxAcknowledgement] {
        bytes.put(word)
      }
      bytes.put(peer.windowScale)
      bytes.put(peer.flags.rawValue)
    }
    for word in [stored.tcp.lastSequence, stored.tcp.lastAcknowledgement, stored.tcp.lastEnd] {
      bytes.put(word)
    }
    bytes.put(stored.tcp.lastWindow)
    for byte in [
      stored.tcp.lastWindowScale, stored.tcp.lastFlags.rawValue, stored.tcp.retransmissions,
      stored.tcp.lastSegment.rawValue, stored.tcp.lastDirection.rawValue,
      stored.tcp.state.rawValue,
    ] { bytes.put(byte) }
    if extensions.contains(.counters) {
      for counters in [table.counters[record].original, table.counters[record].reply] {
        bytes.put(counters.packets)
        bytes.put(counters.bytes)
      }
    }
    if extensions.contains(.timestamps) {
      bytes.put(UInt64(bitPattern: table.timestamps[record].start))
    }
    if extensions.contains(.shifts) {
      for shift in [table.shifts[record].original, table.shifts[record].reply] {
        bytes.put(shift.position)
        bytes.put(UInt32(bitPattern: shift.before))
        bytes.put(UInt32(bitPattern: shift.after))
      }
    }
    if extensions.contains(.helper) {
      bytes.put(table.helpers[record].kind.rawValue)
      let numbers = table.helpers[record].lines.numbers
      for place in numbers.indices { bytes.put(numbers[place]) }
    }
    if extensions.contains(.template) {
      bytes.put(table.templates[record].timeoutPolicy)
      bytes.put(table.templates[record].events.rawValue)
    }
    if extensions.contains(.labels) {
      bytes.put(table.labels[record].low)
      bytes.put(table.labels[record].high)
    }
  }
}

extension TCPRecord {
  /// Forgets where the ends are, not what they agreed upon. A handshake carries no data, so its numbers
  /// stand.
  fileprivate mutating func forgetWindows() {
    guard ![.synSent, .synSent2, .synReceived].contains(state) else { return }
    for direction in Direction.allCases {
      self[direction].end = 0
      self[direction].maxEnd = 0
      self[direction].maxWindow = 0
      self[direction].flags.remove([.unacknowledged, .sentAcknowledgement])
      self[direction].flags.insert(.liberal)
    }
  }
}

/// One connection read back, each value checked to be one there is.
private struct SavedRecord {
  var record = Record()
  var original: Tuple
  var reply: Tuple
  var counters: CounterPair?
  var start: Int64?
  var shifts: SequenceShifts?
  var helper: HelperRecord?
  var template: TemplateRecord?
  var labels: ConnectionLabels?

  /// What is kept of what lies beside a record.
  static let extensions: RecordExtensions = [
    .counters, .timestamps, .shifts, .helper, .template, .labels,
  ]

  init?(_ reader: inout StateReader, _ bytes: RawSpan) {
    guard bytes.byteCount - reader.offset >= SavedRecord.fixedLength,
      let family = AddressFamily(rawValue: reader.byte(bytes))
    else { return nil }
    let protocolNumber = reader.byte(bytes)
    let extensions = RecordExtensions(rawValue: reader.byte(bytes))
    let length =
      (extensions.contains(.counters) ? 32 : 0) + (extensions.contains(.timestamps) ? 8 : 0)
      + (extensions.contains(.shifts) ? 24 : 0) + (extensions.contains(.helper) ? 25 : 0)
      + (extensions.contains(.template) ? 4 : 0) + (extensions.contains(.labels) ? 16 : 0)
    guard extensions.isSubset(of: SavedRecord.extensions),
      bytes.byteCount - reader.offset >= SavedRecord.fixedLength - 3 + length,
      let zoneDirection = ZoneDirection(rawValue: reader.byte(bytes))
    else { return nil }
    record.zoneDirection = zoneDirection
    record.zone = reader.half(bytes)
    record.masqueradeInterface = reader.half(bytes)
    record.status = ConnectionStatus(rawValue: reader.word(bytes))
    record.mark = reader.word(bytes)
    record.deadline = Int64(bitPattern: reader.long(bytes))
    func tuple() -> Tuple {
      let source = IPAddress(high: reader.long(bytes), low: reader.long(bytes))
      let destination = IPAddress(high: reader.long(bytes), low: reader.long(bytes))
      return Tuple(
        source: source, destination: destination, sourcePort: reader.half(bytes),
        destinationPort: reader.half(bytes), protocolNumber: protocolNumber, family: family)
    }
    original = tuple()
    reply = tuple()
    func peer() -> TCPPeer {
      TCPPeer(
        end: reader.word(bytes), maxEnd: reader.word(bytes), maxWindow: reader.word(bytes),
        maxAcknowledgement: reader.word(bytes), windowScale: min(reader.byte(bytes), 14),
        flags: TCPPeerFlags(rawValue: reader.byte(bytes)))
    }
    record.tcp.peers = (peer(), peer())
    record.tcp.lastSequence = reader.word(bytes)
    record.tcp.lastAcknowledgement = reader.word(bytes)
    record.tcp.lastEnd = reader.word(bytes)
    record.tcp.lastWindow = reader.half(bytes)
    record.tcp.lastWindowScale = reader.byte(bytes)
    record.tcp.lastFlags = TCPPeerFlags(rawValue: reader.byte(bytes))
    record.tcp.retransmissions = reader.byte(bytes)
    guard let segment = TCPSegmentKind(rawValue: reader.byte(bytes)),
      let direction = Direction(rawValue: reader.byte(bytes)),
      let state = TCPState(rawValue: reader.byte(bytes)),
      family == .ipv6 || [original, reply].allSatisfy(SavedRecord.isIPv4)
    else { return nil }
    record.tcp.lastSegment = segment
    record.tcp.lastDirection = direction
    record.tcp.state = state
    if protocolNumber == IPProtocolNumber.tcp, record.tcp.lastWindowScale > 14 { return nil }
    if extensions.contains(.counters) {
      func pair() -> ConnectionCounters {
        ConnectionCounters(packets: reader.long(bytes), bytes: reader.long(bytes))
      }
      counters = CounterPair(original: pair(), reply: pair())
    }
    if extensions.contains(.timestamps) { start = Int64(bitPattern: reader.long(bytes)) }
    if extensions.contains(.shifts) {
      func shift() -> SequenceShift {
        var shift = SequenceShift()
        shift.position = reader.word(bytes)
        shift.before = Int32(bitPattern: reader.word(bytes))
        shift.after = Int32(bitPattern: reader.word(bytes))
        return shift
      }
      shifts = SequenceShifts(original: shift(), reply: shift())
    }
    if extensions.contains(.helper) {
      guard let kind = HelperKind(rawValue: reader.byte(bytes)),
        kind == .none || kind.protocolNumber == protocolNumber && kind.families.contains(family)
      else { return nil }
      var numbers = InlineArray<6, UInt32>(repeating: 0)
      for place in numbers.indices { numbers[place] = reader.word(bytes) }
      var saved = HelperRecord()
      saved.kind = kind
      saved.lines.numbers = numbers
      helper = saved
    }
    if extensions.contains(.template) {
      template = TemplateRecord(
        timeoutPolicy: reader.half(bytes), events: ConnectionEventMask(rawValue: reader.half(bytes))
      )
    }
    if extensions.contains(.labels) {
      labels = ConnectionLabels(low: reader.long(bytes), high: reader.long(bytes))
    }
  }

  private static func isIPv4(_ tuple: Tuple) -> Bool {
    [tuple.source, tuple.destination].allSatisfy { $0.high == 0 && $0.low >> 32 == 0 }
  }

  /// Bytes of a connection without extensions: 24 that say which it is, two tuples of 36, two peers of
  /// 18, and 20 of the last segment.
  static let fixedLength = 24 + 2 * 36 + 2 * 18 + 20
}

/// Where reading stands. Who reads has made sure that there is enough.
private struct StateReader {
  var offset: Int

  mutating func byte(_ bytes: RawSpan) -> UInt8 {
    defer { offset += 1 }
    return bytes.uint8(at: offset)
  }

  mutating func half(_ bytes: RawSpan) -> UInt16 {
    defer { offset += 2 }
    return bytes.uint16(at: offset)
  }

  mutating func word(_ bytes: RawSpan) -> UInt32 {
    defer { offset += 4 }
    return bytes.uint32(at: offset)
  }

  mutating func long(_ bytes: RawSpan) -> UInt64 {
    defer { offset += 8 }
    return bytes.uint64(at: offset)
  }
}

extension [UInt8] {
  /// Appends a number, the highest byte first.
  fileprivate mutating func put<Number: FixedWidthInteger>(_ number: Number) {
    var shift = Number.bitWidth
    while shift > 0 {
      shift -= 8
      append(UInt8(truncatingIfNeeded: number >> Number(shift)))
    }
  }
}
