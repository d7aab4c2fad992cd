// What a router does with a packet beside the rules: whether it may go on, how long it may be, and
// how it leaves.

import Conntrack
import NAT
import Ruleset
import Wire

extension Firewall {
  /// The checks between routing and FORWARD.
  mutating func mayForward<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> Step {
    if passage.arrival.packetType != .unicast {
      passage.outcome.reason = .linkBroadcast
      return .stop
    }
    guard case .on = hasTimeToLive(packet, &passage, &sink, &observer) else { return .stop }
    if passage.options.isSourceRouted, passage.options.isStrict, passage.route.gateway != nil {
      // The next hop of a strict route is no neighbour: source route failed.
      passage.outcome.reason = .sourceRouteRefused
      sendError(
        ICMPType.destinationUnreachable, 5, rest: 0, about: packet, passage, &sink, &observer)
      return .stop
    }
    // Of a route's MTU IPv6 thinks later.
    let isIPv4 = passage.headers.family == .ipv4
    let known = mtu(passage, withRoute: isIPv4)
    if !passage.isReassembled {
      if isIPv4 || passage.route.mtu == nil { passage.longestWhole = known ?? .max }
      if passage.headers.end <= known ?? .max { return .on }
    }
    guard let mtu = known,
      Fragmentation.way(
        headers: passage.headers, mtu: mtu, longestFragment: longestFragment(passage))
        == .tooBig
    else { return .on }
    passage.outcome.reason = .tooLong(mtu: mtu)
    if passage.headers.family == .ipv4 {
      sendError(
        ICMPType.destinationUnreachable, 4, rest: UInt32(mtu), about: packet, passage, &sink,
        &observer)
    } else {
      sendError(
        ICMPv6Type.packetTooBig, 0, rest: UInt32(mtu), about: packet, passage, &sink, &observer)
    }
    return .stop
  }

  /// Whether the packet may go one hop further; its sender is told if not.
  mutating func hasTimeToLive<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: borrowing PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> Step {
    guard passage.headers.hopLimit <= 1 else { return .on }
    passage.outcome.reason = .timeToLiveExceeded
    sendError(
      passage.headers.family == .ipv4 ? ICMPType.timeExceeded : ICMPv6Type.timeExceeded, 0,
      rest: 0, about: packet, passage, &sink, &observer)
    return .stop
  }

