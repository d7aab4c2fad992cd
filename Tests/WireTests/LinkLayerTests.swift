// Link layers: each by hand-made frames, with the offset of the packet, and cut at every length.

import Testing
import Wire

@Suite struct LinkLayerTests {
  private func link(_ text: String, type: Int = 1) -> LinkFrame {
    LinkFrame.decode(hex(text).rawSpan, linkType: type)
  }

  private let addresses = "020000000002 020000000001 "

  /// Where the packet starts, by its family; nil for a frame without one.
  private func found(_ frame: LinkFrame) -> (AddressFamily, Int)? {
    #expect((frame.family == nil) == (frame.notIPReason != nil))
    return frame.family.map { ($0, frame.networkOffset) }
  }

  @Test func ethernet() throws {
    let frame = link(addresses + "0800 4500")
    #expect(try #require(found(frame)) == (.ipv4, 14))
    #expect(frame.networkLength == 2)
    #expect(frame.sourceMAC == 0x0200_0000_0001)
    #expect(frame.destinationMAC == 0x0200_0000_0002)
    #expect(frame.vlanCount == 0 && frame.cookedPacketType == nil)
    #expect(frame.cookedInterfaceIndex == nil)
    #expect(try #require(found(link(addresses + "86dd"))) == (.ipv6, 14))
  }

  @Test(arguments: [
    ("0806", NotIPReason.arp), ("8847 00000100", .mpls), ("8848", .mpls),
    ("8863 1109 0000 0000", .pppoeDiscovery), ("9000", .etherType(0x9000)),
    ("88cc", .etherType(0x88cc)), ("0600", .etherType(0x0600)), ("05ff", .llc),
    ("0026 424203", .llc), ("0000", .llc),
    ("0024 aaaa03 000000 0800 4500", .llc),  // SNAP; Linux 6.18 takes it for no IP.
    ("0600 4500", .etherType(0x0600)),
  ])
  func ethernetWithoutIP(_ text: String, _ reason: NotIPReason) {
    let frame = link(addresses + text)
    #expect(frame.notIPReason == reason)
    #expect(frame.family == nil)
    #expect(frame.networkOffset == 14)
  }

  @Test func vlans() throws {
    let one = link(addresses + "8100 6c7f 0800 4500")
    #expect(try #require(found(one)) == (.ipv4, 18))
    #expect(one.vlanCount == 1 && one.vlanIDs[0] == 0xc7f)
    let two = link(addresses + "88a8 0001 8100 0002 86dd")
    #expect(try #require(found(two)) == (.ipv6, 22))
    #expect(two.vlanCount == 2 && two.vlanIDs[0] == 1 && two.vlanIDs[1] == 2)
    let four = link(addresses + "9100 0001 9200 0002 8100 0003 8100 0004 0800")
    #expect(try #require(found(four)) == (.ipv4, 30))
    #expect(four.vlanCount == 3)
    #expect([four.vlanIDs[0], four.vlanIDs[1], four.vlanIDs[2]] == [1, 2, 3])
    #expect(link(addresses + "8100 0001 8847 00000100").notIPReason == .mpls)
    #expect(link(addresses + "8100 0001 0026 424203").notIPReason == .llc)
    #expect(link(addresses + "8100 0001 08").notIPReason == .truncated)
  }

  @Test func pppoe() throws {
    let plain = link(addresses + "8864 1100 0f07 0016 0021 4500")
    #expect(try #require(found(plain)) == (.ipv4, 22))
    let six = link(addresses + "8100 0001 8864 1100 0f07 0016 0057 6000")
    #expect(try #require(found(six)) == (.ipv6, 26))
    let compressed = link(addresses + "8864 1100 0f07 0016 21 4500")
    #expect(try #require(found(compressed)) == (.ipv4, 21))
    #expect(link(addresses + "8864 1100 0f07 0006 c021 01").notIPReason == .pppProtocol(0xc021))
    #expect(link(addresses + "8864 2100 0f07 0016 0021").notIPReason == .badPPPoE)
    #expect(link(addresses + "8864 11a7 0f07 0016 0021").notIPReason == .badPPPoE)
    // The length in it is not asked.
    #expect(link(addresses + "8864 1100 0f07 0000 0021 4500").networkLength == 2)
    #expect(try #require(found(link("1100 0f07 0016 0021 4500", type: 51))) == (.ipv4, 8))
  }

  @Test func ppp() throws {
    #expect(try #require(found(link("ff03 0021 45", type: 9))) == (.ipv4, 4))
    #expect(try #require(found(link("0021 45", type: 9))) == (.ipv4, 2))
    #expect(try #require(found(link("57 60", type: 9))) == (.ipv6, 1))
    #expect(link("ff03 80fd 01", type: 9).notIPReason == .pppProtocol(0x80fd))
    #expect(try #require(found(link("ff03 0057 60", type: 50))) == (.ipv6, 4))
    // Cisco's framing.
    #expect(try #require(found(link("0f00 0800 45", type: 50))) == (.ipv4, 4))
    #expect(link("8f00 8035 00", type: 50).notIPReason == .etherType(0x8035))
  }

  @Test(arguments: [
    (0, "00000002", AddressFamily.ipv4), (0, "02000000", .ipv4), (0, "0000001e", .ipv6),
    (0, "1e000000", .ipv6), (0, "18000000", .ipv6), (0, "1c000000", .ipv6), (0, "0a000000", .ipv6),
    (108, "00000002", .ipv4), (108, "00000018", .ipv6),
  ])
  func loopback(_ type: Int, _ text: String, _ family: AddressFamily) throws {
    #expect(try #require(found(link(text + "45", type: type))) == (family, 4))
  }

