// The transcript for people: one line a packet in the manner of tcpdump, with what became of it and
// why. `docs/replay.md` explains the columns.

import Conntrack
import Firewall
import Ruleset
import Wire

/// Writes reports as lines of text.
///
/// A line holds, from the left: the packet's number, the seconds since the first packet, where it came
/// in and leaves (or the hook where its way ends), its ctstate, the verdict, the packet, behind `->`
/// the packet as NAT made it, and behind `#` why. Frames that go through no hook have neither state
/// nor verdict.
public struct TextTranscript: Sendable {
  private let style: TextStyle
  /// When the first packet was seen: what times count from.
  public private(set) var startNanoseconds: Int64?
  // Columns never get narrower again.
  private var numberWidth = 4
  private var timeWidth = 8
  private var placeWidth = 14

  private static let stateWidth = "ESTABLISHED reply".utf8.count
  private static let verdictWidth = 6

  /// - Parameter style: how words stand out.
  public init(style: TextStyle = .plain) {
    self.style = style
  }

  /// Tells when the first packet was seen, of one that is not printed.
  public mutating func begin(at nanoseconds: Int64) {
    startNanoseconds = startNanoseconds ?? nanoseconds
  }

  /// Appends one line, with its line feed.
  public mutating func append(_ report: PacketReport, to line: inout [UInt8]) {
    begin(at: report.timeNanoseconds)
    if report.outcome.verdict == .ignored {
      appendIgnored(report, to: &line)
    } else {
      appendPacket(report, to: &line)
    }
    line.append(UInt8(ascii: "\n"))
  }

  private mutating func appendFront(
    _ report: PacketReport, _ role: TextStyle.Role?, to line: inout [UInt8]
  ) {
    let number = "\(report.number)"
    numberWidth = max(numberWidth, number.utf8.count)
    style.append(number, right: numberWidth, role, to: &line)
    line.append(UInt8(ascii: " "))
    let time = TextTranscript.seconds(report.timeNanoseconds - (startNanoseconds ?? 0))
    timeWidth = max(timeWidth, time.utf8.count)
    style.append(time, right: timeWidth, .faint, to: &line)
    PacketText.append("  ", to: &line)
    let place = TextTranscript.place(report)
    placeWidth = max(placeWidth, place.utf8.count)
    style.append(place, role, width: placeWidth + 2, to: &line)
  }

  /// Frames that go through no hook take little room in the eye: all faint, columns empty.
  private mutating func appendIgnored(_ report: PacketReport, to line: inout [UInt8]) {
    let isUnexplained = report.observed == false
    let role: TextStyle.Role = isUnexplained ? .notable : .faint
    appendFront(report, role, to: &line)
    let columns = TextTranscript.stateWidth + TextTranscript.verdictWidth + 4
    style.append("", width: columns, to: &line)
    style.begin(role, &line)
    if let cause = report.cause {
      let what = cause.isAnswer ? "the answer to packet" : "packet"
      PacketText.append("\(what) \(cause.number), seen leaving", to: &line)
    } else if let description = report.frameDescription {
      let isPlain = description.hasPrefix("ARP")
      PacketText.append(isPlain ? description : "not IP: \(description)", to: &line)
    } else {
      PacketText.append(report.bytes.rawSpan, to: &line)
      PacketText.append("  # \(report.reason)", to: &line)
    }
    style.end(role, &line)
  }

  private mutating func appendPacket(_ report: PacketReport, to line: inout [UInt8]) {
    let outcome = report.outcome
    appendFront(report, nil, to: &line)
    style.append(
      outcome.stateText, outcome.stateRole, width: TextTranscript.stateWidth + 2, to: &line)
    style.append(
      outcome.verdict.name, outcome.verdict.role, width: TextTranscript.verdictWidth + 2, to: &line)
    let start = line.count
    let ends = PacketText.append(report.bytes.rawSpan, to: &line)
    appendChange(report, original: start..<line.count, ends: ends, to: &line)
    appendWhy(report, to: &line)
  }

  // MARK: NAT

