// What IP input drops before any hook, and what it reads. The answers were had from Linux 6.18 by
// sending it the same packets.

import Testing
import Wire

@Suite struct DecodeIPv4Tests {
  @Test func wholePacket() throws {
    let bytes = udp { ip in
      ip.trafficClass = 0x12
      ip.identification = 0x1234
      ip.dontFragment = true
      ip.hopLimit = 9
    }
    let headers = try decode(bytes).get()
    #expect(headers.family == .ipv4)
    #expect(headers.source == client4 && headers.destination == server4)
    #expect(headers.networkHeaderLength == 20)
    #expect(headers.transportOffset == 20)
    #expect(headers.end == 33)
    #expect(headers.transportProtocol == IPProtocolNumber.udp)
    #expect(headers.trafficClass == 0x12 && headers.hopLimit == 9)
    #expect(headers.identification == 0x1234)
    #expect(headers.dontFragment && !headers.moreFragments && !headers.isFragment)
    #expect(!headers.hasOptions && !headers.hasFragmentHeader)
  }

  @Test func linkPaddingIsBehindTheEnd() throws {
    let headers = try decode(udp() + [0, 0, 0]).get()
    #expect(headers.end == 33)
  }

  @Test func options() throws {
    var packet = PacketBuffer()
    let options = hex("94040000")
    _ = packet.buildIP(fields(.ipv4), transportProtocol: 17, options: options.span.octets)
    let headers = try decode(packet.array).get()
    #expect(headers.hasOptions && headers.networkHeaderLength == 24)
    #expect(headers.transportOffset == 24)
    // The options are under the checksum too.
    packet.store8(0x95, at: 20)
    #expect(drop(packet.array) == .badHeaderChecksum)
  }

  @Test func dropped() {
    #expect(drop([]) == .truncatedHeader)
    #expect(drop(Array(udp()[..<19])) == .truncatedHeader)
    #expect(drop(Array(udp()[..<32])) == .truncatedPacket)
    var bytes = udp()
    bytes[10] ^= 1
    #expect(drop(bytes) == .badHeaderChecksum)
    bytes = udp()
    bytes[0] = 0x44
    #expect(drop(withoutChecking(bytes)) == .badHeaderLength)
    bytes[0] = 0x55
    #expect(drop(bytes) == .badVersion)
    bytes = udp()
    bytes[0] = 0x4f
    #expect(drop(bytes) == .truncatedHeader)
    bytes = udp()
    bytes[3] = 19
    #expect(drop(withHeaderChecksum(bytes)) == .badTotalLength)
    bytes[3] = 20
    #expect(drop(withHeaderChecksum(bytes)) == nil)
  }

  private func withoutChecking(_ bytes: [UInt8]) -> [UInt8] { bytes }

  @Test func familyOfTheFrame() {
    var headers = PacketHeaders()
    let bytes = udp()
    let asIPv6 = PacketHeaders.decode(bytes.span.octets, family: .ipv6, into: &headers)
    #expect(asIPv6 == .truncatedHeader)
    let long = udp(payload: [UInt8](repeating: 0, count: 50))
    let longAsIPv6 = PacketHeaders.decode(long.span.octets, family: .ipv6, into: &headers)
    #expect(longAsIPv6 == .badVersion)
    let asIPv4 = PacketHeaders.decode(bytes.span.octets, family: .ipv4, into: &headers)
    #expect(asIPv4 == nil)
  }

  @Test func fragments() throws {
    var bytes = udp()
    bytes[6] = 0x20
    var headers = try decode(withHeaderChecksum(bytes)).get()
    #expect(headers.isFragment && headers.moreFragments && headers.fragmentOffset == 0)
    #expect(headers.transportOffset == 20)
    bytes[6] = 0x40
    bytes[7] = 3
    headers = try decode(withHeaderChecksum(bytes)).get()
    #expect(headers.isFragment && !headers.moreFragments && headers.fragmentOffset == 24)
    #expect(headers.dontFragment)
    #expect(headers.transportOffset == -1)
    // The reserved bit alone makes no fragment.
    bytes[6] = 0x80
    bytes[7] = 0
    headers = try decode(withHeaderChecksum(bytes)).get()
    #expect(!headers.isFragment)
  }
}

@Suite struct DecodeIPv6Tests {
  let segment = hex("0001 0002 0010 0000 6162636465666768")

  @Test func wholePacket() throws {
    var ip = fields(.ipv6)
    ip.trafficClass = 0xab
    ip.flowLabel = 0x12345
    ip.hopLimit = 3
    var packet = PacketBuffer()
    let payload: [UInt8] = [1]
    _ = packet.buildUDP(ip, from: 1, to: 2, payload: payload.span.octets)
    let headers = try decode(packet.array).get()
    #expect(headers.family == .ipv6)
    #expect(headers.source == client6 && headers.destination == server6)
    #expect(headers.trafficClass == 0xab && headers.hopLimit == 3)
    #expect(headers.transportOffset == 40 && headers.end == 49)
    #expect(headers.transportProtocol == 17)
    #expect(packet.uint32(at: 0) == 0x6ab1_2345)
  }

