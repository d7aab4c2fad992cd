// What a protocol's tracker remembers of a connection beyond its state: what ctnetlink shows of it and
// listings do not. For whoever compares or copies tables.

import Wire

/// What is remembered of one connection beyond its state.
package enum ProtocolDetails: Hashable, Sendable {
  case none
  /// Of each direction: the shift of its windows, and its flags (`IP_CT_TCP_FLAG_*` of
  /// linux/netfilter/nf_conntrack_tcp.h).
  case tcp(originalScale: UInt8, replyScale: UInt8, originalFlags: UInt8, replyFlags: UInt8)
  /// The verification tags that packets of each direction carry.
  case sctp(originalTag: UInt32, replyTag: UInt32)
}

extension ConnectionTracker {
  /// The details of the connection this tuple belongs to, in either direction.
  package func protocolDetails(_ tuple: Tuple, zone: TrackingZone) -> ProtocolDetails {
    guard let found = table.find(tuple, zone: zone) else { return .none }
    let record = table.records[found.record]
    switch record.protocolNumber {
    case IPProtocolNumber.tcp:
      let peers = record.tcp.peers
      return .tcp(
        originalScale: peers.0.windowScale, replyScale: peers.1.windowScale,
        originalFlags: peers.0.flags.rawValue, replyFlags: peers.1.flags.rawValue)
    case IPProtocolNumber.sctp:
      return .sctp(originalTag: record.sctp.originalTag, replyTag: record.sctp.replyTag)
    default: return .none
    }
  }
}
