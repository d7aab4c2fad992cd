// From a step to the packet one side is sent. Both ends of a flow answer what really reached them, so
// each side has a memory of its own of what it let through, and may be sent other bytes than the other.

import Conntrack
import Wire

/// A packet to send.
struct MadePacket: Hashable {
  var port: Port
  var bytes: [UInt8]
  var frame = IPLayer.Frame.unicast
}

/// Where the fields compared and rewritten lie in a packet; nil where it is not a whole one.
struct PacketShape {
  var family: AddressFamily
  var protocolNumber: UInt8
  /// The transport header.
  var offset: Int
  var source: IPAddress
  var destination: IPAddress

  init?(_ bytes: [UInt8]) {
    var headers = PacketHeaders()
    guard PacketHeaders.decode(bytes.rawSpan, into: &headers) == nil, headers.transportOffset >= 0
    else {
      // A quote is a packet cut short: its headers stand, whatever its length says.
      guard let quoted = PacketShape(quote: bytes) else { return nil }
      self = quoted
      return
    }
    family = headers.family
    protocolNumber = headers.transportProtocol
    offset = headers.transportOffset
    source = headers.source
    destination = headers.destination
  }

  private init?(quote bytes: [UInt8]) {
    let span = bytes.rawSpan
    if bytes.count >= 20, bytes[0] >> 4 == 4 {
      family = .ipv4
      protocolNumber = bytes[9]
      offset = Int(bytes[0] & 15) * 4
      source = IPAddress(ipv4: span.uint32(at: IPv4Field.source))
      destination = IPAddress(ipv4: span.uint32(at: IPv4Field.destination))
    } else if bytes.count >= 40, bytes[0] >> 4 == 6 {
      family = .ipv6
      protocolNumber = bytes[6]
      offset = 40
      source = IPAddress(high: span.uint64(at: 8), low: span.uint64(at: 16))
      destination = IPAddress(high: span.uint64(at: 24), low: span.uint64(at: 32))
    } else {
      return nil
    }
  }

  var hasPorts: Bool {
    switch protocolNumber {
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.udpLite,
      IPProtocolNumber.sctp:
      true
    default: false
    }
  }

  var isICMP: Bool {
    protocolNumber == IPProtocolNumber.icmp || protocolNumber == IPProtocolNumber.icmpv6
  }

  func isICMPError(_ bytes: [UInt8]) -> Bool {
    guard isICMP, bytes.count > offset else { return false }
    return family == .ipv4
      ? ICMPType.isError(bytes[offset]) : ICMPv6Type.isError(bytes[offset])
  }

  /// An echo or another query that is told apart by its identifier, or what answers one.
  func isEcho(_ bytes: [UInt8]) -> Bool {
    guard isICMP, bytes.count >= offset + 8 else { return false }
    let types: [UInt8] = family == .ipv4 ? [0, 8, 13, 14, 15, 16, 17, 18] : [128, 129]
    return types.contains(bytes[offset])
  }
}

/// What one side let through.
struct SideMemory {
  private struct Key: Hashable {
    var flow: Int
    var direction: Direction
  }

  private var left: [Key: Emission] = [:]
  /// Of each flow that announced something, where to.
  private(set) var announced: [Int: Endpoint] = [:]
  /// Where segments ended, as sent and as they arrived, where the two are not the same; oldest first.
  private var moved: [Key: [(sent: UInt32, arrived: UInt32)]] = [:]

  /// What the other end acknowledges where it has got all up to `number`, as its sender counts.
  func acknowledgement(_ number: UInt32, _ flow: Int, _ direction: Direction) -> UInt32 {
    let ends = moved[Key(flow: flow, direction: direction)] ?? []
    guard
      let last = ends.last(where: { Int32(bitPattern: number &- $0.sent) >= 0 })
    else { return number }
    return number &+ (last.arrived &- last.sent)
  }

