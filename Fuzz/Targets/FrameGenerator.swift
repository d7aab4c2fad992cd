// Frames that make sense, from a seed: conversations across the fuzz host, answers to what it let
// out, errors about it, fragments, odd headers. Half of them are then mutated. For long runs.

import PacketForge
import Wire

public struct FrameGenerator: Sendable {
  var mutator: Mutator
  /// What left the host lately, and by which interface: answers and errors are made from it.
  private var left: [(packet: Packet, interface: Int)] = []
  private var recent: [[UInt8]] = []

  public init(seed: UInt64) { mutator = Mutator(seed: seed) }

  /// Tells of a packet that left the host.
  public mutating func saw(_ packet: Packet, leaving interface: Int) {
    if left.count < 32 {
      left.append((packet, interface))
    } else {
      left[below(32)] = (packet, interface)
    }
  }

  private mutating func below(_ limit: Int) -> Int { mutator.random.below(limit) }
  private mutating func oneIn(_ count: Int) -> Bool { mutator.random.oneIn(count) }
  private mutating func pick<Element>(_ choices: [Element]) -> Element {
    choices[below(choices.count)]
  }

  public mutating func next() -> FrameRecord {
    var (packet, interface, isOutput) = whole()
    var flags: FrameRecord.Flags = isOutput ? [.isOutput] : []
    if oneIn(2) {
      // Mostly put right again, so that it comes past the checksums.
      packet.bytes = mutator.mutate(packet.bytes, with: recent, most: 3, limit: 4000)
      if !oneIn(8) { flags.insert(.repairsChecksums) }
    }
    if recent.count < 64 { recent.append(packet.bytes) } else { recent[below(64)] = packet.bytes }
    var frame = packet.bytes
    if !oneIn(4) {
      flags.insert(.isEthernet)
      frame = ethernet(packet, interface)
      if oneIn(50) { frame = mutator.mutate(frame, with: recent, most: 2, limit: 4000) }
    }
    let pause = oneIn(4) ? (oneIn(40) ? below(8) : below(4)) : 0
    return FrameRecord(frame, interface: interface, flags: flags, pause: pause)
  }

  private mutating func ethernet(_ packet: Packet, _ interface: Int) -> [UInt8] {
    let destination: [UInt8]
    switch below(40) {
    case 0: destination = [255, 255, 255, 255, 255, 255]
    case 1: destination = [1, 0, 0x5e, 0, 0, 1]
    default: destination = [2, 0, 0, 0, UInt8(interface + 1), 1]
    }
    let tags: [UInt8] = oneIn(30) ? [0x81, 0, 0, UInt8(below(256))] : []
    let type: [UInt8] = packet.family == .ipv4 ? [8, 0] : [0x86, 0xdd]
    return destination + [2, 0, 0, 0, UInt8(interface + 1), 2] + tags + type + packet.bytes
  }

  // MARK: Packets

  private static let inside4 = ["10.0.1.2", "10.0.1.3", "10.0.1.10", "10.0.1.150", "10.0.1.9"]
  private static let outside4 = [
    "198.51.100.2", "198.51.100.3", "192.0.2.80", "192.0.2.66", "203.0.113.5", "203.0.113.20",
    "203.0.113.40", "8.8.8.8",
  ]
  private static let own4 = [
    "10.0.1.1", "198.51.100.1", "198.51.100.9", "198.51.100.50", "127.0.0.1",
  ]
  private static let odd4 = ["0.0.0.0", "255.255.255.255", "10.0.1.255", "224.0.0.1", "240.0.0.1"]
  private static let inside6 = ["fd00:1::2", "fd00:1::3", "fd00:1::10", "fe80::1:2"]
  private static let outside6 = [
    "2001:db8:9::2", "2001:db8:9::3", "2001:db8:bad::1", "2001:db8:f::1",
  ]
  private static let own6 = ["fd00:1::1", "2001:db8:9::1", "fe80::1:1", "fe80::2:1"]
  private static let odd6 = ["::", "::1", "ff02::1", "ff01::1", "fd00:1::"]
  private static let ports: [UInt16] = [
    0, 21, 21, 21, 1723, 1723, 1723, 6667, 22, 23, 25, 53, 69, 80, 137, 161, 500, 700, 1000, 2000,
    2500,
    3128, 4444, 8053,
    8080, 8083,
    40000,
  ]

