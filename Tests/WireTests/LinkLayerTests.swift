// Frames of every link type, whole and cut short.

import Testing
import Wire

private func link(_ type: LinkType, _ text: String) -> LinkFrame {
  let bytes = hex(text)
  return LinkFrame.decode(bytes.span.octets, linkType: type)
}

@Suite struct LinkLayerTests {
  let macs = "020000000101 020000000102"

  @Test func ethernet() {
    let frame = link(.ethernet, macs + "0800 4500")
    #expect(frame.refusal == nil)
    #expect(frame.family == .ipv4 && frame.networkOffset == 14 && frame.networkLength == 2)
    #expect(frame.destination == 0x0200_0000_0101 && frame.source == 0x0200_0000_0102)
    #expect(frame.packetType == nil && frame.tagCount == 0)
    #expect(link(.ethernet, macs + "86dd 60").family == .ipv6)
    #expect(link(.ethernet, "ffffffffffff 020000000102 0800 45").packetType == .broadcast)
    #expect(link(.ethernet, "3333000000fb 020000000102 86dd 60").packetType == .multicast)
  }

  @Test func tags() {
    let one = link(.ethernet, macs + "8100 a064 0800 45")
    #expect(one.tagCount == 1 && one.tags[0] == 0xa064 && one.networkOffset == 18)
    let three = link(.ethernet, macs + "88a8 0001 9100 0002 8100 0003 86dd 60")
    #expect(three.tagCount == 3 && three.tags[2] == 3 && three.networkOffset == 26)
    #expect(three.family == .ipv6)
    let four = link(.ethernet, macs + "8100 0001 8100 0002 8100 0003 8100 0004 0800 45")
    #expect(four.refusal == .tooManyTags)
    #expect(link(.ethernet, macs + "8100 00").refusal == .truncated)
    #expect(link(.ethernet, macs + "8100 0001 08").refusal == .truncated)
  }

  @Test func pppoe() {
    let frame = link(.ethernet, macs + "8864 1100 0001 0003 0021 45")
    #expect(frame.refusal == nil && frame.family == .ipv4 && frame.networkOffset == 22)
    #expect(link(.ethernet, macs + "8864 1100 0001 0003 57 60").family == .ipv6)
    #expect(link(.ethernet, macs + "8864 1100 0001 0003 c021 01").refusal == .pppProtocol(0xc021))
    #expect(link(.ethernet, macs + "8864 1109 0001 0003 0021 45").refusal == .pppoe)
    #expect(link(.ethernet, macs + "8864 1100 0001 00").refusal == .truncated)
    #expect(link(.ethernet, macs + "8863 1109 0000 0000").refusal == .etherType(0x8863))
    let tagged = link(.ethernet, macs + "8100 0e78 8100 09aa 8864 1100 0f07 0003 0021 45")
    #expect(tagged.tagCount == 2 && tagged.networkOffset == 30)
  }

  @Test func notIP() {
    #expect(link(.ethernet, macs + "0806 0001").refusal == .etherType(0x0806))
    #expect(link(.ethernet, macs + "8847 0001 4500").refusal == .etherType(0x8847))
    #expect(link(.ethernet, macs + "0026 4242 03").refusal == .length)
    #expect(link(.ethernet, macs + "05ff 4242 03").refusal == .length)
    #expect(link(.ethernet, macs + "08").refusal == .truncated)
    #expect(link(.ethernet, macs + "0800").refusal == .truncated)
    #expect(link(.ethernet, "").refusal == .truncated)
  }

  @Test func loopback() {
    #expect(link(.null, "02000000 45").family == .ipv4)
    #expect(link(.null, "00000002 45").networkOffset == 4)
    for family in ["1e000000", "0000001e", "18000000", "1c000000", "0a000000"] {
      let frame = link(.null, family + "60")
      #expect(frame.refusal == nil && frame.family == .ipv6)
    }
    #expect(link(.loop, "00000002 45").refusal == nil)
    #expect(link(.loop, "02000000 45").refusal == .addressFamily(0x0200_0000))
    #expect(link(.null, "07000000 45").refusal == .addressFamily(7))
    #expect(link(.null, "020000").refusal == .truncated)
  }

  @Test func raw() {
    #expect(link(.raw, "45").family == .ipv4)
    #expect(link(.rawBSD, "60").family == .ipv6)
    #expect(link(.raw, "50").refusal == .version(5))
    #expect(link(.raw, "").refusal == .truncated)
    #expect(link(.ipv4, "45").family == .ipv4)
    #expect(link(.ipv6, "60").family == .ipv6)
  }

  @Test func cooked() {
    let frame = link(.linuxCooked, "0004 0001 0006 020000000102 0000 0800 45")
    #expect(frame.refusal == nil && frame.networkOffset == 16)
    #expect(frame.packetType == .outgoing && frame.source == 0x0200_0000_0102)
    #expect(frame.destination == nil)
    let tagged = link(.linuxCooked, "0000 0001 0006 020000000102 0000 8100 0064 86dd 60")
    #expect(tagged.family == .ipv6 && tagged.tags[0] == 0x64 && tagged.networkOffset == 20)
    #expect(
      link(.linuxCooked, "0000 0001 0006 020000000102 0000 0806 45").refusal
        == .etherType(0x0806))
    #expect(link(.linuxCooked, "0000 0001 0006 020000000102 0000 08").refusal == .truncated)
    let second = link(.linuxCooked2, "86dd 0000 00000007 0001 03 06 020000000102 0000 60")
    #expect(second.family == .ipv6 && second.interfaceIndex == 7)
    #expect(second.packetType == .otherHost && second.networkOffset == 20)
    #expect(second.source == 0x0200_0000_0102)
  }

  @Test func ppp() {
    #expect(link(.ppp, "ff03 0021 45").networkOffset == 4)
    #expect(link(.ppp, "0021 45").networkOffset == 2)
    #expect(link(.ppp, "21 45").networkOffset == 1)
    #expect(link(.pppHDLC, "ff03 57 60").family == .ipv6)
    #expect(link(.pppHDLC, "0f00 0800 45").networkOffset == 4)
    #expect(link(.ppp, "ff03 80fd 01").refusal == .pppProtocol(0x80fd))
    #expect(link(.ppp, "ff").refusal == .truncated)
  }
}
