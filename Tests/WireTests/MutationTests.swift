// Nothing that comes from the wire may trap: random and mutated frames by the hundred thousand
// through every reader of this target. A failure names the seed that repeats it.

import Testing
import Wire

@Suite struct MutationTests {
  private static let linkTypes = [0, 1, 9, 12, 14, 50, 51, 101, 108, 113, 228, 229, 276]

  /// Frames to start from: every kernel-made packet, some with extension headers and fragments, in
  /// every link layer.
  private static let frames: [(linkType: Int, bytes: [UInt8])] = {
    var packets = KernelMade.all
    packets.append(
      PacketBuilder.udp(
        from: "[2001:db8::1]:1", to: "[2001:db8::2]:2",
        IPFields(extensionHeaders: [
          .hopByHop(hex("0502 0000 0104 00000000")), .destinationOptions(),
          IPv6ExtensionHeader(
            number: IPProtocolNumber.ah, bytes: hex("0001 0000 00000000 00000000")),
          .fragment(offset: 0, more: true, identification: 1),
        ])))
    packets.append(
      PacketBuilder.ip(
        from: "192.0.2.1", to: "192.0.2.2", transportProtocol: 6, payload: hex("0102030405060708"),
        IPFields(fragmentOffset: 24)))
    packets.append(
      PacketBuilder.sctp(
        from: "192.0.2.1:1", to: "192.0.2.2:2", verificationTag: 1,
        chunks: hex("01000004 0e000008 00000000")))
    packets.append(
      PacketBuilder.ip(
        from: "192.0.2.1", to: "192.0.2.2", transportProtocol: 47,
        payload: hex("3081880b 0004cafe 00000001")))
    var frames: [(Int, [UInt8])] = []
    for packet in packets {
      let isIPv6 = packet[0] >> 4 == 6
      let type = isIPv6 ? hex("86dd") : hex("0800")
      frames.append((1, PacketBuilder.ethernet(packet)))
      frames.append((1, PacketBuilder.ethernet(vlans: [1, 2], packet)))
      frames.append((101, packet))
      frames.append((0, [0, 0, 0, isIPv6 ? 30 : 2] + packet))
      frames.append((113, hex("0004 0001 0006 020000000001 0000") + type + packet))
      frames.append((276, type + hex("0000 00000007 0001 04 06 020000000001 0000") + packet))
      frames.append((51, hex("1100 0001 0000") + (isIPv6 ? hex("0057") : hex("0021")) + packet))
    }
    return frames
  }()

  /// Everything that reads bytes, over one frame. Returns what was found, to compare two runs.
  private func read(_ frame: [UInt8], linkType: Int) -> Int {
    let link = LinkFrame.decode(frame.rawSpan, linkType: linkType)
    #expect((link.family == nil) == (link.notIPReason != nil))
    #expect(link.networkOffset >= 0 && link.networkLength >= 0)
    #expect(link.networkOffset + link.networkLength == frame.count)
    guard let family = link.family else { return -1 }
    let packet = frame.rawSpan.slice(link.networkOffset..<frame.count)
    var headers = PacketHeaders()
    if let drop = PacketHeaders.decode(packet, family: family, into: &headers) {
      return Int(drop.rawValue)
    }
    return 100 + readTransport(packet, headers)
  }

  private func readTransport(_ packet: RawSpan, _ headers: PacketHeaders) -> Int {
    let start = headers.transportOffset
    let end = headers.end
    var found = InternetChecksum.transportIsValid(packet, headers: headers) ? 1 : 0
    if headers.ipv6InterfaceDrop != nil { found += 2 }
    if let tcp = TCPHeader(packet, at: start, end: end) {
      found += 4
      let optionsStart = start + TCPField.minimumLength
      let options = TCPOptions.scan(packet, at: optionsStart, end: start + tcp.headerLength)
      if options.malformed { found += 8 }
      let highest = TCPOptions.highestSACK(
        packet, at: optionsStart, end: start + tcp.headerLength,
        acknowledgement: tcp.acknowledgement)
      if highest != tcp.acknowledgement { found += 16 }
    }
    if UDPHeader(packet, at: start, end: end) != nil { found += 32 }
    if TransportPorts(packet, at: start, end: end) != nil { found += 64 }
    if GREHeader(packet, at: start, end: end) != nil { found += 128 }
    if DCCPHeader(packet, at: start, end: end) != nil { found += 256 }
    if CRC32c.sctpIsValid(packet, at: start, end: end) { found += 512 }
    found += chunks(packet, from: start + SCTPField.headerLength, to: end) * 1024
    found += readQuoted(packet, headers) * 4096
    return found
  }

  private func chunks(_ packet: RawSpan, from start: Int, to end: Int) -> Int {
    var at = start
    var count = 0
    while count < 3, let chunk = SCTPChunk(packet, at: at, end: end), chunk.length >= 4 {
      at = chunk.nextOffset
      count += 1
    }
    return count
  }