  /// A packet that is right, where it shows, and whether the host sends it.
  private mutating func whole() -> (Packet, Int, Bool) {
    if !left.isEmpty && !oneIn(3) {
      let (packet, interface) = pick(left)
      if oneIn(6) { return (error(about: packet), interface, false) }
      if let answer = answer(to: packet) { return (answer, interface, false) }
    }
    let isIPv4 = !oneIn(3)
    let inside = isIPv4 ? FrameGenerator.inside4 : FrameGenerator.inside6
    let outside = isIPv4 ? FrameGenerator.outside4 : FrameGenerator.outside6
    let own = isIPv4 ? FrameGenerator.own4 : FrameGenerator.own6
    let odd = isIPv4 ? FrameGenerator.odd4 : FrameGenerator.odd6
    let interface = oneIn(30) ? below(4) : below(2)
    var source = pick(interface == 0 ? inside : outside)
    var destination = pick(interface == 0 ? outside : inside)
    if interface == 1 && !oneIn(3) || oneIn(6) { destination = pick(own) }
    if oneIn(40) { source = pick(odd + own) }
    if oneIn(40) { destination = pick(odd + inside) }
    let isOutput = oneIn(12)
    if isOutput {
      source = pick(own)
      destination = pick(inside + outside)
    }
    var packet = message(Address(source), Address(destination))
    if oneIn(25) { packet = fragment(packet) }
    return (packet, interface, isOutput)
  }

