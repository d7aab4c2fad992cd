// Whole packets from what they should say, with right lengths and checksums. For tests, which then
// read like the packets they send, and for packets Weir itself must send.

/// Builds IP packets.
///
/// Both ends of a packet must be of one family, and it must fit its length fields: that is the
/// caller's to see to, and traps.
public enum PacketBuilder {
  /// A packet of any protocol: the IP headers, and `payload` as it is.
  public static func ip(
    from source: Endpoint, to destination: Endpoint, transportProtocol: UInt8,
    payload: [UInt8] = [], _ ip: IPFields = IPFields()
  ) -> [UInt8] {
    precondition(source.family == destination.family, "the two ends are of different families")
    switch source.family {
    case .ipv4:
      return ipv4(
        from: source.address, to: destination.address, transportProtocol: transportProtocol,
        payload: payload, ip)
    case .ipv6:
      return ipv6(
        from: source.address, to: destination.address, transportProtocol: transportProtocol,
        payload: payload, ip)
    }
  }

  /// A TCP segment.
  ///
  /// - Parameter options: they stand as given, padded with zeros to a multiple of four bytes; 40 at
  ///   most.
  public static func tcp(
    from source: Endpoint, to destination: Endpoint, flags: TCPFlags, sequence: UInt32 = 0,
    acknowledgement: UInt32 = 0, window: UInt16 = 65_535, urgentPointer: UInt16 = 0,
    options: [TCPOption] = [], payload: [UInt8] = [], _ ip: IPFields = IPFields()
  ) -> [UInt8] {
    var segment: [UInt8] = []
    segment.append16(source.port)
    segment.append16(destination.port)
    segment.append32(sequence)
    segment.append32(acknowledgement)
    segment.append(0)
    segment.append(flags.rawValue)
    segment.append16(window)
    segment.append16(0)
    segment.append16(urgentPointer)
    for option in options { option.append(to: &segment) }
    segment.pad(to: (segment.count + 3) / 4 * 4)
    precondition(segment.count <= 60, "more than 40 bytes of TCP options")
    segment[TCPField.dataOffset] = UInt8(segment.count / 4) << 4
    segment.append(contentsOf: payload)
    let sum = pseudoHeader(source, destination, IPProtocolNumber.tcp, length: segment.count)
    segment.complete(TCPField.checksum, initial: sum)
    return self.ip(
      from: source, to: destination, transportProtocol: IPProtocolNumber.tcp, payload: segment, ip)
  }

  /// A UDP datagram.
  ///
  /// - Parameter withChecksum: false for the checksum 0, which means none.
  public static func udp(
    from source: Endpoint, to destination: Endpoint, payload: [UInt8] = [],
    withChecksum: Bool = true, _ ip: IPFields = IPFields()
  ) -> [UInt8] {
    var datagram: [UInt8] = []
    datagram.append16(source.port)
    datagram.append16(destination.port)
    datagram.append16(UInt16(UDPField.headerLength + payload.count))
    datagram.append16(0)
    datagram.append(contentsOf: payload)
    if withChecksum {
      let sum = pseudoHeader(source, destination, IPProtocolNumber.udp, length: datagram.count)
      datagram.complete(UDPField.checksum, initial: sum)
      let checksum = InternetChecksum.udp(datagram.uint16(at: UDPField.checksum))
      datagram.put16(checksum, at: UDPField.checksum)
    }
    return self.ip(
      from: source, to: destination, transportProtocol: IPProtocolNumber.udp, payload: datagram,
      ip)
  }

  /// An SCTP packet of the chunks given, each padded to a multiple of four already.
  public static func sctp(
    from source: Endpoint, to destination: Endpoint, verificationTag: UInt32, chunks: [UInt8],
    _ ip: IPFields = IPFields()
  ) -> [UInt8] {
    var packet: [UInt8] = []
    packet.append16(source.port)
    packet.append16(destination.port)
    packet.append32(verificationTag)
    packet.append32(0)
    packet.append(contentsOf: chunks)
    let checksum = CRC32c.sctp(packet.rawSpan, at: 0, end: packet.count)
    // Least significant byte first.
    packet.put16(UInt16(truncatingIfNeeded: checksum).byteSwapped, at: SCTPField.checksum)
    packet.put16(UInt16(checksum >> 16).byteSwapped, at: SCTPField.checksum + 2)
    return self.ip(
      from: source, to: destination, transportProtocol: IPProtocolNumber.sctp, payload: packet, ip)
  }

