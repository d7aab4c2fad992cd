// What became of one packet, for whoever reports it: replay in words, the gateway in counters.

import Conntrack
import Ruleset
import Wire

/// The hook a packet's way is named by.
@frozen
public enum Hook: UInt8, Hashable, Sendable, BitwiseCopyable {
  case forward
  case input
  case output

  public var name: String {
    switch self {
    case .forward: "FORWARD"
    case .input: "INPUT"
    case .output: "OUTPUT"
    }
  }
}

/// What was decided over a packet.
@frozen
public enum PacketVerdict: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case accept
  case drop
  case reject
  case queue
  /// A fragment that waits for the others.
  case held
  /// Not a packet this host looks at.
  case ignored

  public var name: String {
    switch self {
    case .accept: "ACCEPT"
    case .drop: "DROP"
    case .reject: "REJECT"
    case .queue: "QUEUE"
    case .held: "HELD"
    case .ignored: "IGNORED"
    }
  }
}

/// Why a packet's verdict is what it is, where no rule decided.
public enum OutcomeReason: Hashable, Sendable, BitwiseCopyable {
  /// A rule, or a chain's policy (number 0), of this family's ruleset.
  case rule(RuleReference)
  /// No rule was asked: there is no filter chain at this hook.
  case noRules
  /// The rule named dropped it because it could not read a header it needs.
  case unreadableForRule(RuleReference)
  case ipHeader(IPDrop)
  case fragmentHeld
  case fragmentDropped(FragmentProblem)
  /// Conntrack dropped it: no room for its connection.
  case tableFull
  /// Conntrack dropped it: by the time it was to be confirmed, its tuple was another's.
  case clash
  case routing(InputRouteDrop)
  case timeToLiveExceeded
  /// Longer than the MTU of its way out, and not to be fragmented.
  case tooLong(mtu: Int)
  /// Unicast IP in a link-layer broadcast: taken, never forwarded.
  case linkBroadcast
  /// Too short for what NAT must change in it, or an ICMP redirect under NAT.
  case cannotTranslate
  /// The connection's helper dropped it.
  case helper(HelperKind, HelperDrop)
  /// MASQUERADE or REDIRECT found no address on the interface.
  case noAddressForNAT
  /// The connection was masqueraded on another interface than the one it now leaves by.
  case masqueradeMoved
  case sourceRouteRefused
  case badIPOption(offset: Int)
}

/// The outcome of one packet's way through the hooks.
public struct PacketOutcome: Sendable, BitwiseCopyable {
  /// The hook its way is named by; nil where it reached none of the three.
  public var hook: Hook?
  /// Nil where conntrack never saw it.
  public var ctState: ConnectionState?
  /// Nil without a connection.
  public var direction: Direction?
  /// The connection after the packet; `.none` where there is none (any more).
  public var connection: ConnectionNumber = .none
  public var verdict: PacketVerdict = .drop
  public var reason: OutcomeReason = .noRules
  /// Why conntrack calls it INVALID, or lets it pass unbelieved.
  public var trackingReason: InvalidReason?
  /// Where it leaves, or would have left; `.none` where that is not known.
  public var outInterface: InterfaceID = .none
  /// A rule asked for an address that nothing is known of, so the packet went untranslated.
  public var lacksAddressForNAT = false
  public var family: AddressFamily = .ipv4

  public init() {}
}
