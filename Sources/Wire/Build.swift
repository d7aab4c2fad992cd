// Building packets with right lengths and checksums: the answers a firewall makes itself (REJECT),
// and what tests send.

/// The IP header of a packet to be built.
public struct IPFields: Sendable {
  public var family: AddressFamily
  public var source: IPAddress
  public var destination: IPAddress
  public var hopLimit: UInt8 = 64
  public var trafficClass: UInt8 = 0
  /// IPv4 only.
  public var identification: UInt16 = 0
  public var dontFragment = false
  /// IPv6 only, 20 bits.
  public var flowLabel: UInt32 = 0

  public init(_ family: AddressFamily, from source: IPAddress, to destination: IPAddress) {
    self.family = family
    self.source = source
    self.destination = destination
  }
}

/// The TCP header of a packet to be built.
public struct TCPFields: Sendable {
  public var sourcePort: UInt16
  public var destinationPort: UInt16
  public var flags: TCPFlags
  public var sequence: UInt32 = 0
  public var acknowledgement: UInt32 = 0
  public var window: UInt16 = 0
  public var urgentPointer: UInt16 = 0

  public init(_ flags: TCPFlags, from sourcePort: UInt16, to destinationPort: UInt16) {
    self.flags = flags
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
  }
}

extension PacketBuffer {
  /// Replaces the contents by an IP header and a payload, to which a transport header and its
  /// checksum may then be written.
  ///
  /// - Returns: false, with nothing changed, when it does not fit the buffer or IP's 65,535 bytes.
  public mutating func buildIP(
    _ ip: IPFields, transportProtocol: UInt8, options: RawSpan = RawSpan(),
    headerRoom: Int = 0, payload: RawSpan = RawSpan()
  ) -> Bool {
    // IPv4 options come in words; IPv6 has none.
    precondition(options.byteCount % 4 == 0 && options.byteCount <= 40)
    precondition(ip.family == .ipv4 || options.isEmpty)
    let headerLength =
      ip.family == .ipv4 ? IPv4Field.minimumLength + options.byteCount : IPv6Field.length
    let total = headerLength + headerRoom + payload.byteCount
    let limit = ip.family == .ipv4 ? 0xffff : IPv6Field.length + 0xffff
    guard total <= capacity, total <= limit else { return false }
    resize(to: total)
    for index in 0..<headerLength + headerRoom { store8(0, at: index) }
    copy(payload, at: headerLength + headerRoom)
    switch ip.family {
    case .ipv4:
      store8(0x40 | UInt8(headerLength / 4), at: IPv4Field.versionAndHeaderLength)
      store8(ip.trafficClass, at: IPv4Field.trafficClass)
      store16(UInt16(total), at: IPv4Field.totalLength)
      store16(ip.identification, at: IPv4Field.identification)
      store16(ip.dontFragment ? IPv4Field.dontFragmentBit : 0, at: IPv4Field.fragment)
      store8(ip.hopLimit, at: IPv4Field.timeToLive)
      store8(transportProtocol, at: IPv4Field.transportProtocol)
      store32(ip.source.ipv4, at: IPv4Field.source)
      store32(ip.destination.ipv4, at: IPv4Field.destination)
      copy(options, at: IPv4Field.options)
      updateIPv4HeaderChecksum()
    case .ipv6:
      store32(
        6 << 28 | UInt32(ip.trafficClass) << 20 | ip.flowLabel & 0xf_ffff,
        at: IPv6Field.versionClassFlow)
      store16(UInt16(total - headerLength), at: IPv6Field.payloadLength)
      store8(transportProtocol, at: IPv6Field.nextHeader)
      store8(ip.hopLimit, at: IPv6Field.hopLimit)
      store64(ip.source.high, at: IPv6Field.source)
      store64(ip.source.low, at: IPv6Field.source + 8)
      store64(ip.destination.high, at: IPv6Field.destination)
      store64(ip.destination.low, at: IPv6Field.destination + 8)
    }
    return true
  }

