// An entry or event as `conntrack -o xml` prints it: one <flow> element a line. For
// `weir conntrack -L -o xml` and `-E -o xml`.

import Conntrack
import Wire

/// Prints connections and events as XML, one element each, without a line feed at the end.
///
/// As in 1.4.7: what tells ICMP queries apart is not in it; the state of SCTP and DCCP carries the
/// name of TCP's state of the same number; `use` and `id` are there whether asked for or not.
public struct XMLWriter: Sendable {
  public var output: ConntrackOutput

  public init(_ output: ConntrackOutput = ConntrackOutput()) {
    self.output = output
  }

  /// What comes before the first element.
  public static let prologue = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<conntrack>"
  /// What comes after the last.
  public static let epilogue = "</conntrack>"

  /// Appends one element of `conntrack -L -o xml`.
  public func append(_ connection: Connection, to buffer: inout [UInt8]) {
    buffer.append("<flow>")
    append(connection, event: nil, to: &buffer)
    buffer.append("</flow>")
  }

  /// Appends one element of `conntrack -E -o xml`.
  public func append(_ event: ConnectionEvent, to buffer: inout [UInt8]) {
    switch event.kind {
    case .new: buffer.append("<flow type=\"new\">")
    case .update: buffer.append("<flow type=\"update\">")
    case .destroy: buffer.append("<flow type=\"destroy\">")
    }
    append(event.connection, event: event, to: &buffer)
    buffer.append("</flow>")
  }

