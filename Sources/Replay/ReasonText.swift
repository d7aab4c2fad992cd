// Why a packet's verdict is what it is, in one sentence a person understands without asking.

import Conntrack
import Firewall
import Ruleset
import Wire

extension PacketOutcome {
  /// The rule that decided, or that the packet failed at.
  var decidingRule: RuleReference? {
    switch reason {
    case .rule(let rule), .unreadableForRule(let rule): rule
    default: nil
    }
  }

  /// One sentence without a full stop.
  /// - Parameter rule: the note of `decidingRule`.
  func sentence(_ rule: RuleNote?) -> String {
    mainClause(rule) + remarks
  }

  /// What more is to be said, each clause after a semicolon.
  var remarks: String {
    var text = ""
    if let trackingReason {
      text +=
        ctState == .invalid
        ? "; conntrack calls it INVALID: \(trackingReason.text)" : "; \(trackingReason.text)"
      if case .badChecksum = trackingReason {
        text +=
          " (if the capturing machine left checksums to its card, try --set net.netfilter.nf_conntrack_checksum=0)"
      }
    }
    if lacksAddressForNAT {
      text += "; sent untranslated: the rule's address is not known (give --host)"
    }
    return text
  }

  func mainClause(_ rule: RuleNote?) -> String {
    switch reason {
    case .rule:
      guard let rule else { return "no rule was asked" }
      return "\(verb) \(rule.agent)"
    case .noRules:
      return verdict == .accept ? "accepted: no rule says otherwise" : "\(verb)"
    case .unreadableForRule:
      return "dropped: a header that \(rule?.place ?? "a rule") asks about is cut short"
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
