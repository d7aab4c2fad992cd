// Fragments whose packet never became whole: when their time is over, the sender of the first is told
// (RFC 792, RFC 4443 3.3). For whoever moves the firewall's clock.

import Ruleset
import Wire

extension Firewall {
  /// Moves the clock and expires what is due, connections and fragments, and sends what that leads to.
  public mutating func advance<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    to time: Int64, to sink: inout Sink, observer: inout Observer
  ) {
    while expireFragments(by: time, to: &sink, observer: &observer) != nil {}
    advance(to: time)
  }

  /// Discards the fragments of one packet whose time is over by `time`; call until nil.
  ///
  /// - Parameter sink: gets the ICMP error, if one is due: IPv4 tells the senders of packets for the
  ///   host itself, IPv6 all.
  /// - Returns: the number (`Arrival.number`) of the first fragment, or 0 where that never came.
  public mutating func expireFragments<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(by time: Int64, to sink: inout Sink, observer: inout Observer) -> Int32? {
    guard time >= reassembler.nextDeadline, var first = expiredFragment.take() else { return nil }
    let number = expireFragments(by: time, into: &first, to: &sink, observer: &observer)
    expiredFragment = consume first
    return number
  }

  private mutating func expireFragments<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    by time: Int64, into first: inout PacketBuffer, to sink: inout Sink, observer: inout Observer
  ) -> Int32? {
    guard let expired = reassembler.takeExpired(now: time, firstFragment: &first) else {
      return nil
    }
    guard first.count > 0 else { return 0 }
    advance(to: expired.deadlineNanoseconds)
    var arrival = Arrival(
      interface: InterfaceID(rawValue: expired.last.interface), family: expired.family,
      timeNanoseconds: expired.deadlineNanoseconds)
    arrival.packetType = PacketType(rawValue: expired.first.packetType) ?? .unicast
    var headers = PacketHeaders()
    let kept = first.count
    // Of a fragment with a tail that does not fill 8 bytes less is kept than its header says.
    if expired.family == .ipv4 {
      first.resize(to: max(kept, Int(first.uint16(at: IPv4Field.totalLength))))
    }
    guard PacketHeaders.decodeAgain(first.bytes, family: expired.family, into: &headers) == nil
    else { return expired.first.number }
    headers.grow(by: kept - headers.end)
    first.resize(to: kept)
    // The host does not tell itself.
    if arrival.interface == .none && host.isLocal(headers.source, expired.family) {
      return expired.first.number
    }
    if expired.family == .ipv4 {
      let way = host.routeInput(
        source: headers.source, destination: headers.destination, family: .ipv4,
        interface: index(arrival.interface))
      guard case .deliver(.local) = way else { return expired.first.number }
    }
    let passage = Passage(headers, first.bytes, arrival, isOutput: false)
    sendError(
      expired.family == .ipv4 ? ICMPType.timeExceeded : ICMPv6Type.timeExceeded, 1, rest: 0,
      about: first, passage, &sink, &observer)
    return expired.first.number
  }
}