  private static func end(_ bytes: [UInt8]) -> UInt32? {
    guard let shape = PacketShape(bytes), shape.protocolNumber == IPProtocolNumber.tcp,
      let segment = TCPHeader(bytes.rawSpan, at: shape.offset, end: bytes.count)
    else { return nil }
    let data = bytes.count - shape.offset - segment.headerLength
    return segment.sequence &+ UInt32(data)
  }

  private mutating func noteHelp(_ step: Step, _ sent: MadePacket, _ onward: Emission) {
    guard case .tcp(let tcp) = step.kind, tcp.payload != nil else { return }
    if let end = SideMemory.end(sent.bytes), let arrived = SideMemory.end(onward.bytes) {
      let key = Key(flow: step.flow, direction: step.direction)
      if end != arrived || moved[key] != nil { moved[key, default: []].append((end, arrived)) }
    }
    if let found = Announced(packet: onward.bytes), let shape = PacketShape(onward.bytes) {
      announced[step.flow] = Endpoint(
        found.address ?? shape.source, shape.family, port: found.port)
    }
  }

  func last(_ flow: Int, _ direction: Direction) -> Emission? {
    left[Key(flow: flow, direction: direction)]
  }

  /// Keeps the packet that left on another port than it came in by, or was delivered, if one was.
  mutating func note(_ step: Step, _ sent: MadePacket, _ emissions: [Emission]) {
    if case .error = step.kind { return }
    guard let shape = PacketShape(sent.bytes) else { return }
    // By the port it came in on it leaves to another host; else it is an answer to the sender.
    let onward = emissions.first { emission in
      guard emission.port != .lo, let out = PacketShape(emission.bytes),
        out.protocolNumber == shape.protocolNumber
      else { return false }
      return emission.port != sent.port
        || out.destination != shape.source && !out.isICMPError(emission.bytes)
    }
    if let onward { noteHelp(step, sent, onward) }
    if let onward { left[Key(flow: step.flow, direction: step.direction)] = onward }
  }
}

struct PacketMaker {
  let flows: [Flow]
  let family: AddressFamily
  /// Added to the identification of packets of which a step tells one.
  var identificationBase: UInt16 = 0

  /// - Parameter number: the step's, which tells packets apart that are alike otherwise.
  /// - Returns: nil for a step that sends nothing.
  func packet(_ step: Step, number: Int, _ memory: SideMemory) -> MadePacket? {
    // The pieces of one packet are cut from the same one.
    let number = step.ip.piece == nil ? number : Int(step.ip.identification ?? 0)
    guard var packet = plainPacket(step, number: number, memory) else { return nil }
    packet.bytes = step.ip.applied(
      to: packet.bytes, family, identificationBase: identificationBase)
    packet.frame = step.ip.frame
    packet.port = step.ip.port ?? packet.port
    return packet
  }

