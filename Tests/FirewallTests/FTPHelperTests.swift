// FTP under its helper: what is read, what is expected, what becomes of it under NAT. Every spelling
// here was sent through Linux 6.18, and what it expected is what is written beside it.

import Conntrack
import PacketForge
import TestLab
import Testing
import Wire

let ftpRule = "*raw\n-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp\nCOMMIT\n"

/// A control connection that has begun: each end has said a line.
struct FTPSession {
  let client: Peer
  let server: Peer

  init(
    _ lab: FirewallLab, from client: Address = "10.0.1.2", port: UInt16 = 4000,
    to server: Address = "198.51.100.2"
  ) {
    (self.client, self.server) = tcp(client, port, server, 21)
    lab.lan(self.client.syn())
    lab.wan(self.server.synAck())
    lab.lan(self.client.ack())
    lab.lan(self.client.says("USER a\r\n"))
    lab.wan(self.server.says("220 hi\r\n"))
  }
}

@Suite struct FTPHelperTests {
  enum Answer: Equatable {
    /// It passes, and nothing is expected.
    case passes
    case dropped
    case expects(UInt16)
  }

  /// What comes of one segment in a session of its own.
  private func answer(_ payload: [UInt8], fromServer: Bool = false, ipv6: Bool = false) -> Answer {
    let lab = FirewallLab(ftpRule, ipv6: ftpRule)
    let session =
      ipv6
      ? FTPSession(lab, from: "fd00:1::2", to: "2001:db8:9::2") : FTPSession(lab)
    let seen =
      fromServer ? lab.wan(session.server.says(payload)) : lab.lan(session.client.says(payload))
    if seen.left.isEmpty { return .dropped }
    return lab.firewall.tracker.expectations().first.map { .expects($0.tuple.destinationPort) }
      ?? .passes
  }

  @Test(arguments: [
    ("PORT 10,0,1,2,4,1\r\n", Answer.expects(1025)),
    ("port 10,0,1,2,4,1\r\n", .expects(1025)),
    ("PORT 10,0,1,3,4,1\r\n", .passes),
    ("PORT 10,0,1,2,4,1\n", .dropped),
    ("PORT 10,0,1,2,4,1\r", .expects(1025)),
    ("PORT 10,0,1,2,4,1", .dropped),
    ("PORT 10,0,1,2,4,1 \r\n", .dropped),
    ("PORT  10,0,1,2,4,1\r\n", .dropped),
    (" PORT 10,0,1,2,4,1\r\n", .passes),
    ("NOOP\r\nPORT 10,0,1,2,4,1\r\n", .passes),
    ("PORT 10,0,1,2,4,1\r\nNOOP\r\n", .expects(1025)),
    ("PORT 10,0,1,2,256,1\r\n", .expects(1)),
    ("PORT 10,0,1,2,4,258\r\n", .expects(1282)),
    ("PORT 10,0,1,2,4,4294967297\r\n", .expects(1025)),
    ("PORT 10,0,1,2,,1\r\n", .expects(1)),
    ("PORT 10,0,1,2,0,0\r\n", .expects(0)),
    ("PORT 10,0,1,2,4,1,5\r\n", .dropped),
    ("PORT", .dropped), ("P", .dropped), ("PO\r\n", .passes),
    ("EPRT |1|10.0.1.2|1025|\r\n", .expects(1025)),
    ("EPRT !1!10.0.1.2!1025!", .expects(1025)),
    ("EPRT a1a10.0.1.2a1025a\r\n", .expects(1025)),
    ("EPRT .1.10.0.1.2.1025.\r\n", .dropped),
    ("EPRT |2|fd00:1::2|1025|\r\n", .dropped),
    ("EPRT |1|10.0.1.258|1025|\r\n", .expects(1025)),
    ("EPRT |1|10..1.2|1025|\r\n", .expects(1025)),
    ("EPRT |1|10.0.1.3|1025|\r\n", .passes),
    ("EPRT |1|10.0.1.2|0|\r\n", .dropped),
    ("EPRT |1|10.0.1.2|65537|\r\n", .expects(1)),
    ("EPRT |1|10.0.1.2|1025", .dropped),
    ("227 Entering Passive Mode (10,0,1,2,4,1).\r\n", .passes),
  ]) func clientSays(_ line: String, _ expected: Answer) {
    #expect(answer([UInt8](line.utf8)) == expected)
  }

