// Helpers at the hooks: a CT rule gives a connection its helper, packets are shown to it when they
// have come to the end of their way, and what it announced is translated when it comes.

import Conntrack
import NAT
import Ruleset
import Wire

extension Firewall {
  /// What holds of a connection from its first packet on: the helper a rule gave it, or what the
  /// expectation says that it fulfils.
  mutating func begin(_ passage: inout Passage) {
    let connection = passage.tracking.connection
    if passage.tracking.isAdopted {
      if let adoption = tracker.adoption { HelperNAT.follow(adoption, &tracker, connection) }
      return
    }
    let options = Int(passage.context.trackingOptions)
    guard options >= 0 else { return }
    let kind =
      passage.headers.family == .ipv4
      ? ipv4Rules.trackingOptions[options].helperKind
      : ipv6Rules.trackingOptions[options].helperKind
    if kind != .none { tracker.assignHelper(kind, to: connection) }
  }

  /// Shows a packet that is about to leave, or to be delivered, to its connection's helper, and moves
  /// its sequence numbers.
  @inline(__always)
  mutating func help(_ packet: inout PacketBuffer, _ passage: inout Passage) -> Step {
    let connection = passage.tracking.connection
    if connection.isNone || !tracker.needsAttention(connection) { return .on }
    return attend(&packet, &passage)
  }

  @inline(never)
  private mutating func attend(
    _ packet: inout PacketBuffer, _ passage: inout Passage
  ) -> Step {
    if passage.isICMPError {
      // An error about the connection is no packet of it, though one that goes the original way has
      // numbers moved as if it were.
      return passage.tracking.direction == .reply ? .on : moveNumbers(&packet, &passage)
    }
    switch tracker.help(packet.bytes, passage.headers, passage.tracking) {
    case .pass: break
    case .drop(let reason): return refuse(reason, &passage)
    case .announces(let announcement):
      if let reason = HelperNAT.announce(
        announcement, &packet, &passage.headers, &tracker, passage.tracking)
      {
        return refuse(reason, &passage)
      }
    case .writes(let value, let offset):
      if let reason = HelperNAT.write(
        value, at: offset, &packet, &passage.headers, &tracker, passage.tracking)
      {
        return refuse(reason, &passage)
      }
    }
    return moveNumbers(&packet, &passage)
  }

  private mutating func moveNumbers(
    _ packet: inout PacketBuffer, _ passage: inout Passage
  ) -> Step {
    guard
      SequenceRewriter.rewrite(&packet, passage.headers, tracker, passage.tracking)
    else {
      passage.outcome.reason = .cannotTranslate
      return .stop
    }
    return .on
  }

  private func refuse(_ reason: HelperDrop, _ passage: inout Passage) -> Step {
    passage.outcome.reason = .helper(tracker.helper(of: passage.tracking.connection), reason)
    passage.outcome.verdict = .drop
    return .stop
  }
}
