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

  func mainClause(_ rule: RuleNote?) -> String { clause(by: rule?.agent, at: rule?.place) }
}
