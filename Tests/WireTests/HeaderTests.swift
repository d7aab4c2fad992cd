// Headers of single protocols against byte literals, whole and cut short.

import Testing
import Wire

@Suite struct HeaderTests {
  @Test func tcp() throws {
    let bytes = hex("0050 1389 0102 0304 0a0b 0c0d 6012 faf0 1234 0005 0204 05b4 ff")
    let header = try #require(read(TCPHeader.init, bytes, at: 0, end: 25))
    #expect(header.sourcePort == 80)
    #expect(header.destinationPort == 5001)
    #expect(header.sequence == 0x0102_0304)
    #expect(header.acknowledgement == 0x0a0b_0c0d)
    #expect(header.headerLength == 24)
    #expect(header.flags == [.syn, .ack])
    #expect(header.window == 0xfaf0)
    #expect(header.checksum == 0x1234)
    #expect(header.urgentPointer == 5)
    // Cut within the options, within the header, and past the bytes there are.
    #expect(read(TCPHeader.init, bytes, at: 0, end: 23) == nil)
    #expect(read(TCPHeader.init, bytes, at: 0, end: 19) == nil)
    #expect(read(TCPHeader.init, bytes, at: 0, end: 26) == nil)
    #expect(read(TCPHeader.init, bytes, at: -1, end: 25) == nil)
    #expect(read(TCPHeader.init, bytes, at: Int.max, end: 25) == nil)
  }

  @Test func tcpHeaderLengthBelowMinimum() {
    var bytes = hex("0050 1389 0102 0304 0a0b 0c0d 4012 faf0 1234 0005")
    #expect(read(TCPHeader.init, bytes, at: 0, end: 20) == nil)
    bytes[12] = 0x50
    #expect(read(TCPHeader.init, bytes, at: 0, end: 20) != nil)
  }

  @Test func udp() throws {
    let bytes = hex("0035 ffff 0010 abcd")
    let header = try #require(read(UDPHeader.init, bytes, at: 0, end: 8))
    #expect(header.sourcePort == 53)
    #expect(header.destinationPort == 0xffff)
    #expect(header.length == 16)
    #expect(header.checksum == 0xabcd)
    #expect(read(UDPHeader.init, bytes, at: 0, end: 7) == nil)
    let ports = try #require(read(TransportPorts.init, bytes, at: 0, end: 4))
    #expect(ports.source == 53 && ports.destination == 0xffff)
    #expect(read(TransportPorts.init, bytes, at: 1, end: 4) == nil)
  }

  @Test func icmp() throws {
    let bytes = hex("03 04 abcd 0000 05dc")
    let header = try #require(read(ICMPHeader.init, bytes, at: 0, end: 8))
    #expect(header.type == ICMPType.destinationUnreachable)
    #expect(header.code == 4)
    #expect(header.rest == 1500)
    #expect(header.sequence == 1500)
    #expect(read(ICMPHeader.init, bytes, at: 0, end: 7) == nil)
    #expect(ICMPType.isError(3) && ICMPType.isError(11) && !ICMPType.isError(8))
    #expect(ICMPv6Type.isError(1) && !ICMPv6Type.isError(128))
  }

  @Test func sctp() throws {
    let bytes = hex("1389 138a 0000 0001 78563412 01 00 0005 aa 000000 0e 01 0004")
    let header = try #require(read(SCTPHeader.init, bytes, at: 0, end: 24))
    #expect(header.verificationTag == 1)
    #expect(header.checksum == 0x1234_5678)
    let chunk = try #require(read(SCTPChunk.init, bytes, at: 12, end: 24))
    #expect(chunk.type == SCTPChunkType.initiation)
    #expect(chunk.length == 5)
    #expect(chunk.nextOffset == 20)
    let next = try #require(read(SCTPChunk.init, bytes, at: chunk.nextOffset, end: 24))
    #expect(next.type == SCTPChunkType.shutdownComplete)
    #expect(next.flags == 1)
    #expect(read(SCTPChunk.init, bytes, at: 24, end: 24) == nil)
  }