  private func plainPacket(_ step: Step, number: Int, _ memory: SideMemory) -> MadePacket? {
    let ip = IPFields(
      hopLimit: step.hopLimit ?? 64, identification: UInt32(truncatingIfNeeded: number + 1))
    switch step.kind {
    case .wait, .change: return nil
    case .error(let error):
      return self.error(error, step, number, ip, memory)?.keeping(step.kept)
    default: break
    }
    var (port, source, destination) = ends(step, memory)
    // What the router itself would have to send nobody sends in its place.
    if port != .host && Network.isRouter(source.address, family) { return nil }
    source.address = step.ip.source ?? source.address
    destination.address = step.ip.destination ?? destination.address
    var bytes: [UInt8]
    switch step.kind {
    case .tcp(var tcp):
      tcp.acknowledgement = memory.acknowledgement(
        tcp.acknowledgement, step.flow, step.direction.opposite)
      bytes = PacketMaker.tcp(tcp, number, from: source, to: destination, ip)
    case .udp(let udp):
      bytes = PacketMaker.udp(udp, number, from: source, to: destination, ip)
    case .echo(let echo):
      let isReply = (step.direction == .reply) != echo.isSwapped
      bytes = PacketBuilder.echo(
        from: source, to: destination, reply: isReply,
        identifier: step.direction == .original ? source.port : destination.port,
        sequence: echo.sequence, payload: PacketMaker.payload(echo.length, number), ip)
      if echo.hasBadChecksum { PacketMaker.spoil(&bytes, at: ICMPField.checksum) }
    case .lite(let lite):
      bytes = PacketMaker.lite(lite, number, from: source, to: destination, ip)
    case .sctp(let sctp):
      bytes = PacketMaker.sctp(sctp, from: source, to: destination, ip)
    case .message(let message):
      bytes = PacketMaker.message(message, number, from: source, to: destination, ip)
    case .raw(let raw):
      bytes = PacketBuilder.ip(
        from: source, to: destination, transportProtocol: raw.number, payload: raw.bytes, ip)
    case .error, .wait, .change: return nil
    }
    return MadePacket(port: port, bytes: bytes).keeping(step.kept)
  }

  /// Whom the step's packet is from and to, as its sender sees it. An echo's identifier stands as
  /// the port of the end that asked.
  private func ends(
    _ step: Step, _ memory: SideMemory
  ) -> (port: Port, source: Endpoint, destination: Endpoint) {
    let flow = flows[step.flow]
    if step.direction == .original {
      let announced = flow.announcedBy.flatMap { memory.announced[$0] }
      return (flow.port, flow.source, announced ?? flow.destination)
    }
    guard let seen = memory.last(step.flow, .original), let shape = PacketShape(seen.bytes) else {
      return (Network.side(of: flow.destination.address, family), flow.destination, flow.source)
    }
    let span = seen.bytes.rawSpan
    var sourcePort: UInt16 = 0
    var destinationPort: UInt16 = 0
    if shape.hasPorts, seen.bytes.count >= shape.offset + 4 {
      sourcePort = span.uint16(at: shape.offset)
      destinationPort = span.uint16(at: shape.offset + 2)
    } else if shape.isEcho(seen.bytes) {
      sourcePort = span.uint16(at: shape.offset + ICMPField.identifier)
    }
    return (
      seen.port, Endpoint(shape.destination, shape.family, port: destinationPort),
      Endpoint(shape.source, shape.family, port: sourcePort)
    )
  }

  // MARK: Each protocol