  private mutating func fields(_ family: AddressFamily) -> HeaderFields {
    var fields = HeaderFields()
    fields.timeToLive = oneIn(20) ? UInt8(below(3)) : 64
    fields.trafficClass = UInt8(below(256))
    fields.identification = UInt16(below(8))
    fields.dontFragment = oneIn(2)
    if family == .ipv4 && oneIn(20) {
      fields.options = pick([
        [7, 7, 4, 0, 0, 0, 0, 1], [0x94, 4, 0, 0], [68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [131, 7, 4, 10, 0, 1, 1, 0], [1, 1, 1, 1], [7, 3, 4, 0], [68, 8, 9, 0xf0, 0, 0, 0, 0],
      ])
    }
    return fields
  }

  private mutating func size() -> Int {
    oneIn(10) ? pick([0, 1, 500, 556, 557, 1400, 1460, 2900]) : below(40)
  }

  private mutating func message(_ source: Address, _ destination: Address) -> Packet {
    let fields = fields(source.family)
    switch below(10) {
    case 0...4:
      var client = tcp(
        source, pick(FrameGenerator.ports), destination, pick(FrameGenerator.ports),
        clientSequence: UInt32(1000 + below(3)), serverSequence: 5000
      ).client
      client.fields = fields
      let flags: TCPFlags = pick([
        .syn, .syn, .syn, .ack, [.syn, .ack], [.fin, .ack], .rst, [.rst, .ack], [.psh, .ack], [],
        [.syn, .fin], [.syn, .ece, .cwr],
      ])
      let options: [SegmentOption] = pick([
        [], [.mss(1460), .sackPermitted, .windowScale(7)], [.mss(9000)], [.windowScale(255)],
        [.timestamp(1, echo: 2), .sack([5000...5100, 6000...6001])], [.raw([2, 0])],
        [.raw([3, 200, 1, 1])],
      ])
      return client.segment(flags, data: flags.contains(.syn) ? 0 : size(), options: options)
    case 5, 6, 7:
      let data = [UInt8](repeating: 0x61, count: size())
      return Socket(source, pick(FrameGenerator.ports)).udp(
        to: Socket(destination, pick(FrameGenerator.ports)), data, fields)
    case 8:
      let types: [UInt8] =
        source.family == .ipv4 ? [8, 8, 8, 13, 0, 3, 17, 5] : [128, 128, 135, 143, 1, 137]
      return .icmp(
        pick(types), UInt8(below(3)), rest: UInt32(below(4)) << 16, from: source, to: destination,
        fields, data: [UInt8](repeating: 0x62, count: size()))
    default:
      if oneIn(3) {
        let key = UInt8(pick([0xbb, 0, 1]))
        return Packet(
          47, from: source, to: destination, fields,
          payload: [0x30, 1, 0x88, 0x0b, 0, 4, 6, key, 0, 0, 0, 1, 2, 3, 4, 5])
      }
      let number = UInt8(pick([47, 50, 51, 132, 136, 33, 99, 0, 59, 60, 41, 4]))
      return Packet(
        number, from: source, to: destination, fields,
        payload: (0..<size()).map { UInt8(truncatingIfNeeded: $0 &* 37) })
    }
  }

  /// The packet with its ends exchanged: what the other side might say to it.
  private mutating func answer(to packet: Packet) -> Packet? {
    guard let layout = packet.layout, !layout.isFragment else { return nil }
    var answer = packet
    let length = layout.source.count
    let at = layout.family == .ipv4 ? 12 : 8
    answer.bytes.replaceSubrange(at..<at + length, with: layout.destination)
    answer.bytes.replaceSubrange(at + length..<at + 2 * length, with: layout.source)
    let transport = layout.transport
    switch layout.transportProtocol {
    case IPProtocolNumber.tcp where layout.transport + 20 <= layout.end:
      swapPorts(&answer, transport)
      let sequence = word32(packet, transport + 4)
      let acknowledgement = word32(packet, transport + 8)
      let flags = TCPFlags(rawValue: packet.bytes[transport + 13])
      let wasSyn = flags.contains(.syn)
      store32(&answer, wasSyn ? 5000 : acknowledgement, transport + 4)
      let step = UInt32(pick([1, 1, 1, 0, 2, 100, 70_000, 1 << 31]))
      store32(&answer, sequence &+ (wasSyn ? 1 : step), transport + 8)
      let next: TCPFlags =
        wasSyn && !flags.contains(.ack)
        ? pick([[.syn, .ack], [.syn, .ack], [.syn, .ack], [.rst, .ack], .syn, .ack])
        : pick([.ack, .ack, [.psh, .ack], [.fin, .ack], [.fin, .ack], .rst, [.rst, .ack], .syn])
      answer.bytes[transport + 13] = next.rawValue
      if !wasSyn && !next.contains(.syn) && !oneIn(4) { speak(&answer, layout) }
    case IPProtocolNumber.udp where layout.transport + 8 <= layout.end:
      swapPorts(&answer, transport)
    case IPProtocolNumber.icmp where layout.transport + 8 <= layout.end:
      if answer.bytes[transport] == 8 { answer.bytes[transport] = 0 }
    case IPProtocolNumber.icmpv6 where layout.transport + 8 <= layout.end:
      if answer.bytes[transport] == 128 { answer.bytes[transport] = 129 }
    default: break
    }
    answer.repairChecksums()
    return answer
  }

  /// Lines of FTP's, for the connections that have its helper.
  private static let lines = [
    "USER a\r\n", "PORT 10,0,1,2,4,1\r\n", "PORT 10,0,1,3,4,1\r\n", "PORT 10,0,1,2,255,255\r\n",
    "EPRT |1|10.0.1.2|1025|\r\n", "EPRT |2|fd00:1::2|1025|\r\n", "EPRT |2|fd00:1::0.0.0.3|20|\r\n",
    "227 at (10,0,1,10,4,1).\r\n", "227 (198,51,100,2,7,7)\r\n", "229 at (|||1026|)\r\n",
    "200 ok\r\n", "PORT 10,0,1,2,4,1", "EPRT |1|10.0.1.2|10", "PORT 10,0,1,150,0,0\r\n",
    "PRIVMSG b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n",
    "PRIVMSG b :\u{1}DCC CHAT chat 167772419 65535\u{1}\n",
  ]

  /// A control message of PPTP's: its type, and numbers of calls in all places.
  private mutating func controlMessage() -> [UInt8] {
    let lengths: [UInt8] = [156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24]
    let type = pick([1, 2, 2, 7, 7, 8, 8, 9, 10, 11, 12, 13, below(15) + 1])
    let length = lengths[type - 1]
    var bytes: [UInt8] = [0, length, 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, UInt8(type), 0, 0]
    for _ in 0..<2 { bytes += [0x06, UInt8(pick([0xbb, 0, 1]))] }
    bytes += [1, 0]
    bytes[14] = type == 2 ? 1 : bytes[14]
    return Array((bytes + [UInt8](repeating: 0, count: 220)).prefix(Int(length)))
  }

  /// Puts words into a segment from or to the port of a helper.
  private mutating func speak(_ packet: inout Packet, _ layout: Layout) {
    let transport = layout.transport
    let ports = [0, 2].map {
      UInt16(packet.bytes[transport + $0]) << 8 | UInt16(packet.bytes[transport + $0 + 1])
    }
    let data = transport + Int(packet.bytes[transport + 12] >> 4) * 4
    let isCall = ports.contains(1723)
    guard isCall || ports.contains(21) || ports.contains(6667), data <= packet.bytes.count else {
      return
    }
    var words = isCall ? controlMessage() : [UInt8](pick(FrameGenerator.lines).utf8)
    if oneIn(3) { words = mutator.mutate(words, with: recent, most: 2, limit: 200) }
    packet.bytes.replaceSubrange(data..., with: words)
    let length = packet.bytes.count - (layout.family == .ipv4 ? 0 : 40)
    let field = layout.family == .ipv4 ? 2 : 4
    packet.bytes.replaceSubrange(field..<field + 2, with: bigEndian(UInt16(length)))
  }

  private mutating func error(about packet: Packet) -> Packet {
    guard let layout = packet.layout else { return packet }
    let isIPv4 = layout.family == .ipv4
    let types: [UInt8] = isIPv4 ? [3, 3, 11, 4, 5, 12] : [1, 1, 2, 3, 4]
    let target = oneIn(5) ? Address(isIPv4 ? "10.0.1.3" : "fd00:1::3") : address(layout.source)
    return .error(
      pick(types), UInt8(below(5)), rest: UInt32(below(3)) * 700, about: packet,
      from: oneIn(2)
        ? address(layout.destination) : Address(isIPv4 ? "198.51.100.77" : "2001:db8:9::77"),
      to: target, quoting: oneIn(4) ? below(60) : 500)
  }

  private func address(_ bytes: [UInt8]) -> Address {
    if bytes.count == 4 { return Address(bytes.map { "\($0)" }.joined(separator: ".")) }
    let groups = stride(from: 0, to: 16, by: 2).map {
      String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
    }
    return Address(groups.joined(separator: ":"))
  }

  /// A part of the packet, as IPv4 cuts it.
  private mutating func fragment(_ packet: Packet) -> Packet {
    guard packet.family == .ipv4, packet.bytes.count > 44 else { return packet }
    let payload = Array(packet.bytes[20...])
    let cut = (payload.count / 2) & ~7
    var fields = HeaderFields(id: UInt16(below(4)))
    let first = oneIn(2)
    fields.moreFragments = first || oneIn(5)
    fields.fragmentOffset = first ? 0 : cut
    let part = first ? Array(payload[..<cut]) : Array(payload[cut...])
    let layout = packet.layout
    return Packet(
      packet.bytes[9], from: address(layout?.source ?? [10, 0, 1, 2]),
      to: address(layout?.destination ?? [10, 0, 1, 3]), fields, payload: part)
  }

  private func swapPorts(_ packet: inout Packet, _ at: Int) {
    let source = packet.bytes[at..<at + 2]
    packet.bytes.replaceSubrange(at..<at + 2, with: Array(packet.bytes[at + 2..<at + 4]))
    packet.bytes.replaceSubrange(at + 2..<at + 4, with: Array(source))
  }
  private func word32(_ packet: Packet, _ at: Int) -> UInt32 {
    packet.bytes[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) }
  }
  private func store32(_ packet: inout Packet, _ value: UInt32, _ at: Int) {
    packet.bytes.replaceSubrange(at..<at + 4, with: bigEndian(value))
  }
}
