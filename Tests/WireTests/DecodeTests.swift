// Decoding whole packets: what is read, and everything Linux's IP input drops before the first hook.

import Testing
import Wire

@Suite struct DecodeTests {
  @Test func ipv4() throws {
    let headers = try decode(KernelMade.udpWithOptions + [0xff]).get()
    #expect(headers.family == .ipv4)
    #expect(headers.source.text(.ipv4) == "192.0.2.1")
    #expect(headers.destination.text(.ipv4) == "192.0.2.2")
    #expect(headers.networkHeaderLength == 28 && headers.hasOptions)
    #expect(headers.transportOffset == 28 && headers.transportProtocol == IPProtocolNumber.udp)
    #expect(headers.end == 40)  // The byte behind it is padding.
    #expect(headers.hopLimit == 64 && headers.trafficClass == 0)
    #expect(headers.dontFragment && !headers.moreFragments && !headers.isFragment)
    #expect(headers.identification == 0x5695)
    #expect(headers.fragmentHeaderOffset == -1 && !headers.hasFragmentHeader)
  }

  @Test func ipv6() throws {
    let headers = try decode(KernelMade.echoReply6 + [0xff]).get()
    #expect(headers.family == .ipv6)
    #expect(headers.source.text(.ipv6) == "2001:db8::2")
    #expect(headers.destination.text(.ipv6) == "2001:db8::1")
    #expect(headers.networkHeaderLength == 40 && !headers.hasOptions)
    #expect(headers.transportOffset == 40 && headers.transportProtocol == IPProtocolNumber.icmpv6)
    #expect(headers.end == 69)
    #expect(headers.hopLimit == 64)
  }

  @Test func trafficClass() throws {
    #expect(try decode(KernelMade.echoRequest).get().trafficClass == 0x28)
    let packet = PacketBuilder.echo(
      from: "::2", to: "::3", IPFields(hopLimit: 0, trafficClass: 0xb8, flowLabel: 0xfffff))
    let headers = try decode(packet).get()
    #expect(headers.trafficClass == 0xb8 && headers.hopLimit == 0)
  }

  /// The value decoded into says nothing of the packet before.
  @Test func nothingIsLeftOver() {
    var used = PacketHeaders()
    let fragment = PacketBuilder.ip(
      from: "2001:db8::1", to: "2001:db8::2", transportProtocol: 17, payload: [1, 2, 3],
      IPFields(identification: 9, fragmentOffset: 64))
    for packet in KernelMade.all {
      _ = PacketHeaders.decode(fragment.rawSpan, into: &used)
      #expect(used.isFragment)
      _ = PacketHeaders.decode(packet.rawSpan, into: &used)
      var fresh = PacketHeaders()
      _ = PacketHeaders.decode(packet.rawSpan, into: &fresh)
      #expect("\(used)" == "\(fresh)")
    }
  }

  // MARK: - IPv4 drops

  @Test func ipv4Drops() {
    let packet = KernelMade.udp
    #expect(drop([]) == .truncatedHeader)
    #expect(drop([0x45]) == .truncatedHeader)
    #expect(drop(Array(packet.prefix(19))) == .truncatedHeader)
    #expect(drop(with(packet, [0x55], at: 0)) == .badVersion)
    #expect(drop(with(packet, [0x44], at: 0)) == .badHeaderLength)
    #expect(drop(with(packet, [0x4f], at: 0)) == .truncatedHeader)
    #expect(drop(with(packet, [0x00], at: 11)) == .badHeaderChecksum)
    #expect(drop(Array(packet.dropLast())) == .truncatedPacket)
    #expect(drop(fixed(with(packet, [0, 19], at: 2))) == .badTotalLength)
    #expect(drop(fixed(with(packet, [0, 20], at: 2))) == nil)
  }

  @Test func theFamilyIsTheFrames() {
    func drop(_ packet: [UInt8], as family: AddressFamily) -> IPDrop? {
      var headers = PacketHeaders()
      return PacketHeaders.decode(packet.rawSpan, family: family, into: &headers)
    }
    #expect(drop(KernelMade.udp + KernelMade.udp, as: .ipv6) == .badVersion)
    #expect(drop(KernelMade.udp6, as: .ipv4) == .badVersion)
    #expect(drop(KernelMade.udp, as: .ipv4) == nil)
    #expect(drop(KernelMade.udp6, as: .ipv6) == nil)
  }

  @Test func ipv4Fragments() throws {
    func headers(_ ip: IPFields) throws -> PacketHeaders {
      try decode(
        PacketBuilder.ip(
          from: "192.0.2.1", to: "192.0.2.2", transportProtocol: 17,
          payload: Array(repeating: 1, count: 16), ip)
      ).get()
    }
    let first = try headers(IPFields(identification: 7, moreFragments: true))
    #expect(first.isFragment && first.moreFragments && first.fragmentOffset == 0)
    #expect(first.transportOffset == 20 && first.identification == 7)
    let last = try headers(IPFields(fragmentOffset: 1480))
    #expect(last.isFragment && !last.moreFragments && last.fragmentOffset == 1480)
    #expect(last.transportOffset == -1)
    let whole = try headers(IPFields(dontFragment: true))
    #expect(!whole.isFragment && whole.dontFragment)
    // The reserved bit is no part of it.
    let packet = PacketBuilder.ip(from: "192.0.2.1", to: "192.0.2.2", transportProtocol: 17)
    let reserved = try decode(fixed(with(packet, [0x80], at: 6))).get()
    #expect(!reserved.isFragment && !reserved.dontFragment)
  }

  // MARK: - IPv6 drops

  @Test func ipv6Drops() {
    let packet = KernelMade.udp6
    #expect(drop(Array(packet.prefix(39))) == .truncatedHeader)
    #expect(drop(Array(packet.dropLast())) == .truncatedPacket)
    #expect(drop(with(packet, hex("ff02"), at: 8)) == .multicastSource)
    #expect(drop(with(packet, hex("ff00"), at: 24)) == .reservedMulticastScope)
    #expect(drop(with(packet, hex("ff30"), at: 24)) == .reservedMulticastScope)
    #expect(drop(with(packet, hex("ff0e"), at: 24)) == nil)
    // Nothing behind the header at all.
    #expect(drop(Array(with(packet, [0, 0], at: 4).prefix(40))) == nil)
  }

  @Test func ipv6InterfaceDrops() throws {
    func interfaceDrop(_ packet: [UInt8]) throws -> IPDrop? {
      try decode(packet).get().ipv6InterfaceDrop
    }
    #expect(try interfaceDrop(KernelMade.udp6) == nil)
    #expect(try interfaceDrop(KernelMade.udp) == nil)
    #expect(
      try interfaceDrop(PacketBuilder.udp(from: "[::1]:1", to: "[::2]:2")) == .loopbackAddress)
    #expect(
      try interfaceDrop(PacketBuilder.udp(from: "[::2]:1", to: "[::1]:2")) == .loopbackAddress)
    #expect(
      try interfaceDrop(PacketBuilder.udp(from: "[::2]:1", to: "[ff01::1]:2"))
        == .interfaceLocalMulticast)
    #expect(try interfaceDrop(PacketBuilder.udp(from: "[::2]:1", to: "[ff02::1]:2")) == nil)
  }

  @Test func everyDropHasItsOwnText() {
    let texts = Set(IPDrop.allCases.map(\.text))
    #expect(texts.count == IPDrop.allCases.count)
    #expect(!texts.contains(""))
  }
}
