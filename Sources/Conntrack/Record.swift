// One connection as the table stores it: 128 bytes, two cache lines. The first tells which
// connection it is and how long it lives; the second is its protocol's own state. What few
// connections need (IPv6 addresses, counters, timestamps) lies beside it, in arrays by record number.

import Wire

/// The number of a record; `.none` is no record.
@frozen
public struct ConnectionNumber: Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }
  @inlinable public static var none: Self { .init(rawValue: .max) }
  @inlinable public var isNone: Bool { rawValue == .max }
  @inlinable var index: Int { Int(rawValue) }
}

/// One direction of a TCP connection as window tracking sees it (van Rooij, "Real Stateful TCP
/// Packet Filtering in IP Filter", 2000).
struct TCPPeer: BitwiseCopyable {
  /// The highest sequence number sent, plus the length it had: the next one to come.
  var end: UInt32 = 0
  /// The highest `end` the other side's window allows.
  var maxEnd: UInt32 = 0
  /// The largest window this side has offered, scaled, bytes; 0: nothing seen yet.
  var maxWindow: UInt32 = 0
  /// The highest acknowledgement this side has sent; valid with `.sentAcknowledgement`.
  var maxAcknowledgement: UInt32 = 0
  /// The shift of this side's windows (RFC 7323), 0 to 14.
  var windowScale: UInt8 = 0
  var flags: TCPPeerFlags = []
  var padding: UInt16 = 0
}

struct TCPPeerFlags: OptionSet, BitwiseCopyable {
  var rawValue: UInt8
  /// Sent the window scale option in its SYN.
  static var windowScale: Self { .init(rawValue: 1 << 0) }
  /// Allowed selective acknowledgements (RFC 2018) in its SYN.
  static var sackPermitted: Self { .init(rawValue: 1 << 1) }
  /// Began to close.
  static var closeInitiated: Self { .init(rawValue: 1 << 2) }
  /// Picked up in mid-stream: out-of-window packets are let be.
  static var liberal: Self { .init(rawValue: 1 << 3) }
  /// Has sent data that is not yet acknowledged.
  static var unacknowledged: Self { .init(rawValue: 1 << 4) }
  /// `maxAcknowledgement` is set.
  static var sentAcknowledgement: Self { .init(rawValue: 1 << 5) }
  /// Of the last ignored SYN: sent in LAST_ACK, so an answering ACK may be a challenge (RFC 5961).
  static var expectChallenge: Self { .init(rawValue: 1 << 6) }
  /// Of the connection: both ends sent a SYN.
  static var simultaneousOpen: Self { .init(rawValue: 1 << 7) }
}

/// The second cache line: the state of the connection's own protocol.
struct TCPRecord: BitwiseCopyable {
  var peers: (TCPPeer, TCPPeer) = (TCPPeer(), TCPPeer())
  var lastSequence: UInt32 = 0
  var lastAcknowledgement: UInt32 = 0
  var lastEnd: UInt32 = 0
  var lastWindow: UInt16 = 0
  var lastWindowScale: UInt8 = 0
  var lastFlags: TCPPeerFlags = []
  var retransmissions: UInt8 = 0
  var lastSegment: TCPSegmentKind = .none
  var lastDirection: Direction = .original
  var state: TCPState = .none

  @inline(__always)
  subscript(direction: Direction) -> TCPPeer {
    get { direction == .original ? peers.0 : peers.1 }
    set { if direction == .original { peers.0 = newValue } else { peers.1 = newValue } }
  }
}

/// Which of the parallel arrays a record has something in.
struct RecordExtensions: OptionSet, BitwiseCopyable {
  var rawValue: UInt8
  static var counters: Self { .init(rawValue: 1 << 0) }
  static var timestamps: Self { .init(rawValue: 1 << 1) }
  static var bySource: Self { .init(rawValue: 1 << 2) }
  static var helper: Self { .init(rawValue: 1 << 3) }
  /// Master or child of another connection.
  static var kin: Self { .init(rawValue: 1 << 4) }
  /// Sequence numbers are moved.
  static var shifts: Self { .init(rawValue: 1 << 5) }
  static var template: Self { .init(rawValue: 1 << 6) }
  static var labels: Self { .init(rawValue: 1 << 7) }
  /// Those that the packets of a connection need not heed.
  static var plain: Self { [.counters, .timestamps, .bySource, .labels] }
}

