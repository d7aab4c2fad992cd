// The walk over IPv6 extension headers to the transport header, and the check of hop-by-hop options
// that IPv6 input makes before any hook.

import Testing
import Wire

@Suite struct ExtensionHeaderTests {
  private func packet(
    _ headers: [IPv6ExtensionHeader], transportProtocol: UInt8 = IPProtocolNumber.udp,
    payload: [UInt8] = hex("0001 0002 0008 0000")
  ) -> [UInt8] {
    PacketBuilder.ip(
      from: "2001:db8::1", to: "2001:db8::2", transportProtocol: transportProtocol,
      payload: payload, IPFields(extensionHeaders: headers))
  }

  private func routing(_ bytes: [UInt8]) -> IPv6ExtensionHeader {
    IPv6ExtensionHeader(number: IPProtocolNumber.routing, bytes: bytes)
  }

  @Test func allOfThem() throws {
    let authentication = IPv6ExtensionHeader(
      number: IPProtocolNumber.ah, bytes: hex("00 01 0000 00000001 00000002"))
    let headers = try decode(
      packet([
        .hopByHop(), .destinationOptions(hex("0104 00000000")), routing(hex("00 00 0400 00000000")),
        .fragment(offset: 0, more: false, identification: 0xdead_beef), authentication,
        .destinationOptions(Array(repeating: 0, count: 12)),
      ])
    ).get()
    #expect(headers.transportProtocol == IPProtocolNumber.udp)
    #expect(headers.transportOffset == 40 + 8 + 8 + 8 + 8 + 12 + 16)
    #expect(headers.end == headers.transportOffset + 8)
    #expect(headers.hasOptions)
    // Offset 0 and no more: an atomic fragment.
    #expect(headers.hasFragmentHeader && !headers.isFragment)
    #expect(headers.fragmentHeaderOffset == 64)
    #expect(headers.identification == 0xdead_beef)
  }

  @Test func fragments() throws {
    let first = try decode(
      packet([.fragment(offset: 0, more: true, identification: 1)])
    ).get()
    #expect(first.isFragment && first.moreFragments && first.transportOffset == 48)
    #expect(first.transportProtocol == IPProtocolNumber.udp)
    let later = try decode(
      packet([.fragment(offset: 1448, more: false, identification: 1)])
    ).get()
    #expect(later.isFragment && !later.moreFragments && later.fragmentOffset == 1448)
    #expect(later.transportOffset == -1)
    #expect(later.transportProtocol == IPProtocolNumber.fragment)
    #expect(later.fragmentHeaderOffset == 40)
  }

  @Test func ofTwoFragmentHeadersTheFirst() throws {
    let headers = try decode(
      packet([
        .fragment(offset: 0, more: false, identification: 1),
        .fragment(offset: 0, more: true, identification: 2),
      ])
    ).get()
    #expect(headers.fragmentHeaderOffset == 40 && headers.identification == 1)
    #expect(!headers.isFragment && headers.transportOffset == 56)
  }

  @Test func reservedBitsOfAFragmentHeader() throws {
    var bytes = packet([.fragment(offset: 0, more: false, identification: 1)])
    bytes[43] = 0x06
    let headers = try decode(bytes).get()
    #expect(!headers.isFragment && headers.transportOffset == 48)
  }

  @Test func noNextHeader() throws {
    let headers = try decode(packet([], transportProtocol: IPProtocolNumber.noNextHeader)).get()
    #expect(headers.transportOffset == -1)
    #expect(headers.transportProtocol == IPProtocolNumber.noNextHeader)
  }

  /// Connection tracking does not walk over these.
  @Test(arguments: [IPProtocolNumber.esp, IPProtocolNumber.mobility, 139, 140])
  func theWalkStops(at number: UInt8) throws {
    let headers = try decode(packet([.destinationOptions()], transportProtocol: number)).get()
    #expect(headers.transportProtocol == number && headers.transportOffset == 48)
  }

  @Test func headersCutShort() throws {
    // The packet ends where a header would begin, or one byte into it.
    for payload in [[], [UInt8(17)]] {
      let headers = try decode(
        packet([], transportProtocol: IPProtocolNumber.destinationOptions, payload: payload)
      ).get()
      #expect(headers.transportOffset == -1)
      #expect(headers.transportProtocol == IPProtocolNumber.destinationOptions)
    }
    // Two bytes are enough to step over it, to past the end.
    let past = try decode(
      packet([], transportProtocol: IPProtocolNumber.destinationOptions, payload: [17, 0])
    ).get()
    #expect(past.transportOffset == 48 && past.transportOffset > past.end)
    #expect(past.transportProtocol == IPProtocolNumber.udp)
  }

  @Test func fragmentHeaderCutShort() throws {
    let threeBytes = try decode(
      packet([], transportProtocol: IPProtocolNumber.fragment, payload: [17, 0, 0])
    ).get()
    #expect(threeBytes.transportOffset == -1 && !threeBytes.hasFragmentHeader)
    #expect(threeBytes.fragmentHeaderOffset == 40)
    let fourBytes = try decode(
      packet([], transportProtocol: IPProtocolNumber.fragment, payload: [17, 0, 0, 1])
    ).get()
    #expect(fourBytes.transportOffset == 48 && !fourBytes.hasFragmentHeader)
  }

