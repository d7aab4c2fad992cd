// A `weir top` report laid out as lines of text: for a terminal of some size, or for a pipe.

import Wire

/// Lays reports out.
public struct TopScreen: Sendable {
  public struct Line: Hashable, Sendable {
    public var text: String
    public var isHeading = false
  }

  /// Columns.
  public var width: Int
  /// Lines; nil: as many as there are to show.
  public var height: Int?
  /// What stands at the beginning of the first line: whose table, and how it is shown.
  public var title: String

  public init(width: Int = 100, height: Int? = nil, title: String = "weir top") {
    self.width = max(width, 20)
    self.height = height
    self.title = title
  }

  /// Two tables stand side by side where there is room for both.
  private static let wide = 110

  public func lines(_ report: TopReport, order: TopOrder) -> [Line] {
    var lines = head(report)
    let panes = [
      holders("SOURCES", report.sources), holders("DESTINATIONS", report.destinations),
      holders("PORTS", report.services),
      report.rules.map { holders("RULES THAT LET THEM BEGIN", $0) }
        ?? Pane(title: "RULES THAT LET THEM BEGIN", rows: ["        not known here"]),
      ports(report.ports), drops(report.drops),
    ]
    // Of a terminal's lines the connections get a third, the other tables what is left.
    var room = height.map { max($0 - lines.count, 0) }
    let flows = flows(report, order)
    let forFlows = room.map { min(flows.rows.count + 2, max($0 / 3, 4)) }
    lines += flows.lines(width, forFlows)
    room = room.map { max($0 - (forFlows ?? 0), 0) }
    lines += arranged(panes, room)
    let all = lines.map { Line(text: trimmed(cut($0.text, width)), isHeading: $0.isHeading) }
    return height.map { Array(all.prefix($0)) } ?? all
  }

  // MARK: Parts

  private func head(_ report: TopReport) -> [Line] {
    var first = "\(report.entries)"
    if let limit = report.limit {
      first += " of \(limit) entries (\(report.entries * 100 / Int(max(limit, 1))) %)"
    } else {
      first += " entries"
    }
    first += ", \(report.unreplied) UNREPLIED, \(report.assured) ASSURED"
    first += "; IPv4 \(report.ipv4), IPv6 \(report.ipv6)"
    var second: [String] = []
    if let new = report.newPerSecond { second.append("\(TopScreen.number(new)) new/s") }
    if let accepted = report.acceptedPerSecond {
      second.append("\(TopScreen.number(accepted)) packets/s passed")
    }
    if let seconds = report.seconds { second.append("over \(TopScreen.number(seconds)) s") }
    if second.isEmpty { second.append("rates are known from the second look on") }
    let states = report.states.map { "\($0.name) \($0.entries)" }.joined(separator: ", ")
    return [
      Line(text: title, isHeading: true), Line(text: first),
      Line(text: second.joined(separator: ", ")),
      Line(text: states.isEmpty ? "no states" : states),
    ]
  }

  private struct Pane {
    var title: String
    var rows: [String]

    /// With a line of space above.
    func lines(_ width: Int, _ height: Int?) -> [Line] {
      let most = height.map { max($0 - 2, 0) } ?? rows.count
      return [Line(text: ""), Line(text: title, isHeading: true)]
        + rows.prefix(most).map { Line(text: $0) }
    }
  }

  private func flows(_ report: TopReport, _ order: TopOrder) -> Pane {
    let title = "  BYTES/S  PACKETS/S  CONNECTIONS, by \(order.rawValue) a second"
    if !report.isCounted {
      let why =
        report.entries == 0
        ? "none" : "not known: the entries count no packets (nf_conntrack_acct=0)"
      return Pane(title: title, rows: ["                      \(why)"])
    }
    return Pane(
      title: title,
      rows: (order == .bytes ? report.byBytes : report.byPackets).map { flow in
        var text = "\(flow.protocol) \(flow.source) -> \(flow.destination)"
        if let to = flow.translatedTo { text += " (to \(to))" }
        if let from = flow.translatedFrom { text += " (as \(from))" }
        if let state = flow.state { text += " \(state)" }
        return right(TopScreen.number(flow.bytesPerSecond), 9) + "  "
          + right(TopScreen.number(flow.packetsPerSecond), 9) + "  " + text
      })
  }

  private func holders(_ title: String, _ holders: [TopReport.Holder]) -> Pane {
    Pane(
      title: "ENTRIES  \(title)", rows: holders.map { right("\($0.entries)", 7) + "  " + $0.name })
  }

  private func ports(_ ports: [TopReport.Ports]) -> Pane {
    Pane(
      title: "   LEFT  SOURCE PORTS OF TRANSLATED ADDRESSES",
      rows: ports.map {
        right("\($0.left)", 7) + "  \($0.address): \($0.used) in use toward \($0.destination)"
      })
  }

  private func drops(_ drops: [TopReport.Drop]) -> Pane {
    Pane(
      title: "DROPS/S      ALL  REASON",
      rows: drops.map {
        right(TopScreen.number($0.perSecond), 7) + "  " + right(TopScreen.number($0.packets), 7)
          + "  " + $0.reason
      })
  }

  // MARK: Layout

  /// Panes in pairs where the width allows it, else one below the other, each with an equal part of `room`.
  private func arranged(_ panes: [Pane], _ room: Int?) -> [Line] {
    let columns = width >= TopScreen.wide ? 2 : 1
    var lines: [Line] = []
    // The second of a pair, which may be long, gets the larger part.
    let left = columns == 1 ? width : width * 2 / 5
    var rest = room
    var place = 0
    while place < panes.count {
      let group = panes[place..<min(place + columns, panes.count)]
      let groups = (panes.count - place + columns - 1) / columns
      let height = rest.map { max($0 / groups, 0) }
      let blocks = group.map { $0.lines(width, height) }
      let tallest = blocks.map(\.count).max() ?? 0
      for row in 0..<min(tallest, height ?? tallest) {
        var text = ""
        var isHeading = false
        for (column, block) in blocks.enumerated() {
          if column > 0 { text = padded(cut(text, left - 2), left) }
          guard row < block.count else { continue }
          text += block[row].text
          isHeading = isHeading || block[row].isHeading
        }
        lines.append(Line(text: text, isHeading: isHeading))
      }
      rest = rest.map { max($0 - tallest, 0) }
      place += columns
    }
    return lines
  }

  private func cut(_ text: String, _ width: Int) -> String {
    text.count <= width ? text : text.prefix(max(width - 1, 0)) + "…"
  }

  private func trimmed(_ text: String) -> String {
    var rest = text[...]
    while rest.last == " " { rest.removeLast() }
    return String(rest)
  }

  private func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(width - text.count, 0))
  }

  private func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(width - text.count, 0)) + text
  }

  // MARK: Numbers

  /// At most four digits and a unit: `0.4`, `17`, `4096`, `52k`, `1.2M`.
  static func number(_ value: Double) -> String {
    if value == 0 { return "0" }
    if value < 9.95 { return tenths(value) }
    var (rest, unit) = (value, "")
    for next in ["k", "M", "G", "T"] where rest >= 9999.5 {
      rest /= 1000
      unit = next
    }
    return rest < 9.95 ? tenths(rest) + unit : "\(Int(rest.rounded()))\(unit)"
  }

  static func number(_ value: UInt64) -> String { number(Double(value)) }

  private static func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
