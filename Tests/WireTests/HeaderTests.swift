// Each protocol's header from byte literals, and the length at which it is refused.

import Testing
import Wire

@Suite struct HeaderTests {
  @Test func ipv4() throws {
    let bytes = hex("00 47281234 abcdf00f 1e84beef c0000201 c6336402 01010101 01010100")
    let header = try #require(read(bytes) { IPv4Header($0, at: 1, end: bytes.count) })
    #expect(header.headerLength == 28)
    #expect(header.trafficClass == 0x28)
    #expect(header.totalLength == 0x1234)
    #expect(header.identification == 0xabcd)
    #expect(header.fragmentWord == 0xf00f)
    #expect(header.dontFragment && header.moreFragments)
    #expect(header.fragmentOffset == 0x100f * 8)
    #expect(header.timeToLive == 30)
    #expect(header.transportProtocol == 0x84)
    #expect(header.checksum == 0xbeef)
    #expect(header.source.text(.ipv4) == "192.0.2.1")
    #expect(header.destination.text(.ipv4) == "198.51.100.2")
  }

  @Test func ipv4Refused() {
    let bytes = hex("47281234 abcdf00f 1e84beef c0000201 c6336402 01010101 01010100")
    func header(_ bytes: [UInt8], at offset: Int, end: Int) -> Bool {
      IPv4Header(bytes.rawSpan, at: offset, end: end) != nil
    }
    #expect(header(bytes, at: 0, end: 28))
    #expect(!header(bytes, at: 0, end: 27))  // Its options are cut.
    #expect(!header(bytes, at: 0, end: 29))  // The span is shorter.
    #expect(!header(bytes, at: -1, end: 28))
    #expect(!header(bytes, at: 9, end: 28))
    #expect(!header(with(bytes, [0x67], at: 0), at: 0, end: 28))
    #expect(!header(with(bytes, [0x44], at: 0), at: 0, end: 28))
  }

  @Test func ipv6() throws {
    let bytes = hex(
      "6ab12345 fedc3b07 20010db8000000000000000000000001 fe80000000000000000000fffe000002")
    let header = try #require(read(bytes) { IPv6Header($0, at: 0, end: 40) })
    #expect(header.trafficClass == 0xab)
    #expect(header.flowLabel == 0x12345)
    #expect(header.payloadLength == 0xfedc)
    #expect(header.nextHeader == IPProtocolNumber.noNextHeader)
    #expect(header.hopLimit == 7)
    #expect(header.source.text(.ipv6) == "2001:db8::1")
    #expect(header.destination.text(.ipv6) == "fe80::ff:fe00:2")
    let short = IPv6Header(bytes.rawSpan, at: 0, end: 39)
    #expect(short == nil)
    let otherVersion = with(bytes, [0x4a], at: 0)
    let wrong = IPv6Header(otherVersion.rawSpan, at: 0, end: 40)
    #expect(wrong == nil)
  }

  @Test func tcp() throws {
    let bytes = hex("d7ba0050 a2e73f9b 01020304 6fc2faf0 8bddabcd 02040204")
    let header = try #require(read(bytes) { TCPHeader($0, at: 0, end: 24) })
    #expect(header.sourcePort == 0xd7ba)
    #expect(header.destinationPort == 80)
    #expect(header.sequence == 0xa2e7_3f9b)
    #expect(header.acknowledgement == 0x0102_0304)
    #expect(header.headerLength == 24)
    #expect(header.flags == [.syn, .ece, .cwr])
    #expect(header.window == 0xfaf0)
    #expect(header.checksum == 0x8bdd)
    #expect(header.urgentPointer == 0xabcd)
    for (name, bytes, end) in [
      ("cut", bytes, 19), ("options cut", bytes, 23), ("below 20", with(bytes, [0x4f], at: 12), 24),
    ] {
      let header = TCPHeader(bytes.rawSpan, at: 0, end: end)
      #expect(header == nil, "\(name)")
    }
  }

  @Test func tcpFlags() {
    let names: [TCPFlags] = [.fin, .syn, .rst, .psh, .ack, .urg, .ece, .cwr]
    #expect(names.map(\.rawValue) == [1, 2, 4, 8, 16, 32, 64, 128])
  }

