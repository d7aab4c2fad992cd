// What the holder of a table tells of its packets and rules beside the entries, for `weir top`.

import Conntrack
import Wire

/// Packets that did not pass, for one reason.
public struct DropCount: Hashable, Sendable {
  /// In words, without a full stop.
  public var reason: String
  /// Nil: both.
  public var family: AddressFamily?
  /// Since the counter began.
  public var packets: UInt64

  public init(reason: String, family: AddressFamily? = nil, packets: UInt64) {
    self.reason = reason
    self.family = family
    self.packets = packets
  }
}

/// How many entries one rule let begin.
public struct RuleHolding: Hashable, Sendable {
  public var rule: String
  public var family: AddressFamily
  public var entries: Int

  public init(rule: String, family: AddressFamily, entries: Int) {
    self.rule = rule
    self.family = family
    self.entries = entries
  }
}

/// Packets that passed and that did not, and which rules hold the table's entries.
public struct TableActivity: Hashable, Sendable {
  /// Packets that passed since the start; nil where nobody counts them.
  public var accepted: UInt64?
  public var drops: [DropCount]
  /// Nil where it is not known which rule let an entry begin.
  public var holdings: [RuleHolding]?

  public init(
    accepted: UInt64? = nil, drops: [DropCount] = [], holdings: [RuleHolding]? = nil
  ) {
    self.accepted = accepted
    self.drops = drops
    self.holdings = holdings
  }
}

/// A table that also tells of its packets, for `weir top`.
public protocol WatchedTable: DiagnosedTable {
  mutating func activity() throws -> TableActivity
}

extension ByteWriter {
  public mutating func put(_ activity: TableActivity) {
    put(activity.accepted)
    put(UInt32(activity.drops.count))
    for drop in activity.drops {
      put(drop.reason)
      put(drop.family)
      put(drop.packets)
    }
    put(activity.holdings) { writer, holdings in
      writer.put(UInt32(holdings.count))
      for holding in holdings {
        writer.put(holding.rule)
        writer.put(UInt8(truncatingIfNeeded: holding.family.rawValue))
        writer.put(Int64(holding.entries))
      }
    }
  }
}

extension ByteReader {
  public mutating func activity() throws(DecodingFailure) -> TableActivity {
    var activity = TableActivity(accepted: try optionalNumber())
    let drops: UInt32 = try number()
    for _ in 0..<drops {
      activity.drops.append(
        DropCount(
          reason: try text(),
          family: try optional { (reader) throws(DecodingFailure) in try reader.addressFamily() },
          packets: try number()))
    }
    activity.holdings = try optional { (reader) throws(DecodingFailure) in
      var holdings: [RuleHolding] = []
      let count: UInt32 = try reader.number()
      for _ in 0..<count {
        let (rule, family) = (try reader.text(), try reader.addressFamily())
        let entries: Int64 = try reader.number()
        guard entries >= 0 else { throw DecodingFailure("entries below zero") }
        holdings.append(RuleHolding(rule: rule, family: family, entries: Int(entries)))
      }
      return holdings
    }
    return activity
  }
}
