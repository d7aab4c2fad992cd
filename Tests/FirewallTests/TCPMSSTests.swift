// TCPMSS: the MSS of a SYN lowered, or put in; bytes as Linux 6.18 sent them.

import Firewall
import PacketForge
import TestLab
import Testing
import Wire

private func mangle(_ rules: String...) -> String {
  "*mangle\n:FORWARD ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    + rules.map { $0 + "\n" }.joined() + "COMMIT\n"
}

private func limited(_ target: String) -> String {
  mangle("-A FORWARD -p tcp -m tcp --tcp-flags SYN SYN -j TCPMSS " + target)
}

private var client: Peer { tcp("10.0.1.2", 1000, "198.51.100.2", 80).client }
private var client6: Peer { tcp("fd00:1::2", 1000, "2001:db8:9::2", 80).client }

/// The TCP options with which it leaves; nil if it does not.
private func leaves(_ lab: FirewallLab, _ packet: Packet) -> String? {
  guard let bytes = lab.lan(packet).left.first?.packet.bytes else { return nil }
  let at = packet.family == .ipv4 ? 20 : 40
  return hexText(bytes[(at + 20)..<(at + Int(bytes[at + 12] >> 4) * 4)])
}

@Suite struct TCPMSSTests {
  @Test func lowered() {
    let lab = FirewallLab(limited("--set-mss 1200"))
    var sender = client
    sender.fields = HeaderFields(id: 1)
    #expect(
      lab.lan(sender.syn(seq: 1000, win: 64240, options: [.mss(1460)])).left == [
        Departure(
          "wan0",
          Packet(
            bytes: hex(
              """
              4500002c000100003f0646940a000102c633640203e80050000003e8000000006002faf060e20000020404b0
              """)))
      ])
  }

  @Test func putIn() {
    var sender = client
    sender.fields = HeaderFields(id: 1)
    #expect(
      FirewallLab(limited("--set-mss 1200")).lan(sender.syn(seq: 1000, win: 64240)).left == [
        Departure(
          "wan0",
          Packet(
            bytes: hex(
              """
              4500002c000100003f0646940a000102c633640203e80050000003e8000000006002faf0637a000002040218
              """)))
      ])
    let seen6 = FirewallLab(ipv6: limited("--clamp-mss-to-pmtu"))
      .lan(client6.syn(seq: 1000, win: 64240))
    #expect(
      seen6.left == [
        Departure(
          "wan0",
          Packet(
            bytes: hex(
              """
              600000000018063ffd00000100000000000000000000000220010db800090000000000000000000203e80050
              000003e8000000006002faf06b3e0000020404c4
              """)))
      ])
  }

  /// Options of the SYN, and with which it leaves.
  @Test(
    arguments: [
      ("020403e8", "020403e8"), ("020404b0", "020404b0"), ("00010101020405b4", "00010101020404b0"),
      ("08000101020405b4", "08000101020404b0"), ("020305b4", "02040218020305b4"),
      ("08100101020405b4", "0204021808100101020405b4"), ("020405b4020405b4", "020404b0020405b4"),
      (String(repeating: "01", count: 40), String(repeating: "01", count: 40)),
      (
        String(repeating: "01", count: 36), "02040218" + String(repeating: "01", count: 36)
      ),
    ])
  func options(_ before: String, _ after: String) {
    let lab = FirewallLab(limited("--set-mss 1200"))
    let seen = leaves(lab, client.syn(options: [.raw(hex(before))]))
    #expect(seen == after)
  }

  @Test func withDataNothingIsPutIn() {
    let lab = FirewallLab(limited("--set-mss 1200"))
    #expect(leaves(lab, client.segment(.syn, data: 3)) == "")
    #expect(leaves(lab, client.segment(.syn, data: 3, options: [.mss(1460)])) == "020404b0")
  }

  @Test func headersThatMakeNoSenseAreDropped() {
    let lab = FirewallLab(limited("--set-mss 1200"))
    for length: UInt8 in [0x40, 0x80] {
      var packet = client.syn()
      packet.bytes[32] = length
      packet.repairChecksums()
      let seen = lab.lan(packet)
      #expect(seen.text == "DROP INVALID" && seen.left.isEmpty)
    }
  }

  @Test func anMSSNoneSaidIsAtMostWhatIsAssumed() {
    #expect(leaves(FirewallLab(limited("--set-mss 500")), client.syn()) == "020401f4")
    #expect(leaves(FirewallLab(limited("--set-mss 40000")), client.syn()) == "02040218")
  }

  @Test func clampedToThePath() {
    let narrow = [
      Route(
        IPPrefix(Address("203.0.113.0").value, length: 24, family: .ipv4), mtu: 1320,
        hops: [RouteHop(interface: 1, gateway: Address("198.51.100.2").value)])
    ]
    let lab = FirewallLab(limited("--clamp-mss-to-pmtu"), routes: narrow)
    #expect(leaves(lab, client.syn(options: [.mss(1500)])) == "020405b4")
    let far = tcp("10.0.1.2", 1000, "203.0.113.9", 80)
    #expect(leaves(lab, far.client.syn(options: [.mss(1460)])) == "02040500")
    // The way back counts as well.
    let back = lab.wan(far.server.synAck(options: [.mss(1460)])).left.first?.packet.bytes
    #expect(back.map { hexText($0[40...]) } == "02040500")
  }

  @Test func laterRulesLowerFurtherAndSeeTheResult() {
    let both = mangle(
      "-A FORWARD -p tcp -m tcp --tcp-flags SYN SYN -j TCPMSS --set-mss 1100",
      "-A FORWARD -p tcp -m tcp --tcp-flags SYN SYN -j TCPMSS --set-mss 1200")
    #expect(leaves(FirewallLab(both), client.syn(options: [.mss(1460)])) == "0204044c")
    let lab = FirewallLab(
      limited("--set-mss 1200")
        + filter("-A FORWARD -m length --length 44 -p tcp -m tcpmss --mss 536 -j DROP"))
    #expect(lab.lan(client.syn()).text == "DROP NEW/o")
    #expect(lab.lan(client.syn(options: [.mss(1460)])).text == "ACCEPT NEW/o")
  }

  @Test func laterRulesOfTheSameTableSeeTheResult() {
    let lab = FirewallLab(
      mangle(
        "-A FORWARD -p tcp -m tcp --tcp-flags SYN SYN -j TCPMSS --set-mss 500",
        "-A FORWARD -p tcp -m tcp --tcp-flags SYN SYN -m tcpmss --mss 501:65535 -j DROP",
        "-A FORWARD -m length --length 45:65535 -j DROP"))
    #expect(leaves(lab, client.syn(options: [.mss(1460)])) == "020401f4")
    #expect(leaves(lab, client.syn()) == "020401f4")
    #expect(lab.lan(client.syn(options: [.raw(hex("01010101"))])).text == "DROP NEW/o")
  }

  /// At an odd place the kernel's sum comes out wrong, and its REJECT still answers: conntrack has looked
  /// at the sum before.
  @Test func atAnOddPlaceAnswersAreSent() {
    let syn = client.syn(options: [.raw(hex("01020405b4010101"))])
    let seen = FirewallLab(limited("--set-mss 1200")).lan(syn).left.first?.packet
    #expect(seen?.transportChecksumIsRight == false)
    let reject = limited("--set-mss 1200") + filter("-A FORWARD -p tcp -j REJECT")
    #expect(FirewallLab(reject).lan(syn).left.first?.port == "lan0")
    let untracked =
      "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --notrack\nCOMMIT\n" + reject
    #expect(FirewallLab(untracked).lan(syn).left.isEmpty)
  }
}
