// PPTP under its helper: the GRE flow of a call, its keys, and NAT of both. As Linux 6.18 was seen to do it.

import Conntrack
import PacketForge
import TestLab
import Testing

@Suite struct PPTPHelperTests {
  private let rule = "*raw\n-A PREROUTING -p tcp -m tcp --dport 1723 -j CT --helper pptp\nCOMMIT\n"
  private let masquerade = "*nat\n-A POSTROUTING -o wan0 -j MASQUERADE\nCOMMIT\n"

  /// A control connection, each end as it sees the other, and what it has said so far.
  private final class Session {
    let lab: FirewallLab
    let client: Peer
    let server: Peer
    private var said: (client: UInt32, server: UInt32) = (1001, 5001)

    init(_ rules: String, translated: Bool = false, begins: Bool = true) {
      lab = FirewallLab(rules)
      client = tcp("10.0.1.2", 4000, "198.51.100.2", 1723).client
      server = tcp(translated ? "198.51.100.1" : "10.0.1.2", 4000, "198.51.100.2", 1723).server
      lab.lan(client.syn())
      lab.wan(server.synAck(ack: 1001))
      lab.lan(client.ack(ack: 5001))
      if begins {
        fromClient(1, length: 156, [0x100])
        fromServer(2, length: 156, [0x100, 0x100])
      }
    }

    /// A message: its type, its length and the 16-bit fields behind the header.
    private func message(_ type: UInt8, _ length: Int, _ fields: [UInt16]) -> [UInt8] {
      var bytes: [UInt8] = [0, UInt8(length), 0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0, type, 0, 0]
      for field in fields { bytes += [UInt8(field >> 8), UInt8(field & 255)] }
      return bytes + [UInt8](repeating: 0, count: max(0, length - bytes.count))
    }

    @discardableResult
    func fromClient(_ type: UInt8, length: Int, _ fields: [UInt16]) -> [UInt16] {
      let bytes = message(type, length, fields)
      let seen = lab.lan(client.says(bytes, seq: said.client, ack: said.server))
      said.client += UInt32(bytes.count)
      return numbers(seen)
    }

    @discardableResult
    func fromServer(_ type: UInt8, length: Int, _ fields: [UInt16]) -> [UInt16] {
      let bytes = message(type, length, fields)
      let seen = lab.wan(server.says(bytes, seq: said.server, ack: said.client))
      said.server += UInt32(bytes.count)
      return numbers(seen)
    }

    /// The call's two numbers, as they left.
    private func numbers(_ seen: Seen) -> [UInt16] {
      guard let packet = seen.left.first?.packet, let layout = packet.layout,
        packet.transportChecksumIsRight == true
      else { return [] }
      let at = layout.transport + 20 + 12
      return [packet.bytes.rawSpan.uint16(at: at), packet.bytes.rawSpan.uint16(at: at + 2)]
    }

    func call(_ client: UInt16, _ server: UInt16, known: UInt16? = nil) {
      fromClient(7, length: 168, [client])
      fromServer(8, length: 32, [server, known ?? client, 0x100])
    }

    /// The key of a GRE packet, as it left.
    private func key(_ seen: Seen) -> UInt16? {
      guard let packet = seen.left.first?.packet, let layout = packet.layout else { return nil }
      return packet.bytes.rawSpan.uint16(at: layout.transport + 6)
    }

    func flow(_ key: UInt16) -> Packet {
      Packet(
        47, from: "10.0.1.2", to: "198.51.100.2",
        payload: [0x30, 1, 0x88, 0x0b, 0, 4, UInt8(key >> 8), UInt8(key & 255), 0, 0, 0, 1])
    }
    func answer(_ key: UInt16, to client: Address = "10.0.1.2") -> Packet {
      Packet(
        47, from: "198.51.100.2", to: client,
        payload: [0x30, 1, 0x88, 0x0b, 0, 4, UInt8(key >> 8), UInt8(key & 255), 0, 0, 0, 1])
    }
    @discardableResult func sendsFlow(_ key: UInt16) -> UInt16? { self.key(lab.lan(flow(key))) }
    @discardableResult func answers(_ key: UInt16, to client: Address = "10.0.1.2") -> UInt16? {
      self.key(lab.wan(answer(key, to: client)))
    }

    var flows: [String] { lab.table.filter { $0.hasPrefix("gre") } }
    var keys: [[UInt16]] {
      lab.firewall.tracker.expectations().map { [$0.tuple.sourcePort, $0.tuple.destinationPort] }
    }
  }

