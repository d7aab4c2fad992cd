// How packets are cut when they leave, as Linux 6.18 cut the same packets.

import Testing
import Wire

/// Collects what leaves.
private struct Collector: FragmentSink {
  var packets: [[UInt8]] = []
  mutating func take(_ packet: RawSpan) { packets.append(packet.array) }

  /// Offset, data length, and whether more follow, of each fragment.
  var shape: [String] {
    packets.map { bytes in
      guard case .success(let headers) = decode(bytes) else { return "?" }
      let header =
        headers.family == .ipv4 ? headers.networkHeaderLength : headers.fragmentHeaderOffset + 8
      let flags = (headers.dontFragment ? "D" : "") + (headers.moreFragments ? "+" : "")
      return "\(headers.fragmentOffset):\(headers.end - header)\(flags)"
    }
  }
}

/// Sends a packet that may have come in fragments, and says how it left.
private func leave(
  _ bytes: [UInt8], mtu: Int, _ reassembled: ReassembledPacket? = nil
) throws -> (FragmentationResult, Collector) {
  let packet = PacketBuffer(bytes)
  let headers = try decode(bytes).get()
  var scratch = PacketBuffer()
  var sink = Collector()
  let result = Fragmentation.send(
    packet, headers: headers, mtu: mtu, reassembled: reassembled, identification: 0xabcd_ef01,
    scratch: &scratch, to: &sink)
  return (result, sink)
}

/// Sends these fragments in and what they make out; the shape of what leaves.
private func through(
  _ pieces: [[UInt8]], mtu: Int, _ change: (inout FragmentGeometry) -> Void = { _ in }
) throws -> [String] {
  var bench = Bench()
  for piece in pieces.dropLast() { #expect(bench.send(piece) == "held") }
  #expect(bench.send(pieces.last!) == "complete")
  var info = bench.info!
  change(&info.geometry)
  let (result, sink) = try leave(bench.packet.array, mtu: mtu, info)
  return result == .tooBig ? ["too big"] : sink.shape
}

/// A packet cut into pieces of these lengths.
private func pieces(
  _ family: AddressFamily, _ lengths: [Int], dontFragment: [Bool] = []
) -> [[UInt8]] {
  var offset = 0
  return lengths.enumerated().map { index, length in
    defer { offset += length }
    return piece(
      family, offset, length, more: index < lengths.count - 1,
      dontFragment: index < dontFragment.count && dontFragment[index], next: 200)
  }
}

@Suite struct FragmentationIPv4Tests {
  @Test func whatFitsIsLeftAlone() throws {
    let bytes = udp(payload: [UInt8](repeating: 1, count: 1252))
    let (result, sink) = try leave(bytes + [0, 0], mtu: 1280)
    #expect(result == .sent(1))
    #expect(sink.packets == [bytes])
  }

  @Test func evenPieces() throws {
    let bytes = udp(payload: [UInt8](repeating: 1, count: 2992)) { $0.identification = 0x1234 }
    let (result, sink) = try leave(bytes, mtu: 1280)
    #expect(result == .sent(3))
    #expect(sink.shape == ["0:1256+", "1256:1256+", "2512:488"])
    #expect(sink.packets[1].starts(with: hex("450004fc 1234 209d")))
    #expect(sink.packets.flatMap { $0[20...] } == Array(bytes[20...]))
  }

  @Test func withDontFragment() throws {
    let bytes = udp(payload: [UInt8](repeating: 1, count: 2992)) { $0.dontFragment = true }
    #expect(try leave(bytes, mtu: 1280).0 == .tooBig)
    #expect(Fragmentation.isTooBig(try decode(bytes).get(), mtu: 1280, reassembled: nil))
    #expect(!Fragmentation.isTooBig(try decode(bytes).get(), mtu: 3020, reassembled: nil))
  }

  @Test func aFragmentItselfIsCut() throws {
    let (_, sink) = try leave(piece(.ipv4, 800, 1600, more: true), mtu: 820)
    #expect(sink.shape == ["800:800+", "1600:800+"])
  }

  @Test func optionsWithoutCopyFlagStayInTheFirst() throws {
    let options = hex("1e04 6162 9e04 6162 0101 1e02")
    var packet = PacketBuffer()
    let data = [UInt8](repeating: 1, count: 40)
    _ = packet.buildIP(
      fields(.ipv4), transportProtocol: 200, options: options.span.octets,
      payload: data.span.octets)
    let (_, sink) = try leave(packet.array, mtu: 56)
    #expect(sink.shape == ["0:24+", "24:16"])
    #expect(sink.packets[0][20..<32] == options[...])
    #expect(sink.packets[1][20..<32] == hex("0101 0101 9e04 6162 0101 0101")[...])
  }

  @Test func lengthsArrivedInAreKept() throws {
    #expect(
      try through(pieces(.ipv4, [8, 1000, 400, 1248, 344]), mtu: 1280)
        == ["0:8+", "8:1000+", "1008:400+", "1408:1248+", "2656:344"])
    // Even when the whole would fit.
    #expect(try through(pieces(.ipv4, [600, 600]), mtu: 1280) == ["0:600+", "600:600"])
    #expect(
      try through(pieces(.ipv4, [600, 600]).reversed(), mtu: 1280) == ["0:600+", "600:600"])
  }

  @Test func tooLongOnesAreCutEvenly() throws {
    #expect(
      try through(pieces(.ipv4, [1480, 1480, 40]), mtu: 1280)
        == ["0:1256+", "1256:1256+", "2512:488"])
  }

  @Test func dontFragmentOfFragments() throws {
    let all = [true, true, true]
    #expect(
      try through(pieces(.ipv4, [1480, 1480, 40], dontFragment: all), mtu: 1280) == ["too big"])
    // The lengths are kept, and DF is lost.
    #expect(
      try through(pieces(.ipv4, [1000, 1000, 1000], dontFragment: all), mtu: 1280)
        == ["0:1000+", "1000:1000+", "2000:1000"])
    // The largest has no DF: the packet may be cut.
    #expect(
      try through(pieces(.ipv4, [1000, 1480, 520], dontFragment: [true, false, true]), mtu: 1280)
        == ["0:1256+", "1256:1256+", "2512:488"])
  }

  @Test func firstWithOptionsForcesEvenPieces() throws {
    let options = hex("94040000 9e040000")
    let cut = [
      piece(.ipv4, 0, 960, more: true, dontFragment: true, before: options),
      piece(.ipv4, 960, 968, more: true, dontFragment: true),
      piece(.ipv4, 1928, 1072, more: false, dontFragment: true),
    ]
    #expect(try through(cut, mtu: 1280) == ["0:1064D+", "1064:1064D+", "2128:872D"])
  }

  /// NAT makes a TCP header writable, which moves bytes into a first fragment of 8 or 16.
  @Test func pulledHeader() throws {
    #expect(
      try through(pieces(.ipv4, [8, 1000, 984]), mtu: 1500) { $0.pull(20) }
        == ["0:1000+", "1000:992"])
    #expect(
      try through(pieces(.ipv4, [24, 1000, 968]), mtu: 1500) { $0.pull(20) }
        == ["0:24+", "24:1000+", "1024:968"])
    #expect(
      try through(pieces(.ipv4, [8, 8, 8, 24]), mtu: 1500) { $0.pull(24) } == ["0:24+", "24:24"])
    #expect(
      try through(pieces(.ipv4, [24, 1000, 968]), mtu: 1500) { $0.discard() }
        == ["0:1000+", "1000:992"])
  }

  @Test func moreFragmentsThanAreRemembered() throws {
    let lengths = [Int](repeating: 8, count: 200)
    #expect(try through(pieces(.ipv4, lengths), mtu: 1500).count == 200)
  }

  @Test func hopelessMTU() throws {
    let bytes = udp(payload: [UInt8](repeating: 1, count: 100))
    #expect(try leave(bytes, mtu: 27).0 == .malformed)
  }
}

