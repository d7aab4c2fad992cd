// Built packets against those a kernel sent for the same words, and against our own decoder.

import Testing
import Wire

@Suite struct BuildTests {
  private let timestamps = TCPOption.timestamp(value: 0x2831_5a6c, echo: 0xabd6_2543)

  @Test func tcpAsTheKernelSendsIt() {
    let syn = PacketBuilder.tcp(
      from: "192.0.2.1:55226", to: "192.0.2.2:80", flags: .syn, sequence: 0xa2e7_3f9b,
      window: 64_240,
      options: [
        .maximumSegmentSize(1460), .sackPermitted, .timestamp(value: 0x2831_5a6c, echo: 0),
        .noOperation, .windowScale(10),
      ],
      IPFields(identification: 0x7ad0, dontFragment: true))
    #expect(syn == KernelMade.tcpSYN)

    let data = PacketBuilder.tcp(
      from: "192.0.2.1:55226", to: "192.0.2.2:80", flags: [.psh, .ack], sequence: 0xa2e7_3f9c,
      acknowledgement: 0x4c33_c741, window: 63, options: [.noOperation, .noOperation, timestamps],
      payload: Array("hello".utf8), IPFields(identification: 0x7ad2, dontFragment: true))
    #expect(data == KernelMade.tcpData)

    let data6 = PacketBuilder.tcp(
      from: "[2001:db8::1]:51218", to: "[2001:db8::2]:80", flags: [.psh, .ack],
      sequence: 0x3fd1_75a0, acknowledgement: 0x9b2c_54be, window: 64,
      options: [
        .noOperation, .noOperation, .timestamp(value: 0xa055_1288, echo: 0x7cc0_2255),
      ],
      payload: Array("hello".utf8), IPFields(flowLabel: 0xfdc3d))
    #expect(data6 == KernelMade.tcp6Data)
  }

