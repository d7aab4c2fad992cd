// A connection as everyone above the table sees it: a copy of one entry, at one moment.

import Wire

/// A connection's state within its own protocol, as `conntrack` prints it; `.none` for protocols
/// that have none.
public enum ProtocolState: Hashable, Sendable, BitwiseCopyable {
  case none
  case tcp(TCPState)
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
  /// Present only where `nf_conntrack_acct` was on when the connection began.
  public var originalCounters: ConnectionCounters?
  public var replyCounters: ConnectionCounters?
  /// Nanoseconds since 1970, present only where `nf_conntrack_timestamp` was on at the beginning.
  public var startNanoseconds: Int64?
  public var stopNanoseconds: Int64?
  /// A number that tells this connection from every other of the same table.
  public var id: UInt32 = 0

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

/// One event: what happened, and the connection as it was right after.
public struct ConnectionEvent: Hashable, Sendable {
  public var kind: ConnectionEventKind
  public var connection: Connection
  /// When, nanoseconds on the table's clock.
  public var timeNanoseconds: Int64

  public init(kind: ConnectionEventKind, connection: Connection, timeNanoseconds: Int64) {
    self.kind = kind
    self.connection = connection
    self.timeNanoseconds = timeNanoseconds
  }
}

/// The counters of `conntrack -S`, by its names.
public struct ConntrackStatistics: Hashable, Sendable {
  public var found: UInt64 = 0
  public var invalid: UInt64 = 0
  public var insert: UInt64 = 0
  public var insertFailed: UInt64 = 0
  public var drop: UInt64 = 0
  public var earlyDrop: UInt64 = 0
  public var error: UInt64 = 0
  public var searchRestart: UInt64 = 0
  public var clashResolve: UInt64 = 0
  public var chainTooLong: UInt64 = 0
  public init() {}
}