@Suite struct FragmentationIPv6Tests {
  @Test func wholePacketsAreNeverCut() throws {
    let bytes = udp(.ipv6, payload: [UInt8](repeating: 1, count: 1300))
    #expect(try leave(bytes, mtu: 1280).0 == .tooBig)
    #expect(try leave(bytes, mtu: 1500).0 == .sent(1))
    #expect(Fragmentation.isTooBig(try decode(bytes).get(), mtu: 1280, reassembled: nil))
  }

  @Test func lengthsArrivedInAreKept() throws {
    #expect(
      try through(pieces(.ipv6, [1232, 1232, 536]), mtu: 1280)
        == ["0:1232+", "1232:1232+", "2464:536"])
    #expect(
      try through(pieces(.ipv6, [8, 1000, 1232, 400, 360]), mtu: 1280)
        == ["0:8+", "8:1000+", "1008:1232+", "2240:400+", "2640:360"])
    #expect(try through(pieces(.ipv6, [504, 496]), mtu: 1280) == ["0:504+", "504:496"])
  }

  @Test func noLongerThanTheLargestFragmentStaysWhole() throws {
    var bench = Bench()
    _ = bench.send(piece(.ipv6, 0, 16, more: true))
    #expect(bench.send(piece(.ipv6, 16, 8, more: false)) == "complete")
    let (result, sink) = try leave(bench.packet.array, mtu: 1280, bench.info)
    #expect(result == .sent(1))
    #expect(sink.packets == [bench.packet.array])
  }

  @Test func fragmentLargerThanTheLinkIsTooBig() throws {
    #expect(try through(pieces(.ipv6, [1448, 1448, 104]), mtu: 1280) == ["too big"])
    #expect(
      try through(pieces(.ipv6, [1448, 1448, 104]), mtu: 1500)
        == ["0:1448+", "1448:1448+", "2896:104"])
  }

  @Test func wordsOfTheFragmentHeader() throws {
    var bench = Bench()
    _ = bench.send(piece(.ipv6, 0, 24, more: true))
    _ = bench.send(piece(.ipv6, 24, 16, more: false))
    let (_, sink) = try leave(bench.packet.array, mtu: 1280, bench.info)
    #expect(sink.packets[0][4..<8] == hex("0020 2c 40")[...])
    #expect(sink.packets[0][40..<48] == hex("1100 0001 abcdef01")[...])
    #expect(sink.packets[1][40..<48] == hex("1100 0018 abcdef01")[...])
  }

  /// Destination options that only the first fragment had: no lengths fit any more.
  @Test func unfragmentablePartThatGrew() throws {
    let options = hex("2c00 0104 00000000")
    let cut = [
      piece(.ipv6, 0, 1208, more: true, next: 200, before: options, firstHeader: 60),
      piece(.ipv6, 1208, 1232, more: true, next: 200),
      piece(.ipv6, 2440, 1000, more: false, next: 200),
    ]
    #expect(try through(cut, mtu: 1280) == ["0:1224+", "1224:1224+", "2448:992"])
  }
}