  @Test func udpAsTheKernelSendsIt() {
    let payload = Array("odd".utf8)
    let udp = PacketBuilder.udp(
      from: "192.0.2.1:4000", to: "192.0.2.2:9", payload: payload,
      IPFields(identification: 0x5694, dontFragment: true))
    #expect(udp == KernelMade.udp)
    let udp6 = PacketBuilder.udp(
      from: "[2001:db8::1]:4000", to: "[2001:db8::2]:9", payload: payload,
      IPFields(flowLabel: 0x8ee60))
    #expect(udp6 == KernelMade.udp6)
    let withOptions = PacketBuilder.udp(
      from: "192.0.2.1:4001", to: "192.0.2.2:9", payload: Array("opts".utf8),
      IPFields(
        identification: 0x5695, dontFragment: true, options: hex("070708c0000201")))
    // The kernel ends the options with an end-of-list byte's zero, as padding here does.
    #expect(
      Array(withOptions.prefix(20).dropLast(10)) == Array(KernelMade.udpWithOptions.prefix(10)))
    #expect(withOptions.count == KernelMade.udpWithOptions.count)
    #expect(withOptions.dropFirst(28) == KernelMade.udpWithOptions.dropFirst(28))
  }

  @Test func icmpAsTheKernelSendsIt() {
    let request = PacketBuilder.echo(
      from: "192.0.2.1", to: "192.0.2.2", identifier: 0x0276, sequence: 1,
      payload: Array(KernelMade.echoRequest.dropFirst(28)),
      IPFields(hopLimit: 9, trafficClass: 0x28, dontFragment: true))
    #expect(request == KernelMade.echoRequest)
    let reply = PacketBuilder.echo(
      from: "2001:db8::2", to: "2001:db8::1", reply: true, identifier: 0x0273, sequence: 1,
      payload: Array(KernelMade.echoReply6.dropFirst(48)), IPFields(flowLabel: 0x52369))
    #expect(reply == KernelMade.echoReply6)
    let unreachable = PacketBuilder.icmpError(
      from: "192.0.2.2", to: "192.0.2.1", type: ICMPType.destinationUnreachable, code: 3,
      quoting: KernelMade.udp, IPFields(trafficClass: 0xc0, identification: 0x514d))
    #expect(unreachable == KernelMade.portUnreachable)
    let unreachable6 = PacketBuilder.icmpError(
      from: "2001:db8::2", to: "2001:db8::1", type: ICMPv6Type.destinationUnreachable, code: 4,
      quoting: KernelMade.udp6, IPFields(flowLabel: 0xeda0a))
    #expect(unreachable6 == KernelMade.portUnreachable6)
  }

  @Test func extensionHeadersAsTheKernelSendsThem() {
    let report = PacketBuilder.icmp(
      from: "fe80::ff:fe00:1", to: "ff02::16", type: ICMPv6Type.multicastListenerReportV2, rest: 1,
      payload: hex("04000000 ff0200000000000000000001ff000001"),
      IPFields(hopLimit: 1, extensionHeaders: [.hopByHop(hex("0502 0000 0100"))]))
    #expect(report == KernelMade.listenerReport)
  }

  @Test func quotesAsMuchAsFits() {
    let long = PacketBuilder.udp(
      from: "192.0.2.1:1", to: "192.0.2.2:2", payload: Array(repeating: 0, count: 1400))
    func error(_ end: Endpoint, _ length: Int?) -> Int {
      PacketBuilder.icmpError(
        from: end, to: end, type: 3, code: 0, quoting: long, quotedLength: length
      ).count
    }
    #expect(error("192.0.2.1", nil) == 576)
    #expect(error("2001:db8::1", nil) == 1280)
    #expect(error("192.0.2.1", 28) == 56)
  }

  @Test func everythingBuiltIsValid() throws {
    var generator = SeededGenerator(seed: 21)
    for number in 0..<3_000 {
      let family: AddressFamily = generator.next() % 2 == 0 ? .ipv4 : .ipv6
      // Not multicast, which is no source, and for a destination may be of a reserved scope.
      var end = Endpoint(generator.address(family), family)
      end.address.high &= 0x7fff_ffff_ffff_ffff
      end.port = UInt16(truncatingIfNeeded: generator.next())
      let payload = generator.bytes(Int(generator.next() % 40))
      let ip = IPFields(
        trafficClass: UInt8(truncatingIfNeeded: generator.next()),
        options: family == .ipv4 ? generator.bytes(Int(generator.next() % 41)) : [],
        extensionHeaders: generator.next() % 2 == 0
          ? [] : [.hopByHop(), .fragment(offset: 0, more: false, identification: 1)])
      let packet =
        switch generator.next() % 4 {
        case 0:
          PacketBuilder.tcp(
            from: end, to: end, flags: TCPFlags(rawValue: UInt8(number & 0xff)), payload: payload,
            ip)
        case 1: PacketBuilder.udp(from: end, to: end, payload: payload, ip)
        case 2: PacketBuilder.echo(from: end, to: end, payload: payload, ip)
        default:
          PacketBuilder.sctp(from: end, to: end, verificationTag: 1, chunks: [0, 0, 0, 4], ip)
        }
      let headers = try decode(packet).get()
      #expect(headers.end == packet.count && headers.trafficClass == ip.trafficClass)
      #expect(headers.source == end.address && headers.destination == end.address)
      #expect(read(packet) { InternetChecksum.transportIsValid($0, headers: headers) }, "\(number)")
      if headers.transportProtocol == IPProtocolNumber.sctp {
        #expect(
          read(packet) { CRC32c.sctpIsValid($0, at: headers.transportOffset, end: headers.end) })
      }
      if headers.transportProtocol == IPProtocolNumber.udp {
        let sum = packet.rawSpan.uint16(at: headers.transportOffset + UDPField.checksum)
        #expect(sum != 0)
      }
    }
  }

  @Test func udpWithoutChecksum() throws {
    let packet = PacketBuilder.udp(from: "192.0.2.1:1", to: "192.0.2.2:2", withChecksum: false)
    #expect(read(packet) { $0.uint16(at: 26) } == 0)
  }

  @Test func udpChecksumOfZeroIsSentAsAllOnes() {
    func packet(_ payload: [UInt8]) -> [UInt8] {
      PacketBuilder.udp(from: "192.0.2.1:1", to: "192.0.2.2:2", payload: payload)
    }
    // With the checksum as data the sum comes to all ones.
    let checksum = Array(packet([0, 0])[26..<28])
    #expect(packet(checksum)[26..<28] == [0xff, 0xff])
  }

  @Test func fragments() throws {
    let fields = IPFields(identification: 0x1_2345, moreFragments: true, fragmentOffset: 1480)
    let four = try decode(
      PacketBuilder.ip(from: "192.0.2.1", to: "192.0.2.2", transportProtocol: 17, fields)
    ).get()
    #expect(four.fragmentOffset == 1480 && four.moreFragments && four.identification == 0x2345)
    let six = try decode(
      PacketBuilder.ip(from: "::2", to: "::3", transportProtocol: 17, fields)
    ).get()
    #expect(six.fragmentOffset == 1480 && six.moreFragments && six.identification == 0x1_2345)
  }

  @Test func tcpOptionsAreReadBack() throws {
    let blocks: [TCPOptions.SACKBlock] = [.init(left: 1, right: 2), .init(left: 3, right: 4)]
    let packet = PacketBuilder.tcp(
      from: "192.0.2.1:1", to: "192.0.2.2:2", flags: .ack,
      options: [.sack(blocks), .windowScale(14), .bytes([254, 2]), .end, .bytes([9, 9])])
    let header = try #require(read(packet) { TCPHeader($0, at: 20, end: packet.count) })
    #expect(header.headerLength == 48)
    let options = TCPOptions.scan(packet.rawSpan, at: 40, end: 20 + header.headerLength)
    #expect(options.sackBlockCount == 2 && options.windowScale == 14 && !options.malformed)
    #expect([options.sackBlocks[0], options.sackBlocks[1]] == blocks)
  }

  @Test func ethernet() {
    let frame = PacketBuilder.ethernet(
      from: 0x0a0b_0c0d_0e0f, to: 0x0102_0304_0506, vlans: [3199, 7], KernelMade.udp6)
    let link = LinkFrame.decode(frame.rawSpan, linkType: 1)
    #expect(link.family == .ipv6 && link.networkOffset == 22)
    #expect(link.sourceMAC == 0x0a0b_0c0d_0e0f && link.destinationMAC == 0x0102_0304_0506)
    #expect(link.vlanCount == 2 && link.vlanIDs[0] == 3199 && link.vlanIDs[1] == 7)
    #expect(Array(frame.dropFirst(22)) == KernelMade.udp6)
  }
}
