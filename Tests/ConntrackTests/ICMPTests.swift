// ICMP: queries are connections of their own, errors belong to what they quote. Both families.

import PacketForge
import TestLab
import Testing
import Wire

@Suite struct ICMPTests {
  @Test func echo() {
    let lab = TrackerLab()
    #expect(lab.sees(.echoRequest(from: lan, to: wan, id: 7)) == "NEW/o")
    #expect(
      lab.table == [
        "icmp     1 30 src=10.0.1.2 dst=198.51.100.2 type=8 code=0 id=7 [UNREPLIED] "
          + "src=198.51.100.2 dst=10.0.1.2 type=0 code=0 id=7 mark=0 use=1"
      ])
    #expect(lab.sees(.echoReply(from: wan, to: lan, id: 7)) == "ESTABLISHED/r")
    #expect(lab.entry == "30")
    // The entry outlives the answer: a duplicate still belongs.
    #expect(lab.sees(.echoReply(from: wan, to: lan, id: 7)) == "ESTABLISHED/r")
    #expect(lab.sees(.echoRequest(from: lan, to: wan, id: 7, sequence: 2)) == "ESTABLISHED/o")
    #expect(lab.sees(.echoReply(from: wan, to: lan, id: 8)) == "INVALID")
  }

  @Test func echo6() {
    let lab = TrackerLab()
    let (near, far): (Address, Address) = ("fd00:1::2", "2001:db8:9::2")
    #expect(lab.sees(.echoRequest(from: near, to: far, id: 1)) == "NEW/o")
    #expect(
      lab.table == [
        "icmpv6   58 30 src=fd00:1::2 dst=2001:db8:9::2 type=128 code=0 id=1 [UNREPLIED] "
          + "src=2001:db8:9::2 dst=fd00:1::2 type=129 code=0 id=1 mark=0 use=1"
      ])
    #expect(lab.sees(.echoReply(from: far, to: near, id: 1)) == "ESTABLISHED/r")
  }

  /// Measured for every type (6, "What is INVALID").
  @Test func whichTypesBegin() {
    for type in UInt8.min...UInt8.max {
      let lab = TrackerLab(test: "whichTypesBegin \(type)")
      let expected = [8, 13, 15, 17].contains(type) ? "NEW/o" : "INVALID"
      #expect(lab.sees(.icmp(type, from: lan, to: wan)) == expected, "type \(type)")
    }
  }

  @Test func whichTypesBegin6() {
    for type in UInt8.min...UInt8.max {
      let lab = TrackerLab(test: "whichTypesBegin6 \(type)")
      let expected =
        switch type {
        case 128, 139: "NEW/o"
        case 130...136, 143, 151, 152: "UNTRACKED"
        default: "INVALID"
        }
      let packet = Packet.icmp(type, from: "fd00:1::2", to: "2001:db8:9::2")
      #expect(lab.sees(packet) == expected, "type \(type)")
    }
  }

  /// ICMP in IPv6, ICMPv6 in IPv4: INVALID, whatever the type.
  @Test func otherFamily() {
    for type in UInt8.min...UInt8.max {
      let lab = TrackerLab(test: "otherFamily \(type)")
      let message: [UInt8] = [type, 0, 0, 0, 0, 1, 0, 1]
      let inIPv6 = Packet(
        IPProtocolNumber.icmp, from: "fd00:1::2", to: "2001:db8:9::2", payload: message)
      #expect(lab.sees(inIPv6) == "INVALID", "ICMP type \(type) in IPv6")
      let inIPv4 = Packet(IPProtocolNumber.icmpv6, from: lan, to: wan, payload: message)
      #expect(lab.sees(inIPv4) == "INVALID", "ICMPv6 type \(type) in IPv4")
      #expect(lab.table.isEmpty)
    }
  }

  @Test func codesTellQueriesApart() {
    let lab = TrackerLab()
    #expect(lab.sees(.icmp(8, 5, rest: 7 << 16, from: lan, to: wan)) == "NEW/o")
    #expect(lab.sees(.icmp(0, 0, rest: 7 << 16, from: wan, to: lan)) == "INVALID")
    #expect(lab.sees(.icmp(0, 5, rest: 7 << 16, from: wan, to: lan)) == "ESTABLISHED/r")
  }

  @Test func badChecksum() {
    let lab = TrackerLab()
    #expect(
      lab.sees(Packet.echoRequest(from: lan, to: wan, id: 7).damaged(at: 30)) == "INVALID")
    #expect(lab.sees(Packet.echoRequest(from: lan, to: wan, id: 7).cut(to: 27)) == "INVALID")
  }

  // MARK: Errors

  @Test func errorsAreRelatedToWhatTheyQuote() {
    let lab = TrackerLab()
    let datagram = Socket(lan, 1000).udp(to: Socket(wan, 53))
    lab.sees(datagram)
    // From a router on the way as well as from the other end.
    #expect(
      lab.sees(.error(11, 0, about: datagram.hopped(), from: "203.0.113.1", to: lan))
        == "RELATED/r")
    #expect(lab.sees(.error(3, 3, about: datagram, from: wan, to: lan)) == "RELATED/r")
    // The entry stays as it was: unreplied, its time running.
    #expect(lab.entry == "30 [UNREPLIED]")
  }

  @Test func errorsAboutAnswersGoTheOtherWay() {
    let lab = TrackerLab()
    let answer = Socket(wan, 53).udp(to: Socket(lan, 1000))
    lab.sees(Socket(lan, 1000).udp(to: Socket(wan, 53)))
    lab.sees(answer)
    #expect(lab.sees(.error(3, 3, about: answer, from: lan, to: wan)) == "RELATED/o")
  }

  @Test func errorsAboutNothingKnown() {
    let lab = TrackerLab()
    let datagram = Socket(lan, 1000).udp(to: Socket(wan, 53))
    #expect(lab.sees(.error(3, 3, about: datagram, from: wan, to: lan)) == "INVALID")
    lab.sees(datagram)
    let other = Socket(lan, 1001).udp(to: Socket(wan, 53))
    #expect(lab.sees(.error(3, 3, about: other, from: wan, to: lan)) == "INVALID")
  }

  @Test func errorsToSomeoneElse() {
    let lab = TrackerLab()
    let datagram = Socket(lan, 1000).udp(to: Socket(wan, 53))
    lab.sees(datagram)
    #expect(lab.sees(.error(3, 3, about: datagram, from: wan, to: "10.0.1.3")) == "INVALID")
  }

  @Test func quotesCutShort() {
    let lab = TrackerLab()
    let datagram = Socket(lan, 1000).udp(to: Socket(wan, 53))
    lab.sees(datagram)
    // Eight bytes of the transport header are what RFC 792 asks for.
    #expect(
      lab.sees(.error(3, 3, about: datagram, from: wan, to: lan, quoting: 28)) == "RELATED/r")
    #expect(
      lab.sees(.error(3, 3, about: datagram, from: wan, to: lan, quoting: 20)) == "INVALID")
  }

  @Test func quotedHeadersThatRunPastTheEnd() {
    let lab = TrackerLab()
    let packet = Packet(253, from: lan, to: wan, payload: [1, 2])
    lab.sees(packet)
    #expect(lab.sees(.error(3, 1, about: packet, from: wan, to: lan)) == "RELATED/r")
    // 24 bytes of header, of which 22 are there.
    var longer = packet
    longer.bytes[0] = 0x46
    #expect(lab.sees(.error(3, 1, about: longer, from: wan, to: lan)) == "INVALID")
  }

  @Test func errorsAboutErrorsAreInvalid() {
    let lab = TrackerLab()
    let datagram = Socket(lan, 1000).udp(to: Socket(wan, 53))
    lab.sees(datagram)
    let error = Packet.error(3, 3, about: datagram, from: wan, to: lan)
    #expect(lab.sees(.error(11, 0, about: error, from: lan, to: wan)) == "INVALID")
  }

  @Test func errorsAboutTCP6() {
    let lab = TrackerLab()
    let (client, server) = tcp("fd00:1::2", 1000, "2001:db8:9::2", 80)
    let syn = client.syn()
    lab.sees(syn)
    #expect(
      lab.sees(
        .error(1, 3, about: syn, from: "2001:db8:9::1", to: "fd00:1::2")) == "RELATED/r")
    #expect(lab.entry == "120 SYN_SENT [UNREPLIED]")
    lab.sees(server.synAck())
    #expect(lab.entry == "60 SYN_RECV")
  }
}
