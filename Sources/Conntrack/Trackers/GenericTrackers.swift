// The protocols whose packets need no looking into: GRE, and every protocol without a tracker.

import Wire

extension ConnectionTracker {
  /// GRE: a stream once it is answered.
  mutating func trackGRE(
    _ record: Int, _ direction: Direction, _ headers: PacketHeaders
  ) -> TrackerVerdict {
    let status = table.records[record].status
    guard status.contains(.seenReply) else {
      refresh(record, direction, timeout(record) { $0.greTimeout }, bytes: headers.end)
      return .accept
    }
    refresh(record, direction, timeout(record) { $0.greTimeoutStream }, bytes: headers.end)
    if !status.contains(.assured) {
      table.records[record].status.insert(.assured)
      note(record, .assured)
    }
    return .accept
  }

  /// Any other protocol: its hosts are all there is to tell its flows apart.
  mutating func trackGeneric(
    _ record: Int, _ direction: Direction, _ headers: PacketHeaders
  ) -> TrackerVerdict {
    refresh(record, direction, timeout(record) { $0.genericTimeout }, bytes: headers.end)
    return .accept
  }
}
