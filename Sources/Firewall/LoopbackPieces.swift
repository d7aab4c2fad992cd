// What the host sends itself in fragments: over the loopback they go one by one, and some of them come in
// one by one. Beside `Loopback.swift`, which has the way of whole packets.

import Conntrack
import Ruleset
import Wire

extension Firewall {
  /// Whether the fragments are not put together before PREROUTING: those of packets that conntrack has
  /// dealt with in IPv6, in IPv4 those it was not to track.
  func comesBackInPieces(_ passage: borrowing Passage) -> Bool {
    guard passage.isInPieces, !passage.tracking.isDying else { return false }
    if passage.context.isNotTracked { return true }
    return passage.headers.family == .ipv6 && !passage.tracking.connection.isNone
  }

  /// PREROUTING for each fragment, of a copy to a group POSTROUTING before it; then INPUT, in IPv6 for
  /// each as well, in IPv4 for the whole.
  mutating func comeBackInPieces<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    let out = index(passage.context.outInterface)
    passage.arrival.interface = passage.context.outInterface
    passage.context.inInterface = passage.context.outInterface
    passage.context.outInterface = .none
    passage.outcome.verdict = .drop
    passage.tracking.isUnconfirmed = false
    var headers = PacketHeaders()
    guard
      PacketHeaders.decodeAgain(packet.bytes, family: passage.headers.family, into: &headers)
        == nil, let out, var piece = loopedBuffer.take(),
      var scratch = fragment.take()
    else { return passage.outcome }
    let whole = reassembled
    var isWhole = true
    Fragmentation.split(
      packet.bytes, headers: headers, mtu: min(host.interfaces[out].mtu, 65_535),
      reassembled: whole, identification: passage.identification, into: &scratch
    ) { bytes in
      if piece.assign(bytes) {
        let outcome = comeBack(piece: &piece, of: passage, &sink, &observer)
        if outcome.verdict == .accept { return }
        passage.outcome.reason = outcome.reason
      }
      isWhole = false
    }
    fragment = consume scratch
    loopedBuffer = consume piece
    guard isWhole else { return passage.outcome }
    if passage.headers.family == .ipv4 { return input(&packet, &passage, &sink, &observer) }
    passage.outcome.hook = .input
    passage.outcome.verdict = .accept
    return passage.outcome
  }

  private mutating func comeBack<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    piece: inout PacketBuffer, of whole: borrowing Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    var headers = PacketHeaders()
    if let drop = PacketHeaders.decodeAgain(
      piece.bytes, family: whole.headers.family, into: &headers)
    {
      return .dropped(.ipHeader(drop), whole.headers.family)
    }
    var passage = Passage(headers, piece.bytes, whole.arrival, isOutput: false)
    passage.tracking = whole.tracking
    passage.isTracked = whole.isTracked
    passage.isAnswer = whole.isAnswer
    passage.route = whole.route
    passage.context.mark = whole.context.mark
    passage.context.ctState = whole.context.ctState
    passage.context.isNotTracked = whole.context.isNotTracked
    showConnection(&passage)
    passage.context.ctState = whole.context.ctState
    if whole.isLoopedCopy {
      passage.isLoopedCopy = true
      passage.context.packetType = whole.context.packetType
      passage.context.inInterface = .none
      passage.context.outInterface = whole.arrival.interface
      guard case .on = ask(.mangle, .postrouting, &piece, &passage, &observer) else {
        return end(&piece, &passage, &sink, &observer)
      }
      passage.context.packetType = whole.arrival.packetType
      passage.context.inInterface = whole.arrival.interface
      passage.context.outInterface = .none
    }
    guard case .on = ask(.raw, .prerouting, &piece, &passage, &observer) else {
      return end(&piece, &passage, &sink, &observer)
    }
    passage.context.isNotTracked = whole.context.isNotTracked
    guard case .on = ask(.mangle, .prerouting, &piece, &passage, &observer) else {
      return end(&piece, &passage, &sink, &observer)
    }
    passage.outcome.hook = .input
    passage.outcome.verdict = .accept
    return headers.family == .ipv4
      ? passage.outcome : input(&piece, &passage, &sink, &observer)
  }
}
