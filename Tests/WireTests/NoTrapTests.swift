// Nothing a network can send traps: random and mutated frames through everything that reads bytes.
// Set WEIR_LONG_TESTS to send a million of them.

import Foundation
import Testing
import Wire

private struct Counter: FragmentSink {
  var bytes = 0
  mutating func take(_ packet: RawSpan) { bytes += packet.byteCount }
}

/// Good packets to start from.
private func seeds() -> [[UInt8]] {
  var seeds: [[UInt8]] = []
  let payload: [UInt8] = Array("some payload for checksums".utf8)
  let options = hex("0101 080a 0000 0001 0000 0002 0402 0204 05b4 0101")
  for family in AddressFamily.allCases {
    var packet = PacketBuffer()
    _ = packet.buildTCP(
      fields(family), TCPFields(.syn, from: 1, to: 2), options: options.span.octets,
      payload: payload.span.octets)
    seeds.append(packet.array)
    seeds.append(udp(family))
    let quoted = seeds[seeds.count - 1]
    _ = packet.buildICMP(fields(family), type: 3, code: 4, payload: quoted.span.octets)
    seeds.append(packet.array)
    for (offset, length, more) in [(0, 24, true), (24, 16, true), (40, 13, false)] {
      seeds.append(piece(family, offset, length, more: more))
    }
  }
  seeds.append(
    ipv6(
      next: 0,
      hex("3c00 0502 00000000 2b00 0104 00000000 2c00 0000 00000000")
        + hex("3300 0001 00000007 1104") + [UInt8](repeating: 0, count: 40)))
  var packet = PacketBuffer()
  let sctp =
    hex("1389 138a 0000 0000 0000 0000 01 00 0014")
    + [UInt8](repeating: 1, count: 16)
  _ = packet.buildIP(fields(.ipv4), transportProtocol: 132, payload: sctp.span.octets)
  seeds.append(packet.array)
  return seeds
}

@Suite struct NoTrapTests {
  @Test func mutatedFrames() {
    let seed: UInt64 = 0x5eed
    var random = SplitMix64(seed: seed)
    let seeds = seeds()
    let links = LinkType.allCases
    let isLong = ProcessInfo.processInfo.environment["WEIR_LONG_TESTS"] != nil
    var settings = ReassemblySettings()
    settings.ipv4HighThreshold = 200_000
    settings.ipv6HighThreshold = 200_000
    var reassembler = Reassembler(settings)
    var packet = PacketBuffer()
    var scratch = PacketBuffer(capacity: 2000)
    var sink = Counter()
    var accepted = 0
    for round in 0..<(isLong ? 1_000_000 : 40_000) {
      var bytes = mutate(seeds[random.below(seeds.count)], &random)
      let frame = prefix(&random) + bytes
      for _ in 0..<2 {
        let link = LinkFrame.decode(
          frame.span.octets, linkType: links[random.below(links.count)])
        if link.refusal == nil {
          precondition(link.networkOffset + link.networkLength == frame.count)
        }
      }
      // Half of the IPv4 headers are put right, so that what lies behind is reached.
      if random.oneIn(2), bytes.count >= 60, bytes[0] >> 4 == 4, bytes[0] & 0xf >= 5 {
        bytes = withHeaderChecksum(bytes)
      }
      read(bytes)
      var headers = PacketHeaders()
      _ = packet.assign(bytes.span.octets)
      guard PacketHeaders.decode(packet.bytes, into: &headers) == nil else { continue }
      accepted += 1
      let now = Int64(round) * 1_000_000
      _ = reassembler.expire(now: now, first: &scratch)
      let result = reassembler.add(&packet, headers: headers, now: now, user: 0)
      var info: ReassembledPacket?
      if case .complete(let whole) = result { info = whole }
      guard PacketHeaders.decode(packet.bytes, into: &headers) == nil else { continue }
      _ = Fragmentation.send(
        packet, headers: headers, mtu: 68 + random.below(60), reassembled: info,
        identification: 1, scratch: &scratch, to: &sink)
    }
    #expect(accepted > 1000, "seed \(seed)")
    #expect(sink.bytes > 0)
  }

  /// Everything that takes an offset and an end, at any.
  private func read(_ bytes: [UInt8]) {
    let span = bytes.span.octets
    var headers = PacketHeaders()
    if PacketHeaders.decode(span, into: &headers) == nil {
      _ = InternetChecksum.transportIsValid(span, headers: headers)
      readTransport(span, headers.transportOffset, headers.end)
    }
    readTransport(span, 20, span.byteCount)
    let walk = IPv6ExtensionWalk(
      span, nextHeader: 0, nextHeaderOffset: 0, at: 0, end: span.byteCount)
    readTransport(span, walk.transportOffset, span.byteCount)
  }

  private func readTransport(_ span: RawSpan, _ at: Int, _ end: Int) {
    if let tcp = TCPHeader(span, at: at, end: end) {
      let options = at + TCPField.minimumLength
      _ = TCPOptions.scan(span, at: options, end: at + tcp.headerLength)
      _ = TCPOptions.highestSACK(
        span, at: options, end: at + tcp.headerLength, acknowledgement: tcp.acknowledgement)
    }
    _ = UDPHeader(span, at: at, end: end)
    _ = ICMPHeader(span, at: at, end: end)
    _ = GREHeader(span, at: at, end: end)
    _ = DCCPHeader(span, at: at, end: end)
    _ = TransportPorts(span, at: at, end: end)
    _ = IPv4Header(span, at: at, end: end)
    _ = IPv6Header(span, at: at, end: end)
    _ = CRC32c.sctpIsValid(span, at: at, end: end)
    var chunk = SCTPChunk(span, at: at, end: end)
    while let current = chunk, current.length > 0 {
      chunk = SCTPChunk(span, at: current.nextOffset, end: end)
    }
  }

  private func mutate(_ seed: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
    var bytes = random.oneIn(20) ? random.bytes(random.below(120)) : seed
    for _ in 0..<random.below(4) where !bytes.isEmpty {
      let at = random.below(random.oneIn(2) ? min(bytes.count, 60) : bytes.count)
      switch random.below(4) {
      case 0: bytes[at] = UInt8(truncatingIfNeeded: random.next())
      case 1: bytes[at] ^= 1 << UInt8(random.below(8))
      case 2: bytes[at] = 0
      default: bytes[at] = 0xff
      }
    }
    if random.oneIn(8) { bytes.removeLast(random.below(bytes.count + 1)) }
    if random.oneIn(8) { bytes += random.bytes(random.below(30)) }
    return bytes
  }

  /// Something like a link header.
  private func prefix(_ random: inout SplitMix64) -> [UInt8] {
    let types = ["0800", "86dd", "8100 0001", "88a8 0002", "8864 1100 0001 0040 0021", "0806"]
    var bytes = random.bytes(random.oneIn(3) ? random.below(20) : 12)
    for _ in 0..<random.below(5) { bytes += hex(types[random.below(types.count)]) }
    return bytes
  }
}
