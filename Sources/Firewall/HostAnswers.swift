// What a host without programs answers to packets that INPUT let through: a gateway's own stack. Echo is
// answered; all ports are closed.

import Conntrack
import Ruleset
import Wire

extension Firewall {
  /// Whether a packet that was delivered to the host is an echo request that `answerDelivered` answers.
  public static func isEchoRequest(_ packet: RawSpan, _ family: AddressFamily) -> Bool {
    var headers = PacketHeaders()
    guard PacketHeaders.decodeAgain(packet, family: family, into: &headers) == nil else {
      return false
    }
    let at = family == .ipv4 ? IPv4Field.minimumLength : IPv6Field.length
    // Options and extension headers do not come back.
    guard headers.transportOffset == at, headers.end > at else { return false }
    let isIPv4 = family == .ipv4
    return headers.transportProtocol
      == (isIPv4 ? IPProtocolNumber.icmp : IPProtocolNumber.icmpv6)
      && packet.uint8(at: at) == (isIPv4 ? ICMPType.echoRequest : ICMPv6Type.echoRequest)
  }

  /// Answers a packet that was delivered to the host, as its programs would see it, where a host that
  /// runs no programs answers: echo replies (RFC 1122 3.2.2.6, RFC 4443 4.2), port unreachable for UDP,
  /// a reset for TCP, protocol unreachable for the rest. The answer goes its way through OUTPUT.
  ///
  /// - Parameters:
  ///   - packet: as `PacketSink.deliver` got it; an echo reply is made in place.
  ///   - arrival: how it came.
  public mutating func answerDelivered<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ arrival: Arrival, to sink: inout Sink,
    observer: inout Observer
  ) {
    var headers = PacketHeaders()
    guard
      PacketHeaders.decodeAgain(packet.bytes, family: arrival.family, into: &headers) == nil
    else { return }
    let passage = Passage(headers, packet.bytes, arrival, isOutput: false)
    let isIPv4 = headers.family == .ipv4
    let length = headers.end - headers.transportOffset
    switch headers.transportProtocol {
    case IPProtocolNumber.icmp where isIPv4, IPProtocolNumber.icmpv6 where !isIPv4:
      guard length >= ICMPField.headerLength,
        InternetChecksum.transportIsValid(packet.bytes, headers: headers)
      else { return }
      let type = packet.uint8(at: headers.transportOffset)
      if type == (isIPv4 ? ICMPType.echoRequest : ICMPv6Type.echoRequest) {
        echo(&packet, headers, arrival, &sink, &observer)
      }
    case IPProtocolNumber.tcp:
      reset(packet, passage, &sink, &observer)
    case IPProtocolNumber.udp, IPProtocolNumber.udpLite:
      guard length >= UDPField.headerLength,
        InternetChecksum.transportIsValid(packet.bytes, headers: headers)
      else { return }
      sendError(
        isIPv4 ? ICMPType.destinationUnreachable : ICMPv6Type.destinationUnreachable,
        isIPv4 ? 3 : 4, rest: 0, about: packet, passage, &sink, &observer)
    default:
      guard isIPv4 else { return }
      sendError(
        ICMPType.destinationUnreachable, 2, rest: 0, about: packet, passage, &sink, &observer)
    }
  }

  /// Tells the sender of a packet that was let out, and is as it left, that its next hop does not
  /// answer: host unreachable, or address unreachable in IPv6.
  public mutating func answerUnreachable<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: borrowing PacketBuffer, _ family: AddressFamily, to sink: inout Sink,
    observer: inout Observer
  ) {
    var headers = PacketHeaders()
    guard PacketHeaders.decodeAgain(packet.bytes, family: family, into: &headers) == nil else {
      return
    }
    let passage = Passage(
      headers, packet.bytes, Arrival(interface: .none, family: family, timeNanoseconds: now),
      isOutput: false)
    if family == .ipv4 {
      sendError(
        ICMPType.destinationUnreachable, 1, rest: 0, about: packet, passage, &sink, &observer)
    } else {
      sendError(
        ICMPv6Type.destinationUnreachable, 3, rest: 0, about: packet, passage, &sink, &observer)
    }
  }

  private mutating func echo<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ packet: inout PacketBuffer, _ headers: PacketHeaders, _ arrival: Arrival,
    _ sink: inout Sink, _ observer: inout Observer
  ) {
    let isIPv4 = headers.family == .ipv4
    let isOwn = host.isLocal(headers.destination, headers.family)
    if isIPv4 {
      if host.settings.icmpEchoIgnoreAll { return }
      if !isOwn && host.settings.icmpEchoIgnoreBroadcasts { return }
    } else {
      if host.settings.icmpv6EchoIgnoreAll { return }
      if !isOwn && host.settings.icmpv6EchoIgnoreMulticast { return }
    }
    // Options and extension headers do not come back.
    guard headers.transportOffset == (isIPv4 ? IPv4Field.minimumLength : IPv6Field.length) else {
      return
    }
    var source = headers.destination
    if !isOwn {
      guard let route = host.routing.lookup(headers.source, headers.family),
        let interface = route.interface,
        let own = host.sourceAddress(
          headers.family, through: interface, nextHop: headers.source,
          destination: headers.source)
      else { return }
      source = own
    }
    let at = headers.transportOffset
    packet.store8(isIPv4 ? ICMPType.echoReply : ICMPv6Type.echoReply, at: at)
    packet.store16(0, at: at + ICMPField.checksum)
    var initial: UInt64 = 0
    if isIPv4 {
      packet.store32(source.ipv4, at: IPv4Field.source)
      packet.store32(headers.source.ipv4, at: IPv4Field.destination)
      packet.store16(takeIdentification(), at: IPv4Field.identification)
      packet.store16(0, at: IPv4Field.fragment)
      packet.store8(host.settings.defaultTTL, at: IPv4Field.timeToLive)
      packet.store16(0, at: IPv4Field.checksum)
      let sum = InternetChecksum.sum(packet.bytes, from: 0, to: IPv4Field.minimumLength)
      packet.store16(InternetChecksum.checksum(sum), at: IPv4Field.checksum)
    } else {
      packet.store64(source.high, at: 8)
      packet.store64(source.low, at: 16)
      packet.store64(headers.source.high, at: 24)
      packet.store64(headers.source.low, at: 32)
      packet.store8(64, at: 7)
      initial = InternetChecksum.pseudoHeader(
        source: source, destination: headers.source,
        transportProtocol: IPProtocolNumber.icmpv6, length: headers.end - at)
    }
    let sum = InternetChecksum.sum(packet.bytes, from: at, to: headers.end, initial: initial)
    packet.store16(InternetChecksum.checksum(sum), at: at + ICMPField.checksum)
    _ = send(
      &packet,
      Arrival(interface: .none, family: headers.family, timeNanoseconds: arrival.timeNanoseconds),
      to: &sink, observer: &observer)
  }
}
