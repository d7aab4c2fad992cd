// An entry as `conntrack -L` prints it, plain or with `-o extended,id,ktimestamp,labels`, and an
// event as `conntrack -E` prints it. For listings of any length: it only appends bytes.

import Conntrack
import Wire

/// Prints connections and events in `conntrack`'s own form, without a line feed at the end.
///
/// The form is that of conntrack 1.4.7 (libnetfilter_conntrack 1.0.9) on a 6.x kernel.
public struct ConnectionWriter: Sendable {
  public var output: ConntrackOutput

  public init(_ output: ConntrackOutput = ConntrackOutput()) {
    self.output = output
  }

  /// Appends one line of `conntrack -L`.
  public func append(_ connection: Connection, to buffer: inout [UInt8]) {
    append(
      connection, to: &buffer,
      parts: Parts(
        timeout: true, counters: true, mark: true, age: true, helper: true, useCount: true,
        labels: true))
  }

  /// Appends one line of `conntrack -E`.
  ///
  /// The kernel tells less in an event than in a listing: counters, times and no helper at the end
  /// of a connection only; the time left unless it is zero at the end; the mark if it is not zero
  /// or has changed; never a use count.
  public func append(_ event: ConnectionEvent, to buffer: inout [UInt8]) {
    if output.timestamp { buffer.append(receivedAt: event.timeNanoseconds) }
    switch event.kind {
    case .new: buffer.append("    [NEW] ")
    case .update: buffer.append(" [UPDATE] ")
    case .destroy: buffer.append("[DESTROY] ")
    }
    let connection = event.connection
    let ended = event.kind == .destroy
    append(
      connection, to: &buffer,
      parts: Parts(
        timeout: !ended || connection.secondsLeft > 0, counters: ended,
        mark: connection.mark != 0 || event.markChanged, age: ended, helper: !ended,
        useCount: false, labels: false))
    append(event.requester, to: &buffer)
  }

