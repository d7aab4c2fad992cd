// IRC's DCC under its helper: which spellings are believed, what is expected, and NAT. Every spelling here was
// sent through Linux 6.18, and what it expected is what is written beside it.

import Conntrack
import PacketForge
import TestLab
import Testing

@Suite struct IRCHelperTests {
  private let rule = "*raw\n-A PREROUTING -p tcp -m tcp --dport 6667 -j CT --helper irc\nCOMMIT\n"
  private let ends = tcp("10.0.1.2", 4000, "198.51.100.2", 6667)

  private func lab(_ rules: String = "") -> FirewallLab {
    let lab = FirewallLab(rule + rules)
    lab.lan(ends.client.syn())
    lab.wan(ends.server.synAck())
    lab.lan(ends.client.ack())
    return lab
  }

  private func expected(_ lab: FirewallLab) -> [UInt16] {
    lab.firewall.tracker.expectations().map(\.tuple.destinationPort)
  }

  @Test(arguments: [
    ("PRIVMSG b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", 1025 as UInt16?),
    ("PRIVMSG b :\u{1}DCC SCHAT chat 167772418 1025\u{1}\r\n", 1025),
    ("privmsg b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", 1025),
    ("\r\nPRIVMSG b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", 1025),
    ("PRIVMSG #c x :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", 1025),
    ("PRIVMSG b :\u{1}DCC SEND  167772418 1025\n", 1025),
    ("PRIVMSG b :\u{1}DCC SEND f 167772418  1025 12345\u{1}\r\n", 1025),
    ("PRIVMSG b :\u{1}DCC SEND f 4462739714 70000\u{1}\r\n", 4464),
    ("PRIVMSG b :\u{1}DCC SEND f 167772418 12\n", 12),
    ("PRIVMSG b :\u{1}DCC SEND f 167772418 7\n", nil),
    ("PRIVMSG b :\u{1}DCC SEND f 167772418 1025", nil),
    ("PRIVMSG b :\u{1}DCC SEND f 167772419 1025\u{1}\r\n", nil),
    ("PRIVMSG b :\u{1}DCC SEND f 167772418 0\u{1}\r\n", nil),
    ("PRIVMSG b :\u{1}DCC SEND f  167772418 1025\u{1}\r\n", nil),
    ("PRIVMSG b :\u{1}DCC SEND a b 167772418 1025\u{1}\r\n", nil),
    ("PRIVMSG b :\u{1}DCC send f 167772418 1025\u{1}\r\n", nil),
    ("PRIVMSG b :\u{1}DCC ACCEPT f 167772418 1025\u{1}\r\n", nil),
    ("PRIVMSG b :DCC SEND f 167772418 1025\u{1}\r\n", nil),
    ("PRIVMSG b x : y :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", nil),
    ("NOTICE b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", nil),
    (":a PRIVMSG b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", nil),
    ("PING x\r\nPRIVMSG b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n", nil),
  ])
  func spellings(text: String, port: UInt16?) {
    let lab = lab()
    #expect(lab.lan(ends.client.says(text)).left.count == 1)
    #expect(expected(lab) == (port.map { [$0] } ?? []))
  }

  @Test func onlyClientsOffer() {
    let lab = lab()
    lab.wan(ends.server.says("PRIVMSG b :\u{1}DCC SEND f 3325256706 1025\u{1}\r\n"))
    #expect(expected(lab).isEmpty)
  }

  /// Of more than eight the oldest goes; a port that another client waits at is dropped.
  @Test func eightAreKept() {
    let lab = lab()
    var said: UInt32 = 1001
    for port in 2000..<2010 {
      let text = "PRIVMSG b :\u{1}DCC SEND f 167772418 \(port)\u{1}\r\n"
      lab.lan(ends.client.says(text, seq: said))
      said += UInt32(text.utf8.count)
    }
    #expect(expected(lab) == Array(2002..<2010))
    #expect(
      lab.expectations.first?.hasPrefix("300 proto=6 src=0.0.0.0 dst=10.0.1.2 sport=0 dport=2002 ")
        == true)
    let (client, server) = tcp("10.0.1.2", 4001, "198.51.100.2", 6667)
    lab.lan(client.syn())
    lab.wan(server.synAck())
    lab.lan(client.ack())
    let text = "PRIVMSG b :\u{1}DCC SEND f 167772418 2005\u{1}\r\n"
    #expect(lab.lan(client.says(text)).left.isEmpty)
  }

  @Test func offersAreTranslated() {
    let lab = FirewallLab(rule + "*nat\n-A POSTROUTING -o wan0 -j MASQUERADE\nCOMMIT\n")
    let outside = tcp("198.51.100.1", 4000, "198.51.100.2", 6667)
    lab.lan(ends.client.syn())
    lab.wan(outside.server.synAck())
    lab.lan(ends.client.ack())
    let seen = lab.lan(ends.client.says("PRIVMSG b :\u{1}DCC SEND f 167772418 1025\u{1}\r\n"))
    let text = "PRIVMSG b :\u{1}DCC SEND f 3325256705 1025\u{1}\r\n"
    #expect(seen.left.first?.packet.bytes.suffix(text.utf8.count).elementsEqual(text.utf8) == true)
    #expect(seen.left.first?.packet.transportChecksumIsRight == true)
    let visitor = tcp("198.51.100.9", 6000, "198.51.100.1", 1025).client
    // Whoever comes seems to be the server, as the kernel has it.
    let inside = tcp("198.51.100.2", 6000, "10.0.1.2", 1025).client
    #expect(lab.wan(visitor.syn()).left == [Departure("lan0", inside.syn().hopped())])
  }
}