  /// The element of `connection` as a String.
  public func line(_ connection: Connection) -> String {
    var buffer: [UInt8] = []
    append(connection, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// The element of `event` as a String.
  public func line(_ event: ConnectionEvent) -> String {
    var buffer: [UInt8] = []
    append(event, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  private func append(
    _ connection: Connection, event: ConnectionEvent?, to buffer: inout [UInt8]
  ) {
    let ended = event?.kind == .destroy
    let showsCounters = event == nil || ended
    append(
      connection.original, "original", connection.zoneDirection == .original ? connection.zone : 0,
      showsCounters ? connection.originalCounters : nil, to: &buffer)
    append(
      connection.reply, "reply", connection.zoneDirection == .reply ? connection.zone : 0,
      showsCounters ? connection.replyCounters : nil, to: &buffer)
    buffer.append("<meta direction=\"independent\">")
    append(factsOf: connection, event: event, to: &buffer)
    buffer.append("</meta>")
    if output.timestamp, let event {
      buffer.append(
        xmlReceivedAt: event.timeNanoseconds, secondsAheadOfUTC: output.secondsAheadOfUTC)
    }
    if !ended, let helper = connection.helperName {
      buffer.append(element: "helper", text: helper)
    }
  }

  private func append(
    _ tuple: Tuple, _ direction: String, _ zone: UInt16, _ counters: ConnectionCounters?,
    to buffer: inout [UInt8]
  ) {
    buffer.append("<meta direction=\"\(direction)\"><layer3 protonum=\"")
    buffer.append(tuple.family == .ipv4 ? "2\" protoname=\"ipv4\">" : "10\" protoname=\"ipv6\">")
    buffer.append(xmlAddressesOf: tuple)
    let name = protocolName(tuple.protocolNumber)
    buffer.append("</layer3><layer4 protonum=\"\(tuple.protocolNumber)\" protoname=\"\(name)\">")
    buffer.append(xmlEndsOf: tuple)
    buffer.append("</layer4>")
    if zone != 0 { buffer.append(element: "zone", number: UInt64(zone)) }
    if let counters {
      buffer.append("<counters>")
      buffer.append(element: "packets", number: counters.packets)
      buffer.append(element: "bytes", number: counters.bytes)
      buffer.append("</counters>")
    }
    buffer.append("</meta>")
  }

  private func append(
    factsOf connection: Connection, event: ConnectionEvent?, to buffer: inout [UInt8]
  ) {
    let ended = event?.kind == .destroy
    if connection.status.isDisjoint(with: [.offload, .hardwareOffload]) {
      if let state = connection.protocolState.nameOfTCPState {
        buffer.append(element: "state", text: state)
      }
      if !ended || connection.secondsLeft > 0 {
        buffer.append(element: "timeout", number: connection.secondsLeft)
      }
    }
    if event == nil || connection.mark != 0 || event?.markChanged == true {
      buffer.append(element: "mark", number: UInt64(connection.mark))
    }
    if event == nil { append(labelsOf: connection, to: &buffer) }
    if let context = connection.securityContext { buffer.append(element: "secctx", text: context) }
    if connection.zone != 0, connection.zoneDirection == .both {
      buffer.append(element: "zone", number: UInt64(connection.zone))
    }
    if event == nil { buffer.append(element: "use", number: UInt64(connection.useCount)) }
    buffer.append(element: "id", number: UInt64(connection.id))
    if connection.status.contains(.assured) { buffer.append("<assured/>") }
    if !connection.status.contains(.seenReply) { buffer.append("<unreplied/>") }
    if event == nil || ended { append(ageOf: connection, to: &buffer) }
  }

  private func append(labelsOf connection: Connection, to buffer: inout [UInt8]) {
    guard let names = output.labels, let labels = connection.labels else { return }
    buffer.append("<labels>")
    for bit in UInt8(0)..<128 where labels[bit] {
      if let name = names[bit] { buffer.append(element: "label", text: name) }
    }
    buffer.append("</labels>")
  }

  private func append(ageOf connection: Connection, to buffer: inout [UInt8]) {
    guard let start = connection.startNanoseconds else { return }
    if output.kernelTimestamps {
      buffer.append("<timestamp>")
      buffer.append(element: "start", number: UInt64(max(0, start)))
      if let stop = connection.stopNanoseconds {
        buffer.append(element: "stop", number: UInt64(max(0, stop)))
      }
      buffer.append("</timestamp>")
    }
    let end = wholeSeconds(connection.stopNanoseconds ?? output.nowNanoseconds)
    buffer.append(element: "deltatime", number: UInt64(max(0, end - wholeSeconds(start))))
  }
}

extension ProtocolState {
  /// TCP's name for the state's number, which the XML of conntrack uses for every protocol.
  fileprivate var nameOfTCPState: String? {
    switch self {
    case .none: nil
    case .tcp(let state): state.name
    case .sctp(let state): (TCPState(rawValue: state.rawValue) ?? .none).name
    case .dccp(let state): (TCPState(rawValue: state.rawValue) ?? .none).name
    }
  }
}

extension [UInt8] {
  mutating func append(xmlAddressesOf tuple: Tuple) {
    for (name, address) in [("src", tuple.source), ("dst", tuple.destination)] {
      append("<\(name)>")
      address.appendText(tuple.family, to: &self)
      append("</\(name)>")
    }
  }

  /// Ports or keys.
  mutating func append(xmlEndsOf tuple: Tuple) {
    switch tupleKind(tuple.protocolNumber) {
    case .ports:
      append(element: "sport", number: UInt64(tuple.sourcePort))
      append(element: "dport", number: UInt64(tuple.destinationPort))
    case .keys:
      for (name, key) in [("srckey", tuple.sourcePort), ("dstkey", tuple.destinationPort)] {
        append("<\(name)>0x")
        append(hexadecimal: UInt64(key))
        append("</\(name)>")
      }
    case .icmp, .nothing: break
    }
  }

  mutating func append(xmlReceivedAt nanoseconds: Int64, secondsAheadOfUTC: Int64) {
    let time = CalendarTime(secondsSince1970: wholeSeconds(nanoseconds) + secondsAheadOfUTC)
    append("<when>")
    append(element: "hour", number: UInt64(time.hour))
    for (name, value) in [("min", time.minute), ("sec", time.second)] {
      append("<\(name)>")
      append(decimal: UInt64(value), digits: 2)
      append("</\(name)>")
    }
    append(element: "wday", number: UInt64(time.weekday + 1))
    append(element: "day", number: UInt64(time.day))
    append(element: "month", number: UInt64(time.month))
    append(element: "year", number: UInt64(Swift.max(0, time.year)))
    append("</when>")
  }

  mutating func append(element name: String, number: UInt64) {
    append("<\(name)>")
    append(decimal: number)
    append("</\(name)>")
  }

  /// Text with the characters that mean something in XML escaped.
  mutating func append(element name: String, text: String) {
    append("<\(name)>")
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "<"): append("&lt;")
      case UInt8(ascii: "&"): append("&amp;")
      case UInt8(ascii: ">"): append("&gt;")
      default: append(byte)
      }
    }
    append("</\(name)>")
  }
}
