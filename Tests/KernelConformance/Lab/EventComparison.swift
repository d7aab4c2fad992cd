// Lays what both sides told listeners about one packet side by side: which events, of which
// connections, in which order.

import Conntrack
import ConntrackFormat
import Wire

/// Which of Weir's ends of connections the kernel has not told yet.
///
/// Weir tells that an entry's time is over at that moment; the kernel when its collector passes or a
/// packet meets the entry. So such ends are compared by what they say, whenever the kernel says it.
struct EventComparison {
  private var awaited: [ConnectionEvent] = []

  /// What differs between the events since the last packet; empty where nothing does.
  ///
  /// - Parameters:
  ///   - kernel: oldest first.
  ///   - engine: of the packet itself, oldest first.
  ///   - expired: Weir's ends of connections whose time was over.
  mutating func lines(
    kernel: [ConnectionEvent], engine: [ConnectionEvent], expired: [ConnectionEvent],
    _ renaming: inout Renaming
  ) -> [String] {
    awaited += expired
    var rest = engine[...]
    var isSame = true
    for event in kernel {
      if let mine = rest.first, EventComparison.isSame(event, mine, &renaming) {
        rest.removeFirst()
      } else if event.kind == .destroy,
        let index = awaited.firstIndex(where: { EventComparison.isSame(event, $0, &renaming) })
      {
        awaited.remove(at: index)
      } else {
        isSame = false
      }
    }
    if isSame && rest.isEmpty { return [] }
    var lines = ["events:"]
    let writer = ConnectionWriter()
    for (who, events) in [("kernel", kernel), ("Weir  ", engine)] {
      if events.isEmpty { lines.append("  \(who) none") }
      lines += events.map { "  \(who) \(writer.line($0)) status \($0.connection.status.rawValue)" }
    }
    lines += awaited.map { "  Weir, before: \(writer.line($0))" }
    return lines
  }

  private static func isSame(
    _ kernel: ConnectionEvent, _ engine: ConnectionEvent, _ renaming: inout Renaming
  ) -> Bool {
    let (a, b) = (kernel.connection, engine.connection)
    let seconds = [a, b].map { $0.timeoutNanoseconds / 1_000_000_000 }
    guard kernel.kind == engine.kind, abs(seconds[0] - seconds[1]) <= 1,
      Comparison.isSameStatus(a.status, renaming.kernelStatus(b)),
      a.protocolState == b.protocolState,
      a.mark == b.mark, kernel.markChanged == (b.mark != 0 || engine.markChanged),
      a.zone == b.zone, a.zoneDirection == b.zoneDirection,
      a.helperName == b.helperName || kernel.kind == .destroy,
      renaming.isSame(kernel: a.original, engine: b.original),
      renaming.isSame(kernel: a.reply, engine: b.reply)
    else { return false }
    // Listeners hear of packets, bytes and times at the end.
    guard kernel.kind == .destroy else {
      return a.originalCounters == nil && a.startNanoseconds == nil
    }
    return a.originalCounters == b.originalCounters && a.replyCounters == b.replyCounters
      && Comparison.isNear(a.startNanoseconds, b.startNanoseconds)
      && (a.stopNanoseconds == nil) == (b.stopNanoseconds == nil)
  }
}