  static func payload(_ length: Int, _ number: Int) -> [UInt8] {
    (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ number) }
  }

  static func headerLength(_ bytes: [UInt8]) -> Int {
    bytes[0] >> 4 == 4 ? Int(bytes[0] & 15) * 4 : 40
  }

  /// Makes a transport checksum wrong, by the same amount whatever it was.
  static func spoil(_ bytes: inout [UInt8], at field: Int) {
    let at = headerLength(bytes) + field
    bytes.store16(
      InternetChecksum.updated(bytes.rawSpan.uint16(at: at), from: UInt16(0), to: UInt16(0x5501)),
      at: at)
  }

  private static func tcp(
    _ step: TCPStep, _ number: Int, from source: Endpoint, to destination: Endpoint, _ ip: IPFields
  ) -> [UInt8] {
    var bytes = PacketBuilder.tcp(
      from: source, to: destination, flags: step.flags, sequence: step.sequence,
      acknowledgement: step.acknowledgement, window: step.window,
      options: step.options.isEmpty ? [] : [.bytes(step.options)],
      payload: step.payload ?? payload(step.length, number), ip)
    let start = headerLength(bytes)
    if let offset = step.dataOffset {
      let at = start + TCPField.dataOffset
      let old = bytes.rawSpan.uint16(at: at)
      bytes[at] = offset << 4
      let checksum = InternetChecksum.updated(
        bytes.rawSpan.uint16(at: start + TCPField.checksum), from: old,
        to: bytes.rawSpan.uint16(at: at))
      bytes.store16(checksum, at: start + TCPField.checksum)
    }
    if step.hasBadChecksum { spoil(&bytes, at: TCPField.checksum) }
    return bytes
  }

  private static func udp(
    _ step: UDPStep, _ number: Int, from source: Endpoint, to destination: Endpoint, _ ip: IPFields
  ) -> [UInt8] {
    var bytes = PacketBuilder.udp(
      from: source, to: destination, payload: step.payload ?? payload(step.length, number),
      withChecksum: step.checksum != .absent, ip)
    if let field = step.lengthField { bytes.store16(field, at: headerLength(bytes) + 4) }
    if step.checksum == .bad { spoil(&bytes, at: UDPField.checksum) }
    return bytes
  }

  /// What of a redirect lies behind its first eight bytes: a better router, the destination, and the option
  /// that quotes.
  private static func redirect(_ quote: [UInt8], _ shape: PacketShape) -> [UInt8] {
    let addresses = [IPAddress(high: 0xfe80 << 48, low: 7), shape.destination].flatMap { address in
      [address.high, address.low].flatMap { half in
        (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
      }
    }
    let units = UInt8(clamping: (quote.count + 8 + 7) / 8)
    return addresses + [ICMPv6Redirect.redirectedHeader, units, 0, 0, 0, 0, 0, 0] + quote
  }

  private func error(
    _ error: ErrorStep, _ step: Step, _ number: Int, _ ip: IPFields, _ memory: SideMemory
  ) -> MadePacket? {
    var quote: [UInt8]
    var port: Port?
    if let seen = memory.last(step.flow, step.direction) {
      quote = seen.bytes
      port = seen.port
    } else {
      var plain = step
      switch flows[step.flow].kind {
      case .tcp: plain.kind = .tcp(TCPStep(flags: .syn))
      case .udp: plain.kind = .udp(UDPStep())
      case .echo: plain.kind = .echo(EchoStep())
      case .lite: plain.kind = .lite(UDPLiteStep())
      case .sctp: plain.kind = .sctp(SCTPStep())
      case .raw: plain.kind = .raw(RawStep())
      }
      guard let packet = plainPacket(plain, number: number, memory) else { return nil }
      quote = packet.bytes
    }
    guard var shape = PacketShape(quote) else { return nil }
    if error.isNested {
      quote = PacketBuilder.icmpError(
        from: Endpoint(shape.destination, family), to: Endpoint(shape.source, family),
        type: error.type, code: error.code, quoting: quote, quotedLength: min(quote.count, 200), ip)
      (shape.source, shape.destination) = (shape.destination, shape.source)
      // What the router itself was told it does not complain of.
      if Network.isRouter(shape.destination, family) { return nil }
      port = nil
    }
    // Longer ones the cable would not carry.
    quote = Array(quote.prefix(min(error.quoted ?? 548, 1200)))
    if family == .ipv6 && error.type == ICMPv6Type.redirect && !error.isNested {
      quote = PacketMaker.redirect(quote, shape)
    }
    if let at = error.flippedOffset, at < quote.count { quote[at] ^= error.flippedBits }
    var bytes = PacketBuilder.icmpError(
      from: Endpoint(error.source ?? shape.destination, family),
      to: Endpoint(error.destination ?? shape.source, family), type: error.type, code: error.code,
      rest: error.rest,
      quoting: quote, quotedLength: quote.count, ip)
    if error.hasBadChecksum { PacketMaker.spoil(&bytes, at: ICMPField.checksum) }
    return MadePacket(port: port ?? Network.side(of: shape.destination, family), bytes: bytes)
  }
}

extension [UInt8] {
  mutating func store16(_ value: UInt16, at offset: Int) {
    self[offset] = UInt8(value >> 8)
    self[offset + 1] = UInt8(truncatingIfNeeded: value)
  }
}