  @Test func addresses() {
    func from(_ source: String, to destination: String) -> IPDrop? {
      let bytes = ipv6(
        next: 17, segment, source: address(source), destination: address(destination))
      if let drop = drop(bytes) { return drop }
      guard case .success(let headers) = decode(bytes) else { return nil }
      return headers.ipv6InterfaceDrop
    }
    let client = "2001:db8:1::1"
    let server = "2001:db8:2::9"
    #expect(from("ff02::1", to: server) == .multicastSource)
    #expect(from(client, to: "ff00::1") == .reservedMulticastScope)
    #expect(from(client, to: "ff30::1") == .reservedMulticastScope)
    #expect(from(client, to: "ff01::1") == .interfaceLocalMulticast)
    #expect(from(client, to: "ff0f::1") == nil)
    #expect(from(client, to: "ff02::1") == nil)
    #expect(from("::1", to: server) == .loopbackAddress)
    #expect(from(client, to: "::1") == .loopbackAddress)
    #expect(from("::", to: server) == nil)
    #expect(from(client, to: "::") == nil)
    #expect(from("::ffff:1.2.3.4", to: server) == nil)
  }

  @Test func lengths() throws {
    #expect(drop(Array(ipv6(next: 17, segment)[..<39])) == .truncatedHeader)
    #expect(drop(ipv6(next: 17, segment, length: 17)) == .truncatedPacket)
    #expect(try decode(ipv6(next: 17, segment, length: 12)).get().end == 52)
    // Without a payload length the packet is its header alone...
    #expect(try decode(ipv6(next: 17, segment, length: 0)).get().end == 40)
    // ...except that hop-by-hop options might have held a jumbo length.
    let options = hex("1100 0104 00000000") + segment
    #expect(try decode(ipv6(next: 0, options, length: 0)).get().end == 64)
  }

  /// Hop-by-hop options and what 6.18 does with them.
  @Test(
    arguments: [
      ("0104 00000000", nil),
      ("0104 00000100", .badHopByHopOption),
      ("0000 00000000", nil),
      ("0000 00000000 0000000000000000", .badHopByHopOption),
      ("1e05 6162636465 0105 0000000000", nil),
      ("1e04 61626364 0106 000000000000", .badHopByHopOption),
      ("1e04 61626364 00 0105 0000000000", .badHopByHopOption),
      ("1e05 61626364", .badHopByHopOption),
      ("1e03 616263 1e", .badHopByHopOption),
      ("3e04 61626364", nil),
      ("7e04 61626364", .unknownHopByHopOption),
      ("be04 61626364", .unknownHopByHopOption),
      ("fe04 61626364", .unknownHopByHopOption),
      ("1e00 1e00 1e00 1e00 1e00 1e00 1e00", nil),
      ("1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00 0104 00000000", nil),
      ("1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00 1e00 0102 0000", .badHopByHopOption),
      ("0502 0000 0000", nil),
      ("0503 000000 00", .badHopByHopOption),
      ("0000 3102 0000", nil),
      ("3104 00000000", .badHopByHopOption),
      ("0708 00000001 00000000 0102 0000", .badHopByHopOption),
      ("c204 00010000", .badJumboPayload),
    ] as [(String, IPDrop?)])
  func hopByHop(_ text: String, _ expected: IPDrop?) {
    let options = hex(text)
    let header = [17, UInt8((options.count + 2) / 8 - 1)] + options
    #expect((options.count + 2) % 8 == 0)
    #expect(drop(ipv6(next: 0, header + segment)) == expected)
  }

  @Test func hopByHopCutShort() {
    #expect(drop(ipv6(next: 0, hex("1100 0100"))) == .truncatedHopByHop)
    #expect(drop(ipv6(next: 0, hex("1105 0104 00000000") + segment)) == .truncatedHopByHop)
    // Not the first header: no options are read.
    let second = hex("0000 0104 00000000 1100 fe04 61626364") + segment
    #expect(drop(ipv6(next: 60, second)) == nil)
  }

  @Test func jumbo() throws {
    #expect(drop(ipv6(next: 0, hex("1100 c204 00000020") + segment, length: 0)) == .badJumboPayload)
    #expect(drop(ipv6(next: 0, hex("1100 c204 00010000") + segment, length: 0)) == .truncatedPacket)
    let whole = hex("1100 c204 00010000") + [UInt8](repeating: 0, count: 65_536 - 8)
    var bytes = ipv6(next: 0, hex("1100 c204 00010000")) + whole[8...] + [9, 9]
    bytes[4] = 0
    bytes[5] = 0
    #expect(try decode(bytes).get().end == 65_576)
  }

