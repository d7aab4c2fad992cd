// The closing summary of a replay: what came, what became of it, why packets were dropped, and what the
// reader should know before trusting it.

import Firewall
import Wire

/// Writes a summary as text.
public struct TextSummary: Sendable {
  private let style: TextStyle
  /// Where the capture ended in the middle of something.
  public var cut: String?

  public init(style: TextStyle = .plain) {
    self.style = style
  }

  /// Appends the summary, several lines.
  public func append(_ summary: ReplaySummary, to text: inout [UInt8]) {
    appendOpening(summary, to: &text)
    appendVerdicts(summary, to: &text)
    appendDrops(summary, to: &text)
    appendConnections(summary, to: &text)
    appendNotes(summary, to: &text)
  }

  private func line(_ words: String, _ role: TextStyle.Role? = nil, to text: inout [UInt8]) {
    style.append(words, role, to: &text)
    text.append(UInt8(ascii: "\n"))
  }

  private func row(
    _ count: Int, _ words: String, _ role: TextStyle.Role? = nil, to text: inout [UInt8]
  ) {
    style.append("\(count)", right: 9, role, to: &text)
    style.append("  \(words)\n", to: &text)
  }

  private func appendOpening(_ summary: ReplaySummary, to text: inout [UInt8]) {
    guard let first = summary.firstTimeNanoseconds, let last = summary.lastTimeNanoseconds else {
      return line("The capture holds no frames.", .heading, to: &text)
    }
    let seconds = TextTranscript.seconds(last - first)
    line(
      "\(counted(summary.frames, "frame")), \(summary.bytes) bytes, in \(seconds) s from "
        + "\(UTCTime.text(first)) UTC", .heading, to: &text)
  }

  private func appendVerdicts(_ summary: ReplaySummary, to text: inout [UInt8]) {
    let words: [(PacketVerdict, String)] = [
      (.accept, "accepted"), (.drop, "dropped"), (.reject, "rejected"),
      (.queue, "queued to user space"), (.held, "held: fragments put together with later ones"),
    ]
    for (verdict, word) in words {
      guard let count = summary.verdicts[verdict], count > 0 else { continue }
      row(count, word, verdict.role, to: &text)
    }
    guard let ignored = summary.verdicts[.ignored], ignored > 0 else { return }
    let kinds = sorted(summary.ignoredByKind).map { "\($0.count) \($0.words)" }
    row(
      ignored, "outside the firewall: \(kinds.joined(separator: ", "))", .faint, to: &text)
  }

  private func appendDrops(_ summary: ReplaySummary, to text: inout [UInt8]) {
    if summary.dropsByReason.isEmpty { return }
    line("Dropped or rejected, by reason", .heading, to: &text)
    for (words, count) in sorted(summary.dropsByReason.mapValues(\.packets)) {
      let first = summary.dropsByReason[words]?.first ?? 0
      row(count, "\(words) (\(count == 1 ? "packet" : "first: packet") \(first))", .bad, to: &text)
    }
    line("           (--packet N shows every rule a packet met)", .faint, to: &text)
  }

  private func appendConnections(_ summary: ReplaySummary, to text: inout [UInt8]) {
    line("Connections", .heading, to: &text)
    row(Int(summary.connectionsCreated), "begun", to: &text)
    row(summary.connectionsNow, "in the table at the end", to: &text)
    guard summary.showsOutbound else { return }
    line("Packets sent, against the frames the capture shows leaving", .heading, to: &text)
    row(summary.seenLeaving, "sent and seen leaving", to: &text)
    row(
      summary.notSeenLeaving, "sent and not seen leaving",
      summary.notSeenLeaving > 0 ? .notable : nil, to: &text)
    row(
      summary.unexplained, "seen leaving, but not sent here (unexplained)",
      summary.unexplained > 0 ? .notable : nil, to: &text)
  }

  // MARK: Notes

  private func appendNotes(_ summary: ReplaySummary, to text: inout [UInt8]) {
    for note in notes(summary) { line("note: \(note)", .notable, to: &text) }
  }

  private func notes(_ summary: ReplaySummary) -> [String] {
    var notes: [String] = []
    if let cut { notes.append(cut) }
    if summary.badChecksums > 0 {
      let packets = counted(summary.badChecksums, "packet")
      notes.append(
        "\(packets) INVALID for a wrong checksum. A machine that leaves checksums to its card "
          + "captures its own packets so; then add --set net.netfilter.nf_conntrack_checksum=0")
    }
    if summary.cutShort > 0 {
      let frames = counted(summary.cutShort, "frame")
      notes.append(
        summary.fillsTruncated
          ? "the capture holds only the beginning of \(frames); filled with zeros, their checksums "
            + "believed"
          : "the capture holds only the beginning of \(frames), and such packets are dropped; "
            + "--fill-truncated fills them up instead")
    }
    if summary.earlierThanBefore > 0 {
      notes.append(
        "\(counted(summary.earlierThanBefore, "frame")) with a timestamp earlier than one before: "
          + "taken at the latest time seen, as time never goes back")
    }
    if summary.lackingAddressForNAT > 0 {
      let packets = counted(summary.lackingAddressForNAT, "packet")
      notes.append(
        "\(packets) met MASQUERADE or REDIRECT, whose address only the machine's interfaces tell, "
          + "and went on untranslated; --host gives them")
    }
    if summary.rulesLeftOut > 0 {
      notes.append(
        "\(counted(summary.rulesLeftOut, "rule")) left out by --ignore-unsupported: verdicts may differ "
          + "from the machine's")
    }
    return notes
  }

  private func counted(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  private func sorted(_ counts: [String: Int]) -> [(words: String, count: Int)] {
    counts.map { (words: $0.key, count: $0.value) }.sorted {
      $0.count != $1.count ? $0.count > $1.count : $0.words < $1.words
    }
  }
}

/// Calendar time, without Foundation.
enum UTCTime {
  /// `2026-11-24 13:04:55.876666`
  static func text(_ nanoseconds: Int64) -> String {
    let micro = floorDivided(nanoseconds, by: 1000)
    let seconds = floorDivided(micro, by: 1_000_000)
    let days = floorDivided(seconds, by: 86_400)
    let inDay = seconds - days * 86_400
    // The civil calendar from days since 1970, counted in years that begin in March.
    let shifted = days + 719_468
    let era = floorDivided(shifted, by: 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let fraction = micro - seconds * 1_000_000
    return "\(year)-\(two(month))-\(two(day)) "
      + "\(two(inDay / 3600)):\(two(inDay / 60 % 60)):\(two(inDay % 60)).\(padded(fraction, 6))"
  }

  private static func floorDivided(_ value: Int64, by divisor: Int64) -> Int64 {
    value >= 0 ? value / divisor : -((-value + divisor - 1) / divisor)
  }

  private static func two(_ value: Int64) -> String { padded(value, 2) }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let digits = String(value)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
  }
}
