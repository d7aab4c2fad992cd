// NAT as packets meet it: out and back, errors about it, from inside to inside, and what happens to
// ports. The ways and ranges are those Linux 6.18 was measured to have.

import PacketForge
import TestLab
import Testing
import Wire

@Suite struct TranslationTests {
  let masquerade = nat("-A POSTROUTING -o wan0 -j MASQUERADE")
  let router = Socket("198.51.100.1", 1000)

  @Test func masqueradedOutAndBack() {
    let lab = FirewallLab(masquerade)
    #expect(
      lab.lan(lanClient.udp(to: wanServer)).left
        == [Departure("wan0", router.udp(to: wanServer).hopped())])
    #expect(
      lab.table == [
        "udp      17 30 src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=53 [UNREPLIED] "
          + "src=198.51.100.2 dst=198.51.100.1 sport=53 dport=1000 mark=0 use=1"
      ])
    #expect(
      lab.wan(wanServer.udp(to: router)).left
        == [Departure("lan0", wanServer.udp(to: lanClient).hopped())])
  }

  @Test func errorsAboutMasqueradedPackets() {
    let lab = FirewallLab(masquerade)
    let inside = lanClient.udp(to: wanServer)
    lab.lan(inside)
    let outside = router.udp(to: wanServer).hopped()
    let error = Packet.error(11, 0, about: outside, from: "203.0.113.1", to: "198.51.100.1")
    let seen = lab.wan(error)
    #expect(seen.text == "ACCEPT RELATED/r")
    #expect(
      seen.left == [
        Departure(
          "lan0",
          Packet.error(11, 0, about: inside.hopped(), from: "203.0.113.1", to: "10.0.1.2").hopped())
      ])
  }

  @Test func forwardedPort() {
    let lab = FirewallLab(
      nat("-A PREROUTING -i wan0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.1.10:80"))
    let (client, server) = tcp("198.51.100.2", 4000, "198.51.100.1", 8080)
    let (inside, web) = tcp("198.51.100.2", 4000, "10.0.1.10", 80)
    #expect(lab.wan(client.syn()).left == [Departure("lan0", inside.syn().hopped())])
    #expect(lab.lan(web.synAck()).left == [Departure("wan0", server.synAck().hopped())])
    #expect(lab.wan(client.ack()).left == [Departure("lan0", inside.ack().hopped())])
    #expect(
      lab.table == [
        "tcp      6 432000 ESTABLISHED src=198.51.100.2 dst=198.51.100.1 sport=4000 dport=8080 "
          + "src=10.0.1.10 dst=198.51.100.2 sport=80 dport=4000 [ASSURED] mark=0 use=1"
      ])
  }

  @Test func fromInsideToInside() {
    let lab = FirewallLab(
      nat(
        "-A PREROUTING -d 198.51.100.1/32 -p udp -j DNAT --to-destination 10.0.1.10",
        "-A POSTROUTING -s 10.0.1.0/24 -d 10.0.1.10/32 -j MASQUERADE"))
    let asked = Socket("198.51.100.1", 53)
    let server = Socket("10.0.1.10", 53)
    let seen = lab.lan(lanClient.udp(to: asked))
    #expect(
      seen.left.last
        == Departure("lan0", Socket("10.0.1.1", 1000).udp(to: server).hopped()))
    #expect(
      lab.lan(server.udp(to: Socket("10.0.1.1", 1000))).left.last
        == Departure("lan0", asked.udp(to: lanClient).hopped()))
  }

  @Test func redirectedToTheRouter() {
    let lab = FirewallLab(
      nat("-A PREROUTING -i lan0 -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353"))
    let seen = lab.lan(lanClient.udp(to: wanServer))
    #expect(seen.outcome.hook == .input)
    #expect(
      lab.table == [
        "udp      17 30 src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=53 [UNREPLIED] "
          + "src=10.0.1.1 dst=10.0.1.2 sport=5353 dport=1000 mark=0 use=1"
      ])
    #expect(
      lab.own(Socket("10.0.1.1", 5353).udp(to: lanClient)).left
        == [Departure("lan0", wanServer.udp(to: lanClient))])
  }

  @Test func ownPacketsToAnotherDestination() {
    let lab = FirewallLab(
      nat("-A OUTPUT -d 192.0.2.80/32 -p udp -j DNAT --to-destination 10.0.1.10:8000"))
    let seen = lab.own(Socket("198.51.100.1", 1000).udp(to: Socket("192.0.2.80", 80)))
    #expect(
      seen.left
        == [Departure("lan0", Socket("198.51.100.1", 1000).udp(to: Socket("10.0.1.10", 8000)))])
  }

  @Test func echo() {
    let lab = FirewallLab(masquerade)
    #expect(
      lab.lan(.echoRequest(from: "10.0.1.2", to: "198.51.100.2", id: 7)).left == [
        Departure(
          "wan0", Packet.echoRequest(from: "198.51.100.1", to: "198.51.100.2", id: 7).hopped())
      ])
    // Another client's id of the same number has to give way.
    let other = lab.lan(.echoRequest(from: "10.0.1.3", to: "198.51.100.2", id: 7)).left
    #expect(other.count == 1)
    let bytes = other.first?.packet.bytes ?? []
    let id = UInt16(bytes[24]) << 8 | UInt16(bytes[25])
    #expect(id != 7)
    #expect(
      lab.wan(.echoReply(from: "198.51.100.2", to: "198.51.100.1", id: id)).left == [
        Departure(
          "lan0", Packet.echoReply(from: "198.51.100.2", to: "10.0.1.3", id: 7).hopped())
      ])
  }

  @Test func masqueradedOutAndBack6() {
    let lab = FirewallLab(ipv6: masquerade)
    let own = Socket("2001:db8:9::1", 1000)
    #expect(
      lab.lan(lanClient6.udp(to: wanServer6)).left
        == [Departure("wan0", own.udp(to: wanServer6).hopped())])
    #expect(
      lab.wan(wanServer6.udp(to: own)).left
        == [Departure("lan0", wanServer6.udp(to: lanClient6).hopped())])
  }

  @Test func aClashOfPorts() {
    let lab = FirewallLab(masquerade)
    lab.lan(lanClient.udp(to: wanServer))
    let left = lab.lan(Socket("10.0.1.3", 1000).udp(to: wanServer)).left
    let bytes = left.first?.packet.bytes ?? []
    let port = UInt16(bytes[20]) << 8 | UInt16(bytes[21])
    // A port of the same class.
    #expect((600...1023).contains(port) && port != 1000)
    #expect(
      lab.wan(wanServer.udp(to: Socket("198.51.100.1", port))).left
        == [Departure("lan0", wanServer.udp(to: Socket("10.0.1.3", 1000)).hopped())])
  }

  @Test func noPortsLeft() {
    let lab = FirewallLab(
      nat("-A POSTROUTING -o wan0 -p udp -j SNAT --to-source 198.51.100.1:2000-2003"))
    var ports: Set<UInt16> = []
    for number in 0..<4 {
      let left = lab.lan(Socket("10.0.1.2", UInt16(5000 + number)).udp(to: wanServer)).left
      let bytes = left.first?.packet.bytes ?? []
      ports.insert(UInt16(bytes[20]) << 8 | UInt16(bytes[21]))
    }
    #expect(ports == [2000, 2001, 2002, 2003])
    let fifth = lab.lan(Socket("10.0.1.2", 5004).udp(to: wanServer))
    #expect(fifth.outcome.verdict == .drop)
    #expect(fifth.left.isEmpty)
    #expect(lab.table.count == 4)
  }

  @Test func aBindingIsForgottenWithoutTheNATTable() {
    // With the table there but empty, a clash is still resolved.
    let lab = FirewallLab(nat("-A POSTROUTING -s 10.0.1.3/32 -j SNAT --to-source 10.0.1.2"))
    lab.lan(Socket("10.0.1.3", 1000).udp(to: wanServer))
    let left = lab.lan(lanClient.udp(to: wanServer)).left
    let bytes = left.first?.packet.bytes ?? []
    let port = UInt16(bytes[20]) << 8 | UInt16(bytes[21])
    #expect((600...1023).contains(port) && port != 1000)
  }

  @Test func protocolsWithoutPortsCannotGiveWay() {
    let lab = FirewallLab(masquerade)
    #expect(
      lab.lan(Packet(50, from: "10.0.1.2", to: "198.51.100.2", payload: [1])).text == "ACCEPT NEW/o"
    )
    let second = lab.lan(Packet(50, from: "10.0.1.3", to: "198.51.100.2", payload: [1]))
    #expect(second.outcome.verdict == .drop)
    #expect(second.left.isEmpty)
  }

  @Test func networksAreMappedAddressByAddress() {
    let lab = FirewallLab(
      nat(
        "-A PREROUTING -d 192.0.2.0/28 -j NETMAP --to 10.0.1.0/28",
        "-A POSTROUTING -s 10.0.1.0/28 -o wan0 -j NETMAP --to 192.0.2.0/28"))
    let mapped = Socket("192.0.2.2", 1000)
    #expect(
      lab.lan(lanClient.udp(to: wanServer)).left
        == [Departure("wan0", mapped.udp(to: wanServer).hopped())])
    #expect(
      lab.wan(wanServer.udp(to: mapped)).left
        == [Departure("lan0", wanServer.udp(to: lanClient).hopped())])
    #expect(
      lab.wan(Socket("198.51.100.2", 7).udp(to: Socket("192.0.2.5", 80))).left
        == [
          Departure("lan0", Socket("198.51.100.2", 7).udp(to: Socket("10.0.1.5", 80)).hopped())
        ])
  }

  @Test func networksOfOddLengthAreMapped() {
    let lab = FirewallLab(
      ipv6: nat("-A POSTROUTING -o wan0 -j NETMAP --to 2001:db8:aa:8::/61"))
    let left = lab.lan(Socket("fd00:1::2", 1000).udp(to: Socket("2001:db8:9::2", 53))).left
    #expect(
      left
        == [
          Departure(
            "wan0",
            Socket("2001:db8:aa:8::2", 1000).udp(to: Socket("2001:db8:9::2", 53)).hopped())
        ])
  }

  @Test func redirectTakesAnAddressOfTheDestinationsScope() {
    let lab = FirewallLab(ipv6: nat("-A PREROUTING -p udp -j REDIRECT"))
    lab.lan(Socket("fd00:1::2", 1000).udp(to: Socket("fe80::99", 53)))
    #expect(lab.table.first?.contains("src=fe80::1:1") == true)
    lab.lan(Socket("fd00:1::2", 1001).udp(to: Socket("2001:db8:9::2", 53)))
    #expect(lab.table.last?.contains("src=fd00:1::1 ") == true)
    // No address of the lab's is good for a site.
    let site = lab.lan(Socket("fd00:1::2", 1002).udp(to: Socket("ff05::7", 53)))
    #expect(site.outcome.reason == .noAddressForNAT)
  }

  @Test func loopbackFromOutsideIsNoOwnAddress() {
    let lab = FirewallLab(ipv6: nat("-A PREROUTING -p udp -j DNAT --to-destination ::1"))
    let seen = lab.wan(Socket("2001:db8:9::3", 520).udp(to: Socket("2001:db8:9::4", 53)))
    #expect(
      seen.left
        == [Departure("wan0", Socket("2001:db8:9::3", 520).udp(to: Socket("::1", 53)).hopped())])
  }
}