struct Record: BitwiseCopyable {
  // Line 0.
  /// IPv4 addresses; with IPv6 the table's wide array has them, and these are zero.
  var originalSource: UInt32 = 0
  var originalDestination: UInt32 = 0
  var replySource: UInt32 = 0
  var replyDestination: UInt32 = 0
  var originalSourcePort: UInt16 = 0
  var originalDestinationPort: UInt16 = 0
  var replySourcePort: UInt16 = 0
  var replyDestinationPort: UInt16 = 0
  var protocolNumber: UInt8 = 0
  /// `AddressFamily`'s raw value; 0: the record is free.
  var family: UInt8 = 0
  var zone: UInt16 = 0
  var status: ConnectionStatus = []
  /// When the entry expires, nanoseconds. For an unconfirmed one: its timeout, relative.
  var deadline: Int64 = 0
  var mark: UInt32 = 0
  var id: UInt32 = 0
  /// Neighbours in the timer slot's list, or the next free record.
  var next: UInt32 = 0
  var previous: UInt32 = 0
  /// The timer slot the record hangs in; `TimerWheel.unarmed` for none.
  var timerSlot: UInt16 = 0
  /// The out interface a MASQUERADE was bound on, plus one; 0: none.
  var masqueradeInterface: UInt16 = 0
  /// What has changed since listeners last heard of the connection. They hear when a packet of it has
  /// come to the end of its way; one that is dropped leaves its changes for the next.
  var pendingEvents: ConnectionEventMask = []
  var extensions: RecordExtensions = []
  /// Which direction `zone` holds for.
  var zoneDirection = ZoneDirection.both

  // Line 1.
  var tcp = TCPRecord()
  /// The ways its original and its reply packets take, as the firewall numbers them; 0: not known.
  var ways: (UInt16, UInt16) = (0, 0)

  /// UDP, UDP-Lite: when the flow counts as a stream, nanoseconds. Lies where TCP has its window
  /// state, since no record is both.
  var streamStart: Int64 {
    get {
      Int64(
        bitPattern: UInt64(tcp.lastSequence) << 32 | UInt64(tcp.lastAcknowledgement))
    }
    set {
      tcp.lastSequence = UInt32(truncatingIfNeeded: newValue >> 32)
      tcp.lastAcknowledgement = UInt32(truncatingIfNeeded: newValue)
    }
  }
}

extension Record {
  /// SCTP: what is kept of the association. Lies where TCP has its last segment, since no record is
  /// both.
  var sctp: SCTPRecord {
    @inline(__always) get {
      SCTPRecord(
        originalTag: tcp.lastSequence, replyTag: tcp.lastAcknowledgement,
        // Only the setter writes the number.
        state: SCTPState(rawValue: tcp.lastWindowScale) ?? .none,
        flags: SCTPFlags(rawValue: tcp.retransmissions))
    }
    @inline(__always) set {
      tcp.lastSequence = newValue.originalTag
      tcp.lastAcknowledgement = newValue.replyTag
      tcp.lastWindowScale = newValue.state.rawValue
      tcp.retransmissions = newValue.flags.rawValue
    }
  }
}

/// The addresses of an IPv6 connection: one cache line beside its record.
struct WideAddresses: BitwiseCopyable {
  var originalSource = IPAddress.any
  var originalDestination = IPAddress.any
  var replySource = IPAddress.any
  var replyDestination = IPAddress.any
}

/// Packets and bytes of both directions.
struct CounterPair: BitwiseCopyable {
  var original = ConnectionCounters()
  var reply = ConnectionCounters()
}

/// When a connection began and ended, nanoseconds since 1970; 0: not yet.
struct Timestamps: BitwiseCopyable {
  var start: Int64 = 0
  var stop: Int64 = 0
}
