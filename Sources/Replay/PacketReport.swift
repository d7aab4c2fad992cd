// What a replay says of one packet: everything any transcript prints.

import Conntrack
import Firewall
import Ruleset
import Wire

/// One line of a packet's path: a chain and the rule of it that decided.
public struct PathEntry: Hashable, Sendable {
  public var table: TableName
  public var chain: String
  /// From 1; nil for the policy.
  public var rule: Int?
  public var target: String
}

public struct PacketReport: Sendable {
  /// From 1.
  public var number: Int
  /// Capture time, nanoseconds since 1970.
  public var timeNanoseconds: Int64
  /// Nil for the host's own packets, and where it is not known.
  public var inInterface: String?
  /// Where the frame was seen, whichever way it went.
  public var seenOn: String?
  public var outcome = PacketOutcome()
  /// One sentence.
  public var reason = ""
  public var path: [PathEntry] = []
  /// The entry as it was before the packet, and as it is after.
  public var before: Connection?
  public var connection: Connection?
  public var events: [ConnectionEvent] = []
  public var emitted: [(interface: String?, packet: EmittedPacket)] = []
  /// For outbound frames: true for one that is an emitted packet seen leaving, false for one Weir
  /// would not have sent; nil for all others.
  public var observed: Bool?
  /// LOG rules that matched: the prefix of each, with the rule.
  public var logs: [(prefix: String, rule: RuleDescription?)] = []
  /// The packet as it came, layer 3; empty for frames that hold none.
  public var bytes: [UInt8] = []
  /// What the frame is, where it is not IP.
  public var frameDescription: String?

  public init(number: Int, timeNanoseconds: Int64) {
    self.number = number
    self.timeNanoseconds = timeNanoseconds
  }
}

/// Totals of a replay.
public struct ReplaySummary: Sendable {
  public var frames = 0
  public var bytes: UInt64 = 0
  public var firstTimeNanoseconds: Int64?
  public var lastTimeNanoseconds: Int64?
  /// By verdict.
  public var verdicts: [PacketVerdict: Int] = [:]
  /// Packets dropped or rejected, by reason in words.
  public var dropsByReason: [String: Int] = [:]
  public var connectionsCreated: UInt64 = 0
  public var connectionsNow = 0
  public var emitted = 0
  public var seenLeaving = 0
  public var notSeenLeaving = 0
  public var unexplained = 0
  /// Packets that MASQUERADE or REDIRECT had no address for.
  public var lackingAddressForNAT = 0
  /// Packets of which the capture holds only a part.
  public var cutShort = 0
  /// Packets with a wrong transport checksum.
  public var badChecksums = 0
  /// Whether the capture shows outbound frames, so that the counts above say something.
  public var showsOutbound = false

  public init() {}
}