  @Test func loopbackWithoutIP() {
    #expect(link("00000007", type: 0).notIPReason == .addressFamily(7))
    #expect(link("07000000", type: 0).notIPReason == .addressFamily(7))
    #expect(link("02000000", type: 108).notIPReason == .addressFamily(0x0200_0000))
  }

  @Test(arguments: [12, 14, 101])
  func raw(_ type: Int) throws {
    #expect(try #require(found(link("45", type: type))) == (.ipv4, 0))
    #expect(try #require(found(link("60", type: type))) == (.ipv6, 0))
    #expect(link("50", type: type).notIPReason == .ipVersion(5))
    #expect(link("", type: type).notIPReason == .truncated)
  }

  @Test func oneVersionOnly() throws {
    // The link type's word counts, as an EtherType's does; decoding then finds the version bad.
    #expect(try #require(found(link("60", type: 228))) == (.ipv4, 0))
    #expect(try #require(found(link("45", type: 229))) == (.ipv6, 0))
    #expect(try #require(found(link("", type: 228))) == (.ipv4, 0))
  }

  @Test func cookedV1() throws {
    let frame = link("0004 0001 0006 020000000001 0000 0800 45", type: 113)
    #expect(try #require(found(frame)) == (.ipv4, 16))
    #expect(frame.cookedPacketType == 4)
    #expect(frame.sourceMAC == 0x0200_0000_0001)
    #expect(frame.destinationMAC == nil && frame.cookedInterfaceIndex == nil)
    // A tunnel's addresses are of another length.
    let tunnel = link("0000 0308 0004 c000020100000000 86dd 60", type: 113)
    #expect(try #require(found(tunnel)) == (.ipv6, 16))
    #expect(tunnel.sourceMAC == nil && tunnel.cookedPacketType == 0)
    let tagged = link("0003 0001 0006 020000000001 0000 8100 0005 0800 45", type: 113)
    #expect(try #require(found(tagged)) == (.ipv4, 20))
    #expect(tagged.vlanIDs[0] == 5)
    #expect(link("0001 0001 0006 020000000001 0000 0806", type: 113).notIPReason == .arp)
    #expect(link("0001 0001 0006 020000000001 0000 0004", type: 113).notIPReason == .llc)
    #expect(link("0001 0118 0000 0000000000000000 000c", type: 113).notIPReason == .etherType(12))
    // Netlink: the protocol is another kind of number.
    #expect(
      link("0004 0338 0000 0000000000000000 0800", type: 113).notIPReason == .hardwareType(824))
  }

  @Test func cookedV2() throws {
    let frame = link("86dd 0000 00000007 0001 04 06 020000000001 0000 60", type: 276)
    #expect(try #require(found(frame)) == (.ipv6, 20))
    #expect(frame.cookedPacketType == 4 && frame.cookedInterfaceIndex == 7)
    #expect(frame.sourceMAC == 0x0200_0000_0001)
    let tun = link("0800 0000 0000000a fffe 00 00 0000000000000000 45", type: 276)
    #expect(try #require(found(tun)) == (.ipv4, 20))
    #expect(tun.sourceMAC == nil)
  }

  @Test func unknownLinkType() {
    #expect(link("45", type: 105).notIPReason == .linkType(105))
    #expect(link("45", type: -1).notIPReason == .linkType(-1))
  }

  /// Cut anywhere in its headers, a frame is cut short; anywhere behind, it has a packet.
  @Test(arguments: [
    (1, "020000000002 020000000001 88a8 0001 8100 0002 8864 1100 0f07 0016 0021"),
    (113, "0004 0001 0006 020000000001 0000 8100 0005 0800"),
    (276, "8100 0000 00000007 0001 04 06 020000000001 0000 0003 86dd"),
    (0, "00000002"), (108, "00000018"), (9, "0021"), (50, "ff03 0057"), (50, "0f00 0800"),
    (51, "1100 0f07 0016 0021"),
  ])
  func cutAnywhere(_ type: Int, _ header: String) {
    let whole = hex(header) + [0x45, 0, 0, 0]
    let length = whole.count - 4
    for count in 0...whole.count {
      let frame = LinkFrame.decode(Array(whole.prefix(count)).rawSpan, linkType: type)
      if count < length {
        #expect(frame.notIPReason == .truncated, "\(count) bytes")
      } else {
        #expect(frame.networkOffset == length && frame.family != nil, "\(count) bytes")
      }
      #expect(frame.networkOffset + frame.networkLength == count)
    }
  }

  @Test func reasonsInWords() {
    let reasons: [(NotIPReason, String)] = [
      (.truncated, "the frame is cut short"), (.arp, "ARP"), (.mpls, "MPLS"),
      (.pppoeDiscovery, "PPPoE discovery"), (.badPPPoE, "a malformed PPPoE header"),
      (.llc, "IEEE 802.3 with LLC"), (.etherType(0x88cc), "EtherType 0x88cc"),
      (.etherType(12), "EtherType 0x000c"), (.pppProtocol(0xc021), "PPP protocol 0xc021"),
      (.addressFamily(7), "address family 7"), (.ipVersion(5), "IP version 5"),
      (.hardwareType(824), "hardware type 824"), (.linkType(105), "link type 105 is not known"),
    ]
    for (reason, text) in reasons { #expect(reason.text == text) }
  }
}
