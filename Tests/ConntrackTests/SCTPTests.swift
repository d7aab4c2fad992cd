// SCTP: handshake, shutdown, abort, heartbeats of other paths, verification tags, and packets that no
// SCTP sends. Every expectation is what Linux 6.18 does with the same packets.

import Conntrack
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct SCTPTests {
  let client = sctp(lan, 1000, wan, 80).client
  let server = sctp(lan, 1000, wan, 80).server

  /// A lab whose association is established.
  func established() -> TrackerLab {
    let lab = TrackerLab()
    lab.sees(client.initiation)
    lab.sees(server.initiationAck)
    lab.sees(client.sends(.cookieEcho))
    lab.sees(server.sends(.cookieAck))
    _ = lab.heard()
    return lab
  }

  // MARK: The usual life

  @Test func handshake() {
    let lab = TrackerLab()
    #expect(lab.sees(client.initiation) == "NEW/o")
    #expect(
      lab.table == [
        "sctp     132 10 CLOSED src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=80 [UNREPLIED] "
          + "src=198.51.100.2 dst=10.0.1.2 sport=80 dport=1000 mark=0 use=1"
      ])
    #expect(lab.sees(server.initiationAck) == "ESTABLISHED/r")
    #expect(lab.entry == "3 COOKIE_WAIT")
    #expect(lab.sees(client.sends(.cookieEcho, .data)) == "ESTABLISHED/o")
    #expect(lab.entry == "3 COOKIE_ECHOED")
    #expect(lab.sees(server.sends(.cookieAck, .selectiveAck)) == "ESTABLISHED/r")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
    #expect(lab.sees(client.sends(.data)) == "ESTABLISHED/o")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
    #expect(
      lab.heard().map { $0.split(separator: " ").prefix(5).joined(separator: " ") } == [
        "[NEW] sctp 132 10 CLOSED", "[UPDATE] sctp 132 3 COOKIE_WAIT",
        "[UPDATE] sctp 132 3 COOKIE_ECHOED", "[UPDATE] sctp 132 210 ESTABLISHED",
      ])
  }

  @Test func handshake6() {
    let lab = TrackerLab()
    let (near, far) = sctp("fd00:1::2", 1000, "2001:db8:9::2", 80)
    #expect(lab.sees(near.initiation) == "NEW/o")
    #expect(lab.sees(far.initiationAck) == "ESTABLISHED/r")
    #expect(lab.sees(near.sends(.cookieEcho)) == "ESTABLISHED/o")
    #expect(lab.sees(far.sends(.cookieAck)) == "ESTABLISHED/r")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
  }

  @Test func shutdown() {
    let lab = established()
    #expect(lab.sees(client.sends(.shutdown)) == "ESTABLISHED/o")
    #expect(lab.entry == "3 SHUTDOWN_SENT [ASSURED]")
    #expect(lab.sees(server.sends(.shutdownAck)) == "ESTABLISHED/r")
    #expect(lab.entry == "3 SHUTDOWN_ACK_SENT [ASSURED]")
    #expect(lab.sees(client.sends(.shutdownComplete)) == "ESTABLISHED/o")
    #expect(lab.entry == "10 CLOSED [ASSURED]")
  }

  @Test func shutdownByTheServer() {
    let lab = established()
    lab.sees(server.sends(.shutdown))
    #expect(lab.entry == "3 SHUTDOWN_RECD [ASSURED]")
    lab.sees(client.sends(.shutdownAck))
    #expect(lab.entry == "3 SHUTDOWN_ACK_SENT [ASSURED]")
    lab.sees(server.sends(.shutdownComplete))
    #expect(lab.entry == "10 CLOSED [ASSURED]")
  }

  @Test func everyChunkCounts() {
    let lab = TrackerLab()
    lab.sees(client.initiation)
    lab.sees(server.initiationAck)
    lab.sees(client.sends(.cookieEcho))
    // The association is established and already ending when the packet has been read.
    #expect(lab.sees(server.sends(.cookieAck, .shutdown)) == "ESTABLISHED/r")
    #expect(lab.entry == "3 SHUTDOWN_RECD [ASSURED]")
  }

  @Test func aStaleCookieEndsIt() {
    let lab = TrackerLab()
    lab.sees(client.initiation)
    lab.sees(server.initiationAck)
    lab.sees(client.sends(.cookieEcho))
    #expect(lab.sees(server.sends(.error)) == "ESTABLISHED/r")
    #expect(lab.entry == "10 CLOSED")
  }

  @Test func anInitiationSentAgainRenewsNothing() {
    let lab = TrackerLab()
    lab.sees(client.initiation)
    lab.wait(6)
    #expect(lab.sees(client.initiation) == "NEW/o")
    #expect(lab.entry == "4 CLOSED [UNREPLIED]")
  }

  @Test func aRestartBringsNewTags() {
    let lab = established()
    #expect(lab.sees(client.sends(.initiation(33))) == "ESTABLISHED/o")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
    #expect(lab.sees(server.sends(.data)) == "INVALID")
    #expect(lab.sees(server.sends(.initiationAck(44), tag: 33)) == "ESTABLISHED/r")
    #expect(lab.sees(client.sends(.cookieEcho, tag: 44)) == "ESTABLISHED/o")
    #expect(lab.sees(server.sends(.data, tag: 33)) == "ESTABLISHED/r")
  }

  // MARK: Abort

  @Test func abort() {
    let lab = established()
    #expect(lab.sees(server.sends(.abort, tag: 5)) == "INVALID")
    #expect(lab.lastReason == .sctpBadVerificationTag(tag: 5, expected: 1111))
    #expect(lab.sees(server.sends(.abort)) == "ESTABLISHED/r")
    #expect(lab.entry == "10 CLOSED [ASSURED]")
  }

  @Test func abortThatReflectsTheTag() {
    let lab = established()
    // With the T bit only the tag that its sender was sent is right.
    #expect(lab.sees(server.sends(.abort.reflectingTag)) == "INVALID")
    #expect(lab.sees(server.sends(.abort.reflectingTag, tag: 2222)) == "ESTABLISHED/r")
    #expect(lab.entry == "10 CLOSED [ASSURED]")
  }

  @Test func chunksBeforeAnInvalidOneCount() {
    let lab = established()
    #expect(lab.sees(client.sends(.shutdown, .abort, tag: 5)) == "INVALID")
    #expect(lab.entry == "210 SHUTDOWN_SENT [ASSURED]")
  }

  // MARK: Verification tags

  @Test func tags() {
    let lab = established()
    #expect(lab.sees(client.sends(.data, tag: 5)) == "INVALID")
    #expect(lab.lastReason == .sctpBadVerificationTag(tag: 5, expected: 2222))
    #expect(lab.sees(client.sends(.data, tag: 0)) == "INVALID")
    #expect(lab.sees(client.sends(.data, tag: 1111)) == "INVALID")
    #expect(lab.sees(client.sends(.cookieEcho, tag: 5)) == "INVALID")
    #expect(lab.sees(client.sends(.shutdownComplete, tag: 5)) == "INVALID")
    #expect(lab.sees(client.sends(.initiation(33), tag: 2222)) == "INVALID")
    #expect(lab.lastReason == .sctpBadVerificationTag(tag: 2222, expected: 0))
    // Linux does not look at the tag of a SHUTDOWN ACK.
    #expect(lab.sees(client.sends(.shutdownAck, tag: 5)) == "ESTABLISHED/o")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
  }

  @Test func initiationAckWithAnotherTag() {
    let lab = established()
    #expect(lab.sees(server.sends(.initiationAck(44))) == "INVALID")
    #expect(lab.lastReason == .sctpInitiateTagChanged(tag: 44, expected: 2222))
    #expect(lab.sees(server.sends(.initiationAck(2222))) == "ESTABLISHED/r")
  }

  @Test func initiationsThatCollide() {
    let lab = TrackerLab()
    lab.sees(client.initiation)
    #expect(lab.sees(server.initiation) == "ESTABLISHED/r")
    #expect(lab.entry == "10 CLOSED")
    #expect(lab.sees(server.sends(.initiationAck(44))) == "INVALID")
    #expect(lab.sees(server.initiationAck) == "ESTABLISHED/r")
    #expect(lab.sees(client.initiationAck) == "ESTABLISHED/o")
    #expect(lab.sees(server.sends(.cookieEcho)) == "ESTABLISHED/r")
    #expect(lab.entry == "3 COOKIE_ECHOED")
    #expect(lab.sees(client.sends(.cookieAck)) == "ESTABLISHED/o")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
  }

  // MARK: Heartbeats

  @Test func anotherPathOfAnAssociation() {
    let lab = TrackerLab()
    #expect(lab.sees(client.sends(.heartbeat)) == "NEW/o")
    #expect(lab.entry == "30 HEARTBEAT_SENT [UNREPLIED]")
    #expect(lab.sees(client.sends(.data, tag: 5)) == "INVALID")
    #expect(lab.sees(server.sends(.shutdown, tag: 0)) == "INVALID")
    #expect(
      lab.lastReason
        == .sctpUnexpectedChunk(type: SCTPChunkType.shutdown, .heartbeatSent, .reply))
    #expect(lab.sees(server.sends(.heartbeatAck)) == "ESTABLISHED/r")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
    #expect(lab.sees(server.sends(.data)) == "ESTABLISHED/r")
    #expect(lab.sees(server.sends(.data, tag: 5)) == "INVALID")
  }

  @Test func aPathThatChangesHands() {
    let lab = established()
    lab.wait(10)
    #expect(lab.sees(client.sends(.heartbeat, tag: 77)) == "ESTABLISHED/o")
    #expect(lab.lastReason == .sctpHeartbeatDoubted(tag: 77, expected: 2222))
    #expect(lab.entry == "200 ESTABLISHED [ASSURED]")
    #expect(lab.sees(server.sends(.heartbeatAck, tag: 88)) == "ESTABLISHED/r")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
    #expect(lab.sees(server.sends(.data)) == "INVALID")
    #expect(lab.sees(server.sends(.data, tag: 88)) == "ESTABLISHED/r")
    #expect(lab.sees(client.sends(.data, tag: 77)) == "INVALID")
    #expect(lab.sees(client.sends(.heartbeat, tag: 77)) == "ESTABLISHED/o")
    #expect(lab.sees(client.sends(.data, tag: 77)) == "ESTABLISHED/o")
  }

  @Test func aDoubtedHeartbeatAnsweredAsBefore() {
    let lab = established()
    lab.sees(client.sends(.heartbeat, tag: 77))
    // The association lives: whatever sent the HEARTBEAT is not believed.
    #expect(lab.sees(server.sends(.heartbeatAck)) == "ESTABLISHED/r")
    #expect(lab.sees(server.sends(.heartbeatAck, tag: 88)) == "INVALID")
    #expect(lab.sees(client.sends(.data)) == "ESTABLISHED/o")
  }

  @Test func heartbeatsWithDataMustHaveTheTag() {
    let lab = established()
    #expect(lab.sees(client.sends(.heartbeat, .data, tag: 77)) == "INVALID")
    #expect(lab.sees(client.sends(.heartbeat, .heartbeat, tag: 77)) == "INVALID")
  }

  // MARK: What may begin

  @Test func whatBegins() {
    let begins: [(Chunk, String)] = [
      (.initiation(7), "10 CLOSED"), (.heartbeat, "30 HEARTBEAT_SENT"),
      (.heartbeatAck, "10 CLOSED"), (.shutdownAck, "3 SHUTDOWN_ACK_SENT"),
    ]
    for (chunk, entry) in begins {
      let lab = TrackerLab(test: "whatBegins \(chunk.type)")
      #expect(lab.sees(client.sends(chunk)) == "NEW/o")
      #expect(lab.entry == entry + " [UNREPLIED]")
    }
    let others: [Chunk] = [
      .data, .selectiveAck, .initiationAck(7), .abort, .shutdown, .error, .cookieEcho,
      .cookieAck, .shutdownComplete, Chunk(192),
    ]
    for chunk in others {
      let lab = TrackerLab(test: "whatBegins \(chunk.type)")
      #expect(lab.sees(client.sends(chunk)) == "INVALID")
      #expect(lab.table.isEmpty)
    }
  }

  @Test func aShutdownAckOfNoAssociation() {
    let lab = TrackerLab()
    lab.sees(client.sends(.shutdownAck, tag: 7))
    #expect(lab.sees(server.sends(.shutdownComplete)) == "INVALID")
    #expect(lab.sees(server.sends(.shutdownComplete, tag: 7)) == "ESTABLISHED/r")
    #expect(lab.entry == "10 CLOSED")
  }

  // MARK: What is INVALID

  @Test func checksums() {
    let lab = TrackerLab()
    #expect(lab.sees(client.initiation.damaged(at: 30)) == "INVALID")
    #expect(lab.lastReason == .badChecksum(protocolNumber: IPProtocolNumber.sctp))
    #expect(lab.sends(client.initiation.damaged(at: 30)) == "NEW/o")
    let unchecked = TrackerLab { $0.checksum = 0 }
    #expect(unchecked.sees(client.initiation.damaged(at: 30)) == "NEW/o")
  }

  @Test func combinations() {
    let lab = established()
    #expect(lab.sees(client.sends(.initiation(1111), .data)) == "INVALID")
    #expect(lab.lastReason == .sctpChunkNotAlone(type: SCTPChunkType.initiation))
    #expect(lab.sees(client.sends(.data, .shutdownComplete)) == "INVALID")
    #expect(lab.sees(server.sends(.data, .initiationAck(2222))) == "INVALID")
    #expect(lab.sees(client.sends(.data, .cookieEcho)) == "INVALID")
    #expect(lab.lastReason == .sctpChunkNotFirst(type: SCTPChunkType.cookieEcho))
    #expect(lab.sees(server.sends(.selectiveAck, .cookieAck)) == "INVALID")
    #expect(lab.entry == "210 ESTABLISHED [ASSURED]")
  }

  @Test func lengths() {
    let lab = TrackerLab()
    let heartbeat = SCTPChunkType.heartbeat
    #expect(lab.sees(client.packet([], tag: 5)) == "INVALID")
    #expect(lab.sees(client.packet([4, 0, 0], tag: 5)) == "INVALID")
    #expect(lab.sees(client.sends(Chunk(heartbeat, length: 0))) == "INVALID")
    #expect(lab.lastReason == .sctpChunkWithoutLength(type: heartbeat))
    #expect(lab.sees(client.initiation.cut(to: 20 + 12 + 19)) == "INVALID")
    #expect(lab.sees(client.initiation.cut(to: 31)) == "INVALID")
    // An INIT without room for its fixed part.
    #expect(
      lab.sees(client.sends(Chunk(SCTPChunkType.initiation, body: [0, 0, 0, 7]))) == "INVALID")
    // Shorter than its own header, or longer than the packet: not conntrack's business.
    #expect(lab.sees(client.sends(Chunk(heartbeat, length: 1))) == "NEW/o")
    #expect(lab.sees(client.sends(Chunk(heartbeat, length: 400))) == "NEW/o")
  }

  // MARK: Restored

  @Test func restoredAssociationsLearnTheirTags() {
    let lab = established()
    let connection = lab.tracker.connections()[0]
    let fresh = TrackerLab()
    let isRestored = fresh.tracker.restore(connection)
    #expect(isRestored)
    #expect(fresh.entry == "210 ESTABLISHED [ASSURED]")
    #expect(fresh.sees(client.sends(.data, tag: 5)) == "ESTABLISHED/o")
    #expect(fresh.sees(client.sends(.data)) == "INVALID")
    #expect(fresh.sees(client.sends(.data, tag: 5)) == "ESTABLISHED/o")
    #expect(fresh.sees(server.sends(.abort)) == "ESTABLISHED/r")
    #expect(fresh.entry == "10 CLOSED [ASSURED]")
  }
}
