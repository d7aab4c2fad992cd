// What a rule of the raw table asks of tracking before it sees a packet (iptables-extensions(8), CT):
// the zone the packet is looked up in, and what a connection it begins is given.

/// A zone as a packet or a connection has it: a number that holds for one direction or both. In a
/// direction it does not hold for, the zone is 0.
@frozen
public struct TrackingZone: Hashable, Sendable, BitwiseCopyable {
  public var id: UInt16
  public var direction: ZoneDirection

  @inlinable public init(id: UInt16 = 0, direction: ZoneDirection = .both) {
    self.id = id
    self.direction = direction
  }

  /// The zone's number in one direction.
  @inlinable @inline(__always)
  public subscript(_ direction: Direction) -> UInt16 {
    switch self.direction {
    case .both: id
    case .original: direction == .original ? id : 0
    case .reply: direction == .reply ? id : 0
    }
  }
}

/// Kinds of change that listeners hear of. The values are the kernel's.
@frozen
public struct ConnectionEventMask: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt16
  @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

  @inlinable public static var all: Self { .init(rawValue: .max) }
  @inlinable public static var new: Self { .init(rawValue: 1 << 0) }
  /// Like `new`, of a connection that was expected.
  @inlinable public static var related: Self { .init(rawValue: 1 << 1) }
  @inlinable public static var destroy: Self { .init(rawValue: 1 << 2) }
  @inlinable public static var reply: Self { .init(rawValue: 1 << 3) }
  @inlinable public static var assured: Self { .init(rawValue: 1 << 4) }
  @inlinable public static var protocolState: Self { .init(rawValue: 1 << 5) }
  @inlinable public static var helper: Self { .init(rawValue: 1 << 6) }
  @inlinable public static var mark: Self { .init(rawValue: 1 << 7) }
  @inlinable public static var sequenceAdjustment: Self { .init(rawValue: 1 << 8) }
  @inlinable public static var securityMark: Self { .init(rawValue: 1 << 9) }
}

/// What CT rules asked for one packet.
@frozen
public struct TrackingTemplate: Hashable, Sendable, BitwiseCopyable {
  public var zone = TrackingZone()
  /// The number of a timeout policy of the tracker, plus one; 0: none.
  public var timeoutPolicy: UInt16 = 0
  /// What of a new connection is told; nil: what `nf_conntrack_events` says.
  public var events: ConnectionEventMask?

  @inlinable public init() {}
}

/// What the table keeps of the template a connection began with, beside its record.
struct TemplateRecord: BitwiseCopyable {
  var timeoutPolicy: UInt16 = 0
  var events = ConnectionEventMask.all
}
