// What a compiled rule does with a packet that matched: one flat value.

import Conntrack

/// An action; `a`, `b` and `c` mean what `kind` says.
@usableFromInline
struct RuleAction: BitwiseCopyable, Sendable {
  @usableFromInline
  enum Kind: UInt8, BitwiseCopyable, Sendable {
    /// Only counts.
    case none
    case accept
    case drop
    case returnFromChain
    /// Chain number `a`.
    case jump
    case goTo
    /// `RejectWith` `a`.
    case reject
    /// Queue number `a`.
    case queue
    /// `ranges[a]`.
    case sourceNAT
    case destinationNAT
    case masquerade
    case redirect
    case netmap
    /// mark = (mark & ~a) ^ b
    case setMark
    /// Connection mark = ((connection mark & ~a) ^ b), then shifted by `c`.
    case setConnectionMark
    /// Connection mark = (connection mark & ~a) ^ ((mark & b) shifted by `c`).
    case saveMark
    /// mark = (mark & ~b) ^ ((connection mark & a) shifted by `c`).
    case restoreMark
    /// `logs[a]`.
    case log
    case doNotTrack
    /// `trackingOptions[a]`.
    case track
    /// `RuleVerdict.Kind.limitMSS(a)`.
    case clampMSS
  }

  @usableFromInline var kind: Kind
  @usableFromInline var a: UInt32
  @usableFromInline var b: UInt32
  /// A shift: to the left when positive.
  @usableFromInline var c: Int32

  init(_ kind: Kind, a: UInt32 = 0, b: UInt32 = 0, c: Int32 = 0) {
    self.kind = kind
    self.a = a
    self.b = b
    self.c = c
  }
}

/// What a LOG rule says (iptables-extensions(8)).
public struct LogOptions: Hashable, Sendable {
  /// A syslog level, 0 (emerg) to 7 (debug).
  public var level: UInt8 = 4
  /// At most 29 bytes.
  public var prefix = ""
  public var showsTCPSequence = false
  public var showsTCPOptions = false
  public var showsIPOptions = false
  public var showsUserID = false
  public var decodesMAC = false

  public init() {}
}

/// What a CT rule without `--notrack` asks of tracking (iptables-extensions(8)).
public struct TrackingOptions: Hashable, Sendable {
  /// Where a zone's number comes from.
  public enum Zone: Hashable, Sendable {
    case number(UInt16)
    /// The packet's mark.
    case mark
  }

  public var zone: Zone?
  /// Whether the zone is for one direction only (`--zone-orig`, `--zone-reply`).
  public var zoneDirection: ZoneDirection = .both
  public var helper: String?
  /// The helper of that name; `.none` where Weir has none for the rule's family and protocol.
  public var helperKind = HelperKind.none
  public var timeoutPolicy: String?
  /// Names as written, in the order `iptables-save` prints them; nil: all.
  public var events: [String]?
  public var expectationEvents: [String]?

  public init() {}
}
