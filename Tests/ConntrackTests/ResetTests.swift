// Which resets close a connection: those in sequence (RFC 5961), and under which switches others.

import PacketForge
import TestLab
import Testing

@Suite struct ResetTests {
  /// Connected, with a hundred bytes sent and acknowledged each way: the client is at 1101, the
  /// server at 5101.
  func connected(_ lab: TrackerLab) -> (client: Peer, server: Peer) {
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.synAck())
    lab.sees(client.ack())
    lab.sees(client.data(100))
    lab.sees(server.data(100))
    lab.sees(client.ack())
    return (client, server)
  }

  @Test func exactlyInSequence() {
    let lab = TrackerLab()
    let (client, _) = connected(lab)
    #expect(lab.sees(client.rst()) == "ESTABLISHED/o")
    #expect(lab.entry == "10 CLOSE [ASSURED]")
  }

  @Test func fromTheServer() {
    let lab = TrackerLab()
    let (_, server) = connected(lab)
    #expect(lab.sees(server.rst(seq: 5101, ack: 1101)) == "ESTABLISHED/r")
    #expect(lab.entry == "10 CLOSE [ASSURED]")
  }

  @Test func inTheWindowButNotExactMayBeForged() {
    let lab = TrackerLab()
    let (client, server) = connected(lab)
    #expect(lab.sees(client.rst(seq: 1102)) == "ESTABLISHED/o")
    // The timeout is that of a closing connection, the state stays.
    #expect(lab.entry == "10 ESTABLISHED [ASSURED]")
    // The server's challenge shows that it lives; what came with the reset stays unacknowledged.
    #expect(lab.sees(server.ack(seq: 5101, ack: 1101)) == "ESTABLISHED/r")
    #expect(lab.entry == "300 ESTABLISHED [ASSURED]")
  }

  @Test func beforeWhatWasAcknowledged() {
    let lab = TrackerLab()
    let (client, _) = connected(lab)
    #expect(lab.sees(client.rst(seq: 1100)) == "INVALID")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func beforeWhatWasAcknowledgedWhereSuchAreIgnored() {
    let lab = TrackerLab { $0.tcpIgnoreInvalidRST = 1 }
    let (client, _) = connected(lab)
    #expect(lab.sees(client.rst(seq: 1100)) == "ESTABLISHED/o")
    #expect(lab.entry == "10 ESTABLISHED [ASSURED]")
  }

  @Test func beyondTheWindow() {
    let lab = TrackerLab()
    let (client, _) = connected(lab)
    #expect(lab.sees(client.rst(seq: 900_000)) == "INVALID")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func rightBehindData() {
    let lab = TrackerLab()
    let (client, _) = connected(lab)
    lab.sees(client.data(100))
    #expect(lab.sees(client.rst()) == "ESTABLISHED/o")
    #expect(lab.entry == "10 CLOSE [ASSURED]")
  }

  @Test func inSynRecv() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.synAck())
    #expect(lab.sees(client.rst(seq: 1001)) == "ESTABLISHED/o")
    #expect(lab.entry == "10 CLOSE")
  }

  @Test func withZeroSequenceInSynRecv() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.synAck())
    #expect(lab.sees(client.rst(seq: 0)) == "ESTABLISHED/o")
  }

  @Test func anyRSTThatAnswersASYNEndsIt() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    #expect(lab.sees(server.rst(seq: 0, ack: 77)) == "ESTABLISHED/r")
    #expect(lab.table.isEmpty)
    #expect(lab.sees(server.rst(seq: 0, ack: 1001)) == "INVALID")
  }

  @Test func atTheNumberAChallengeAcknowledged() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.ack(seq: 5000, ack: 777))
    #expect(lab.sees(server.rst(seq: 777)) == "ESTABLISHED/r")
    #expect(lab.entry == "10 CLOSE")
    // Nothing was learnt of the server, so its next segment is its first.
    #expect(lab.sees(server.ack(seq: 1_073_725_150, ack: 1001)) == "ESTABLISHED/r")
  }

  @Test func inASimultaneousOpen() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.syn())
    // The server's SYN came last: a RST of its own must lie in the window.
    #expect(lab.sees(server.rst(seq: 90_000)) == "INVALID")
    #expect(lab.entry == "120 SYN_SENT2")
    #expect(lab.sees(client.rst(seq: 90_000)) == "ESTABLISHED/o")
    #expect(lab.entry == "10 CLOSE")
  }

  @Test func theResetThatEndsItIsCounted() {
    let lab = TrackerLab { $0.acct = 1 }
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    _ = lab.heard()
    lab.sees(server.rst(seq: 0, ack: 77))
    let counted = lab.heard().map { $0.split(separator: " ").count { $0 == "packets=1" } }
    #expect(counted == [2])
  }

  @Test func theSendersOwnRSTEndsItsSYN() {
    let lab = TrackerLab()
    let (client, _) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    #expect(lab.sees(client.rst()) == "NEW/o")
    #expect(lab.table.isEmpty)
  }
}
