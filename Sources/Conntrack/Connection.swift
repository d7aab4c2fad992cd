// A connection as everyone above the table sees it: a copy of one entry, at one moment.

import Wire

/// A connection's state within its own protocol, as `conntrack` prints it; `.none` for protocols
/// that have none.
public enum ProtocolState: Hashable, Sendable, BitwiseCopyable {
  case none
  case tcp(TCPState)
  case sctp(SCTPState)
  /// Kernels up to 6.16 follow DCCP; later ones treat it as a protocol without states.
  case dccp(DCCPState)
}

/// Where a TCP connection is. The names are those `conntrack` prints.
@frozen
public enum TCPState: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case none
  case synSent
  case synReceived
  case established
  case finWait
  case closeWait
  case lastAck
  case timeWait
  case close
  /// Simultaneous open: both ends have sent a SYN.
  case synSent2

  public var name: String {
    switch self {
    case .none: "NONE"
    case .synSent: "SYN_SENT"
    case .synReceived: "SYN_RECV"
    case .established: "ESTABLISHED"
    case .finWait: "FIN_WAIT"
    case .closeWait: "CLOSE_WAIT"
    case .lastAck: "LAST_ACK"
    case .timeWait: "TIME_WAIT"
    case .close: "CLOSE"
    case .synSent2: "SYN_SENT2"
    }
  }
}

/// Where an SCTP association is (`man conntrack`, SCTP-specific fields; the last two are newer than
/// the manual). The values are those ctnetlink shows.
@frozen
public enum SCTPState: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case none
  case closed
  case cookieWait
  case cookieEchoed
  case established
  case shutdownSent
  case shutdownReceived
  case shutdownAckSent
  case heartbeatSent
  case heartbeatAcked

  public var name: String {
    switch self {
    case .none: "NONE"
    case .closed: "CLOSED"
    case .cookieWait: "COOKIE_WAIT"
    case .cookieEchoed: "COOKIE_ECHOED"
    case .established: "ESTABLISHED"
    case .shutdownSent: "SHUTDOWN_SENT"
    case .shutdownReceived: "SHUTDOWN_RECD"
    case .shutdownAckSent: "SHUTDOWN_ACK_SENT"
    case .heartbeatSent: "HEARTBEAT_SENT"
    case .heartbeatAcked: "HEARTBEAT_ACKED"
    }
  }
}

/// Where a DCCP connection is (`man conntrack`, DCCP-specific fields). The values are those
/// ctnetlink shows.
@frozen
public enum DCCPState: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case none
  case request
  case respond
  case partOpen
  case open
  case closeRequested
  case closing
  case timeWait
  case ignore
  case invalid

  public var name: String {
    switch self {
    case .none: "NONE"
    case .request: "REQUEST"
    case .respond: "RESPOND"
    case .partOpen: "PARTOPEN"
    case .open: "OPEN"
    case .closeRequested: "CLOSEREQ"
    case .closing: "CLOSING"
    case .timeWait: "TIMEWAIT"
    case .ignore: "IGNORE"
    case .invalid: "INVALID"
    }
  }
}

/// Which direction's tuple a connection's zone belongs to (`CT --zone-orig`, `--zone-reply`,
/// iptables-extensions(8)). In the other direction the connection is in zone 0.
@frozen
public enum ZoneDirection: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case both
  case original
  case reply
}

/// The 128 labels of a connection (`connlabel` in iptables-extensions(8)), a bit each.
@frozen
public struct ConnectionLabels: Hashable, Sendable, BitwiseCopyable {
  /// Labels 0 to 63, label 0 lowest.
  public var low: UInt64 = 0
  /// Labels 64 to 127.
  public var high: UInt64 = 0

  @inlinable public init(low: UInt64 = 0, high: UInt64 = 0) {
    self.low = low
    self.high = high
  }

  @inlinable public var isEmpty: Bool { low | high == 0 }

  /// Whether label `bit` (0 to 127) is set.
  @inlinable public subscript(bit: UInt8) -> Bool {
    get { (bit < 64 ? low >> UInt64(bit) : high >> UInt64(bit & 63)) & 1 == 1 }
    set {
      let mask = UInt64(1) << UInt64(bit & 63)
      switch (bit < 64, newValue) {
      case (true, true): low |= mask
      case (true, false): low &= ~mask
      case (false, true): high |= mask
      case (false, false): high &= ~mask
      }
    }
  }

