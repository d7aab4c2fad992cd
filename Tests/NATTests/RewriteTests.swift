// Rewriting against packets built anew with the translated ends: byte for byte the same, checksums
// and all, both ways, both families, and errors with what they quote. Seeded.

import Conntrack
import NAT
import PacketForge
import TestLab
import Testing
import Wire

@Suite struct RewriteTests {
  struct Random {
    private var generator: SeededGenerator
    init(_ seed: UInt64) { generator = SeededGenerator(seed: seed) }
    mutating func below(_ limit: Int) -> Int { Int(generator.next() % UInt64(limit)) }
    mutating func bytes(_ most: Int) -> [UInt8] {
      (0..<below(most)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }
    mutating func address(_ family: AddressFamily) -> Address {
      family == .ipv4
        ? Address("\(1 + below(220)).\(below(256)).\(below(256)).\(1 + below(254))")
        : Address(
          "2001:db8:\(String(below(65536), radix: 16))::\(String(1 + below(65535), radix: 16))")
    }
  }

  /// A packet of one of the protocols NAT knows ports of, between two ends.
  func packet(
    _ kind: Int, _ source: Socket, _ destination: Socket, isReply: Bool, _ data: [UInt8],
    _ fields: HeaderFields
  ) -> Packet {
    switch kind {
    case 0:
      let (client, _) = tcp(
        source.address, source.port, destination.address, destination.port,
        clientSequence: isReply ? 5000 : 1000)
      var sender = client
      sender.fields = fields
      return isReply ? sender.synAck(seq: 5000, ack: 1001) : sender.syn()
    case 1: return source.udp(to: destination, data, fields)
    case 2: return source.udp(to: destination, data, fields, checksum: 0)
    default:
      let isIPv4 = source.address.family == .ipv4
      let type: UInt8 = isIPv4 ? (isReply ? 0 : 8) : (isReply ? 129 : 128)
      let id = isReply ? destination.port : source.port
      return .icmp(
        type, rest: UInt32(id) << 16 | 1, from: source.address, to: destination.address, fields,
        data: data)
    }
  }

  /// Sends `packet` through both NAT hooks of a way, in their order.
  func translated(_ packet: Packet, _ lab: TrackerLab, _ bind: (ConnectionNumber) -> Void)
    -> Packet?
  {
    let tracking = lab.track(packet)
    guard !tracking.connection.isNone else { return nil }
    if tracking.isUnconfirmed { bind(tracking.connection) }
    var buffer = PacketBuffer()
    var headers = PacketHeaders()
    guard buffer.assign(packet.bytes.rawSpan),
      PacketHeaders.decode(buffer.bytes, into: &headers) == nil
    else { return nil }
    for kind in [NATKind.destination, .source] {
      let isDone =
        tracking.state == .related
        ? NATRewriter.rewriteError(&buffer, &headers, lab.tracker, tracking, kind)
        : NATRewriter.rewrite(&buffer, &headers, lab.tracker, tracking, kind)
      guard isDone else { return nil }
    }
    _ = lab.tracker.finish(tracking, passed: true)
    return Packet(bytes: buffer.bytes.array)
  }

  @Test(arguments: UInt64(1)...300)
  func bothWays(seed: UInt64) throws {
    var random = Random(seed)
    let family: AddressFamily = random.below(2) == 0 ? .ipv4 : .ipv6
    let kind = random.below(4)
    func end(_ port: Int) -> Socket { Socket(random.address(family), UInt16(port)) }
    let client = end(random.below(65536))
    let asked = end(random.below(65536))
    var seenAs = end(1024 + random.below(60000))
    var server = end(1 + random.below(65535))
    // The id of an echo stands for both ports.
    if kind == 3 {
      server.port = asked.port
      seenAs.port = client.port
    }
    let isFixedPort = kind != 3
    let lab = TrackerLab(seed: seed)
    let data = random.bytes(60)
    let fields = HeaderFields(tos: UInt8(random.below(256)), id: UInt16(random.below(65536)))
    func range(_ end: Socket) -> NATRange {
      isFixedPort ? ports(end.address, end.port...end.port) : addresses(end.address)
    }

    let question = packet(kind, client, asked, isReply: false, data, fields)
    let outside = try #require(
      translated(question, lab) {
        lab.tracker.bind($0, .destination, to: range(server))
        lab.tracker.bind($0, .source, to: range(seenAs))
      })
    #expect(outside == packet(kind, seenAs, server, isReply: false, data, fields))
    #expect(outside.transportChecksumIsRight != false)

    let answer = packet(kind, server, seenAs, isReply: true, data, fields)
    let inside = try #require(translated(answer, lab) { _ in })
    #expect(inside == packet(kind, asked, client, isReply: true, data, fields))

    // Errors about either, whole or cut down to what RFC 792 asks for.
    let (type, code): (UInt8, UInt8) = family == .ipv4 ? (3, 3) : (1, 4)
    let quoted = (family == .ipv4 ? 28 : 48) + (random.below(2) == 0 ? 0 : 400)
    let hop = random.address(family)
    let error = Packet.error(
      type, code, about: outside, from: hop, to: seenAs.address, quoting: quoted)
    // Whoever sent it, it comes in the name of whom the client asked.
    let expected = Packet.error(
      type, code, about: question, from: asked.address, to: client.address, quoting: quoted)
    #expect(translated(error, lab) { _ in } == expected)

    let errorBack = Packet.error(
      type, code, about: inside, from: client.address, to: asked.address, quoting: quoted)
    let expectedBack = Packet.error(
      type, code, about: answer, from: seenAs.address, to: server.address, quoting: quoted)
    #expect(translated(errorBack, lab) { _ in } == expectedBack)
  }

  @Test func aDamagedErrorIsDropped() throws {
    let lab = TrackerLab { $0.checksum = 0 }
    let datagram = Socket("10.0.1.2", 1000).udp(to: wanServer)
    let outside = try #require(
      translated(datagram, lab) { lab.tracker.bind($0, .source, to: addresses(router)) })
    let error = Packet.error(3, 3, about: outside, from: "198.51.100.2", to: router)
    #expect(translated(error.damaged(at: 40), lab) { _ in } == nil)
    #expect(translated(error, lab) { _ in } != nil)
  }

  @Test func redirectsOfTranslatedConnectionsAreDropped() throws {
    let lab = TrackerLab()
    let datagram = Socket("10.0.1.2", 1000).udp(to: wanServer)
    let outside = try #require(
      translated(datagram, lab) {
        lab.tracker.bind($0, .destination, to: nil)
        lab.tracker.bind($0, .source, to: addresses(router))
      })
    #expect(
      translated(.error(5, 1, about: outside, from: "198.51.100.254", to: router), lab) { _ in }
        == nil)
  }
}
