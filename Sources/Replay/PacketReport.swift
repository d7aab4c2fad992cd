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
  /// The entry as it was before the packet (only where the recorder keeps steps), and as it is after.
  public var before: Connection?
  public var connection: Connection?
  public var events: [ConnectionEvent] = []
  public var emitted: [(interface: String?, packet: EmittedPacket)] = []
  /// For outbound frames: true for one that is an emitted packet seen leaving, false for one Weir
  /// would not have sent; nil for all others.
  public var observed: Bool?
  /// For an emitted packet seen leaving: what led to it.
  public var cause: EmittedCause?
  /// The rule or policy that decided, where one did.
  public var decision: RuleNote?
  /// The rules of the nat table that this packet, its connection's first, met.
  public var natRules: [RuleNote] = []
  /// The name of the interface it leaves by, where that is known.
  public var outInterface: String?
  /// The packet as the host itself gets it, where NAT changed it on its way in.
  public var delivered: [UInt8] = []
  /// LOG rules that matched: the prefix of each, with the rule.
  public var logs: [(prefix: String, rule: RuleDescription?)] = []
  /// The packet as it came, layer 3; empty for frames that hold none.
  public var bytes: [UInt8] = []
  /// What the frame is, where it is not IP: `ARP who-has …`.
  public var frameDescription: String?
  /// What `--packet` tells beside all this; only where the recorder keeps steps.
  public var way: PacketWay?

  public init(number: Int, timeNanoseconds: Int64) {
    self.number = number
    self.timeNanoseconds = timeNanoseconds
  }
}

/// What is known of one packet's whole way.
public struct PacketWay: Sendable {
  public var steps: [WayStep] = []
  /// The packet as it was when its way ended: rewritten by NAT as far as it came.
  public var bytesAfter: [UInt8] = []
  /// The entry after the packet, also of a packet conntrack would not believe.
  public var after: Connection?

  public init() {}
}

/// Packets dropped for one reason.
public struct DropCount: Hashable, Sendable {
  public var packets = 0
  /// The number of the first of them.
  public var first: Int

  public init(packets: Int = 0, first: Int) {
    self.packets = packets
    self.first = first
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
  /// Packets dropped or rejected, by reason in words, without the numbers of the single packet. Known
  /// at the end.
  public var dropsByReason: [String: DropCount] = [:]
  /// Frames ignored, by what they are: `ARP`, `seen leaving`.
  public var ignoredByKind: [String: Int] = [:]
  /// Rules that were left out of the ruleset, as Weir does not know them.
  public var rulesLeftOut = 0
  /// Whether the packets cut short were filled up.
  public var fillsTruncated = false
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
  /// Frames whose timestamp is earlier than one before them.
  public var earlierThanBefore = 0
  /// Packets with a wrong transport checksum.
  public var badChecksums = 0
  /// Whether the capture shows outbound frames, so that the counts above say something.
  public var showsOutbound = false

  public init() {}
}
