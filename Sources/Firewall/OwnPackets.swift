// Packets of the host's own programs that reach the firewall over a wire (a gateway's `--local` interface)
// and not from a socket: what the kernel would tell the socket at once, its program learns by ICMP.

import Ruleset
import Wire

extension Firewall {
  /// A packet that a program of the host's sends: through OUTPUT and POSTROUTING as `send`, but where no
  /// route leads on, or where it is longer than its way takes and may not be cut, its sender is told. Such
  /// a message passes no hook: to a socket the kernel says the same in the call itself.
  ///
  /// - Parameter arrival: of no interface; `longestSegment` counts for its length.
  public mutating func sendForProgram<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ arrival: Arrival, to sink: inout Sink,
    observer: inout Observer
  ) -> PacketOutcome {
    var headers = PacketHeaders()
    if let drop = PacketHeaders.decodeAgain(packet.bytes, family: arrival.family, into: &headers) {
      return .dropped(.ipHeader(drop), arrival.family)
    }
    let passage = Passage(headers, packet.bytes, arrival, isOutput: true)
    let route = outputRoute(passage)
    let isIPv4 = headers.family == .ipv4
    if let problem = host.refusesToSend(from: headers.source, headers.family, route) {
      if let code = isIPv4 ? problem.icmpCode : problem.icmpv6Code {
        tellProgram(
          isIPv4 ? ICMPType.destinationUnreachable : ICMPv6Type.destinationUnreachable, code,
          rest: 0, about: packet, passage, &sink)
      }
      return .dropped(.routing(problem), arrival.family)
    }
    if let mtu = pathLimit(route, headers.family),
      (arrival.longestSegment > 0 ? arrival.longestSegment : headers.end) > mtu,
      !headers.isFragment,
      !isIPv4 || packet.uint16(at: IPv4Field.fragment) & IPv4Field.dontFragmentBit != 0
    {
      tellProgram(
        isIPv4 ? ICMPType.destinationUnreachable : ICMPv6Type.packetTooBig, isIPv4 ? 4 : 0,
        rest: UInt32(mtu), about: packet, passage, &sink)
      return .dropped(.tooLong(mtu: mtu), arrival.family)
    }
    return send(&packet, arrival, to: &sink, observer: &observer)
  }

  /// A burst of such packets, in order. What became of each is in the burst afterwards.
  public mutating func sendForPrograms<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ burst: inout PacketBurst, to sink: inout Sink, observer: inout Observer
  ) {
    guard var whole = wholeBuffer.take() else {
      preconditionFailure("the buffer is put back below")
    }
    for index in 0..<burst.count {
      let arrival = burst.lanes[index].arrival
      sink.begin(arrival)
      // A fragment may be the last of a packet that is longer than a burst's.
      _ = whole.assign(burst.packets[index].bytes)
      burst.outcomes[index] = sendForProgram(&whole, arrival, to: &sink, observer: &observer)
    }
    wholeBuffer = consume whole
  }

  /// The longest packet a route takes, bytes; nil where that is not known, and to the host itself.
  private func pathLimit(_ route: RouteResult, _ family: AddressFamily) -> Int? {
    guard route.type != .local, let out = route.interface else { return nil }
    let device = family == .ipv4 ? host.interfaces[out].mtu : host.interfaces[out].ipv6MTU
    return route.mtu.map { min($0, device) } ?? device
  }

  private mutating func tellProgram<Sink: PacketSink & ~Copyable>(
    _ type: UInt8, _ code: UInt8, rest: UInt32, about packet: borrowing PacketBuffer,
    _ passage: borrowing Passage, _ sink: inout Sink
  ) {
    let headers = passage.headers
    // A source that is not the host's own is a slip of whoever routed it here.
    guard !passage.isAboutError, let way = host.routing.lookup(headers.source, headers.family),
      way.type == .local, var answer = answerBuffers.take()
    else { return }
    if headers.family == .ipv4 {
      if buildError(
        type, code, rest, packet, passage, from: headers.source, to: headers.source, way, &answer)
      {
        sink.deliver(answer.bytes, from: .none, isAnswer: true)
      }
    } else {
      buildErrorIPv6(type, code, rest, packet, passage, from: headers.source, way, &answer)
      sink.deliver(answer.bytes, from: .none, isAnswer: true)
    }
    answerBuffers.give(consume answer)
  }
}
