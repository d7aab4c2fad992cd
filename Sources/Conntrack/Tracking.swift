// What conntrack says of one packet.

import Wire

/// One packet's place in the table: its connection, direction and ctstate. Handed along with the
/// packet through the hooks, and given back with `confirm` or `abandon` at the end of its way.
@frozen
public struct Tracking: Sendable, BitwiseCopyable {
  /// `.none` for INVALID and UNTRACKED packets.
  public var connection: ConnectionNumber = .none
  public var state: ConnectionState = .untracked
  public var direction: Direction = .original
  /// The connection began with this packet and is not in the table yet.
  public var isUnconfirmed = false
  /// The connection begins with this packet and was expected: the tracker's `adoption` tells more.
  public var isAdopted = false
  /// The packet ended its connection: no tuple finds it any more.
  public var isDying = false
  /// The packet must be dropped (table full, or its entry could not be freed).
  public var mustDrop = false
  /// Why the packet is INVALID, or let pass unbelieved.
  public var reason: InvalidReason?

  public init() {}

  static func invalid(_ reason: InvalidReason) -> Tracking {
    var tracking = Tracking()
    tracking.state = .invalid
    tracking.reason = reason
    return tracking
  }
}

/// Where in the packet's way it is tracked: what arrives has its checksums looked at, what the host
/// itself sends has not.
@frozen
public enum TrackingHook: UInt8, Sendable, BitwiseCopyable {
  case prerouting
  case output
}

/// What a protocol's tracker says of a packet of a connection.
enum TrackerVerdict {
  case accept
  /// Belongs to the connection; nothing learnt from it.
  case ignore(InvalidReason)
  case invalid(InvalidReason)
  /// The connection is over and this packet begins another one.
  case reopen
  /// The packet ends the connection: the entry goes at once, the packet passes.
  case close
}
