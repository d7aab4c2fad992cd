// What the host sends itself: it leaves through the loopback and comes in again, and is one packet of
// one connection all the way.

import Conntrack
import Ruleset
import Wire

extension Firewall {
  /// The second half of the way of a packet to the host itself, behind POSTROUTING: PREROUTING and
  /// INPUT. It keeps its mark, connection and ctstate; only what conntrack made nothing of is looked
  /// at again, now with its checksum.
  mutating func comeBack<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> PacketOutcome {
    let wasNotTracked = passage.context.isNotTracked
    let isSettled = wasNotTracked || !passage.tracking.connection.isNone
    let destination = passage.headers.destination
    passage.arrival.interface = passage.context.outInterface
    passage.context.inInterface = passage.context.outInterface
    passage.context.outInterface = .none
    passage.outcome.verdict = .drop
    if passage.isTracked { passage.tracking.isUnconfirmed = false }
    if isSettled {
      showConnection(&passage)
    } else {
      // To the raw table it is as one that no one has looked at: a CT rule decides.
      passage.context.ctState = nil
      passage.context.trackingOptions = -1
    }
    // NAT may have turned a group's address, at which the host was spoken to, into the source.
    if passage.headers.family == .ipv6 && passage.headers.source.high >> 56 == 0xff {
      passage.outcome.reason = .ipHeader(.multicastSource)
      return end(&packet, &passage, &sink, &observer)
    }
    guard case .on = ask(.raw, .prerouting, &packet, &passage, &observer) else {
      return end(&packet, &passage, &sink, &observer)
    }
    if isSettled {
      // It has been decided: CT --notrack comes too late.
      passage.context.isNotTracked = wasNotTracked
    } else if case .stop = track(
      // A copy's checksum is believed, as on its way out.
      packet.bytes, &passage, passage.isLoopedCopy ? .output : .prerouting)
    {
      return end(&packet, &passage, &sink, &observer)
    }
    guard case .on = ask(.mangle, .prerouting, &packet, &passage, &observer),
      case .on = translate(.destination, .prerouting, &packet, &passage, &observer)
    else { return end(&packet, &passage, &sink, &observer) }
    // It came with its route; only another destination needs another.
    if passage.headers.destination != destination {
      let way = routeInput(passage)
      guard case .deliver = way else {
        passage.outcome.reason = .routing(.martianDestination)
        return end(&packet, &passage, &sink, &observer)
      }
    }
    var way = InputRoute.deliver(passage.isLoopedCopy ? .broadcast : .local)
    guard case .on = heedOptions(&way, &packet, &passage, &sink, &observer) else {
      return end(&packet, &passage, &sink, &observer)
    }
    switch way {
    case .deliver: return input(&packet, &passage, &sink, &observer)
    // Along a source route, which led through the host; not as if another had the host's address.
    case .forward(let route) where !host.isLocal(passage.headers.source, .ipv4):
      return forward(route, &packet, &passage, &sink, &observer)
    case .forward, .drop: return end(&packet, &passage, &sink, &observer)
    }
  }
}

// MARK: - Checksums left to the hardware

extension Firewall {
  /// A reset leaves its checksum to the hardware. Where no hardware comes, over the loopback and in
  /// what quotes it, the field holds the sum over the pseudo-header alone.
  func leaveChecksum(_ packet: inout PacketBuffer, _ passage: borrowing Passage) {
    guard passage.isAnswer, let sum = checksumLeft(passage) else { return }
    packet.store16(sum, at: passage.headers.transportOffset + TCPField.checksum)
  }

  /// Whether a packet that came over the loopback has such a checksum, which counts as right.
  func hasChecksumLeft(_ bytes: RawSpan, _ passage: borrowing Passage) -> Bool {
    if passage.isAnswer { return true }
    guard passage.isForHost, index(passage.arrival.interface) == host.loopback,
      let sum = checksumLeft(passage)
    else { return false }
    return bytes.uint16(at: passage.headers.transportOffset + TCPField.checksum) == sum
  }

  /// For a whole TCP header.
  private func checksumLeft(_ passage: borrowing Passage) -> UInt16? {
    let headers = passage.headers
    // The kernel sums up those of IPv6 itself.
    guard headers.family == .ipv4 else { return nil }
    let length = headers.end - headers.transportOffset
    guard headers.transportProtocol == IPProtocolNumber.tcp, headers.transportOffset >= 0,
      headers.fragmentOffset == 0, length >= TCPField.minimumLength
    else { return nil }
    return InternetChecksum.fold(
      InternetChecksum.pseudoHeader(
        source: headers.source, destination: headers.destination,
        transportProtocol: IPProtocolNumber.tcp, length: length))
  }
}

/// What Weir itself answers with: an answer, and an answer to that. An error is never answered, so
/// there are no more under way at a time.
struct AnswerBuffers: ~Copyable {
  private var first: PacketBuffer? = PacketBuffer(capacity: 2048)
  private var second: PacketBuffer? = PacketBuffer(capacity: 2048)

  mutating func take() -> PacketBuffer? {
    if let buffer = first.take() { return buffer }
    return second.take()
  }

  mutating func give(_ buffer: consuming PacketBuffer) {
    if first == nil { first = consume buffer } else { second = consume buffer }
  }
}