  @Test func eitherWayIsExpected() {
    let session = Session(rule)
    session.call(0x11, 0x22)
    #expect(session.keys == [[0x11, 0x22], [0x22, 0x11]])
    #expect(
      session.lab.expectations.first
        == "300 proto=47 src=10.0.1.2 dst=198.51.100.2 srckey=0x11 dstkey=0x22 "
        + "mask-src=255.255.255.255 mask-dst=255.255.255.255 srckey=0xffff dstkey=0xffff "
        + "master-src=10.0.1.2 master-dst=198.51.100.2 sport=4000 dport=1723 class=0 helper=pptp")
    session.answers(0x11)
    #expect(session.keys.isEmpty)
    session.sendsFlow(0x22)
    #expect(
      session.flows == [
        "gre      47 30 src=198.51.100.2 dst=10.0.1.2 srckey=0x22 dstkey=0x11 "
          + "src=10.0.1.2 dst=198.51.100.2 srckey=0x11 dstkey=0x22 mark=0 use=1"
      ])
  }

  @Test func disconnectEndsTheFlow() {
    let session = Session(rule)
    session.call(0x11, 0x22)
    session.sendsFlow(0x22)
    session.fromClient(12, length: 16, [0x11])
    #expect(session.flows.count == 1)
    session.fromServer(13, length: 148, [0x22])
    #expect(session.flows.isEmpty)
    // Nobody knows the source's key any more.
    session.sendsFlow(0x22)
    #expect(session.flows.first?.contains("srckey=0x0 dstkey=0x22") == true)
  }

  @Test func theServerMayCall() {
    let session = Session(rule)
    session.fromServer(9, length: 220, [0x22])
    session.fromClient(10, length: 24, [0x11, 0x22, 0x100])
    #expect(session.keys.isEmpty)
    session.fromServer(11, length: 28, [0x11])
    #expect(session.keys == [[0x11, 0x22], [0x22, 0x11]])
  }

  @Test func onlyAnsweredCallsOfASessionCount() {
    let session = Session(rule, begins: false)
    session.call(0x11, 0x22)
    #expect(session.keys.isEmpty)
    let other = Session(rule)
    other.fromClient(7, length: 168, [0x11])
    other.fromServer(8, length: 32, [0x22, 0x12, 0x100])
    #expect(other.keys.isEmpty)
    other.fromServer(8, length: 32, [0x22, 0x11, 0x200])
    other.fromServer(8, length: 32, [0x22, 0x11, 0x100])
    #expect(other.keys.isEmpty)
  }

  /// One call at a time: what a second would need is not filed.
  @Test func aSecondCallIsNotExpected() {
    let session = Session(rule)
    session.call(0x11, 0x22)
    session.call(0x31, 0x42)
    #expect(session.keys.isEmpty)
    session.sendsFlow(0x22)
    #expect(session.flows.first?.contains("srckey=0x11 dstkey=0x22") == true)
  }

  @Test func theControlConnectionTakesTheFlowAlong() {
    let session = Session(rule)
    session.call(0x11, 0x22)
    session.sendsFlow(0x22)
    session.lab.wait(1)
    session.lab.lan(session.client.rst(seq: 1001 + 156 + 168))
    // Refreshed, the flow outlives the ten seconds of a closed connection, but not the connection.
    session.lab.wait(8)
    session.answers(0x11)
    session.sendsFlow(0x22)
    #expect(session.flows.count == 1)
    session.lab.wait(5)
    #expect(session.lab.table.isEmpty)
  }

  @Test func callsAreTranslated() {
    let session = Session(rule + masquerade, translated: true)
    #expect(session.fromClient(7, length: 168, [0x1111]) == [4000, 0])
    #expect(session.fromServer(8, length: 32, [0x2222, 4000, 0x100]) == [0x2222, 0x1111])
    #expect(session.keys == [[0x1111, 0x2222], [0x2222, 4000]])
    #expect(session.answers(4000, to: "198.51.100.1") == 0x1111)
    #expect(session.sendsFlow(0x2222) == 0x2222)
    #expect(
      session.flows == [
        "gre      47 30 src=198.51.100.2 dst=198.51.100.1 srckey=0x2222 dstkey=0xfa0 "
          + "src=10.0.1.2 dst=198.51.100.2 srckey=0x1111 dstkey=0x2222 mark=0 use=1"
      ])
    #expect(session.fromClient(12, length: 16, [0x1111]) == [4000, 0])
    #expect(session.fromServer(13, length: 148, [0x2222]) == [0x1111, 0])
    #expect(session.flows.isEmpty)
  }
}