  @Test func theLongestChain() throws {
    // As many empty headers as a packet holds: the walk ends.
    let headers = Array(repeating: IPv6ExtensionHeader.destinationOptions(), count: 8190)
    let decoded = try decode(packet(headers)).get()
    #expect(decoded.transportOffset == 40 + 8 * 8190)
  }

  @Test func whereTheFragmentHeadersNumberIs() {
    let bytes = packet([.hopByHop(), .fragment(offset: 0, more: true, identification: 1)])
    let walk = IPv6ExtensionWalk(
      bytes.rawSpan, nextHeader: bytes[6], nextHeaderOffset: 6, at: 40, end: bytes.count)
    #expect(walk.fragmentHeaderOffset == 48)
    #expect(walk.fragmentNextHeaderOffset == 40)
    #expect(walk.transportOffset == 56)
  }

  // MARK: - Hop-by-hop options

  private func hopByHopDrop(_ options: String) -> IPDrop? {
    drop(packet([.hopByHop(hex(options))]))
  }

  @Test(arguments: [
    "", "0104 00000000", "00 00 00 00 00 00", "0100 00 00 00 00", "0502 0000 0100",
    "3e02 0000 0100", "0105 0000000000 1e05 0000000000", "0104 00000000 00 1e05 0000000000",
    "0103 000000 3e00 0103 000000",  // Between options only, not in all.
    "0101 00 1e00 00", "0000 3102 0000",
  ])
  func accepted(_ options: String) {
    #expect(hopByHopDrop(options) == nil)
  }

  @Test(arguments: [
    "0108 0000000000000000 00000000",  // More padding than aligning can need.
    "0105 0000000000 00 1e04 00000000",  // The same, by both kinds of padding.
    "0106 000000000000 1e04 00000000",
    "0101 01 000000",  // Padding that is not zero.
    "0501 00 000000",  // A router alert of another length.
    "0704 00000000",  // A label (CALIPSO) nobody configured.
    "3102 0000 0000",  // IOAM, not aligned to four bytes.
    "1e05 00000000",  // Reaches past the header.
    "0000 0000 00 1e",  // Its length is cut off.
  ])
  func malformed(_ options: String) {
    #expect(hopByHopDrop(options) == .badHopByHopOption)
  }

  @Test(arguments: ["4002 0000 0000", "8002 0000 0000", "c002 0000 0000", "fe00 00000000"])
  func unknownThatMayNotBeSkipped(_ options: String) {
    #expect(hopByHopDrop(options) == .unknownHopByHopOption)
  }

  @Test func tooManyOptions() {
    #expect(hopByHopDrop(String(repeating: "1e00", count: 8)) == nil)
    #expect(hopByHopDrop(String(repeating: "1e00", count: 9)) == .badHopByHopOption)
  }

  @Test func cutShort() {
    let whole = packet([.hopByHop(hex("010c 000000000000000000000000"))])
    let length = { (count: UInt8) in [0, count] as [UInt8] }
    #expect(drop(with(whole, length(7), at: 4)) == .truncatedHopByHop)
    #expect(drop(with(whole, length(15), at: 4)) == .truncatedHopByHop)
  }

  @Test func theMeasuredReport() throws {
    let headers = try decode(KernelMade.listenerReport).get()
    #expect(headers.transportProtocol == IPProtocolNumber.icmpv6)
    #expect(headers.transportOffset == 48)
  }

  // MARK: - Jumbograms

  private func jumbo(_ length: UInt32, payloadLength: UInt16 = 0, actual: Int) -> [UInt8] {
    var option = hex("c204")
    for shift in [24, 16, 8, 0] as [UInt32] {
      option.append(UInt8(truncatingIfNeeded: length >> shift))
    }
    var bytes = packet([.hopByHop(option)], payload: [])
    bytes += Array(repeating: 0, count: actual - 8)
    return with(bytes, [UInt8(payloadLength >> 8), UInt8(payloadLength & 0xff)], at: 4)
  }

  @Test func jumbograms() throws {
    #expect(try decode(jumbo(65_536, actual: 65_536)).get().end == 40 + 65_536)
    #expect(try decode(jumbo(65_536, actual: 65_600)).get().end == 40 + 65_536)
    #expect(drop(jumbo(65_537, actual: 65_536)) == .truncatedPacket)
    #expect(drop(jumbo(65_535, actual: 65_535)) == .badJumboPayload)
    #expect(drop(jumbo(65_536, payloadLength: 8, actual: 65_536)) == .badJumboPayload)
    #expect(drop(jumbo(.max, actual: 100)) == .truncatedPacket)
  }

  @Test func noPayloadLengthAndNoJumboOption() throws {
    // The packet goes on to the end of what was received.
    let bytes = with(packet([.hopByHop()]), [0, 0], at: 4)
    #expect(try decode(bytes).get().end == bytes.count)
  }
}
