// Why a packet's verdict is what it is, in words a person understands without asking: for replay's transcript
// and a gateway's counters.

import Conntrack
import Wire

extension PacketOutcome {
  /// What became of the packet and why, one clause without a full stop.
  /// - Parameters:
  ///   - agent: `RuleDescription.agent` of the rule that decided.
  ///   - place: its `place`.
  public func clause(by agent: String?, at place: String?) -> String {
    switch reason {
    case .rule:
      guard let agent else { return "no rule was asked" }
      return "\(verb) \(agent)"
    case .noRules:
      return verdict == .accept ? "accepted: no rule says otherwise" : "\(verb)"
    case .unreadableForRule:
      return "dropped: a header that \(place ?? "a rule") asks about is cut short"
    case .ipHeader(let drop):
      return "dropped before any hook: \(drop.text)"
    case .fragmentHeld:
      return "a fragment, held until the rest of its packet has come"
    case .fragmentDropped(let problem):
      return "dropped with its fragments: \(problem.text)"
    case .tableFull:
      return "dropped: no room for a new connection"
    case .clash:
      return "dropped: no free address and port was found for its connection"
    case .routing(let drop):
      return "dropped by routing: \(drop.text)"
    case .timeToLiveExceeded:
      return family == .ipv4
        ? "dropped: its TTL ends here" : "dropped: its hop limit ends here"
    case .tooLong(let mtu):
      return "dropped: longer than the \(mtu) bytes its way out takes, and not to be fragmented"
    case .linkBroadcast:
      return "dropped: sent to everyone on the link, which is never forwarded"
    case .cannotTranslate:
      return "dropped: NAT cannot rewrite it"
    case .helper(let kind, let drop):
      return "dropped by the \(kind.name) helper: \(drop.text)"
    case .noAddressForNAT:
      return "dropped: the interface has no address for MASQUERADE or REDIRECT"
    case .masqueradeMoved:
      return "dropped: its connection was masqueraded on another interface"
    case .sourceRouteRefused:
      return "dropped: it asks for a source route, and accept_source_route is 0"
    case .badIPOption(let offset):
      return "dropped: a bad IP option at byte \(offset)"
    }
  }

  private var verb: String {
    switch verdict {
    case .accept: "accepted"
    case .drop: "dropped"
    case .reject: "rejected"
    case .queue: "queued to user space"
    case .held: "held"
    case .ignored: "ignored"
    }
  }
}

extension HelperDrop {
  var text: String {
    switch self {
    case .unreadable: "it announces a connection, but not in words that can be read to the end"
    case .notExpected:
      "what it announces is expected by another connection, or there is no room for more"
    case .notTranslated: "NAT found no free port for what it announces"
    }
  }
}

extension InputRouteDrop {
  var text: String {
    switch self {
    case .martianSource: "no packet may come from this source (martian)"
    case .martianDestination: "no packet may be sent to this destination (martian)"
    case .ownSource: "it claims to come from one of this host's own addresses"
    case .reversePath: "the way back to its source is another one (rp_filter)"
    case .notForwarding: "this host does not forward (ip_forward)"
    case .noRoute: "there is no route to its destination"
    case .unreachable: "the route to its destination says unreachable"
    case .prohibited: "the route to its destination says prohibit"
    case .blackhole: "the route to its destination says blackhole"
    case .beyondScope: "its source is a link-local address, and its destination beyond the link"
    case .multicastNotJoined: "this host has not joined its multicast group"
    }
  }
}