  /// What the packet is on its way out, where that can be seen to differ: both ends alone, if only
  /// they do.
  private func appendChange(
    _ report: PacketReport, original: Range<Int>, ends: Range<Int>, to line: inout [UInt8]
  ) {
    let passed = report.emitted.filter { !$0.packet.isAnswer }
    if passed.count > 1 {
      return style.append(" -> \(passed.count) fragments", .changed, to: &line)
    }
    let after = passed.first?.packet.bytes ?? report.delivered
    guard !after.isEmpty else { return }
    var text: [UInt8] = []
    let newEnds = PacketText.append(after.rawSpan, to: &text)
    if text[...] == line[original] { return }
    let endsAlone = text[newEnds.upperBound...] == line[ends.upperBound..<original.upperBound]
    style.begin(.changed, &line)
    PacketText.append(" -> ", to: &line)
    line.append(contentsOf: endsAlone ? text[newEnds] : text[...])
    style.end(.changed, &line)
  }

  // MARK: Why

  private func appendWhy(_ report: PacketReport, to line: inout [UInt8]) {
    let outcome = report.outcome
    let start = line.count
    PacketText.append("  # ", to: &line)
    let textStart = line.count
    var isFirst = true
    func clause(_ text: String, _ role: TextStyle.Role, to line: inout [UInt8]) {
      if !isFirst { PacketText.append("; ", to: &line) }
      isFirst = false
      style.append(text, role, to: &line)
    }
    if outcome.verdict == .accept {
      if let rule = report.decision { clause("\(rule.place) \(rule.gist)", .faint, to: &line) }
      for rule in report.natRules {
        clause("\(rule.place) \(rule.gistWithTarget)", .faint, to: &line)
      }
      let remarks = outcome.remarks
      if !remarks.isEmpty { clause(String(remarks.dropFirst(2)), .notable, to: &line) }
    } else {
      clause(report.reason, outcome.verdict.role, to: &line)
    }
    for log in report.logs {
      clause("logged \"\(log.prefix)\"", .faint, to: &line)
    }
    var isAnswered = false
    for emitted in report.emitted where emitted.packet.isAnswer {
      var text: [UInt8] = []
      PacketText.append(emitted.packet.bytes.rawSpan, quotes: false, to: &text)
      let out = emitted.interface.map { " (out \($0))" } ?? ""
      clause("answered: \(String(decoding: text, as: UTF8.self))\(out)", .changed, to: &line)
      isAnswered = true
    }
    if outcome.verdict == .reject && !isAnswered { clause("not answered", .notable, to: &line) }
    if line.count == textStart { line.removeSubrange(start...) }
  }

  // MARK: Columns

  /// `lan0 > wan0`, `wan0 > INPUT`, `OUTPUT > wan0`; `wan0 > FORWARD` for what stops there.
  static func place(_ report: PacketReport) -> String {
    let outcome = report.outcome
    guard outcome.verdict != .ignored else {
      guard let seen = report.seenOn else { return "" }
      return report.inInterface == nil ? "> \(seen)" : seen
    }
    switch outcome.hook {
    case .output:
      guard outcome.verdict == .accept, let out = report.outInterface ?? report.seenOn else {
        return "OUTPUT"
      }
      return "OUTPUT > \(out)"
    case .forward, .input:
      let end = report.outInterface ?? outcome.hook?.name ?? ""
      return report.inInterface.map { "\($0) > \(end)" } ?? end
    case nil:
      return report.inInterface ?? "-"
    }
  }

  /// Seconds with six decimals.
  static func seconds(_ nanoseconds: Int64) -> String {
    let micro = nanoseconds.magnitude / 1000
    let fraction = String(micro % 1_000_000)
    let zeros = String(repeating: "0", count: 6 - fraction.utf8.count)
    return "\(nanoseconds < 0 ? "-" : "")\(micro / 1_000_000).\(zeros)\(fraction)"
  }
}

extension RuleNote {
  /// The gist, and what the rule does where the gist does not tell.
  var gistWithTarget: String {
    gist.hasPrefix("\"") ? "\(description.target) \(gist)" : gist
  }
}

extension PacketOutcome {
  /// The ctstate, and `reply` for what goes that way.
  var stateText: String {
    guard let ctState else { return "-" }
    return direction == .reply ? "\(ctState.name) reply" : ctState.name
  }

  var stateRole: TextStyle.Role? {
    switch ctState {
    case .new, .related: .fresh
    case .invalid: .bad
    case .established, nil: nil
    case .untracked: .faint
    }
  }
}

extension PacketVerdict {
  var role: TextStyle.Role {
    switch self {
    case .accept: .good
    case .drop, .reject: .bad
    case .queue, .held: .notable
    case .ignored: .faint
    }
  }
}
