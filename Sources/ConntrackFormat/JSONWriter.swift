// An entry, event or expectation as one JSON object a line (`-o json`): Weir's own form, for programs, with
// everything the other forms show. docs/conntrack.md lists its members.

import Conntrack
import Wire

/// Prints connections, expectations and their events as JSON, one object each, without a line feed at the
/// end. Members without a value are left out; times are seconds, calendar times nanoseconds since 1970.
public struct JSONWriter: Sendable {
  public var output: ConntrackOutput

  public init(_ output: ConntrackOutput = ConntrackOutput()) {
    self.output = output
  }

  /// Appends one connection.
  public func append(_ connection: Connection, to buffer: inout [UInt8]) {
    buffer.append("{")
    append(inner: connection, to: &buffer)
    buffer.append("}")
  }

  /// Appends one event.
  public func append(_ event: ConnectionEvent, to buffer: inout [UInt8]) {
    buffer.append("{\"event\":\"")
    switch event.kind {
    case .new: buffer.append("new")
    case .update: buffer.append("update")
    case .destroy: buffer.append("destroy")
    }
    buffer.append("\",\"time\":\(event.timeNanoseconds),")
    append(inner: event.connection, to: &buffer)
    if let requester = event.requester {
      buffer.append(",\"requester\":{\"portid\":\(requester.portID)")
      if let name = requester.programName {
        buffer.append(",\"program\":")
        buffer.append(json: name)
      }
      buffer.append("}")
    }
    buffer.append("}")
  }

  /// Appends one expectation.
  public func append(_ expectation: Expectation, to buffer: inout [UInt8]) {
    buffer.append("{")
    append(inner: expectation, to: &buffer)
    buffer.append("}")
  }

  /// Appends one event of an expectation.
  public func append(_ event: ExpectationEvent, to buffer: inout [UInt8]) {
    buffer.append("{\"event\":\"\(event.kind == .new ? "new" : "destroy")\",")
    buffer.append("\"time\":\(event.timeNanoseconds),")
    append(inner: event.expectation, to: &buffer)
    buffer.append("}")
  }

  // MARK: Parts

  private func append(inner connection: Connection, to buffer: inout [UInt8]) {
    let number = connection.original.protocolNumber
    buffer.append("\"family\":\"\(connection.original.family == .ipv4 ? "ipv4" : "ipv6")\"")
    buffer.append(",\"protocol\":\"\(protocolName(number))\",\"protonum\":\(number)")
    buffer.append(",\"timeout\":\(connection.secondsLeft)")
    if let state = connection.protocolState.name { buffer.append(",\"state\":\"\(state)\"") }
    append("original", connection.original, connection.originalCounters, to: &buffer)
    append("reply", connection.reply, connection.replyCounters, to: &buffer)
    append(connection.status, to: &buffer)
    buffer.append(",\"mark\":\(connection.mark)")
    if connection.zone != 0 {
      let key =
        switch connection.zoneDirection {
        case .both: "zone"
        case .original: "zone_orig"
        case .reply: "zone_reply"
        }
      buffer.append(",\"\(key)\":\(connection.zone)")
    }
    append(labelsOf: connection, to: &buffer)
    if let helper = connection.helperName {
      buffer.append(",\"helper\":")
      buffer.append(json: helper)
    }
    if let context = connection.securityContext {
      buffer.append(",\"secctx\":")
      buffer.append(json: context)
    }
    if let start = connection.startNanoseconds { buffer.append(",\"start\":\(start)") }
    if let stop = connection.stopNanoseconds { buffer.append(",\"stop\":\(stop)") }
    buffer.append(",\"use\":\(connection.useCount),\"id\":\(connection.id)")
  }

  private func append(
    _ name: String, _ tuple: Tuple, _ counters: ConnectionCounters?, to buffer: inout [UInt8]
  ) {
    buffer.append(",\"\(name)\":{")
    append(members: tuple, to: &buffer)
    if let counters {
      buffer.append(",\"packets\":\(counters.packets),\"bytes\":\(counters.bytes)")
    }
    buffer.append("}")
  }

  private func append(members tuple: Tuple, to buffer: inout [UInt8]) {
    buffer.append("\"src\":\"")
    tuple.source.appendText(tuple.family, to: &buffer)
    buffer.append("\",\"dst\":\"")
    tuple.destination.appendText(tuple.family, to: &buffer)
    buffer.append("\"")
    switch tupleKind(tuple.protocolNumber) {
    case .ports:
      buffer.append(",\"sport\":\(tuple.sourcePort),\"dport\":\(tuple.destinationPort)")
    case .icmp:
      buffer.append(",\"type\":\(tuple.destinationPort >> 8)")
      buffer.append(",\"code\":\(tuple.destinationPort & 0xff),\"id\":\(tuple.sourcePort)")
    case .keys:
      buffer.append(",\"srckey\":\(tuple.sourcePort),\"dstkey\":\(tuple.destinationPort)")
    case .nothing: break
    }
  }

  private func append(_ status: ConnectionStatus, to buffer: inout [UInt8]) {
    let words: [(ConnectionStatus, String)] = [
      (.expected, "EXPECTED"), (.seenReply, "SEEN_REPLY"), (.assured, "ASSURED"),
      (.confirmed, "CONFIRMED"), (.sourceNAT, "SRC_NAT"), (.destinationNAT, "DST_NAT"),
      (.sequenceAdjusted, "SEQ_ADJUST"), (.dying, "DYING"), (.fixedTimeout, "FIXED_TIMEOUT"),
      (.offload, "OFFLOAD"), (.hardwareOffload, "HW_OFFLOAD"),
    ]
    buffer.append(",\"status\":[")
    var separator = ""
    for (bit, word) in words where status.contains(bit) {
      buffer.append("\(separator)\"\(word)\"")
      separator = ","
    }
    buffer.append("]")
  }

  /// Numbers, and the names of those that have one.
  private func append(labelsOf connection: Connection, to buffer: inout [UInt8]) {
    guard let labels = connection.labels, !labels.isEmpty else { return }
    buffer.append(",\"labels\":[")
    var separator = ""
    for bit in UInt8(0)..<128 where labels[bit] {
      buffer.append(separator)
      if let name = output.labels?[bit] {
        buffer.append(json: name)
      } else {
        buffer.append("\(bit)")
      }
      separator = ","
    }
    buffer.append("]")
  }

  private func append(inner expectation: Expectation, to buffer: inout [UInt8]) {
    let number = expectation.tuple.protocolNumber
    buffer.append("\"family\":\"\(expectation.tuple.family == .ipv4 ? "ipv4" : "ipv6")\"")
    buffer.append(",\"protocol\":\"\(protocolName(number))\",\"protonum\":\(number)")
    buffer.append(",\"timeout\":\(expectation.secondsLeft)")
    append("expected", expectation.tuple, nil, to: &buffer)
    append("mask", expectation.mask, nil, to: &buffer)
    append("master", expectation.master, nil, to: &buffer)
    buffer.append(",\"class\":\(expectation.classNumber),\"helper\":")
    buffer.append(json: expectation.helperName)
    buffer.append(",\"id\":\(expectation.id)")
  }
}

extension [UInt8] {
  /// A string with its quotes (RFC 8259, section 7).
  mutating func append(json text: String) {
    append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        append(UInt8(ascii: "\\"))
        append(byte)
      case 0..<0x20:
        append("\\u")
        append(hexadecimal: UInt64(byte), digits: 4)
      default: append(byte)
      }
    }
    append(UInt8(ascii: "\""))
  }
}