  @Test func gre() throws {
    let plain = hex("0000 0800")
    let header = try #require(read(GREHeader.init, plain, at: 0, end: 4))
    #expect(header.version == 0 && header.payloadProtocol == 0x0800)
    let pptp = hex("3001 880b 0010 1234")
    let enhanced = try #require(read(GREHeader.init, pptp, at: 0, end: 8))
    #expect(enhanced.version == 1)
    #expect(enhanced.payloadProtocol == GREField.ppp)
    #expect(enhanced.payloadLength == 16)
    #expect(enhanced.callID == 0x1234)
    #expect(read(GREHeader.init, pptp, at: 0, end: 7) == nil)
  }

  @Test func dccp() throws {
    let bytes = hex("99fc 1389 08 00 aaf3 04 000008 f4ae867e")
    let header = try #require(read(DCCPHeader.init, bytes, at: 0, end: 16))
    #expect(header.sourcePort == 0x99fc)
    #expect(header.headerLength == 32)
    #expect(header.type == 2)
    #expect(!header.extendedSequence)
  }
}

@Suite struct TCPOptionsTests {
  private func scan(_ text: String) -> TCPOptions {
    let bytes = hex(text)
    return TCPOptions.scan(bytes.span.octets, at: 0, end: bytes.count)
  }

  private func highest(_ text: String, _ acknowledgement: UInt32) -> UInt32 {
    let bytes = hex(text)
    return TCPOptions.highestSACK(
      bytes.span.octets, at: 0, end: bytes.count, acknowledgement: acknowledgement)
  }

  @Test func ofASYN() {
    let options = scan("0204 05b4 0402 080a 0000 0001 0000 0002 01 0303 0f")
    #expect(options.maximumSegmentSize == 1460)
    #expect(options.sackPermitted)
    #expect(options.timestamp == TCPOptions.Timestamp(value: 1, echo: 2))
    #expect(options.windowScale == 15)
    #expect(!options.malformed)
  }

  @Test func endStopsTheScan() {
    #expect(scan("00 0303 07").windowScale == nil)
    #expect(scan("0101 0303 07").windowScale == 7)
  }

  @Test(arguments: [
    "0300 07 030307", "0301 07 030307", "0305 07", "03", "0101 0204 05", "fd 20 030307",
  ])
  func malformedStopsTheScan(_ text: String) {
    let options = scan(text)
    #expect(options.malformed)
    #expect(options.windowScale == nil)
  }

  @Test func knownKindOfWrongLengthIsSkipped() {
    let options = scan("0304 0707 0403 00 0206 05b4 0000 0303 05")
    #expect(options.windowScale == 5)
    #expect(!options.sackPermitted)
    #expect(options.maximumSegmentSize == nil)
    #expect(!options.malformed)
  }

  @Test func sackBlocks() {
    let options = scan("0101 0512 0000 0001 0000 0005 0000 0009 0000 000c")
    #expect(options.sackBlockCount == 2)
    #expect(options.sackBlocks[0] == TCPOptions.SACKBlock(left: 1, right: 5))
    #expect(options.sackBlocks[1] == TCPOptions.SACKBlock(left: 9, right: 12))
  }

  @Test func highestSACK() {
    let blocks = "0101 0512 0000 0001 0000 0005 0000 0009 0000 000c"
    #expect(highest(blocks, 3) == 12)
    #expect(highest(blocks, 100) == 100)
    #expect(highest(blocks, 0xffff_fff0) == 12, "serial arithmetic")
    #expect(highest("0101 080a 0000 0001 0000 0002", 7) == 7, "the fast path")
    #expect(highest("", 7) == 7)
    #expect(highest("0101 080a 0000 0001 0000 0002 0101 050a 00000010 00000020", 7) == 0x20)
    #expect(highest("0502", 7) == 7, "a SACK of no blocks")
    #expect(highest("050b 0000 0001 0000 0005 00", 1) == 1, "a length that is no number of blocks")
    #expect(highest("0512 0000 0001 0000 0005", 1) == 1, "past the end")
  }
}
