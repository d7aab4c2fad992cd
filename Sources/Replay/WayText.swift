// The whole way of one packet (`--packet N`): every hook and table it met, rule by rule with what
// failed, conntrack's entry before and after it, what NAT made of it, what left.

import Conntrack
import ConntrackFormat
import Firewall
import Ruleset
import Wire

/// Writes one packet's way as text.
public struct WayText: Sendable {
  private let style: TextStyle
  private let startNanoseconds: Int64
  private let writer: ConnectionWriter

  /// - Parameters:
  ///   - style: how words stand out.
  ///   - startNanoseconds: when the capture's first packet was seen.
  public init(style: TextStyle = .plain, startNanoseconds: Int64) {
    self.style = style
    self.startNanoseconds = startNanoseconds
    var output = ConntrackOutput()
    output.extended = true
    writer = ConnectionWriter(output)
  }

  /// Appends the way. The report must come from a session whose recorder kept steps.
  public func append(
    _ report: PacketReport, _ firewall: borrowing Firewall, to text: inout [UInt8]
  ) {
    let seconds = TextTranscript.seconds(report.timeNanoseconds - startNanoseconds)
    line(
      "Packet \(report.number) at \(seconds) s, \(UTCTime.text(report.timeNanoseconds)) UTC",
      .heading, to: &text)
    appendPacket(report, to: &text)
    guard report.outcome.verdict != .ignored, let way = report.way else {
      appendIgnored(report, to: &text)
      return
    }
    appendSteps(report, way, firewall, to: &text)
    appendEnd(report, way, to: &text)
  }

  private func line(
    _ words: String, _ role: TextStyle.Role? = nil, indent: Int = 0, to text: inout [UInt8]
  ) {
    style.append("", width: indent, to: &text)
    style.append(words, role, to: &text)
    text.append(UInt8(ascii: "\n"))
  }

  // MARK: The packet

  private func appendPacket(_ report: PacketReport, to text: inout [UInt8]) {
    if let description = report.frameDescription {
      return line(description, indent: 2, to: &text)
    }
    line(WayText.words(report.bytes), indent: 2, to: &text)
    guard let packet = LooseHeaders(report.bytes.rawSpan) else { return }
    var words: [String] = []
    if let name = report.inInterface {
      words.append("came in by \(name)")
    } else if let name = report.seenOn {
      words.append("seen leaving by \(name)")
    }
    words.append("\(packet.wholeEnd) bytes")
    words.append("\(packet.family == .ipv4 ? "ttl" : "hop limit") \(packet.hopLimit)")
    if packet.trafficClass != 0 {
      words.append("tos 0x\(String(packet.trafficClass, radix: 16))")
    }
    if packet.identification != 0 { words.append("id \(packet.identification)") }
    if packet.dontFragment { words.append("DF") }
    line(words.joined(separator: ", "), .faint, indent: 2, to: &text)
  }

  private func appendIgnored(_ report: PacketReport, to text: inout [UInt8]) {
    let what =
      report.cause.map {
        $0.isAnswer
          ? "the answer to packet \($0.number), seen leaving: --packet \($0.number) has its way"
          : "packet \($0.number), seen leaving: --packet \($0.number) has its way"
      } ?? report.reason
    line("goes through no hook: \(what)", .notable, to: &text)
  }

  static func words(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    PacketText.append(bytes.rawSpan, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  // MARK: Hooks and rules

  private func appendSteps(
    _ report: PacketReport, _ way: PacketWay, _ firewall: borrowing Firewall,
    to text: inout [UInt8]
  ) {
    var conntrack: [UInt8] = []
    appendConntrack(report, way, to: &conntrack)
    var printer = WaySteps(style: style, report: report, way: way, conntrack: conntrack)
    for step in way.steps { printer.append(step, firewall, to: &text) }
    printer.finish(to: &text)
  }

  private func appendConntrack(
    _ report: PacketReport, _ way: PacketWay, to text: inout [UInt8]
  ) {
    let outcome = report.outcome
    guard let state = outcome.ctState else { return }
    style.append("  conntrack: ", to: &text)
    style.append(state.name, outcome.stateRole, to: &text)
    let direction = outcome.direction.map { ", \($0.text) direction" } ?? ""
    let reason = outcome.trackingReason.map { ": \($0.text)" } ?? ""
    line("\(direction)\(reason)", to: &text)
    let before = report.before.map { writer.line($0) }
    line("before  \(before ?? "no entry")", .faint, indent: 4, to: &text)
    let after = way.after.map { writer.line($0) }
    let lost = state == .new ? "no entry: the packet does not get through" : "no entry"
    line(
      "after   \(after == nil ? lost : after == before ? "the same" : after ?? "")", .faint,
      indent: 4, to: &text)
  }

  // MARK: The end

  private func appendEnd(_ report: PacketReport, _ way: PacketWay, to text: inout [UInt8]) {
    let outcome = report.outcome
    style.append(outcome.verdict.name, outcome.verdict.role, to: &text)
    line(": \(report.reason)", to: &text)
    let before = WayText.words(report.bytes)
    for emitted in report.emitted {
      let out = emitted.interface ?? "an interface not known"
      let what = emitted.packet.isAnswer ? "answered" : "sent"
      let words = WayText.words(emitted.packet.bytes)
      line("\(what) by \(out): \(words)", words == before ? nil : .changed, to: &text)
    }
    let after = WayText.words(way.bytesAfter)
    if outcome.verdict == .accept && outcome.hook == .input {
      line(
        after == before ? "delivered to this host" : "delivered to this host as \(after)",
        after == before ? nil : .changed, to: &text)
    } else if outcome.verdict != .accept && after != before {
      line("by then NAT had made it \(after)", .changed, to: &text)
    }
    for event in report.events {
      let words = ConnectionWriter().line(event)
      line("event \(words)", .faint, to: &text)
    }
  }
}
