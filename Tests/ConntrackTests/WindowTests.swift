// Window tracking at its edges: what is inside by one byte and outside by one, selective
// acknowledgements, sequence numbers that wrap, and the ways out (liberal, mid-stream).

import PacketForge
import TestLab
import Testing

@Suite struct WindowTests {
  let client: Peer
  let server: Peer
  let lab: TrackerLab

  /// Connected; windows are 64,240 bytes without scaling: the client has sent up to 1001, the server
  /// up to 5001.
  init() {
    lab = TrackerLab(test: "WindowTests")
    (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.synAck())
    lab.sees(client.ack())
  }

  @Test func dataUpToTheWindowsEnd() {
    #expect(lab.sees(client.data(100, seq: 1001 + 64_240 - 100)) == "ESTABLISHED/o")
  }

  @Test func beginningAtTheWindowsEnd() {
    // The first byte not allowed, without data, is still inside.
    #expect(lab.sees(client.ack(seq: 1001 + 64_240)) == "ESTABLISHED/o")
    #expect(lab.lastReason == nil)
  }

  @Test func overshootingByMoreThanTheOtherWindow() {
    #expect(lab.sees(client.ack(seq: 1001 + 2 * 64_240)) == "INVALID")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func acknowledgesWhatWasSent() {
    #expect(lab.sees(server.ack(ack: 1001)) == "ESTABLISHED/r")
    #expect(lab.sees(server.ack(ack: 1002)) == "INVALID")
    _ = lab.sees(client.data(500))
    #expect(lab.sees(server.ack(ack: 1501)) == "ESTABLISHED/r")
    #expect(lab.sees(server.ack(ack: 1502)) == "INVALID")
  }

  @Test func acknowledgementTooLongPast() {
    // The oldest that counts lies 66,000 bytes (more than the window here) before what was sent.
    #expect(lab.sees(client.ack(ack: 5001 &- 66_000)) == "ESTABLISHED/o")
    #expect(lab.sees(client.ack(ack: 5001 &- 66_001)) == "ESTABLISHED/o")
    #expect(lab.lastReason != nil)
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func oldDataAgainIsIgnored() {
    _ = lab.sees(client.data(1000))
    _ = lab.sees(server.ack())
    lab.wait(10)
    #expect(lab.sees(client.data(1000, seq: 1001)) == "ESTABLISHED/o")
    #expect(lab.lastReason == nil)
  }

  /// A connection whose SYNs say `options`, each side's window being 1000 as it stands in the header.
  func connected(
    _ clientOptions: [SegmentOption], _ serverOptions: [SegmentOption]
  ) -> (lab: TrackerLab, client: Peer, server: Peer) {
    let lab = TrackerLab(test: "WindowTests.connected")
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn(win: 1000, options: clientOptions))
    lab.sees(server.synAck(win: 1000, options: serverOptions))
    lab.sees(client.ack(win: 1000))
    return (lab, client, server)
  }

  @Test func theWindowOfASYNIsNeverScaled() {
    let (lab, client, _) = connected([.windowScale(3)], [.windowScale(7)])
    #expect(lab.sees(client.ack(seq: 1001 + 1000)) == "ESTABLISHED/o")
    #expect(lab.lastReason == nil)
    // Beyond, and beyond what the client's own 8000 would forgive.
    #expect(lab.sees(client.ack(seq: 1001 + 1000 + 8000)) == "INVALID")
  }

  @Test func windowsAreScaledByTheirSendersShift() {
    let (lab, client, server) = connected([.windowScale(3)], [.windowScale(7)])
    #expect(lab.sees(server.ack(win: 1000)) == "ESTABLISHED/r")
    #expect(lab.sees(client.ack(seq: 1001 + 128_000, win: 1000)) == "ESTABLISHED/o")
    #expect(lab.lastReason == nil)
    #expect(lab.sees(server.ack(seq: 5001 + 8000, win: 1000)) == "ESTABLISHED/r")
    #expect(lab.lastReason == nil)
  }

  @Test func scalingNeedsBothEnds() {
    let (lab, _, server) = connected([.windowScale(3)], [])
    #expect(lab.sees(server.ack(seq: 5001 + 1000, win: 1000)) == "ESTABLISHED/r")
    #expect(lab.lastReason == nil)
    #expect(lab.sees(server.ack(seq: 5001 + 2001, win: 1000)) == "INVALID")
  }

  @Test func shiftsAbove14CountAs14() {
    let (lab, client, server) = connected([.windowScale(15)], [.windowScale(200)])
    #expect(lab.sees(server.ack(win: 1)) == "ESTABLISHED/r")
    #expect(lab.sees(client.ack(seq: 1001 + 16_384, win: 0)) == "ESTABLISHED/o")
    #expect(lab.lastReason == nil)
  }

