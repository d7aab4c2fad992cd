// Dropped packets put together by reason, without the numbers of the single packet: what the closing
// summary counts.

import Conntrack
import Firewall
import Ruleset
import Wire

/// What packets dropped for the same reason have in common.
struct DropGroup: Hashable {
  var verdict: PacketVerdict
  var family: AddressFamily
  var reason: OutcomeReason
  /// The kind of conntrack's complaint, in words; nil where it had none.
  var complaint: String?

  init(_ outcome: PacketOutcome) {
    verdict = outcome.verdict
    family = outcome.family
    reason = outcome.reason
    if outcome.ctState == .invalid { complaint = outcome.trackingReason?.kindText }
    if case .badIPOption = reason { reason = .badIPOption(offset: 0) }
  }

  var rule: RuleReference? {
    switch reason {
    case .rule(let rule), .unreadableForRule(let rule): rule
    default: nil
    }
  }

  /// One clause. `rule` is the note of `self.rule`.
  func text(_ rule: RuleNote?) -> String {
    var outcome = PacketOutcome()
    outcome.verdict = verdict
    outcome.family = family
    outcome.reason = reason
    var text: String
    switch reason {
    case .rule: text = outcome.mainClause(rule)
    case .badIPOption: text = "dropped: a bad IP option"
    default: text = outcome.mainClause(rule)
    }
    if let complaint { text += "; INVALID: \(complaint)" }
    return text
  }
}

extension InvalidReason {
  /// What is wrong, without the packet's own numbers.
  var kindText: String {
    switch self {
    case .truncated(let number): "\(protocolName(number)) header missing or cut short"
    case .badLength(let number, _, _): "wrong length in the \(protocolName(number)) header"
    case .badChecksum(let number): "wrong \(protocolName(number)) checksum"
    case .impossibleFlags(let flags): "TCP flags \(flags.text)"
    case .unexpectedSegment(let flags, .none, _): "\(flags.text) cannot begin a connection"
    case .unexpectedSegment(let flags, let state, let direction):
      "\(flags.text) in the \(direction.text) direction in state \(state.name)"
    case .noConnection: "belongs to no known connection, and nf_conntrack_tcp_loose is 0"
    case .sequenceAboveWindow: "sequence beyond the receiver's window"
    case .acknowledgesUnsentData: "acknowledges data never seen"
    case .sequenceBelowWindow: "sequence before the window (old data again)"
    case .acknowledgementTooOld: "acknowledgement too old"
    case .resetBelowWindow: "RST's sequence before the window"
    case .outOfStep: "SYN out of step"
    case .challengeAcknowledgement: "challenge ACK"
    case .icmpTypeNotTracked(let type, let code):
      "ICMP type \(type) code \(code) neither begins nor answers a query"
    case .icmpReplyWithoutQuery: "ICMP reply to a query never seen"
    case .icmpErrorForNothing: "ICMP error about a packet of no known connection"
    case .icmpOfOtherFamily: "ICMP in a packet of the other IP version"
    case .icmpErrorUnreadable: "ICMP error about a packet that cannot be read"
    case .icmpRedirectFromAfar: "ICMPv6 redirect from no router of the link"
    case .icmpErrorMisaddressed: "ICMP error not sent to the sender of what it quotes"
    case .tableFull: "table full"
    case .greNotPPTP: "GRE of version 1 without PPP"
    case .sctpNoAssociation(let type):
      "\(SCTPChunkType.name(type)) of no known SCTP association"
    case .sctpBadVerificationTag: "wrong SCTP verification tag"
    case .sctpHeartbeatDoubted: "HEARTBEAT with another association's tag"
    case .sctpInitiateTagChanged: "INIT ACK that announces another tag than before"
    case .sctpUnexpectedChunk(let type, let state, let direction):
      "\(SCTPChunkType.name(type)) in the \(direction.text) direction in state \(state.name)"
    case .sctpChunkWithoutLength: "SCTP chunk of 0 bytes"
    case .sctpChunkNotAlone(let type):
      "\(SCTPChunkType.name(type)) with other chunks in its packet"
    case .sctpChunkNotFirst(let type):
      "\(SCTPChunkType.name(type)) that is not its packet's first chunk"
    }
  }
}