  @Test func udp() throws {
    let bytes = hex("ff 0fa00009 000b98c6")
    let header = try #require(read(bytes) { UDPHeader($0, at: 1, end: 9) })
    #expect(header.sourcePort == 4000)
    #expect(header.destinationPort == 9)
    #expect(header.length == 11)
    #expect(header.checksum == 0x98c6)
    let short = UDPHeader(bytes.rawSpan, at: 1, end: 8)
    #expect(short == nil)
    let ports = try #require(read(bytes) { TransportPorts($0, at: 1, end: 5) })
    #expect(ports == read(bytes) { TransportPorts($0, at: 1, end: 9) })
    #expect(ports.source == 4000 && ports.destination == 9)
    let noPorts = TransportPorts(bytes.rawSpan, at: 1, end: 4)
    #expect(noPorts == nil)
  }

  @Test func icmp() throws {
    let bytes = hex("0503 1234 c0a80101")
    let header = try #require(read(bytes) { ICMPHeader($0, at: 0, end: 8) })
    #expect(header.type == ICMPType.redirect && header.code == 3)
    #expect(header.checksum == 0x1234)
    #expect(header.identifier == 0xc0a8 && header.sequence == 0x0101)
    #expect(header.rest == 0xc0a8_0101)
    let short = ICMPHeader(bytes.rawSpan, at: 0, end: 7)
    #expect(short == nil)
    #expect((0...255).filter { ICMPType.isError(UInt8($0)) } == [3, 4, 5, 11, 12])
    #expect((0...255).filter { ICMPv6Type.isError(UInt8($0)) } == Array(0...127))
  }

  @Test func sctp() throws {
    let bytes = hex("0b590b5a 01020304 78563412 01000005 aabbccdd ee000000 03030004")
    let header = try #require(read(bytes) { SCTPHeader($0, at: 0, end: bytes.count) })
    #expect(header.sourcePort == 2905 && header.destinationPort == 2906)
    #expect(header.verificationTag == 0x0102_0304)
    #expect(header.checksum == 0x1234_5678)  // Least significant byte first.
    let short = SCTPHeader(bytes.rawSpan, at: 0, end: 11)
    #expect(short == nil)

    let first = try #require(read(bytes) { SCTPChunk($0, at: 12, end: bytes.count) })
    #expect(first.type == SCTPChunkType.initiation && first.flags == 0 && first.length == 5)
    #expect(first.nextOffset == 20)
    let second = try #require(read(bytes) { SCTPChunk($0, at: 24, end: bytes.count) })
    #expect(second.type == SCTPChunkType.selectiveAck && second.flags == 3)
    #expect(second.nextOffset == 28)
    let third = SCTPChunk(bytes.rawSpan, at: 28, end: bytes.count)
    #expect(third == nil)
  }

  @Test func gre() throws {
    let plain = hex("2000 0800 00000007")
    let header = try #require(read(plain) { GREHeader($0, at: 0, end: 8) })
    #expect(header.version == 0 && header.flagsAndVersion & GREField.keyBit != 0)
    #expect(header.payloadProtocol == 0x0800)
    #expect(header.payloadLength == 0 && header.callID == 0)
    let short = GREHeader(plain.rawSpan, at: 0, end: 3)
    #expect(short == nil)

    let enhanced = hex("3081 880b 0012 cafe 00000001")
    let pptp = try #require(read(enhanced) { GREHeader($0, at: 0, end: 12) })
    #expect(pptp.version == 1 && pptp.payloadProtocol == GREField.ppp)
    #expect(pptp.payloadLength == 0x12 && pptp.callID == 0xcafe)
    let cut = GREHeader(enhanced.rawSpan, at: 0, end: 7)
    #expect(cut == nil)
  }

  @Test func dccp() throws {
    let bytes = hex("1389 a000 05 00 1234 05 000000")
    let header = try #require(read(bytes) { DCCPHeader($0, at: 0, end: 12) })
    #expect(header.sourcePort == 5001 && header.destinationPort == 0xa000)
    #expect(header.headerLength == 20)
    #expect(header.checksum == 0x1234)
    #expect(header.type == 2 && header.extendedSequence)
    let short = DCCPHeader(bytes.rawSpan, at: 0, end: 11)
    #expect(short == nil)
  }
}
