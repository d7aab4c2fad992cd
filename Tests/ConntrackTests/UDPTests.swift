// UDP and everything without a handshake: unreplied, replied, a stream after two seconds.

import Conntrack
import PacketForge
import TestLab
import Testing

@Suite struct UDPTests {
  let client = Socket(lan, 1000)
  let server = Socket(wan, 53)

  @Test func streamAfterTwoSeconds() {
    let lab = TrackerLab()
    #expect(lab.sees(client.udp(to: server)) == "NEW/o")
    #expect(lab.entry == "30 [UNREPLIED]")
    #expect(lab.sees(client.udp(to: server)) == "NEW/o")
    #expect(lab.sees(server.udp(to: client)) == "ESTABLISHED/r")
    #expect(lab.entry == "30")
    lab.wait(1.5)
    #expect(lab.sees(client.udp(to: server)) == "ESTABLISHED/o")
    #expect(lab.entry == "30")
    lab.wait(0.6)
    #expect(lab.sees(client.udp(to: server)) == "ESTABLISHED/o")
    #expect(lab.entry == "120 [ASSURED]")
    #expect(
      lab.heard().map { String($0.prefix(23)) } == [
        "    [NEW] udp      17 3", " [UPDATE] udp      17 3", " [UPDATE] udp      17 1",
      ])
  }

  @Test func replyAloneAfterTwoSecondsIsNoStream() {
    let lab = TrackerLab()
    lab.sees(client.udp(to: server))
    lab.wait(2.5)
    // The reply itself finds a flow that has not been answered yet.
    #expect(lab.sees(server.udp(to: client)) == "ESTABLISHED/r")
    #expect(lab.entry == "30")
    #expect(lab.sees(client.udp(to: server)) == "ESTABLISHED/o")
    #expect(lab.entry == "120 [ASSURED]")
  }

  @Test func oldKernelsTakeTheFirstPacketAfterTheReply() {
    let lab = TrackerLab { $0.udpStreamDelay = 0 }
    lab.sees(client.udp(to: server))
    lab.sees(server.udp(to: client))
    #expect(lab.entry == "30")
    lab.sees(client.udp(to: server))
    #expect(lab.entry == "120 [ASSURED]")
  }

  @Test func expiryIsTold() {
    let lab = TrackerLab()
    lab.sees(client.udp(to: server))
    _ = lab.heard()
    lab.wait(nanoseconds: 30_000_000_000 - 1)
    #expect(lab.entry == "0 [UNREPLIED]")
    lab.wait(nanoseconds: 1)
    #expect(lab.table.isEmpty)
    // It is told within a tick of the timer wheel.
    lab.wait(nanoseconds: 1 << 20)
    #expect(
      lab.heard() == [
        "[DESTROY] udp      17 src=10.0.1.2 dst=198.51.100.2 sport=1000 dport=53 [UNREPLIED] "
          + "src=198.51.100.2 dst=10.0.1.2 sport=53 dport=1000"
      ])
  }

  @Test func aDroppedFirstPacketLeavesNothing() {
    let lab = TrackerLab()
    #expect(lab.drops(client.udp(to: server)) == "NEW/o")
    #expect(lab.table.isEmpty)
    #expect(lab.heard().isEmpty)
    #expect(lab.tracker.count == 0)
  }

  // MARK: What is INVALID

  @Test func checksums() {
    let lab = TrackerLab()
    #expect(lab.sees(client.udp(to: server).damaged(at: 30)) == "INVALID")
    #expect(lab.sees(client.udp(to: server, checksum: 0)) == "NEW/o")
    let lab6 = TrackerLab()
    let client6 = Socket("fd00:1::2", 1000)
    let server6 = Socket("2001:db8:9::2", 53)
    #expect(lab6.sees(client6.udp(to: server6, checksum: 0)) == "NEW/o")
    #expect(lab6.sees(client6.udp(to: server6).damaged(at: 50)) == "INVALID")
  }

  @Test func checksumsUnchecked() {
    let lab = TrackerLab { $0.checksum = 0 }
    #expect(lab.sees(client.udp(to: server).damaged(at: 30)) == "NEW/o")
  }

  @Test func theHostsOwnChecksumsAreNotLookedAt() {
    let lab = TrackerLab()
    #expect(lab.sends(client.udp(to: server).damaged(at: 30)) == "NEW/o")
  }

  @Test(arguments: [0, 7, 14, 9999])
  func lengthFieldsThatDoNotFit(length: UInt16) {
    let lab = TrackerLab()
    var packet = client.udp(to: server)
    packet.bytes[24] = UInt8(length >> 8)
    packet.bytes[25] = UInt8(length & 0xff)
    packet.repairChecksums()
    #expect(lab.sees(packet) == "INVALID")
  }

  @Test func aShorterLengthFieldIsFine() {
    let lab = TrackerLab()
    var packet = client.udp(to: server)
    packet.bytes[25] = 9
    // The checksum covers all of the IP payload, whatever the field says (ANSWERS, 6).
    let whole = packet.bytes[12..<20] + [0, 17, 0, UInt8(packet.bytes.count - 20)]
    packet.bytes[26] = 0
    packet.bytes[27] = 0
    let sum = ~onesSum(Array(whole) + packet.bytes[20...])
    packet.bytes[26] = UInt8(sum >> 8)
    packet.bytes[27] = UInt8(sum & 0xff)
    #expect(lab.sees(packet) == "NEW/o")
  }

  @Test func tooShort() {
    let lab = TrackerLab()
    #expect(lab.sees(client.udp(to: server).cut(to: 27)) == "INVALID")
  }

  // MARK: Other protocols

  @Test func protocolsWithoutPorts() {
    let lab = TrackerLab()
    #expect(lab.sees(Packet(50, from: lan, to: wan, payload: [1, 2, 3, 4])) == "NEW/o")
    #expect(
      lab.table == [
        "unknown  50 600 src=10.0.1.2 dst=198.51.100.2 [UNREPLIED] src=198.51.100.2 "
          + "dst=10.0.1.2 mark=0 use=1"
      ])
    #expect(lab.sees(Packet(50, from: wan, to: lan, payload: [])) == "ESTABLISHED/r")
    #expect(lab.entry == "600")
  }

  @Test func gre() {
    let lab = TrackerLab()
    #expect(lab.sees(Packet(47, from: lan, to: wan, payload: [0, 0, 8, 0])) == "NEW/o")
    #expect(
      lab.table == [
        "gre      47 30 src=10.0.1.2 dst=198.51.100.2 srckey=0x0 dstkey=0x0 [UNREPLIED] "
          + "src=198.51.100.2 dst=10.0.1.2 srckey=0x0 dstkey=0x0 mark=0 use=1"
      ])
    #expect(lab.sees(Packet(47, from: wan, to: lan, payload: [0, 0, 8, 0])) == "ESTABLISHED/r")
    #expect(lab.sees(Packet(47, from: lan, to: wan, payload: [0, 0, 8, 0])) == "ESTABLISHED/o")
    #expect(lab.entry == "180 [ASSURED]")
  }

  @Test func udpLiteIsAStreamAtOnce() {
    let lab = TrackerLab { $0.checksum = 0 }
    let ports: ([UInt8], [UInt8]) = ([3, 0xe8, 0, 53, 0, 8, 1, 1], [0, 53, 3, 0xe8, 0, 8, 1, 1])
    #expect(lab.sees(Packet(136, from: lan, to: wan, payload: ports.0)) == "NEW/o")
    #expect(lab.sees(Packet(136, from: wan, to: lan, payload: ports.1)) == "ESTABLISHED/r")
    #expect(lab.entry == "30")
    #expect(lab.sees(Packet(136, from: lan, to: wan, payload: ports.0)) == "ESTABLISHED/o")
    #expect(lab.entry == "120 [ASSURED]")
  }

  /// PPTP's GRE: version 1, carrying PPP, with the receiver's call id behind its length.
  static func pptp(call: UInt8, payloadProtocol: UInt8 = 0x0b) -> [UInt8] {
    [0x30, 0x01, 0x88, payloadProtocol, 0, 4, 0, call, 0, 0, 0, 0]
  }

  @Test func pptpCallsAreToldApart() {
    let lab = TrackerLab()
    #expect(lab.sees(Packet(47, from: lan, to: wan, payload: Self.pptp(call: 7))) == "NEW/o")
    #expect(
      lab.table == [
        "gre      47 30 src=10.0.1.2 dst=198.51.100.2 srckey=0x0 dstkey=0x7 [UNREPLIED] "
          + "src=198.51.100.2 dst=10.0.1.2 srckey=0x7 dstkey=0x0 mark=0 use=1"
      ])
    #expect(lab.sees(Packet(47, from: lan, to: wan, payload: Self.pptp(call: 8))) == "NEW/o")
    #expect(lab.table.count == 2)
    // The other end names another call: to conntrack without a helper, another connection.
    #expect(lab.sees(Packet(47, from: wan, to: lan, payload: Self.pptp(call: 7))) == "NEW/o")
    #expect(lab.table.count == 3)
  }

  @Test func pptpCarriesPPP() {
    let lab = TrackerLab()
    #expect(
      lab.sees(Packet(47, from: lan, to: wan, payload: Self.pptp(call: 7, payloadProtocol: 0)))
        == "INVALID")
    #expect(lab.lastReason == .greNotPPTP)
    // Too short to name a call.
    #expect(lab.sees(Packet(47, from: lan, to: wan, payload: [0x30, 1, 8, 0, 0, 4, 0])) == "NEW/o")
    #expect(lab.table.first?.contains("srckey=0x0 dstkey=0x0") == true)
  }

  @Test func aHostThatTalksToItselfAnswersItself() {
    let lab = TrackerLab()
    #expect(lab.sees(Packet(94, from: wan, to: wan, payload: [1])) == "NEW/o")
    #expect(lab.sees(Packet(94, from: wan, to: wan, payload: [1])) == "ESTABLISHED/r")
    lab.wait(601)
    #expect(lab.table.isEmpty)
    #expect(lab.sees(Packet(94, from: wan, to: wan, payload: [1])) == "NEW/o")
  }
}