  /// Whether every label of `other` is set.
  @inlinable public func contains(_ other: ConnectionLabels) -> Bool {
    low & other.low == other.low && high & other.high == other.high
  }
}

/// Packets and bytes (layer 3) of one direction, where `nf_conntrack_acct` counts them.
@frozen
public struct ConnectionCounters: Hashable, Sendable, BitwiseCopyable {
  public var packets: UInt64 = 0
  public var bytes: UInt64 = 0
  @inlinable public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
    self.packets = packets
    self.bytes = bytes
  }
}

/// One entry of the table, copied out.
public struct Connection: Hashable, Sendable {
  public var original: Tuple
  public var reply: Tuple
  public var status: ConnectionStatus = []
  public var protocolState: ProtocolState = .none
  /// Time left until the entry expires, nanoseconds, never negative.
  public var timeoutNanoseconds: Int64 = 0
  public var mark: UInt32 = 0
  public var zone: UInt16 = 0
  /// Which direction `zone` holds for.
  public var zoneDirection: ZoneDirection = .both
  /// Present only where `nf_conntrack_acct` was on when the connection began.
  public var originalCounters: ConnectionCounters?
  public var replyCounters: ConnectionCounters?
  /// Nanoseconds since 1970, present only where `nf_conntrack_timestamp` was on at the beginning.
  public var startNanoseconds: Int64?
  public var stopNanoseconds: Int64?
  /// A number that tells this connection from every other of the same table.
  public var id: UInt32 = 0
  /// The labels, present only where a rule makes use of labels.
  public var labels: ConnectionLabels?
  /// The name of the helper that watches this connection (`ftp`).
  public var helperName: String?
  /// The original tuple of the connection whose helper announced this one.
  public var master: Tuple?
  /// How many hold on to the entry (`use=`): the table, and every connection its helper announced.
  public var useCount: UInt32 = 1
  /// SCTP: the verification tags that packets of each direction carry, where they are known.
  public var originalTag: UInt32?
  public var replyTag: UInt32?
  /// The security context in text (`system_u:object_r:...`), present only under such a module.
  public var securityContext: String?

  public init(original: Tuple, reply: Tuple) {
    self.original = original
    self.reply = reply
  }
}

/// What a listener hears of (`conntrack -E`).
@frozen
public enum ConnectionEventKind: UInt8, Hashable, Sendable, BitwiseCopyable {
  case new
  case update
  case destroy
}

/// The process whose request (`conntrack -D`, ...) led to an event.
public struct EventRequester: Hashable, Sendable {
  /// The netlink port id, mostly the process id.
  public var portID: UInt32
  /// The program's name, where it still ran when asked for.
  public var programName: String?
  public init(portID: UInt32, programName: String? = nil) {
    self.portID = portID
    self.programName = programName
  }
}

/// One event: what happened, and the connection as it was right after.
public struct ConnectionEvent: Hashable, Sendable {
  public var kind: ConnectionEventKind
  public var connection: Connection
  /// When, nanoseconds on the table's clock.
  public var timeNanoseconds: Int64
  /// The mark is part of what changed: it is shown even where it is zero now.
  public var markChanged = false
  /// Absent where a packet or a timeout led to the event.
  public var requester: EventRequester?

  public init(kind: ConnectionEventKind, connection: Connection, timeNanoseconds: Int64) {
    self.kind = kind
    self.connection = connection
    self.timeNanoseconds = timeNanoseconds
  }
}

/// The counters of `conntrack -S`, by its names, counting what a 6.18 kernel counts in each.
public struct ConntrackStatistics: Hashable, Sendable {
  /// Tuples NAT tried and found taken.
  public var found: UInt64 = 0
  /// INVALID packets, those of `error` left out.
  public var invalid: UInt64 = 0
  /// Always 0: entries that packets make are not counted, only those of `conntrack -I`.
  public var insert: UInt64 = 0
  /// Connections that could not be confirmed, since a tuple of theirs was another's by then.
  public var insertFailed: UInt64 = 0
  /// Packets dropped for want of room, or since their connection could not be confirmed.
  public var drop: UInt64 = 0
  /// Connections that gave way to another in a full table.
  public var earlyDrop: UInt64 = 0
  /// ICMP and ICMPv6 messages that cannot be believed.
  public var error: UInt64 = 0
  /// Always 0: there is one thread.
  public var searchRestart: UInt64 = 0
  public var clashResolve: UInt64 = 0
  /// Always 0: buckets do not grow.
  public var chainTooLong: UInt64 = 0
  public init() {}
}
