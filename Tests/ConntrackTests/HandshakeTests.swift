// TCP from the first SYN to the last ACK, both ways to close it, and every odd way to begin: states
// and timeouts as Linux 6.18 shows them for the same packets.

import PacketForge
import TestLab
import Testing
import Wire

let lan: Address = "10.0.1.2"
let wan: Address = "198.51.100.2"

@Suite struct HandshakeTests {
  let lab = TrackerLab(test: "HandshakeTests")
  let client: Peer
  let server: Peer

  init() { (client, server) = tcp(lan, 1000, wan, 80) }

  /// The handshake, unless a test begins differently.
  func connect() {
    lab.sees(client.syn())
    lab.sees(server.synAck())
    lab.sees(client.ack())
    _ = lab.heard()
  }

  @Test func opensWithThreeSegments() {
    #expect(lab.sees(client.syn()) == "NEW/o")
    #expect(
      lab.table == [
        "tcp      6 120 SYN_SENT src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 [UNREPLIED] "
          + "src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000 mark=0 use=1"
      ])
    #expect(lab.sees(server.synAck()) == "ESTABLISHED/r")
    #expect(lab.entry == "60 SYN_RECV")
    #expect(lab.sees(client.ack()) == "ESTABLISHED/o")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
    #expect(
      lab.heard() == [
        "    [NEW] tcp      6 120 SYN_SENT src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 "
          + "[UNREPLIED] src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000",
        " [UPDATE] tcp      6 60 SYN_RECV src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 "
          + "src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000",
        " [UPDATE] tcp      6 432000 ESTABLISHED src=10.0.1.2 dst=198.51.100.2 sport=1000 "
          + "dport=80 src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000 [ASSURED]",
      ])
  }

  @Test func closesFromTheClient() {
    connect()
    #expect(lab.sees(client.fin()) == "ESTABLISHED/o")
    #expect(lab.entry == "120 FIN_WAIT [ASSURED]")
    #expect(lab.sees(server.ack()) == "ESTABLISHED/r")
    #expect(lab.entry == "60 CLOSE_WAIT [ASSURED]")
    #expect(lab.sees(server.fin()) == "ESTABLISHED/r")
    #expect(lab.entry == "30 LAST_ACK [ASSURED]")
    #expect(lab.sees(client.ack()) == "ESTABLISHED/o")
    #expect(lab.entry == "120 TIME_WAIT [ASSURED]")
    lab.wait(120)
    #expect(lab.table.isEmpty)
  }

  @Test func closesFromTheServer() {
    connect()
    lab.sees(server.fin())
    #expect(lab.entry == "120 FIN_WAIT [ASSURED]")
    lab.sees(client.ack())
    #expect(lab.entry == "60 CLOSE_WAIT [ASSURED]")
    lab.sees(client.fin())
    #expect(lab.entry == "30 LAST_ACK [ASSURED]")
    lab.sees(server.ack())
    #expect(lab.entry == "120 TIME_WAIT [ASSURED]")
  }

  @Test func closesFromBothEndsAtOnce() {
    connect()
    lab.sees(client.fin(ack: 5001))
    lab.sees(server.fin(ack: 1001))
    #expect(lab.entry == "30 LAST_ACK [ASSURED]")
    lab.sees(client.ack(ack: 5002))
    #expect(lab.entry == "120 TIME_WAIT [ASSURED]")
  }

  @Test func closesInThreeSegments() {
    connect()
    lab.sees(client.fin())
    lab.sees(server.fin())
    #expect(lab.entry == "30 LAST_ACK [ASSURED]")
    lab.sees(client.ack())
    #expect(lab.entry == "120 TIME_WAIT [ASSURED]")
  }

  @Test func dataChangesNothingButTheTimeout() {
    connect()
    lab.wait(10)
    #expect(lab.entry == "431990 ESTABLISHED [ASSURED]")
    // Unacknowledged data is worth five minutes.
    #expect(lab.sees(client.data(100)) == "ESTABLISHED/o")
    #expect(lab.entry == "300 ESTABLISHED [ASSURED]")
    #expect(lab.sees(server.ack()) == "ESTABLISHED/r")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
    #expect(lab.heard().isEmpty)
  }

  @Test func repeatedSYNDoesNotRenewTheTimeout() {
    lab.sees(client.syn())
    lab.wait(2)
    #expect(lab.sees(client.syn(seq: 1000)) == "NEW/o")
    #expect(lab.entry == "118 SYN_SENT [UNREPLIED]")
  }

  @Test func repeatedSYNAckKeepsSynRecv() {
    lab.sees(client.syn())
    lab.sees(server.synAck())
    lab.wait(1)
    #expect(lab.sees(server.synAck(seq: 5000)) == "ESTABLISHED/r")
    #expect(lab.entry == "59 SYN_RECV")
  }

  @Test func opensSimultaneously() {
    #expect(lab.sees(client.syn()) == "NEW/o")
    #expect(lab.sees(server.syn()) == "ESTABLISHED/r")
    #expect(lab.entry == "120 SYN_SENT2")
    #expect(lab.sees(client.synAck(seq: 1000, ack: 5001)) == "ESTABLISHED/o")
    #expect(lab.entry == "60 SYN_RECV")
    #expect(lab.sees(server.synAck(seq: 5000, ack: 1001)) == "ESTABLISHED/r")
    #expect(lab.sees(client.ack()) == "ESTABLISHED/o")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func aSimultaneousOpensTimeoutIsNoSettings() {
    let lab = TrackerLab { $0.tcpTimeoutSynSent = 7_000_000_000 }
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    #expect(lab.entry == "7 SYN_SENT [UNREPLIED]")
    lab.sees(server.syn())
    #expect(lab.entry == "7 SYN_SENT2")
    lab.sees(client.syn(seq: 1000))
    #expect(lab.entry == "120 SYN_SENT2")
  }

  @Test func refusedAtOnce() {
    lab.sees(client.syn())
    _ = lab.heard()
    #expect(lab.sees(server.rst(seq: 0, ack: 1001)) == "ESTABLISHED/r")
    #expect(lab.table.isEmpty)
    #expect(
      lab.heard() == [
        "[DESTROY] tcp      6 120 CLOSE src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 "
          + "[UNREPLIED] src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000"
      ])
    #expect(lab.sees(client.syn()) == "NEW/o")
  }

  // MARK: What cannot begin a connection

  @Test(
    arguments: [
      ([.syn, .ack], "INVALID"), ([.fin, .ack], "INVALID"), (.rst, "INVALID"),
      ([.rst, .ack], "INVALID"), ([.fin], "INVALID"), ([], "INVALID"), ([.psh], "INVALID"),
      ([.syn, .fin], "INVALID"), ([.syn, .rst], "INVALID"), ([.urg], "INVALID"),
      (.syn, "NEW/o"), ([.syn, .psh], "NEW/o"), ([.syn, .urg], "NEW/o"),
      ([.syn, .ece, .cwr], "NEW/o"), (.ack, "NEW/o"), ([.ack, .psh, .urg], "NEW/o"),
    ] as [(TCPFlags, String)])
  func firstSegment(flags: TCPFlags, ctstate: String) {
    #expect(lab.sees(client.segment(flags)) == ctstate)
  }

  @Test func midStreamPickup() {
    #expect(lab.sees(client.ack(seq: 70_000, ack: 90_000)) == "NEW/o")
    #expect(lab.entry == "300 ESTABLISHED [UNREPLIED]")
    #expect(lab.sees(server.ack(seq: 90_000, ack: 70_000)) == "ESTABLISHED/r")
    #expect(lab.entry == "300 ESTABLISHED")
    #expect(lab.sees(client.ack(seq: 70_000, ack: 90_000)) == "ESTABLISHED/o")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
    let tuples =
      "src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 "
    #expect(
      lab.heard() == [
        "    [NEW] tcp      6 300 ESTABLISHED \(tuples)[UNREPLIED] src=198.51.100.2 dst=10.0.1.2 "
          + "sport=80 dport=1000",
        " [UPDATE] tcp      6 300 \(tuples)src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000",
        " [UPDATE] tcp      6 432000 \(tuples)src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000 "
          + "[ASSURED]",
      ])
  }

  @Test func noPickupWhereNotLoose() {
    let lab = TrackerLab { $0.tcpLoose = 0 }
    #expect(lab.sees(client.ack()) == "INVALID")
    #expect(lab.table.isEmpty)
  }

  // MARK: Beginning again

  func close() {
    connect()
    lab.sees(client.fin())
    lab.sees(server.ack())
    lab.sees(server.fin())
    lab.sees(client.ack())
    _ = lab.heard()
  }

  @Test func newSYNReopensFromTimeWait() {
    close()
    #expect(lab.entry == "120 TIME_WAIT [ASSURED]")
    let (again, _) = tcp(lan, 1000, wan, 80, clientSequence: 900_000)
    #expect(lab.sees(again.syn()) == "NEW/o")
    #expect(lab.entry == "120 SYN_SENT [UNREPLIED]")
    let tuples = "src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 "
    #expect(
      lab.heard() == [
        "[DESTROY] tcp      6 120 TIME_WAIT \(tuples)src=198.51.100.2 dst=10.0.1.2 sport=80 "
          + "dport=1000 [ASSURED]",
        "    [NEW] tcp      6 120 SYN_SENT \(tuples)[UNREPLIED] src=198.51.100.2 dst=10.0.1.2 "
          + "sport=80 dport=1000",
      ])
  }

  @Test func serverReopensTheOtherWay() {
    close()
    let (_, server) = tcp(lan, 1000, wan, 80, serverSequence: 700_000)
    #expect(lab.sees(server.syn()) == "NEW/o")
    #expect(
      lab.table == [
        "tcp      6 120 SYN_SENT src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000 [UNREPLIED] "
          + "src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 mark=0 use=1"
      ])
  }

  @Test func strayPacketsInTimeWaitChangeNothing() {
    close()
    lab.wait(1)
    #expect(lab.sees(server.fin(seq: 5001)) == "ESTABLISHED/r")
    #expect(lab.entry == "120 TIME_WAIT [ASSURED]")
    #expect(lab.sees(client.ack()) == "ESTABLISHED/o")
    #expect(lab.entry == "120 TIME_WAIT [ASSURED]")
  }

  @Test func newSYNReopensAfterRST() {
    connect()
    lab.sees(client.rst())
    #expect(lab.entry == "10 CLOSE [ASSURED]")
    let (again, _) = tcp(lan, 1000, wan, 80, clientSequence: 900_000)
    #expect(lab.sees(again.syn()) == "NEW/o")
    #expect(lab.entry == "120 SYN_SENT [UNREPLIED]")
  }

  @Test func synInEstablishedPassesUnbelieved() {
    connect()
    #expect(lab.sees(client.syn(seq: 77_000)) == "ESTABLISHED/o")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
    // The server never heard of the first connection: it answers, and the two begin anew.
    #expect(lab.sees(server.synAck(seq: 99_000, ack: 77_001)) == "ESTABLISHED/r")
    #expect(lab.entry == "60 SYN_RECV [ASSURED]")
    #expect(lab.sees(client.ack(seq: 77_001, ack: 99_001)) == "ESTABLISHED/o")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func challengeAckToAStraySYN() {
    connect()
    #expect(lab.sees(client.syn(seq: 77_000)) == "ESTABLISHED/o")
    // RFC 5961 4.2: the server challenges with what it knows.
    #expect(lab.sees(server.ack(seq: 5001, ack: 1001)) == "ESTABLISHED/r")
    // The client, which knows nothing of the old connection, resets it with just that number.
    #expect(lab.sees(client.rst(seq: 1001)) == "ESTABLISHED/o")
    #expect(lab.entry == "10 CLOSE [ASSURED]")
  }
}
