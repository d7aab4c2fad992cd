// What the host itself answers a packet with: ICMP errors and TCP resets, and their own way out. An
// answer belongs to the connection of the packet it is about, in the other direction.

import Conntrack
import NAT
import Ruleset
import Wire

extension Firewall {
  // MARK: Reasons to answer

  /// Answers a packet that a REJECT rule refused.
  mutating func reject<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ packet: inout PacketBuffer, _ passage: inout Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) {
    guard let (type, code) = passage.rejectWith.icmp else {
      reset(packet, passage, &sink, &observer)
      return
    }
    guard checksumAllowsAnswer(packet.bytes, passage) else { return }
    leaveChecksum(&packet, passage)
    sendError(type, code, rest: 0, about: packet, passage, &sink, &observer)
  }

  /// Tells the sender of a packet that routing refused, if its kind of refusal is told.
  mutating func answerUnroutable<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ reason: InputRouteDrop, _ packet: borrowing PacketBuffer, _ passage: borrowing Passage,
    _ sink: inout Sink, _ observer: inout Observer
  ) {
    let isIPv4 = passage.headers.family == .ipv4
    guard let code = isIPv4 ? reason.icmpCode : reason.icmpv6Code else { return }
    if isIPv4 && !limiter.allowsRoutingError(to: passage.headers.source, now: now) { return }
    let type = isIPv4 ? ICMPType.destinationUnreachable : ICMPv6Type.destinationUnreachable
    sendError(type, code, rest: 0, about: packet, passage, &sink, &observer)
  }

  /// Tells the sender of a packet that one of its hop-by-hop options cannot be dealt with.
  mutating func answerOptionProblem<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ drop: IPDrop, _ packet: borrowing PacketBuffer, _ arrival: Arrival, _ sink: inout Sink,
    _ observer: inout Observer
  ) {
    var headers = PacketHeaders()
    guard drop == .unknownHopByHopOption || drop == .badJumboPayload,
      let problem = PacketHeaders.decodeOptionProblem(packet.bytes, into: &headers),
      headers.ipv6InterfaceDrop == nil
    else { return }
    // The highest bits of an option: 11 is not told about what came to everyone on the link.
    let isForAll = arrival.packetType != .unicast && packet.bytes.uint8(at: problem) >> 6 == 3
    if drop == .unknownHopByHopOption && isForAll { return }
    let passage = Passage(headers, packet.bytes, arrival, isOutput: false)
    let code = drop == .unknownHopByHopOption ? ICMPv6Code.unknownOption : 0
    sendError(
      ICMPv6Type.parameterProblem, code, rest: UInt32(problem), about: packet, passage, &sink,
      &observer)
  }

  // MARK: ICMP

  /// Sends an ICMP error about `packet` to its sender, if one may be sent.
  mutating func sendError<Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable>(
    _ type: UInt8, _ code: UInt8, rest: UInt32, about packet: borrowing PacketBuffer,
    _ passage: borrowing Passage, _ sink: inout Sink, _ observer: inout Observer
  ) {
    let tellsOfGroups = Passage.isToldAboutGroups(type, code, passage.headers.family)
    guard !passage.isAboutError,
      tellsOfGroups
        || (passage.arrival.packetType == .unicast
          && !isGroup(passage.headers.destination, passage.headers.family)),
      passage.headers.source != .any
    else { return }
    let destination =
      passage.headers.family == .ipv4
      ? passage.options.firstHopBack(packet, source: passage.headers.source)
      : passage.headers.source
    guard let way = errorWay(passage, to: destination),
      let source = errorSource(passage, way, to: destination),
      limiter.allows(type, code: code, to: destination, passage.headers.family, now: now)
    else { return }
    guard var answer = answerBuffers.take() else { return }
    if passage.headers.family == .ipv4 {
      guard
        buildError(
          type, code, rest, packet, passage, from: source, to: destination, way, &answer)
      else {
        answerBuffers.give(consume answer)
        return
      }
    } else {
      buildErrorIPv6(type, code, rest, packet, passage, from: source, way, &answer)
    }
    sendAnswer(&answer, to: passage, way, &sink, &observer)
    answerBuffers.give(consume answer)
  }

  /// RFC 792: type, code, and as much of the packet as fits 576 bytes, or the way to its sender.
  ///
  /// - Returns: false where the packet's options cannot be given back, so that nothing is answered.
  mutating func buildError(
    _ type: UInt8, _ code: UInt8, _ rest: UInt32, _ packet: borrowing PacketBuffer,
    _ passage: borrowing Passage, from source: IPAddress, to destination: IPAddress,
    _ way: RouteResult, _ answer: inout PacketBuffer
  ) -> Bool {
    answer.resize(to: IPv4Field.maximumLength)
    guard
      let options = passage.options.echo(
        packet, into: &answer, address: source, milliseconds: millisecondsOfDay,
        host: host)
    else { return false }
    let at = IPv4Field.minimumLength + options
    let longest = min(576, mtu(way))
    let room = longest - at - ICMPField.headerLength
    // More than a header must fit.
    guard room > IPv4Field.minimumLength else { return false }
    let quoted = min(passage.headers.end, room)
    answer.resize(to: at + ICMPField.headerLength + quoted)
    // Precedence 6, internetwork control (RFC 1812 4.3.2.5); the type of service is the packet's.
    startIPv4(
      &answer, trafficClass: passage.headers.trafficClass & 0x1e | 0xc0,
      identification: takeIdentification(), fragment: 0, IPProtocolNumber.icmp, from: source,
      to: destination, options: options)
    answer.store8(type, at: at)
    answer.store8(code, at: at + ICMPField.code)
    answer.store16(0, at: at + ICMPField.checksum)
    answer.store32(rest, at: at + 4)
    answer.copy(packet.bytes.slice(0..<quoted), at: at + ICMPField.inner)
    let sum = InternetChecksum.sum(answer.bytes.slice(at..<answer.count))
    answer.store16(InternetChecksum.checksum(sum), at: at + ICMPField.checksum)
    return true
  }

  /// RFC 4443: the same, up to the minimum MTU of 1280.
  func buildErrorIPv6(
    _ type: UInt8, _ code: UInt8, _ rest: UInt32, _ packet: borrowing PacketBuffer,
    _ passage: borrowing Passage, from source: IPAddress, _ way: RouteResult,
    _ answer: inout PacketBuffer
  ) {
    let quoted = min(passage.headers.end, 1280 - 48)
    answer.resize(to: 48 + quoted)
    startIPv6(
      &answer, IPProtocolNumber.icmpv6, from: source, to: passage.headers.source,
      hopLimit: hopLimit(way))
    answer.store8(type, at: 40)
    answer.store8(code, at: 41)
    answer.store16(0, at: 42)
    answer.store32(rest, at: 44)
    answer.copy(packet.bytes.slice(0..<quoted), at: 48)
    let sum = InternetChecksum.sum(
      answer.bytes.slice(40..<answer.count),
      initial: InternetChecksum.pseudoHeader(
        source: source, destination: passage.headers.source,
        transportProtocol: IPProtocolNumber.icmpv6, length: answer.count - 40))
    answer.store16(InternetChecksum.checksum(sum), at: 42)
  }

  // MARK: TCP

  /// Answers a segment with the reset a closed port would send (RFC 9293 3.10.7.1).
  mutating func reset<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: borrowing PacketBuffer, _ passage: borrowing Passage, _ sink: inout Sink,
    _ observer: inout Observer
  ) {
    let headers = passage.headers
    guard headers.transportProtocol == IPProtocolNumber.tcp, headers.fragmentOffset == 0,
      !isGroup(headers.destination, headers.family), !passage.options.hasStaleChecksum,
      headers.end - headers.transportOffset >= TCPField.minimumLength
    else { return }
    let at = headers.transportOffset
    let flags = TCPFlags(rawValue: packet.uint8(at: at + TCPField.flags))
    guard !flags.contains(.rst),
      hasChecksumLeft(packet.bytes, passage)
        || InternetChecksum.transportIsValid(packet.bytes, headers: headers),
      let way = wayBack(passage), var answer = answerBuffers.take()
    else { return }

    let network = headers.family == .ipv4 ? 20 : 40
    answer.resize(to: network + 20)
    if headers.family == .ipv4 {
      startIPv4(
        &answer, trafficClass: 0, identification: 0, fragment: IPv4Field.dontFragmentBit,
        IPProtocolNumber.tcp, from: headers.destination, to: headers.source)
    } else {
      startIPv6(
        &answer, IPProtocolNumber.tcp, from: headers.destination, to: headers.source,
        hopLimit: hopLimit(way))
    }
    answer.store16(packet.uint16(at: at + 2), at: network)
    answer.store16(packet.uint16(at: at), at: network + 2)
    let answerFlags: TCPFlags
    if flags.contains(.ack) {
      answer.store32(packet.uint32(at: at + TCPField.acknowledgement), at: network + 4)
      answer.store32(0, at: network + 8)
      answerFlags = [.rst]
    } else {
      // The header's length is believed, even where it makes no sense.
      let headerLength = Int(packet.uint8(at: at + TCPField.dataOffset) >> 4) * 4
      let length =
        headers.end - at - headerLength + (flags.contains(.syn) ? 1 : 0)
        + (flags.contains(.fin) ? 1 : 0)
      answer.store32(0, at: network + 4)
      answer.store32(
        packet.uint32(at: at + TCPField.sequence) &+ UInt32(truncatingIfNeeded: length),
        at: network + 8)
      answerFlags = [.rst, .ack]
    }
    answer.store8(5 << 4, at: network + TCPField.dataOffset)
    answer.store8(answerFlags.rawValue, at: network + TCPField.flags)
    answer.store16(0, at: network + TCPField.window)
    answer.store16(0, at: network + TCPField.checksum)
    answer.store16(0, at: network + TCPField.urgentPointer)
    let sum = InternetChecksum.sum(
      answer.bytes.slice(network..<answer.count),
      initial: InternetChecksum.pseudoHeader(
        source: headers.destination, destination: headers.source,
        transportProtocol: IPProtocolNumber.tcp, length: 20))
    answer.store16(InternetChecksum.checksum(sum), at: network + TCPField.checksum)
    if !passage.tracking.connection.isNone {
      tracker.closeAfterReset(passage.tracking.connection)
    }
    sendAnswer(&answer, to: passage, way, &sink, &observer)
    answerBuffers.give(consume answer)
  }

  // MARK: The answer's own way

  /// The way of an answer through OUTPUT. It has the connection of the packet it is about, and is
  /// RELATED to it; where that has none, it is looked up as any packet of the host's own: an error
  /// belongs to what it quotes, a reset to its ends.
  private mutating func sendAnswer<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ answer: inout PacketBuffer, to cause: borrowing Passage, _ way: RouteResult,
    _ sink: inout Sink, _ observer: inout Observer
  ) {
    var headers = PacketHeaders()
    guard
      PacketHeaders.decode(answer.bytes, family: cause.headers.family, into: &headers) == nil
    else { return }
    var passage = Passage(
      headers, answer.bytes,
      Arrival(interface: .none, family: headers.family, timeNanoseconds: now), isOutput: true)
    setRoute(way, &passage)
    passage.isAnswer = true
    // Errors go through a socket of the kernel's, resets through none.
    passage.context.hasKernelSocket = headers.transportProtocol != IPProtocolNumber.tcp
    if headers.family == .ipv4
      ? host.settings.reflectsMarkIPv4 : host.settings.reflectsMarkIPv6
    {
      passage.context.mark = cause.context.mark
    }
    passage.isAttached = !cause.tracking.connection.isNone
    passage.outcome.hook = .output
    // To raw's rules in OUTPUT the answer to an untracked packet has been seen, and belongs to nothing:
    // they cannot decide about it any more. Then it is tracked as any other.
    if cause.context.ctState == .untracked { passage.context.ctState = .invalid }
    observer.beginAnswer()
    defer { observer.endAnswer() }
    if passage.isAttached {
      passage.tracking = cause.tracking
      passage.tracking.state = .related
      passage.tracking.direction = cause.tracking.direction.opposite
      showConnection(&passage)
    }
    _ = output(&answer, &passage, &sink, &observer)
  }

  // MARK: Where and from whom

  /// The route to a packet's sender. Where nothing is known of routes: back where it came from.
  func wayBack(_ passage: borrowing Passage) -> RouteResult? {
    wayBack(passage, to: passage.headers.source)
  }

  /// The same, to whom an answer goes first.
  private func wayBack(_ passage: borrowing Passage, to source: IPAddress) -> RouteResult? {
    let family = passage.headers.family
    if source == .any { return nil }
    if family == .ipv6, HostConfiguration.isLinkLocal(source), host.routing.knowsIPv6,
      let interface = index(passage.arrival.interface)
    {
      // It means something on its own link only.
      let route = host.routing.lookup(source, .ipv6, through: interface)
      return route?.type == .unicast || route?.type == .local ? route : nil
    }
    if let route = host.routing.lookup(source, family) {
      switch route.type {
      case .local: return route
      case .unicast:
        let refuses =
          family == .ipv6 && (route.interface.map { host.interfaces[$0].isLoopback } ?? false)
        return refuses ? nil : route
      case .broadcast: return family == .ipv4 ? route : nil
      default: return nil
      }
    }
    if host.routing.knows(family) { return nil }
    return RouteResult(type: .unicast, interface: index(passage.arrival.interface))
  }

  /// The way of an error. To a group or to everyone it leaves by the interface of its source.
  private func errorWay(_ passage: borrowing Passage, to destination: IPAddress) -> RouteResult? {
    if passage.headers.family == .ipv4, destination.ipv4 >> 28 == 0xe || destination.ipv4 == .max,
      let source = fixedErrorSource(passage),
      let interface = host.interfaces.firstIndex(where: { interface in
        interface.addresses.contains { $0.family == .ipv4 && $0.address == source }
      })
    {
      return RouteResult(type: .unicast, interface: interface)
    }
    return wayBack(passage, to: destination)
  }

  /// Whether a packet was sent to the host: a link-local address is one of the link it came by.
  private func isOwn(_ address: IPAddress, _ passage: borrowing Passage) -> Bool {
    let family = passage.headers.family
    guard family == .ipv6, HostConfiguration.isLinkLocal(address),
      let interface = index(passage.arrival.interface)
    else { return host.isLocal(address, family) }
    return host.routing.lookup(address, .ipv6, through: interface)?.type == .local
  }

  private func mtu(_ way: RouteResult) -> Int {
    // To an address of the host's own it takes the loopback.
    let out = way.type == .local ? host.loopback : way.interface
    let device = out.map { host.interfaces[$0].mtu } ?? .max
    return way.mtu.map { min($0, device) } ?? device
  }

  /// The address an error comes from: the one the packet was sent to, where that is the host's; else
  /// the host's own towards the sender.
  private func errorSource(
    _ passage: borrowing Passage, _ way: RouteResult, to destination: IPAddress
  ) -> IPAddress? {
    let family = passage.headers.family
    if family == .ipv6, let preferred = way.preferredSource, !wasSentToHost(passage) {
      return preferred
    }
    if let address = fixedErrorSource(passage) { return address }
    if let address = ownAddress(way, toward: destination, family) { return address }
    // Nothing is known of the host's addresses: the answer shows, from whom it was not to come.
    return host.knowsAddresses(family) ? nil : passage.headers.destination
  }

  /// The same, where it does not depend on the error's way.
  private func fixedErrorSource(_ passage: borrowing Passage) -> IPAddress? {
    let family = passage.headers.family
    if wasSentToHost(passage) { return passage.headers.destination }
    // IPv6 answers from where the packet came in, whichever way the answer goes.
    guard family == .ipv6 || host.settings.icmpErrorsUseInboundAddress,
      let interface = index(passage.arrival.interface)
    else { return nil }
    // The nearest to the sender, whoever the error goes to first.
    return host.sourceAddress(
      family, through: interface, nextHop: passage.headers.source,
      destination: passage.headers.source)
  }

  private func wasSentToHost(_ passage: borrowing Passage) -> Bool {
    !passage.options.isSourceRouted && isOwn(passage.headers.destination, passage)
  }

  /// The host's own address on a way: the route's, else the interface's.
  func ownAddress(
    _ way: RouteResult, toward destination: IPAddress, _ family: AddressFamily
  ) -> IPAddress? {
    if let preferred = way.preferredSource { return preferred }
    return way.interface.flatMap {
      host.sourceAddress(
        family, through: $0, nextHop: way.nextHop(to: destination), destination: destination)
    }
  }

  private func isGroup(_ address: IPAddress, _ family: AddressFamily) -> Bool {
    family == .ipv4
      ? address.ipv4 >> 28 == 0xe || host.isBroadcast(address) : address.high >> 56 == 0xff
  }

  /// REJECT answers a packet with an ICMP error only if its checksum is right, for protocols that
  /// have one where everyone knows it.
  private func checksumAllowsAnswer(_ bytes: RawSpan, _ passage: borrowing Passage) -> Bool {
    if hasChecksumLeft(bytes, passage) { return true }
    let headers = passage.headers
    let at = headers.transportOffset
    // Of IPv6 something must stand behind the headers, whatever the protocol.
    if headers.family == .ipv6 && at >= headers.end { return false }
    // With options filled in the kernel's sum over the whole packet is wrong, and it believes only
    // a checksum that conntrack has looked at before.
    let isSpoilt = passage.options.hasStaleChecksum && !isVerifiedByConntrack(passage)
    switch headers.transportProtocol {
    case IPProtocolNumber.gre, IPProtocolNumber.esp, IPProtocolNumber.sctp,
      IPProtocolNumber.udpLite:
      return true
    case IPProtocolNumber.ah where headers.family == .ipv4:
      return true
    case _ where isSpoilt:
      return false
    case IPProtocolNumber.tcp where passage.hadRightChecksum && isVerifiedByConntrack(passage):
      return true
    case IPProtocolNumber.tcp, IPProtocolNumber.udp:
      return at >= 0 && InternetChecksum.transportIsValid(bytes, headers: headers)
    default:
      guard at >= 0, at <= headers.end else { return false }
      let pseudo: UInt64 =
        headers.family == .ipv4
        ? 0
        : InternetChecksum.pseudoHeader(
          source: headers.source, destination: headers.destination,
          transportProtocol: headers.transportProtocol, length: headers.end - at)
      if at == headers.end && headers.family == .ipv4 { return true }
      let sum = InternetChecksum.fold(
        InternetChecksum.sum(bytes.slice(at..<headers.end), initial: pseudo))
      // An all-zero payload adds up to zero, which is right as well.
      return sum == 0xffff || (headers.family == .ipv4 && sum == 0)
    }
  }

  /// Conntrack looks once, when the packet comes in.
  private func isVerifiedByConntrack(_ passage: borrowing Passage) -> Bool {
    guard passage.context.ctState != .untracked, tracker.settings.checksum != 0,
      passage.context.inInterface != .none
    else { return false }
    switch passage.headers.transportProtocol {
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.icmp: return true
    default: return false
    }
  }

  // MARK: Headers

  mutating func takeIdentification() -> UInt16 {
    nextIdentification &+= 1
    return nextIdentification
  }

  private func hopLimit(_ way: RouteResult) -> UInt8 {
    way.interface.map { host.interfaces[$0].settings.hopLimit } ?? 64
  }

  private func startIPv4(
    _ answer: inout PacketBuffer, trafficClass: UInt8, identification: UInt16, fragment: UInt16,
    _ protocolNumber: UInt8, from source: IPAddress, to destination: IPAddress,
    options: Int = 0
  ) {
    answer.store8(0x45 + UInt8(options / 4), at: 0)
    answer.store8(trafficClass, at: IPv4Field.trafficClass)
    answer.store16(UInt16(answer.count), at: IPv4Field.totalLength)
    answer.store16(identification, at: IPv4Field.identification)
    answer.store16(fragment, at: IPv4Field.fragment)
    // To a group only as far as the next link.
    answer.store8(
      destination.ipv4 >> 28 == 0xe ? 1 : host.settings.defaultTTL, at: IPv4Field.timeToLive)
    answer.store8(protocolNumber, at: IPv4Field.transportProtocol)
    answer.store16(0, at: IPv4Field.checksum)
    answer.store32(source.ipv4, at: IPv4Field.source)
    answer.store32(destination.ipv4, at: IPv4Field.destination)
    let sum = InternetChecksum.sum(answer.bytes.slice(0..<IPv4Field.minimumLength + options))
    answer.store16(InternetChecksum.checksum(sum), at: IPv4Field.checksum)
  }

  private func startIPv6(
    _ answer: inout PacketBuffer, _ protocolNumber: UInt8, from source: IPAddress,
    to destination: IPAddress, hopLimit: UInt8
  ) {
    answer.store32(6 << 28, at: 0)
    answer.store16(UInt16(answer.count - 40), at: IPv6Field.payloadLength)
    answer.store8(protocolNumber, at: IPv6Field.nextHeader)
    answer.store8(hopLimit, at: IPv6Field.hopLimit)
    answer.store64(source.high, at: IPv6Field.source)
    answer.store64(source.low, at: IPv6Field.source + 8)
    answer.store64(destination.high, at: IPv6Field.destination)
    answer.store64(destination.low, at: IPv6Field.destination + 8)
  }
}