  /// The packet that an ICMP error quotes.
  private func readQuoted(_ packet: RawSpan, _ headers: PacketHeaders) -> Int {
    guard ICMPHeader(packet, at: headers.transportOffset, end: headers.end) != nil else { return 0 }
    let inner = headers.transportOffset + ICMPField.inner
    if let quoted = IPv4Header(packet, at: inner, end: headers.end) {
      let transport = inner + quoted.headerLength
      return TransportPorts(packet, at: transport, end: headers.end) == nil ? 1 : 2
    }
    guard let quoted = IPv6Header(packet, at: inner, end: headers.end) else { return 3 }
    let walk = IPv6ExtensionWalk(
      packet, nextHeader: quoted.nextHeader, nextHeaderOffset: inner + IPv6Field.nextHeader,
      at: inner + IPv6Field.length, end: headers.end)
    return TransportPorts(packet, at: walk.transportOffset, end: headers.end) == nil ? 4 : 5
  }

  private func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    let interesting: [UInt8] = [0, 1, 2, 4, 5, 8, 0x0f, 0x40, 0x45, 0x4f, 0x7f, 0x80, 0xfe, 0xff]
    for _ in 0...generator.next() % 4 where !bytes.isEmpty {
      let random = generator.next()
      let at = Int(random >> 32) % bytes.count
      switch random % 8 {
      case 0: bytes.removeLast(Int(random >> 8 & 0xff) % bytes.count)
      case 1: bytes.insert(UInt8(truncatingIfNeeded: random >> 8), at: at)
      case 2: bytes.remove(at: at)
      case 3, 4: bytes[at] = interesting[Int(random >> 8 & 0xff) % interesting.count]
      case 5: bytes[at] = UInt8(truncatingIfNeeded: random >> 8)
      default: bytes[at] ^= 1 << UInt8(random >> 8 & 7)
      }
    }
  }

  /// Gives an IPv4 header its checksum back, most of the time: else few mutants get past it.
  private func repair(_ bytes: inout [UInt8], linkType: Int) {
    let link = LinkFrame.decode(bytes.rawSpan, linkType: linkType)
    guard link.family == .ipv4, link.networkLength >= 20 else { return }
    bytes = Array(bytes[..<link.networkOffset]) + fixed(Array(bytes[link.networkOffset...]))
  }

  @Test(arguments: 0..<10 as Range<UInt64>)
  func mutants(_ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var decoded = 0
    for _ in 0..<24_000 {
      let random = generator.next()
      var (linkType, bytes) = MutationTests.frames[Int(random >> 8) % MutationTests.frames.count]
      mutate(&bytes, &generator)
      if random % 4 != 0 { repair(&bytes, linkType: linkType) }
      if random % 64 == 1 { linkType = MutationTests.linkTypes[Int(random >> 16) % 13] }
      if read(bytes, linkType: linkType) >= 100 { decoded += 1 }
    }
    // That the mutants reach what lies behind the IP header.
    #expect(decoded > 8_000, "seed \(seed)")
  }

  @Test(arguments: 0..<10 as Range<UInt64>)
  func noise(_ seed: UInt64) {
    var generator = SeededGenerator(seed: 1_000 + seed)
    for _ in 0..<6_000 {
      let random = generator.next()
      let bytes = generator.bytes(Int(random >> 8) % 64)
      for linkType in [MutationTests.linkTypes[Int(random >> 32) % 13], 101] {
        let first = read(bytes, linkType: linkType)
        #expect(first == read(bytes, linkType: linkType))
      }
    }
  }

  /// Readers refuse offsets no caller should pass, instead of trapping.
  @Test func absurdOffsets() {
    let bytes = KernelMade.tcpSYN
    let span = bytes.rawSpan
    for offset in [Int.min, -1, 0, 19, 59, 60, 61, Int.max] {
      for end in [-60, -1, 0, 20, 60, 61, Int.max] {
        let inside = offset >= 0 && end <= 60 && offset < end
        if IPv4Header(span, at: offset, end: end) != nil { #expect(inside) }
        if IPv6Header(span, at: offset, end: end) != nil { #expect(inside) }
        if TCPHeader(span, at: offset, end: end) != nil { #expect(inside) }
        if UDPHeader(span, at: offset, end: end) != nil { #expect(inside) }
        if ICMPHeader(span, at: offset, end: end) != nil { #expect(inside) }
        if SCTPHeader(span, at: offset, end: end) != nil { #expect(inside) }
        if SCTPChunk(span, at: offset, end: end) != nil { #expect(inside) }
        if GREHeader(span, at: offset, end: end) != nil { #expect(inside) }
        if DCCPHeader(span, at: offset, end: end) != nil { #expect(inside) }
        if TransportPorts(span, at: offset, end: end) != nil { #expect(inside) }
      }
    }
  }
}