  /// Tells a neighbour that another one is nearer to where its packet goes: the packet leaves by the
  /// port it came in on (RFC 792, redirect for the host). IPv4 only: what IPv6 sends instead (RFC 4861
  /// 8.2) holds the nearer neighbour's link-layer address, which the host's routes do not tell.
  mutating func sendRedirect<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: borrowing PacketBuffer, _ passage: borrowing Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) {
    guard let port = passage.route.interface, port == index(passage.arrival.interface),
      passage.headers.family == .ipv4, host.interfaces[port].settings.sendsRedirects,
      passage.options.sourceRoute == 0,
      passage.route.gateway == nil || passage.route.gatewayFamily == .ipv4,
      let back = host.routing.lookup(passage.headers.source, .ipv4), back.type == .unicast,
      back.interface == port, back.gateway == nil,
      limiter.allowsRedirect(to: passage.headers.source, now: now)
    else { return }
    let nearer = passage.route.nextHop(to: passage.headers.destination)
    sendError(ICMPType.redirect, 1, rest: nearer.ipv4, about: packet, passage, &sink, &observer)
  }

  /// The longest packet the way out takes; nil where that is not known, and for packets that cannot
  /// have come over the wire as they are (a capture of a host that joins segments on receipt).
  ///
  /// - Parameter withRoute: the route's own MTU counts, not just the interface's.
  private func mtu(_ passage: borrowing Passage, withRoute: Bool) -> Int? {
    let isLocal = passage.route.type == .local
    guard let out = isLocal ? host.loopback : passage.route.interface else { return nil }
    let segment = passage.arrival.longestSegment
    if segment == 0, !passage.isReassembled, let arrival = index(passage.arrival.interface),
      passage.headers.end > host.interfaces[arrival].mtu
    {
      return nil
    }
    let device =
      passage.headers.family == .ipv4 ? host.interfaces[out].mtu : host.interfaces[out].ipv6MTU
    let limit = withRoute ? passage.route.mtu.map { min($0, device) } ?? device : device
    return segment > 0 && segment <= limit ? nil : limit
  }

  /// IPv6 finds only at the very end, when conntrack has confirmed the connection, that a packet to be
  /// forwarded is longer than its route takes.
  mutating func fitsRoute<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ packet: borrowing PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) -> Bool {
    guard passage.headers.family == .ipv6, passage.outcome.hook == .forward,
      passage.route.mtu != nil, let mtu = mtu(passage, withRoute: true),
      Fragmentation.way(
        headers: passage.headers, mtu: mtu, longestFragment: longestFragment(passage))
        == .tooBig
    else { return true }
    passage.outcome.verdict = .drop
    passage.outcome.reason = .tooLong(mtu: mtu)
    sendError(
      ICMPv6Type.packetTooBig, 0, rest: UInt32(mtu), about: packet, passage, &sink, &observer)
    return false
  }

  /// The length of the longest fragment the packet came in, if it did.
  private func longestFragment(_ passage: borrowing Passage) -> Int? {
    passage.isReassembled ? reassembled.maxFragmentSize : nil
  }

  /// Puts a fragment to the others of its packet. Stops the packet's way until it is whole.
  @inline(__always)
  mutating func defragment(_ packet: inout PacketBuffer, _ passage: inout Passage) -> Step {
    // An IPv6 fragment header may be cut short, which ends the packet's way here.
    passage.headers.isFragment || passage.headers.fragmentHeaderOffset >= 0
      ? reassemble(&packet, &passage) : .on
  }

  private mutating func reassemble(
    _ packet: inout PacketBuffer, _ passage: inout Passage
  ) -> Step {
    let origin = FragmentOrigin(
      interface: passage.arrival.interface.rawValue,
      packetType: passage.arrival.packetType.rawValue, number: passage.arrival.number)
    switch reassembler.add(
      &packet, headers: passage.headers, now: now, user: reassemblyUser(passage), origin: origin)
    {
    case .notAFragment:
      return .on
    case .held:
      passage.outcome.verdict = .held
      passage.outcome.reason = .fragmentHeld
      return .stop
    case .dropped(let problem):
      passage.outcome.verdict = .drop
      passage.outcome.reason = .fragmentDropped(problem)
      return .stop
    case .complete(let whole):
      var headers = PacketHeaders()
      if let drop = PacketHeaders.decodeAgain(
        packet.bytes, family: passage.headers.family, into: &headers)
      {
        passage.outcome.reason = .ipHeader(drop)
        return .stop
      }
      let outInterface = passage.context.outInterface
      let isOutput = passage.context.inInterface == .none
      let hook = passage.outcome.hook
      var arrival = passage.arrival
      arrival.packetType = PacketType(rawValue: whole.origin.packetType) ?? arrival.packetType
      passage = Passage(headers, packet.bytes, arrival, isOutput: isOutput)
      passage.context.outInterface = outInterface
      passage.outcome.hook = hook
      reassembled = whole
      passage.isReassembled = true
      return .on
    }
  }

  /// Fragments of packets to link-local addresses and groups belong to their link.
  private func reassemblyUser(_ passage: borrowing Passage) -> UInt32 {
    let destination = passage.headers.destination
    guard passage.headers.family == .ipv6,
      destination.high >> 56 == 0xff || HostConfiguration.isLinkLocal(destination)
    else { return 0 }
    return UInt32(bitPattern: passage.arrival.interface.rawValue) &+ 1
  }

  /// To read a TCP header, or to track SCTP, the kernel makes the header contiguous: what a shorter
  /// first fragment lacks of it moves there, and the packet's fragments leave with other sizes than
  /// they came with.
  @inline(__always)
  mutating func joinTransportHeader(_ passage: inout Passage) {
    // The host's own fragments are let be.
    guard passage.isReassembled, passage.outcome.hook != .output else { return }
    switch passage.headers.transportProtocol {
    case IPProtocolNumber.tcp:
      reassembled.sizes.pull(TCPField.minimumLength)
    case IPProtocolNumber.sctp where passage.context.ctState != .untracked:
      reassembled.sizes.pull(SCTPField.headerLength)
    default: break
    }
  }

  /// The same for the host's own fragments, of which NAT asks for a whole header to write into.
  mutating func joinTranslatedHeader(_ passage: borrowing Passage, _ kind: NATKind) {
    let connection = passage.tracking.connection
    guard passage.outcome.hook == .output,
      NATRewriter.applies(tracker.status(connection), kind, passage.tracking.direction)
    else { return }
    switch passage.headers.transportProtocol {
    case IPProtocolNumber.tcp: reassembled.sizes.pull(TCPField.minimumLength)
    case IPProtocolNumber.sctp: reassembled.sizes.pull(SCTPField.headerLength)
    default: break
    }
  }

  /// The way out of a packet of the host's own.
  func outputRoute(_ passage: borrowing Passage) -> RouteResult {
    host.routing.lookup(passage.headers.destination, passage.headers.family)?.anycastIsLocal
      ?? RouteResult(type: .unicast, interface: index(passage.arrival.interface))
  }

  /// Hands a packet to the sink, in fragments where it came in fragments or is too long.
  mutating func transmit<Sink: PacketSink & ~Copyable>(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink
  ) {
    let out = passage.context.outInterface
    if passage.headers.end <= passage.longestWhole {
      sink.emit(packet.bytes, through: out, isAnswer: passage.isAnswer)
      return
    }
    let mtu = mtu(passage, withRoute: true) ?? Int.max
    let way = Fragmentation.way(
      headers: passage.headers, mtu: mtu, longestFragment: longestFragment(passage))
    guard way == .pieces, !leavesCutting || passage.headers.family == .ipv6 else {
      sink.emit(packet.bytes, through: out, isAnswer: passage.isAnswer)
      return
    }
    // Length and addresses may have changed under way; what stands in the packet counts.
    var headers = PacketHeaders()
    guard
      PacketHeaders.decodeAgain(packet.bytes, family: passage.headers.family, into: &headers)
        == nil
    else { return }
    guard var scratch = fragment.take() else { return }
    passage.isInPieces = true
    passage.identification = UInt32(truncatingIfNeeded: generator.next())
    Fragmentation.split(
      packet.bytes, headers: headers, mtu: min(mtu, 65_535),
      reassembled: passage.isReassembled ? reassembled : nil,
      identification: passage.identification, into: &scratch
    ) { piece in
      sink.emit(piece, through: out, isAnswer: passage.isAnswer)
    }
    fragment = consume scratch
  }
}
