// Who listens while a packet goes its way, and where packets that leave go to. Both are type
// parameters of the way through the hooks, so that listening to nothing costs nothing.

import Ruleset
import Wire

/// Hears what happens to a packet at each hook.
public protocol FirewallObserver: RuleObserver, ~Copyable {
  /// A table is about to be asked at a hook.
  mutating func willAsk(_ table: TableName, _ chain: BuiltInChain, _ family: AddressFamily)
  /// What the table said.
  mutating func decided(_ table: TableName, _ chain: BuiltInChain, _ verdict: RuleVerdict)
  /// From here to `endAnswer` a packet that Weir itself sends in answer goes its way. What answers an
  /// answer is inside.
  mutating func beginAnswer()
  mutating func endAnswer()
}

/// Listens to nothing.
@frozen
public struct SilentObserver: FirewallObserver, Sendable {
  @inlinable public init() {}
  @inlinable public static var isActive: Bool { false }
  @inlinable public mutating func asked(_ rule: RuleReference, matched: Bool) {}
  @inlinable public mutating func entered(chain: Int32) {}
  @inlinable public mutating func returned(chain: Int32) {}
  @inlinable public mutating func logged(
    _ rule: RuleReference, log: Int, context: MatchContext
  ) {}
  @inlinable public mutating func willAsk(
    _ table: TableName, _ chain: BuiltInChain, _ family: AddressFamily
  ) {}
  @inlinable public mutating func decided(
    _ table: TableName, _ chain: BuiltInChain, _ verdict: RuleVerdict
  ) {}
  @inlinable public mutating func beginAnswer() {}
  @inlinable public mutating func endAnswer() {}
}

/// Takes the packets that leave, layer 3, in order.
public protocol PacketSink: ~Copyable {
  /// The next packet of a burst is about to go its way, the clock to move to its time: what leaves from
  /// now on comes of it.
  mutating func begin(_ arrival: Arrival)

  /// - Parameters:
  ///   - bytes: the packet, valid during the call only.
  ///   - interface: where it leaves; `.none` where routes say nothing.
  ///   - isAnswer: Weir made it in answer to a packet; else it is that packet.
  mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool)

  /// A packet that the host takes for itself. What it sends itself leaves through the loopback first.
  ///
  /// - Parameters:
  ///   - bytes: the packet as its programs see it, NAT and all; valid during the call only.
  ///   - interface: where it came in.
  ///   - isAnswer: Weir made it in answer to a packet; else it is that packet.
  mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool)
}

extension PacketSink where Self: ~Copyable {
  /// Who does not ask when has no use for it.
  @inlinable
  public mutating func begin(_ arrival: Arrival) {}

  /// Who only forwards has no use for it.
  @inlinable
  public mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool) {}
}
