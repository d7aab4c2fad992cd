// The transcript for programs: one JSON object a packet, keys in the order of contracts/replay.md.

import Conntrack
import ConntrackFormat
import Wire

/// Writes reports as JSON lines.
public struct JSONTranscript: Sendable {
  private let writer: ConnectionWriter
  private let eventWriter = ConnectionWriter()

  public init() {
    var output = ConntrackOutput()
    output.extended = true
    writer = ConnectionWriter(output)
  }

  /// Appends one line, with its line feed.
  /// - Parameter table: all entries after the packet, for `--tables`.
  public func append(_ report: PacketReport, table: [Connection]?, to line: inout [UInt8]) {
    append("{\"packet\":\(report.number),\"time\":\"", to: &line)
    append(JSONTranscript.seconds(report.timeNanoseconds), to: &line)
    append("\",\"in\":", to: &line)
    quote(report.inInterface, to: &line)
    append(",\"hook\":", to: &line)
    quote(report.outcome.hook?.name, to: &line)
    append(",\"ctstate\":", to: &line)
    quote(report.outcome.ctState?.name, to: &line)
    append(",\"direction\":", to: &line)
    quote(report.outcome.direction?.text, to: &line)
    append(",\"verdict\":", to: &line)
    quote(report.outcome.verdict.name, to: &line)
    append(",\"reason\":", to: &line)
    quote(report.reason, to: &line)
    append(",\"path\":[", to: &line)
    list(report.path, to: &line) { entry, line in
      append("{\"table\":", to: &line)
      quote(entry.table.name, to: &line)
      append(",\"chain\":", to: &line)
      quote(entry.chain, to: &line)
      append(",\"rule\":\(entry.rule.map(String.init) ?? "null"),\"target\":", to: &line)
      quote(entry.target, to: &line)
      append("}", to: &line)
    }
    append("],\"connection\":", to: &line)
    if let connection = report.connection {
      quoteBytes(to: &line) { writer.append(connection, to: &$0) }
    } else {
      append("null", to: &line)
    }
    append(",\"events\":[", to: &line)
    list(report.events, to: &line) { event, line in
      quoteBytes(to: &line) { eventWriter.append(event, to: &$0) }
    }
    append("],\"emitted\":[", to: &line)
    list(report.emitted, to: &line) { emitted, line in
      append("{\"out\":", to: &line)
      quote(emitted.interface, to: &line)
      append(",\"data\":\"", to: &line)
      hex(emitted.packet.bytes, to: &line)
      append("\"}", to: &line)
    }
    append("]", to: &line)
    if let observed = report.observed { append(",\"observed\":\(observed)", to: &line) }
    if let table {
      append(",\"table\":[", to: &line)
      let lines = table.map { writer.line($0) }.sorted()
      list(lines, to: &line) { text, line in quote(text, to: &line) }
      append("]", to: &line)
    }
    append("}\n", to: &line)
  }

  /// Nanoseconds as seconds with nine decimals.
  static func seconds(_ nanoseconds: Int64) -> String {
    let fraction = String(nanoseconds.magnitude % 1_000_000_000)
    let sign = nanoseconds < 0 ? "-" : ""
    return "\(sign)\(nanoseconds.magnitude / 1_000_000_000)."
      + String(repeating: "0", count: 9 - fraction.count) + fraction
  }

  private func append(_ text: String, to line: inout [UInt8]) {
    line.append(contentsOf: text.utf8)
  }

  private func list<Element>(
    _ elements: [Element], to line: inout [UInt8], _ body: (Element, inout [UInt8]) -> Void
  ) {
    for (index, element) in elements.enumerated() {
      if index > 0 { append(",", to: &line) }
      body(element, &line)
    }
  }

  private func quote(_ text: String?, to line: inout [UInt8]) {
    guard let text else { return append("null", to: &line) }
    line.append(UInt8(ascii: "\""))
    for byte in text.utf8 { escape(byte, to: &line) }
    line.append(UInt8(ascii: "\""))
  }

  private func quoteBytes(to line: inout [UInt8], _ body: (inout [UInt8]) -> Void) {
    var bytes: [UInt8] = []
    body(&bytes)
    line.append(UInt8(ascii: "\""))
    for byte in bytes { escape(byte, to: &line) }
    line.append(UInt8(ascii: "\""))
  }

  /// RFC 8259, 7.
  private func escape(_ byte: UInt8, to line: inout [UInt8]) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      line.append(UInt8(ascii: "\\"))
      line.append(byte)
    case 0..<0x20:
      append("\\u00", to: &line)
      hex([byte], to: &line)
    default: line.append(byte)
    }
  }

  private func hex(_ bytes: [UInt8], to line: inout [UInt8]) {
    func digit(_ value: UInt8) -> UInt8 {
      value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }
    for byte in bytes {
      line.append(digit(byte >> 4))
      line.append(digit(byte & 15))
    }
  }
}