  /// The line of `conntrack -L` as a String.
  public func line(_ connection: Connection) -> String {
    var buffer: [UInt8] = []
    append(connection, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// The line of `conntrack -E` as a String.
  public func line(_ event: ConnectionEvent) -> String {
    var buffer: [UInt8] = []
    append(event, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// Which of a connection's facts a line shows, where listing and events differ.
  private struct Parts {
    var timeout: Bool
    var counters: Bool
    var mark: Bool
    var age: Bool
    var helper: Bool
    var useCount: Bool
    var labels: Bool
  }

  @inline(__always)
  private func append(_ connection: Connection, to buffer: inout [UInt8], parts: Parts) {
    if output.extended { buffer.append(familyOf: connection) }
    buffer.append(protocolOf: connection, named: protocolName(connection.original.protocolNumber))
    // A connection in the flow table has neither: the flow table keeps it alive.
    if connection.status.isDisjoint(with: [.offload, .hardwareOffload]) {
      if parts.timeout {
        buffer.append(decimal: connection.secondsLeft)
        buffer.append(UInt8(ascii: " "))
      }
      if let state = connection.protocolState.name {
        buffer.append(state)
        buffer.append(UInt8(ascii: " "))
      }
    }
    buffer.append(connection.original, unabridged: false)
    buffer.append(zoneOf: connection, .original)
    if parts.counters { buffer.append(connection.originalCounters) }
    if !connection.status.contains(.seenReply) { buffer.append("[UNREPLIED] ") }
    buffer.append(connection.reply, unabridged: false)
    buffer.append(zoneOf: connection, .reply)
    if parts.counters { buffer.append(connection.replyCounters) }
    buffer.append(flagsOf: connection.status)
    if parts.mark { buffer.append("mark=", number: UInt64(connection.mark)) }
    if let context = connection.securityContext { buffer.append("secctx=", word: context) }
    if connection.zone != 0, connection.zoneDirection == .both {
      buffer.append("zone=", number: UInt64(connection.zone))
    }
    if parts.age { append(ageOf: connection, to: &buffer) }
    if parts.helper, let helper = connection.helperName { buffer.append("helper=", word: helper) }
    if parts.useCount { buffer.append("use=", number: UInt64(connection.useCount)) }
    if output.id { buffer.append("id=", number: UInt64(connection.id)) }
    if parts.labels, let names = output.labels, let labels = connection.labels {
      names.append(labels, to: &buffer)
    }
    buffer.removeLast()  // Every part ends in a space, and the protocol is always there.
  }

  private func append(ageOf connection: Connection, to buffer: inout [UInt8]) {
    guard let start = connection.startNanoseconds else { return }
    // Whole seconds on both sides: the difference of what a clock of seconds shows.
    let end = wholeSeconds(connection.stopNanoseconds ?? output.nowNanoseconds)
    buffer.append("delta-time=", number: UInt64(max(0, end - wholeSeconds(start))))
    guard output.kernelTimestamps else { return }
    append("[start=", start, to: &buffer)
    if let stop = connection.stopNanoseconds { append("[stop=", stop, to: &buffer) }
  }

  private func append(_ title: String, _ nanoseconds: Int64, to buffer: inout [UInt8]) {
    buffer.append(title)
    let local = wholeSeconds(nanoseconds) + output.secondsAheadOfUTC
    CalendarTime(secondsSince1970: local).append(to: &buffer)
    buffer.append("] ")
  }

  private func append(_ requester: EventRequester?, to buffer: inout [UInt8]) {
    guard let requester else { return }
    buffer.append(" [USERSPACE] portid=")
    buffer.append(decimal: UInt64(requester.portID))
    if let name = requester.programName {
      buffer.append(" progname=")
      buffer.append(name)
    }
  }
}

extension Connection {
  /// The time left as every form shows it: whole seconds, rounded down.
  @inline(__always)
  var secondsLeft: UInt64 { UInt64(max(0, timeoutNanoseconds)) / 1_000_000_000 }
}

/// Seconds of a time in nanoseconds, rounded down.
func wholeSeconds(_ nanoseconds: Int64) -> Int64 {
  let quotient = nanoseconds / 1_000_000_000
  return nanoseconds % 1_000_000_000 < 0 ? quotient - 1 : quotient
}

// What the forms of this target share. Each part ends in a space.
extension [UInt8] {
  /// When a line was printed, as `-o timestamp` shows it.
  mutating func append(receivedAt nanoseconds: Int64) {
    let clamped = UInt64(Swift.max(0, nanoseconds))
    append(UInt8(ascii: "["))
    let start = count
    append(decimal: clamped / 1_000_000_000)
    pad(from: start, to: 8)
    append(UInt8(ascii: "."))
    append(decimal: clamped / 1000 % 1_000_000, digits: 6)
    append("]\t")
  }

  @inline(__always)
  mutating func append(_ key: String, number: UInt64) {
    append(key)
    append(decimal: number)
    append(UInt8(ascii: " "))
  }

  mutating func append(_ key: String, word: String) {
    append(key)
    append(word)
    append(UInt8(ascii: " "))
  }

  @inline(__always)
  mutating func append(familyOf connection: Connection) {
    switch connection.original.family {
    case .ipv4: append("ipv4     2 ")
    case .ipv6: append("ipv6     10 ")
    }
  }

  @inline(__always)
  mutating func append(protocolOf connection: Connection, named name: String) {
    let start = count
    append(name)
    pad(from: start, to: 8)
    append(UInt8(ascii: " "))
    append(decimal: UInt64(connection.original.protocolNumber))
    append(UInt8(ascii: " "))
  }

  @inline(__always)
  mutating func append(_ tuple: Tuple, unabridged: Bool) {
    append("src=")
    if unabridged {
      append(unabridged: tuple.source, tuple.family)
      append(" dst=")
      append(unabridged: tuple.destination, tuple.family)
    } else {
      tuple.source.appendText(tuple.family, to: &self)
      append(" dst=")
      tuple.destination.appendText(tuple.family, to: &self)
    }
    append(UInt8(ascii: " "))
    append(endsOf: tuple)
  }

  /// Ports, or what else tells two flows between the same hosts apart.
  @inline(__always)
  mutating func append(endsOf tuple: Tuple) {
    switch tupleKind(tuple.protocolNumber) {
    case .ports:
      append("sport=", number: UInt64(tuple.sourcePort))
      append("dport=", number: UInt64(tuple.destinationPort))
    case .icmp:
      append("type=", number: UInt64(tuple.destinationPort >> 8))
      append("code=", number: UInt64(tuple.destinationPort & 0xff))
      append("id=", number: UInt64(tuple.sourcePort))
    case .keys:
      append("srckey=0x")
      append(hexadecimal: UInt64(tuple.sourcePort))
      append(" dstkey=0x")
      append(hexadecimal: UInt64(tuple.destinationPort))
      append(UInt8(ascii: " "))
    case .nothing: break
    }
  }

  @inline(__always)
  mutating func append(zoneOf connection: Connection, _ direction: ZoneDirection) {
    guard connection.zone != 0, connection.zoneDirection == direction else { return }
    append(
      direction == .original ? "zone-orig=" : "zone-reply=", number: UInt64(connection.zone))
  }

  @inline(__always)
  mutating func append(_ counters: ConnectionCounters?) {
    guard let counters else { return }
    append("packets=", number: counters.packets)
    append("bytes=", number: counters.bytes)
  }

  @inline(__always)
  mutating func append(flagsOf status: ConnectionStatus) {
    if status.contains(.hardwareOffload) {
      append("[HW_OFFLOAD] ")
    } else if status.contains(.offload) {
      append("[OFFLOAD] ")
    } else if status.contains(.assured) {
      append("[ASSURED] ")
    }
  }
}