  @Test(arguments: [
    ("227 Entering Passive Mode (198,51,100,2,4,1).\r\n", Answer.expects(1025)),
    ("227 =198,51,100,2,4,1\r\n", .expects(1025)),
    ("227 198,51,100,2,4,1a", .expects(1025)),
    ("227 (198,51,100,2,4,1", .dropped),
    ("227 (198,51,100,2,4,1,", .dropped),
    ("227 (198,51,100,3,4,1)\r\n", .passes),
    ("227 in 4 (198,51,100,2,4,1)\r\n", .dropped),
    ("227 Entering\r\n198,51,100,2,4,1\r\n", .expects(1025)),
    ("227 Entering\r\n", .dropped), ("227\r\n", .passes), ("227", .dropped),
    ("227-(198,51,100,2,4,1)\r\n", .passes),
    ("220-hi\r\n227 (198,51,100,2,4,1)\r\n", .passes),
    ("229 Entering (|||1025|)\r\n", .expects(1025)),
    ("229 (|||1025|", .expects(1025)),
    ("229 (!!!1025!)\r\n", .expects(1025)),
    ("229 (|||1025)\r\n", .dropped),
    ("229 (||1025|)\r\n", .dropped),
    ("229 (   1025 )\r\n", .dropped),
    ("229 |||1025|\r\n", .dropped),
    ("229 (x) (|||1025|)\r\n", .dropped),
    ("229 (|||0|)\r\n", .dropped),
    ("PORT 198,51,100,2,4,1\r\n", .passes),
  ]) func serverSays(_ line: String, _ expected: Answer) {
    #expect(answer([UInt8](line.utf8), fromServer: true) == expected)
  }

  @Test(arguments: [
    ("EPRT |2|fd00:1::2|1025|\r\n", Answer.expects(1025)),
    ("EPRT |2|FD00:1:0:0:0:0:0:2|1025|\r\n", .expects(1025)),
    ("EPRT |2|fd00:00001::0:2|1025|\r\n", .expects(1025)),
    ("EPRT |2|fd00:1::0.0.0.2|1025|\r\n", .expects(1025)),
    ("EPRT |2|fd00:1::0:0:0:0:2|1025|\r\n", .expects(1025)),
    ("EPRT b2bfd00:1::2\u{0}1025b\r\n", .expects(1025)),
    ("EPRT .2.fd00:1::2.1025.\r\n", .expects(1025)),
    ("EPRT |2|fd00:1::2\u{0}|1025|\r\n", .dropped),
    ("EPRT |2|fd00:1:2|1025|\r\n", .dropped),
    ("EPRT |2|fd00:1::2:|1025|\r\n", .dropped),
    ("EPRT |2|fd00::1::2|1025|\r\n", .dropped),
    ("EPRT |2|:fd00:1::2|1025|\r\n", .dropped),
    ("EPRT |2|fd00:10001::2|1025|\r\n", .dropped),
    ("EPRT |2|fd00:1::0:0:0:0:0:2|1025|\r\n", .dropped),
    ("EPRT |2|fd00:1:0:0:0:0:0:0.0.0.2|1025|\r\n", .dropped),
    ("EPRT |2|fd00:1::0.0.0.258|1025|\r\n", .dropped),
    ("EPRT :2:fd00:1:0:0:0:0:0:2:1025:\r\n", .dropped),
    ("EPRT f2ffd00:1::2f1025f\r\n", .dropped),
    ("EPRT |2|::|1025|\r\n", .passes),
    ("EPRT |1|10.0.1.2|1025|\r\n", .dropped),
    ("PORT 10,0,1,2,4,1\r\n", .passes),
  ]) func clientSaysInIPv6(_ line: String, _ expected: Answer) {
    #expect(answer([UInt8](line.utf8), ipv6: true) == expected)
  }

  /// Of the ends of lines the last two are remembered.
  @Test func onlyLinesAreRead() {
    let lab = FirewallLab(ftpRule)
    let session = FTPSession(lab)
    func port(_ number: Int, _ seq: UInt32? = nil) -> [UInt16] {
      lab.lan(session.client.says("PORT 10,0,1,2,4,\(number)\r\n", seq: seq))
      return lab.firewall.tracker.expectations().map(\.tuple.destinationPort)
    }
    let first = session.client.next
    lab.lan(session.client.says("NOOP\r\n"))
    lab.lan(session.client.says("NOOP\r\n"))
    #expect(port(2, first + 6) == [1026])
    #expect(port(1, first + 6) == [1026])
    lab.lan(session.client.says("NO"))
    #expect(port(3) == [1026])
    #expect(port(4) == [1028])
  }