  @Test func extensionHeaders() throws {
    func walk(_ next: UInt8, _ text: String) throws -> (UInt8, Int) {
      let headers = try decode(ipv6(next: next, hex(text) + segment)).get()
      return (headers.transportProtocol, headers.transportOffset)
    }
    #expect(try walk(60, "1100 0104 00000000") == (17, 48))
    #expect(try walk(43, "1102 0001 00000000" + String(repeating: "00", count: 16)) == (17, 64))
    #expect(try walk(51, "1104" + String(repeating: "00", count: 22)) == (17, 64))
    #expect(try walk(50, "") == (50, 40))
    #expect(try walk(135, "") == (135, 40))
    #expect(try walk(59, "").1 == -1)
    #expect(try walk(60, "3c00 0104 00000000 3b00 0104 00000000") == (59, -1))
    // A length beyond the packet: the walk ends beyond, and it is for the tracker to say.
    #expect(try walk(43, "1114 0001 00000000") == (17, 208))
    #expect(try decode(ipv6(next: 60, hex("2b00 0104 00000000 11"))).get().transportOffset == -1)
  }

  @Test func fragmentHeader() throws {
    var headers = try decode(ipv6(next: 44, hex("1100 0001 01020304") + segment)).get()
    #expect(headers.hasFragmentHeader && headers.isFragment && headers.moreFragments)
    #expect(headers.fragmentHeaderOffset == 40 && headers.transportOffset == 48)
    #expect(headers.identification == 0x0102_0304)
    headers = try decode(ipv6(next: 44, hex("1100 0010 01020304") + segment)).get()
    #expect(headers.fragmentOffset == 16 && !headers.moreFragments && headers.isFragment)
    #expect(headers.transportOffset == -1 && headers.transportProtocol == 44)
    headers = try decode(ipv6(next: 44, hex("1100 0006 01020304") + segment)).get()
    #expect(headers.hasFragmentHeader && !headers.isFragment, "an atomic fragment")
    #expect(headers.transportOffset == 48 && headers.transportProtocol == 17)
    headers = try decode(ipv6(next: 44, hex("1100 00"))).get()
    #expect(!headers.hasFragmentHeader && headers.fragmentHeaderOffset == 40)
  }
}

@Suite struct TextTests {
  /// As glibc's `inet_ntop` printed them.
  @Test(arguments: [
    ("::1", "::1"), ("::", "::"), ("::2:1", "::0.2.0.1"), ("::1:0:0", "::1:0:0"),
    ("::ffff:0:1", "::ffff:0.0.0.1"), ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
    ("::0.1.0.0", "::0.1.0.0"), ("1::", "1::"), ("1:0:0:2::", "1:0:0:2::"),
    ("0:0:0:0:1::", "::1:0:0:0"), ("1:0:2:0:0:3:0:0", "1:0:2::3:0:0"),
    ("::fffe:1.2.3.4", "::fffe:102:304"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ("1:2:3:4:5:6:0:8", "1:2:3:4:5:6:0:8"), ("::0.0.1.1", "::101"),
    ("::ffff:0:0:1", "::ffff:0:0:1"), ("2001:DB8::0A", "2001:db8::a"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("255.0.10.1", "255.0.10.1"),
  ])
  func printing(_ text: String, _ expected: String) throws {
    let (address, family) = try #require(IPAddress.parse(text))
    #expect(address.text(family) == expected)
    let again = try #require(IPAddress.parse(expected))
    #expect(again == (address, family))
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4",
    "1..2.3", "1.2.3.", "0x1.2.3.4", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3",
    "1:2:3:4:5:6:7:8::", "12345::", "g::", "fe80::1%eth0", "[::1]", ":1::", "1::2:", "::1.2.3",
    "::1.2.3.4:5", "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "::١",
  ])
  func refused(_ text: String) {
    #expect(IPAddress.parse(text) == nil)
  }

  @Test func roundTrip() throws {
    var random = SplitMix64(seed: 8)
    for _ in 0..<2000 {
      // Many zero groups, so that all forms come up.
      var groups: [UInt64] = []
      for _ in 0..<8 { groups.append(random.oneIn(2) ? 0 : random.next() & 0xffff) }
      let address = IPAddress(
        high: groups[..<4].reduce(0) { $0 << 16 | $1 },
        low: groups[4...].reduce(0) { $0 << 16 | $1 })
      let parsed = try #require(IPAddress.parse(address.text(.ipv6)))
      #expect(parsed == (address, .ipv6))
    }
  }

  @Test func reasonsAreSentences() {
    for reason in IPDrop.allCases { #expect(!reason.text.isEmpty) }
    for reason in ReassemblyDrop.allCases { #expect(!reason.text.isEmpty) }
    #expect(LinkRefusal.etherType(0x1234).text == "EtherType 0x1234 is not IP")
  }
}
