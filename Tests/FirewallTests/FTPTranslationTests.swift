// FTP's helper under NAT: what is written into the control connection, how sequence numbers follow,
// and where the data connection goes. As Linux 6.18 was seen to do it.

import Conntrack
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct FTPTranslationTests {
  private let rules = ftpRule + nat("-A POSTROUTING -o wan0 -j SNAT --to-source 198.51.100.100")
  private let rules6 = ftpRule + nat("-A POSTROUTING -o wan0 -j SNAT --to-source 2001:db8:9::100")

  /// A connection's two views: the client's inside, and the server's, which knows another client.
  private struct Session {
    let client: Peer
    let server: Peer

    init(
      _ lab: FirewallLab, _ inside: Address = "10.0.1.2", _ outside: Address = "198.51.100.100",
      _ remote: Address = "198.51.100.2", port: UInt16 = 4000, outsidePort: UInt16? = nil
    ) {
      client = tcp(inside, port, remote, 21).client
      server = tcp(outside, outsidePort ?? port, remote, 21).server
      lab.lan(client.syn())
      lab.wan(server.synAck(ack: 1001))
      lab.lan(client.ack(ack: 5001))
      lab.lan(client.says("USER a\r\n", ack: 5001))
    }
  }

  private func text(_ seen: Seen) -> String? {
    guard let packet = seen.left.first?.packet, let layout = packet.layout else { return nil }
    let data = layout.transport + Int(packet.bytes[layout.transport + 12] >> 4) * 4
    return String(decoding: packet.bytes[data..<layout.end], as: UTF8.self)
  }

  private func numbers(_ seen: Seen) -> [UInt32] {
    guard let packet = seen.left.first?.packet, let layout = packet.layout else { return [] }
    return [4, 8].map { packet.bytes.rawSpan.uint32(at: layout.transport + $0) }
  }

  @Test func portsAreWrittenAnew() throws {
    let lab = FirewallLab(rules)
    let session = Session(lab)
    let seen = lab.lan(session.client.says("PORT 10,0,1,2,4,1\r\n", ack: 5001))
    #expect(text(seen) == "PORT 198,51,100,100,4,1\r\n")
    let packet = try #require(seen.left.first?.packet)
    #expect(packet.transportChecksumIsRight == true)
    #expect(packet.headerChecksumIsRight)
    #expect(lab.expectations.first?.contains("dst=198.51.100.100 sport=0 dport=1025") == true)
    let (data, _) = tcp("198.51.100.2", 20, "198.51.100.100", 1025)
    let (inside, _) = tcp("198.51.100.2", 20, "10.0.1.2", 1025)
    #expect(lab.wan(data.syn()).left == [Departure("lan0", inside.syn().hopped())])
    let (_, answer) = tcp("198.51.100.2", 20, "10.0.1.2", 1025)
    #expect(lab.lan(answer.synAck(ack: 1001)).left.first?.port == "wan0")
  }

  /// What follows is moved by the six bytes the address became longer; what came before is not.
  @Test func numbersFollow() {
    let lab = FirewallLab(rules)
    let session = Session(lab)
    lab.lan(session.client.says("PORT 10,0,1,2,4,1\r\n", ack: 5001))
    #expect(numbers(lab.lan(session.client.says("NOOP\r\n", ack: 5001))) == [1034, 5001])
    #expect(numbers(lab.wan(session.server.ack(ack: 1040))) == [5001, 1034])
    #expect(numbers(lab.wan(session.server.ack(ack: 1034))) == [5001, 1028])
    #expect(numbers(lab.wan(session.server.ack(ack: 1009))) == [5001, 1009])
    #expect(lab.table.count == 1)
  }

  @Test func extendedFormsAreWrittenInFull() {
    let lab = FirewallLab("", ipv6: rules6)
    let session = Session(lab, "fd00:1::2", "2001:db8:9::100", "2001:db8:9::2")
    #expect(
      text(lab.lan(session.client.says("EPRT !2!fd00:1::2!1025!\r\n", ack: 5001)))
        == "EPRT |2|2001:0db8:0009:0000:0000:0000:0000:0100|1025|\r\n")
  }

  @Test func aTakenPortGivesWay() throws {
    let lab = FirewallLab(rules)
    let first = Session(lab)
    lab.lan(first.client.says("PORT 10,0,1,2,4,1\r\n", ack: 5001))
    let second = Session(lab, "10.0.1.3", port: 4001)
    let line = try #require(
      text(lab.lan(second.client.says("PORT 10,0,1,3,4,1\r\n", ack: 5001))))
    let ports = lab.firewall.tracker.expectations().map(\.tuple.destinationPort)
    #expect(ports.count == 2 && ports[0] == 1025 && ports[1] > 1025)
    #expect(line == "PORT 198,51,100,100,\(ports[1] >> 8),\(ports[1] & 255)\r\n")
    // The highest port has none above it.
    lab.lan(first.client.says("PORT 10,0,1,2,255,255\r\n", ack: 5001))
    let refused = lab.lan(second.client.says("PORT 10,0,1,3,255,255\r\n", ack: 5001))
    #expect(refused.outcome.verdict == .drop)
  }

  @Test func aServerBehindTheRouter() {
    let lab = FirewallLab(
      ftpRule
        + nat("-A PREROUTING -i wan0 -p tcp -m tcp --dport 21 -j DNAT --to-destination 10.0.1.5"))
    let client = tcp("198.51.100.2", 4000, "198.51.100.1", 21).client
    let server = tcp("198.51.100.2", 4000, "10.0.1.5", 21).server
    lab.wan(client.syn())
    lab.lan(server.synAck(ack: 1001))
    lab.wan(client.ack(ack: 5001))
    lab.lan(server.says("220 hi\r\n", ack: 1001))
    let passive = lab.lan(server.says("227 at (10,0,1,5,4,1)\r\n", ack: 1001))
    #expect(text(passive) == "227 at (198,51,100,1,4,1)\r\n")
    let (data, _) = tcp("198.51.100.2", 5000, "198.51.100.1", 1025)
    let (inside, _) = tcp("198.51.100.2", 5000, "10.0.1.5", 1025)
    #expect(lab.wan(data.syn()).left == [Departure("lan0", inside.syn().hopped())])
  }
}