  @Test func selectiveAcknowledgements() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn(options: [.sackPermitted]))
    lab.sees(server.synAck(options: [.sackPermitted]))
    lab.sees(client.ack())
    lab.sees(client.data(1000))
    lab.sees(client.data(1000))
    // The second thousand has arrived, the first has not.
    #expect(
      lab.sees(server.ack(ack: 1001, options: [.sack([2001...3001])])) == "ESTABLISHED/r")
    // A block beyond what was sent acknowledges data never seen.
    #expect(
      lab.sees(server.ack(ack: 1001, options: [.sack([2001...3002])])) == "INVALID")
  }

  @Test func aSYNWithoutOptionsKeepsWhatAnEarlierOneAgreedOn() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn(options: [.windowScale(7)]))
    lab.sees(client.syn(seq: 2000))
    lab.sees(server.synAck(ack: 2001, win: 100, options: [.windowScale(2)]))
    lab.sees(client.ack(seq: 2001, win: 100))
    // 100 << 7 bytes from 5001 on.
    lab.sees(server.data(10, seq: 5001 + 12_800, ack: 2001))
    #expect(lab.lastReason == nil)
    lab.sees(server.data(10, seq: 5001 + 13_000, ack: 2001))
    #expect(
      lab.lastReason == .sequenceAboveWindow(sequence: 18_001, end: 18_011, limit: 17_802))
  }

  @Test func selectiveAcknowledgementsNotAgreedOnDoNotCount() {
    _ = lab.sees(client.data(1000))
    #expect(
      lab.sees(server.ack(ack: 1001, options: [.sack([2001...900_000])])) == "ESTABLISHED/r")
  }

  @Test func sequenceNumbersWrap() {
    let lab = TrackerLab()
    let (client, server) = tcp(
      lan, 1000, wan, 80, clientSequence: 0xffff_ff00, serverSequence: 0xffff_fff0)
    lab.sees(client.syn())
    lab.sees(server.synAck())
    lab.sees(client.ack())
    for _ in 0..<4 {
      #expect(lab.sees(client.data(200)) == "ESTABLISHED/o")
      #expect(lab.sees(server.data(30)) == "ESTABLISHED/r")
      #expect(lab.lastReason == nil)
    }
    #expect(lab.sees(client.ack()) == "ESTABLISHED/o")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
    #expect(client.next == 0x221)
    #expect(lab.sees(client.ack(seq: client.next &+ 64_240 &+ 64_240)) == "INVALID")
  }

  @Test func closedWindowTakesAProbe() {
    _ = lab.sees(client.data(100))
    #expect(lab.sees(server.ack(win: 0)) == "ESTABLISHED/r")
    #expect(lab.entry == "300 ESTABLISHED [ASSURED]")
    #expect(lab.sees(client.data(1)) == "ESTABLISHED/o")
  }

  @Test func keepAlive() {
    #expect(lab.sees(client.ack(seq: 1000)) == "ESTABLISHED/o")
    #expect(lab.lastReason == nil)
    #expect(lab.sees(server.ack()) == "ESTABLISHED/r")
  }

  @Test func liberalLetsAllBe() {
    let lab = TrackerLab { $0.tcpBeLiberal = 1 }
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.syn())
    lab.sees(server.synAck())
    lab.sees(client.ack())
    #expect(lab.sees(client.ack(seq: 900_000)) == "ESTABLISHED/o")
    #expect(lab.sees(server.ack(ack: 900_000)) == "ESTABLISHED/r")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func midStreamIsLetBe() {
    let lab = TrackerLab()
    let (client, server) = tcp(lan, 1000, wan, 80)
    lab.sees(client.ack(seq: 10_000, ack: 20_000, win: 100))
    #expect(lab.sees(server.ack(seq: 20_000, ack: 10_000, win: 100)) == "ESTABLISHED/r")
    #expect(lab.sees(client.data(10, seq: 900_000, ack: 20_000)) == "ESTABLISHED/o")
    #expect(lab.entry.hasSuffix("ESTABLISHED [ASSURED]"))
  }

  @Test func retransmissionsShortenTheTimeout() {
    let again = client.ack()
    for round in 1...3 {
      #expect(lab.sees(again) == "ESTABLISHED/o")
      // The ACK of the handshake was the first; its third repetition counts.
      #expect(lab.entry == (round < 3 ? "432000" : "300") + " ESTABLISHED [ASSURED]")
    }
    #expect(lab.sees(server.ack()) == "ESTABLISHED/r")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func aShortenedTimeoutIsNeverLengthened() {
    lab.sees(client.fin())
    lab.sees(server.ack())
    let again = server.ack()
    for _ in 0..<6 { lab.sees(again) }
    // CLOSE_WAIT's 60 s are less than the 300 s of retransmissions.
    #expect(lab.entry == "60 CLOSE_WAIT [ASSURED]")
  }

  @Test func closingOutOfTheWindowFromOneEndDoesNot() {
    lab.sees(client.fin(seq: 900_000))
    lab.sees(client.rst(seq: 900_000))
    lab.sees(client.fin(seq: 900_000))
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
  }

  @Test func fewerBytesThanTheHeaderSays() {
    var packet = client.data(10)
    packet.bytes[32] = 0xf0
    packet.repairChecksums()
    #expect(lab.sees(packet) == "INVALID")
    packet.bytes[32] = 0x40
    packet.repairChecksums()
    #expect(lab.sees(packet) == "INVALID")
  }

  @Test func overshootingByNoMoreThanTheOtherWindowPasses() {
    #expect(lab.sees(client.ack(seq: 1001 + 64_241)) == "ESTABLISHED/o")
    #expect(lab.lastReason != nil)
  }

  @Test func overshootingByTheOtherWindow() {
    #expect(lab.sees(client.ack(seq: 1001 + 2 * 64_240 - 1)) == "ESTABLISHED/o")
    #expect(lab.lastReason != nil)
  }

  @Test func closingOutOfTheWindowFromBothEndsShortensTheTimeout() {
    #expect(lab.sees(client.fin(seq: 900_000)) == "INVALID")
    #expect(lab.entry == "432000 ESTABLISHED [ASSURED]")
    #expect(lab.sees(server.fin(seq: 900_000)) == "INVALID")
    #expect(lab.entry == "300 ESTABLISHED [ASSURED]")
  }
}