  @Test func expectedConnections() {
    let lab = FirewallLab(
      ftpRule + filter("-A FORWARD -m conntrack --ctstate RELATED -m helper --helper ftp -j LOG"))
    let session = FTPSession(lab)
    lab.lan(session.client.says("PORT 10,0,1,2,4,1\r\n"))
    let expectation =
      "proto=6 src=198.51.100.2 dst=10.0.1.2 sport=0 dport=1025 mask-src=255.255.255.255 "
      + "mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.0.1.2 "
      + "master-dst=198.51.100.2 sport=4000 dport=21 class=0 helper=ftp"
    #expect(lab.expectations == ["300 " + expectation])
    let (data, _) = tcp("198.51.100.2", 20, "10.0.1.2", 1025)
    let seen = lab.wan(data.syn())
    #expect(seen.text == "ACCEPT RELATED/o")
    #expect(seen.logs.count == 1)
    #expect(lab.expectations.isEmpty)
    #expect(
      lab.heardOfExpectations() == [
        "    [NEW] 300 " + expectation, "[DESTROY] 300 " + expectation,
      ])
    #expect(lab.table[0].hasSuffix("mark=0 helper=ftp use=2"))
    // Once is once.
    let (more, _) = tcp("198.51.100.2", 22, "10.0.1.2", 1025)
    #expect(lab.wan(more.syn()).text == "ACCEPT NEW/o")
    let statistics = lab.firewall.tracker.expectationStatistics
    #expect([statistics.new, statistics.create, statistics.delete] == [1, 1, 1])
  }

  @Test func expectationsEnd() {
    let lab = FirewallLab(ftpRule) { $0.tcpTimeoutUnacknowledged = 3_000_000_000_000 }
    let session = FTPSession(lab)
    lab.lan(session.client.says("PORT 10,0,1,2,4,1\r\n"))
    lab.wait(299)
    #expect(lab.expectations.count == 1)
    lab.wait(1)
    #expect(lab.expectations.isEmpty)
    // The next one takes its place; the master takes what is left with it.
    lab.lan(session.client.says("PORT 10,0,1,2,4,2\r\n"))
    lab.lan(session.client.says("PORT 10,0,1,2,4,3\r\n"))
    #expect(lab.firewall.tracker.expectations().map(\.tuple.destinationPort) == [1027])
    lab.lan(session.client.rst())
    #expect(lab.expectations.count == 1)
    lab.wait(11)
    #expect(lab.expectations.isEmpty)
    #expect(lab.heardOfExpectations().count == 6)
  }

  /// A packet that begins no connection uses up what was expected, and one that is dropped.
  @Test func usedUpInVain() {
    let lab = FirewallLab(ftpRule + filter("-A FORWARD -p tcp -m tcp --dport 1026 -j DROP"))
    let session = FTPSession(lab)
    let (data, _) = tcp("198.51.100.2", 20, "10.0.1.2", 1025)
    lab.lan(session.client.says("PORT 10,0,1,2,4,1\r\n"))
    #expect(lab.wan(data.segment([.syn, .fin])).text == "ACCEPT INVALID")
    #expect(lab.expectations.isEmpty)
    let (other, _) = tcp("198.51.100.2", 20, "10.0.1.2", 1026)
    lab.lan(session.client.says("PORT 10,0,1,2,4,2\r\n"))
    #expect(lab.wan(other.syn()).text == "DROP RELATED/o")
    #expect(lab.expectations.isEmpty)
  }

  @Test func childrenOutliveTheirMaster() {
    let lab = FirewallLab(ftpRule)
    let session = FTPSession(lab)
    lab.lan(session.client.says("PORT 10,0,1,2,4,1\r\n"))
    let (data, back) = tcp("198.51.100.2", 20, "10.0.1.2", 1025)
    lab.wan(data.syn())
    lab.lan(back.synAck())
    lab.wan(data.ack())
    lab.lan(session.client.rst())
    lab.wait(11)
    #expect(lab.table.count == 1)
    // The master stays in memory, and counts, until its child goes.
    #expect(lab.firewall.tracker.count == 2)
    lab.wan(data.rst())
    lab.wait(11)
    #expect(lab.firewall.tracker.count == 0)
  }

  @Test func twoMastersCannotExpectTheSame() {
    let lab = FirewallLab(ftpRule)
    let first = FTPSession(lab)
    let second = FTPSession(lab, port: 4001)
    lab.lan(first.client.says("PORT 10,0,1,2,4,1\r\n"))
    let seen = lab.lan(second.client.says("PORT 10,0,1,2,4,1\r\n"))
    #expect(seen.text == "DROP ESTABLISHED/o")
    #expect(lab.expectations.count == 1)
  }

  @Test func noMoreThanThereMayBe() {
    let lab = FirewallLab(ftpRule) { $0.expectMax = 1 }
    let first = FTPSession(lab)
    let second = FTPSession(lab, port: 4001)
    lab.lan(first.client.says("PORT 10,0,1,2,4,1\r\n"))
    #expect(lab.lan(second.client.says("PORT 10,0,1,2,4,2\r\n")).outcome.verdict == .drop)
    #expect(lab.lan(first.client.says("PORT 10,0,1,2,4,3\r\n")).outcome.verdict == .accept)
  }
}