  /// Replaces the contents by a TCP segment. False when it does not fit.
  ///
  /// - Parameter options: a multiple of 4 bytes, 40 at most.
  public mutating func buildTCP(
    _ ip: IPFields, _ tcp: TCPFields, options: RawSpan = RawSpan(),
    payload: RawSpan = RawSpan()
  ) -> Bool {
    precondition(options.byteCount % 4 == 0 && options.byteCount <= 40)
    let headerLength = TCPField.minimumLength + options.byteCount
    guard
      buildIP(
        ip, transportProtocol: IPProtocolNumber.tcp, headerRoom: headerLength,
        payload: payload)
    else { return false }
    let at = count - payload.byteCount - headerLength
    store16(tcp.sourcePort, at: at + TCPField.sourcePort)
    store16(tcp.destinationPort, at: at + TCPField.destinationPort)
    store32(tcp.sequence, at: at + TCPField.sequence)
    store32(tcp.acknowledgement, at: at + TCPField.acknowledgement)
    store8(UInt8(headerLength / 4) << 4, at: at + TCPField.dataOffset)
    store8(tcp.flags.rawValue, at: at + TCPField.flags)
    store16(tcp.window, at: at + TCPField.window)
    store16(tcp.urgentPointer, at: at + TCPField.urgentPointer)
    copy(options, at: at + TCPField.options)
    store16(transportChecksum(ip, IPProtocolNumber.tcp, at), at: at + TCPField.checksum)
    return true
  }

  /// Replaces the contents by a UDP datagram. False when it does not fit.
  public mutating func buildUDP(
    _ ip: IPFields, from sourcePort: UInt16, to destinationPort: UInt16,
    payload: RawSpan = RawSpan()
  ) -> Bool {
    guard payload.byteCount <= 0xffff - UDPField.headerLength,
      buildIP(
        ip, transportProtocol: IPProtocolNumber.udp, headerRoom: UDPField.headerLength,
        payload: payload)
    else { return false }
    let at = count - payload.byteCount - UDPField.headerLength
    store16(sourcePort, at: at + UDPField.sourcePort)
    store16(destinationPort, at: at + UDPField.destinationPort)
    store16(UInt16(count - at), at: at + UDPField.length)
    let checksum = transportChecksum(ip, IPProtocolNumber.udp, at)
    store16(InternetChecksum.udp(checksum), at: at + UDPField.checksum)
    return true
  }

  /// Replaces the contents by an ICMP message (IPv6: ICMPv6). False when it does not fit.
  ///
  /// - Parameter rest: bytes 4 to 8: identifier and sequence, MTU, gateway, pointer.
  public mutating func buildICMP(
    _ ip: IPFields, type: UInt8, code: UInt8, rest: UInt32 = 0, payload: RawSpan = RawSpan()
  ) -> Bool {
    let number = ip.family == .ipv4 ? IPProtocolNumber.icmp : IPProtocolNumber.icmpv6
    guard
      buildIP(
        ip, transportProtocol: number, headerRoom: ICMPField.headerLength, payload: payload)
    else { return false }
    let at = count - payload.byteCount - ICMPField.headerLength
    store8(type, at: at + ICMPField.type)
    store8(code, at: at + ICMPField.code)
    store32(rest, at: at + ICMPField.identifier)
    store16(transportChecksum(ip, number, at), at: at + ICMPField.checksum)
    return true
  }

  /// The checksum of what starts at `offset` and holds 0 in its checksum field.
  private func transportChecksum(
    _ ip: IPFields, _ transportProtocol: UInt8, _ offset: Int
  ) -> UInt16 {
    // ICMP over IPv4 (RFC 792) alone has no pseudo header.
    let pseudo: UInt64 =
      transportProtocol == IPProtocolNumber.icmp
      ? 0
      : InternetChecksum.pseudoHeader(
        source: ip.source, destination: ip.destination,
        transportProtocol: transportProtocol, length: count - offset)
    return InternetChecksum.checksum(
      InternetChecksum.sum(bytes, from: offset, to: count, initial: pseudo))
  }
}