  static func pseudoHeader(
    _ source: Endpoint, _ destination: Endpoint, _ transportProtocol: UInt8, length: Int
  ) -> UInt64 {
    InternetChecksum.pseudoHeader(
      source: source.address, destination: destination.address,
      transportProtocol: transportProtocol, length: length)
  }
}

// MARK: - ICMP

extension PacketBuilder {
  /// An ICMP message, or over IPv6 an ICMPv6 message.
  ///
  /// - Parameter rest: bytes 4 to 8: identifier and sequence, the gateway, the MTU, ...
  public static func icmp(
    from source: Endpoint, to destination: Endpoint, type: UInt8, code: UInt8 = 0,
    rest: UInt32 = 0, payload: [UInt8] = [], _ ip: IPFields = IPFields()
  ) -> [UInt8] {
    let number = source.family == .ipv4 ? IPProtocolNumber.icmp : IPProtocolNumber.icmpv6
    var message: [UInt8] = [type, code]
    message.append16(0)
    message.append32(rest)
    message.append(contentsOf: payload)
    // ICMP's checksum covers the message alone, ICMPv6's the pseudo header too (RFC 4443, 2.3).
    let sum =
      source.family == .ipv4
      ? 0 : pseudoHeader(source, destination, number, length: message.count)
    message.complete(ICMPField.checksum, initial: sum)
    return self.ip(
      from: source, to: destination, transportProtocol: number, payload: message, ip)
  }

  /// An echo request, or the reply to one, of either family.
  public static func echo(
    from source: Endpoint, to destination: Endpoint, reply: Bool = false, identifier: UInt16 = 0,
    sequence: UInt16 = 0, payload: [UInt8] = [], _ ip: IPFields = IPFields()
  ) -> [UInt8] {
    let type =
      switch source.family {
      case .ipv4: reply ? ICMPType.echoReply : ICMPType.echoRequest
      case .ipv6: reply ? ICMPv6Type.echoReply : ICMPv6Type.echoRequest
      }
    return icmp(
      from: source, to: destination, type: type,
      rest: UInt32(identifier) << 16 | UInt32(sequence), payload: payload, ip)
  }

  /// An ICMP or ICMPv6 error about `packet`.
  ///
  /// - Parameter quotedLength: how many bytes of it are quoted at most; by default as many as Linux
  ///   quotes: the error is then no longer than 576 (RFC 1812 section 4.3.2.3) or 1,280 bytes
  ///   (RFC 4443 section 2.4).
  public static func icmpError(
    from source: Endpoint, to destination: Endpoint, type: UInt8, code: UInt8, rest: UInt32 = 0,
    quoting packet: [UInt8], quotedLength: Int? = nil, _ ip: IPFields = IPFields()
  ) -> [UInt8] {
    let longest =
      source.family == .ipv4
      ? 576 - IPv4Field.minimumLength - ICMPField.headerLength
      : 1280 - IPv6Field.length - ICMPField.headerLength
    return icmp(
      from: source, to: destination, type: type, code: code, rest: rest,
      payload: Array(packet.prefix(quotedLength ?? longest)), ip)
  }
}

// MARK: - Frames

extension PacketBuilder {
  /// An Ethernet frame around an IP packet, with the VLAN tags given, the outermost first.
  public static func ethernet(
    from source: UInt64 = 0x0200_0000_0001, to destination: UInt64 = 0x0200_0000_0002,
    vlans: [UInt16] = [], _ packet: [UInt8]
  ) -> [UInt8] {
    var frame: [UInt8] = []
    for address in [destination, source] {
      frame.append16(UInt16(truncatingIfNeeded: address >> 32))
      frame.append32(UInt32(truncatingIfNeeded: address))
    }
    for vlan in vlans {
      frame.append16(0x8100)
      frame.append16(vlan)
    }
    let isIPv6 = (packet.first ?? 0) >> 4 == 6
    frame.append16(isIPv6 ? EtherType.ipv6 : EtherType.ipv4)
    frame.append(contentsOf: packet)
    return frame
  }
}
