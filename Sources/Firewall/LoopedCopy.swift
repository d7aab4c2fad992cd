// What the host sends to everyone on a link, or to a group it is in itself: a copy comes in again by the
// interface it leaves by. For OUTPUT (`Hooks.swift`).

import Conntrack
import Ruleset
import Wire

extension Firewall {
  /// Whether a packet of the host's own, behind OUTPUT, is also for the host itself.
  func isAlsoForHost(_ passage: borrowing Passage) -> Bool {
    guard passage.route.type != .local,
      !(passage.tracking.isDying && passage.headers.family == .ipv4),
      let out = index(passage.context.outInterface),
      !host.interfaces[out].isLoopback
    else { return false }
    let destination = passage.headers.destination
    if passage.headers.family == .ipv4 {
      // Of other groups than 224.0.0.1 a snapshot does not tell whether the host is in them.
      return passage.route.type == .broadcast || destination.ipv4 == .max
        || destination.ipv4 == 0xe000_0001
    }
    return destination.high >> 56 == 0xff
      && host.takesIPv6Multicast(destination, out, host.interfaces[out].settings)
  }

  /// POSTROUTING, for the packet and for its copy, which then comes back to PREROUTING and INPUT. Both
  /// are of one connection, which the first of them confirms: in IPv4 the copy, made before POSTROUTING,
  /// in IPv6 the packet, copied behind it.
  mutating func sendToAll<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    guard var copy = loopedBuffer.take() else {
      return postrouting(&packet, &passage, &sink, &observer)
    }
    let outcome: PacketOutcome
    let copyOutcome: PacketOutcome
    var copied: Passage
    if passage.headers.family == .ipv4 {
      _ = copy.assign(packet.bytes)
      copied = passage.copied()
      copyOutcome = postrouting(&copy, &copied, &sink, &observer)
      if copyOutcome.verdict == .accept {
        passage.tracking = copied.tracking
        // An answer confirms nothing.
        if !passage.isAttached { passage.tracking.isUnconfirmed = false }
      }
      outcome = postrouting(&packet, &passage, &sink, &observer)
    } else {
      passage.isAlsoForHost = true
      outcome = postrouting(&packet, &passage, &sink, &observer)
      guard outcome.verdict == .accept else {
        loopedBuffer = consume copy
        return outcome
      }
      _ = copy.assign(packet.bytes)
      if !passage.isAttached { passage.tracking.isUnconfirmed = false }
      copied = passage.copied()
      if comesBackInPieces(passage) {
        // What left in pieces is copied piece by piece.
        copied.arrival.packetType = .multicast
        copied.identification = passage.identification
        loopedBuffer = consume copy
        _ = comeBackInPieces(&packet, &copied, &sink, &observer)
        return outcome
      }
      copyOutcome = postrouting(&copy, &copied, &sink, &observer)
    }
    if copyOutcome.verdict == .accept {
      let isBroadcast =
        copied.headers.family == .ipv4 && copied.headers.destination.ipv4 >> 28 != 0xe
      copied.arrival.packetType = isBroadcast ? .broadcast : .multicast
      copied.context.packetType = copied.arrival.packetType
      _ = comeBack(&copy, &copied, &sink, &observer)
    }
    loopedBuffer = consume copy
    return outcome
  }
}
