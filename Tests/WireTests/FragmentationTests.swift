// How packets are cut when they leave, as Linux 6.18 cut the same packets.

import Testing
import Wire

/// Sends these fragments in and what they make out; the shape of what leaves.
private func through(
  _ fragments: [[UInt8]], mtu: Int, headroom: Int = 16,
  _ change: (inout FragmentSizes) -> Void = { _ in }
) -> [String] {
  var settings = ReassemblySettings()
  settings.receiveHeadroom = headroom
  var bench = ReassemblyBench(settings)
  let answers = bench.send(all: fragments)
  guard answers.last == "complete", var info = bench.info else { return answers }
  change(&info.sizes)
  let (way, packets) = leave(bench.bytes, mtu: mtu, info)
  return way == .pieces ? shape(packets) : ["\(way)"]
}

private func octets(_ text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] * 16 + digits[$0 + 1]) }
}

@Suite struct FragmentationIPv4Tests {
  @Test func whatFitsIsLeftAlone() {
    #expect(leave(wholePacket(1260) + [0, 0], mtu: 1280).way == .whole)
    #expect(leave(wholePacket(1261), mtu: 1280).way == .pieces)
  }

  @Test func evenPieces() {
    let bytes = wholePacket(3000)
    let (_, packets) = leave(bytes, mtu: 1280)
    #expect(shape(packets) == ["0:1256+", "1256:1256+", "2512:488"])
    #expect(packets[1].starts(with: octets("450004fc 0007 209d 40 c8")))
    #expect(packets.flatMap { $0[20...] } == Array(bytes[20...]))
  }

  @Test func withDontFragment() {
    #expect(leave(wholePacket(3000, dontFragment: true), mtu: 1280).way == .tooBig)
    #expect(leave(wholePacket(3000, dontFragment: true), mtu: 3020).way == .whole)
  }

  @Test func aFragmentItselfIsCut() {
    let (_, packets) = leave(piece(.ipv4, 800, 1600, more: true), mtu: 820)
    #expect(shape(packets) == ["800:800+", "1600:800+"])
  }

  @Test func optionsWithoutCopyFlagStayInTheFirst() {
    let options = octets("1e04 6162 9e04 6162 0101 1e02")
    let (_, packets) = leave(wholePacket(40, options: options), mtu: 56)
    #expect(shape(packets) == ["0:24+", "24:16"])
    #expect(Array(packets[0][20..<32]) == options)
    #expect(Array(packets[1][20..<32]) == octets("0101 0101 9e04 6162 0101 0101"))
  }

  @Test func lengthsArrivedInAreKept() {
    #expect(
      through(pieces(.ipv4, [8, 1000, 400, 1248, 344]), mtu: 1280)
        == ["0:8+", "8:1000+", "1008:400+", "1408:1248+", "2656:344"])
    // Even when the whole would fit.
    #expect(through(pieces(.ipv4, [600, 600]), mtu: 1280) == ["0:600+", "600:600"])
    #expect(through(pieces(.ipv4, [600, 600]).reversed(), mtu: 1280) == ["0:600+", "600:600"])
  }

  @Test func tooLongOnesAreCutEvenly() {
    #expect(
      through(pieces(.ipv4, [1480, 1480, 40]), mtu: 1280)
        == ["0:1256+", "1256:1256+", "2512:488"])
  }

  @Test func dontFragmentOfFragments() {
    let all = [true, true, true]
    #expect(
      through(pieces(.ipv4, [1480, 1480, 40], dontFragment: all), mtu: 1280) == ["tooBig"])
    // The lengths are kept, and DF is lost.
    #expect(
      through(pieces(.ipv4, [1000, 1000, 1000], dontFragment: all), mtu: 1280)
        == ["0:1000+", "1000:1000+", "2000:1000"])
    // The largest has no DF: the packet may be cut.
    #expect(
      through(pieces(.ipv4, [1000, 1480, 520], dontFragment: [true, false, true]), mtu: 1280)
        == ["0:1256+", "1256:1256+", "2512:488"])
  }

  @Test func firstWithOptionsAndLargerOthersAreCutEvenly() {
    let cut = [
      piece(
        .ipv4, 0, 960, more: true, dontFragment: true, before: octets("94040000 9e040000")),
      piece(.ipv4, 960, 968, more: true, dontFragment: true),
      piece(.ipv4, 1928, 1072, more: false, dontFragment: true),
    ]
    #expect(through(cut, mtu: 1280, headroom: 64) == ["0:1064D+", "1064:1064D+", "2128:872D"])
  }

  /// Only the first fragment has options. Whether there is room for them before the others is the
  /// receiving device's doing: veth with a packet socket, then TUN.
  @Test func roomForALongerHeader() {
    let cut = [
      piece(.ipv4, 0, 400, more: true, dontFragment: true, before: octets("01010101")),
      piece(.ipv4, 400, 400, more: false, dontFragment: true),
    ]
    #expect(through(cut, mtu: 1500, headroom: 16) == ["0:400D+", "400:400D"])
    #expect(through(cut, mtu: 1500, headroom: 64) == ["0:400+", "400:400"])
  }

  /// NAT makes a TCP header writable, which moves bytes into a first fragment of 8 or 16.
  @Test func pulledHeader() {
    #expect(
      through(pieces(.ipv4, [8, 1000, 984]), mtu: 1500) { $0.pull(20) }
        == ["0:1000+", "1000:992"])
    #expect(
      through(pieces(.ipv4, [24, 1000, 968]), mtu: 1500) { $0.pull(20) }
        == ["0:24+", "24:1000+", "1024:968"])
    #expect(
      through(pieces(.ipv4, [8, 8, 8, 24]), mtu: 1500) { $0.pull(24) } == ["0:24+", "24:24"])
    #expect(
      through(pieces(.ipv4, [24, 1000, 968]), mtu: 1500) { $0.forget() }
        == ["0:1000+", "1000:992"])
  }

  @Test func manyFragments() {
    let lengths = [Int](repeating: 8, count: 200)
    #expect(through(pieces(.ipv4, lengths), mtu: 1500).count == 200)
    // More different lengths than are remembered: cut evenly.
    let mixed = (0..<200).map { $0 % 2 == 0 ? 8 : 16 }
    #expect(through(pieces(.ipv4, mixed), mtu: 1500).count == 150)
  }

  @Test func hopelessMTU() {
    #expect(leave(wholePacket(100), mtu: 27).packets.isEmpty)
  }
}

@Suite struct FragmentationIPv6Tests {
  @Test func wholePacketsAreNeverCut() {
    let bytes = ipv6Packet(200, [UInt8](repeating: 1, count: 1300))
    #expect(leave(bytes, mtu: 1280).way == .tooBig)
    #expect(leave(bytes, mtu: 1500).way == .whole)
  }

  @Test func lengthsArrivedInAreKept() {
    #expect(
      through(pieces(.ipv6, [1232, 1232, 536]), mtu: 1280)
        == ["0:1232+", "1232:1232+", "2464:536"])
    #expect(
      through(pieces(.ipv6, [8, 1000, 1232, 400, 360]), mtu: 1280)
        == ["0:8+", "8:1000+", "1008:1232+", "2240:400+", "2640:360"])
    #expect(through(pieces(.ipv6, [504, 496]), mtu: 1280) == ["0:504+", "504:496"])
  }

  @Test func noLongerThanTheLargestFragmentStaysWhole() {
    #expect(through(pieces(.ipv6, [16, 8]), mtu: 1280) == ["whole"])
    #expect(through(pieces(.ipv6, [16, 16]), mtu: 1280) == ["0:16+", "16:16"])
  }

  @Test func fragmentLargerThanTheLinkIsTooBig() {
    #expect(through(pieces(.ipv6, [1448, 1448, 104]), mtu: 1280) == ["tooBig"])
    #expect(
      through(pieces(.ipv6, [1448, 1448, 104]), mtu: 1500)
        == ["0:1448+", "1448:1448+", "2896:104"])
  }

  @Test func wordsOfTheFragmentHeader() {
    var bench = ReassemblyBench()
    _ = bench.send(all: [piece(.ipv6, 0, 24, more: true), piece(.ipv6, 24, 16, more: false)])
    let (_, packets) = leave(bench.bytes, mtu: 1280, bench.info)
    #expect(Array(packets[0][4..<8]) == octets("0020 2c 40"))
    #expect(Array(packets[0][40..<48]) == octets("1100 0001 abcdef01"))
    #expect(Array(packets[1][40..<48]) == octets("1100 0018 abcdef01"))
  }

  /// Destination options that only the first fragment had: too long for the others' sizes.
  @Test func unfragmentablePartThatGrew() {
    let options = octets("2c00 0104 00000000")
    let cut = [
      piece(.ipv6, 0, 1208, more: true, next: 200, before: options, firstHeader: 60),
      piece(.ipv6, 1208, 1232, more: true, next: 200),
      piece(.ipv6, 2440, 1000, more: false, next: 200),
    ]
    #expect(through(cut, mtu: 1280, headroom: 64) == ["0:1224+", "1224:1224+", "2448:992"])
  }

  /// Destination options behind the fragment header stand before it when the packet is cut again.
  @Test func optionsThatMoveBeforeTheFragmentHeader() {
    let options = octets("c800 0104 00000000")
    let data = [UInt8](repeating: 5, count: 800)
    var fragments: [[UInt8]] = []
    for offset in [0, 400] {
      let part = (options + data)[offset..<(offset == 0 ? 400 : 808)]
      let header: [UInt8] = [
        60, 0, UInt8(offset >> 8), UInt8(offset & 0xff) | (offset == 0 ? 1 : 0),
      ]
      fragments.append(ipv6Packet(44, header + [0, 0, 0, 1] + part))
    }
    #expect(through(fragments, mtu: 1280, headroom: 64) == ["0:392+", "392:408"])
  }
}
