// Fragments nobody sends: 100,000 of them, broken at random, through reassembly and out again. Nothing
// may trap, memory stays bounded, and what leaves are packets.

import Testing
import Wire

@Suite struct ReassemblyMutationTests {
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func nothingTraps(_ seed: UInt64) {
    var storm = FragmentStorm(seed: seed)
    for _ in 0..<20_000 { storm.send() }
    // Not a storm that is turned away at the door.
    #expect(storm.completed > 200, "seed \(seed)")
    #expect(storm.pieces > 400, "seed \(seed)")
    storm.reassembler.expire(now: .max)
    #expect(storm.reassembler.waiting == 0, "seed \(seed)")
  }
}

private struct FragmentStorm: ~Copyable {
  var random: SeededGenerator
  var reassembler = Reassembler(
    ReassemblySettings(ipv4HighThreshold: 40_000, ipv6HighThreshold: 40_000))
  var completed = 0
  var pieces = 0
  private var now: Int64 = 0
  private var packet = PacketBuffer()
  private var scratch = PacketBuffer()

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  private mutating func below(_ bound: Int) -> Int { Int(random.next() % UInt64(bound)) }

  mutating func send() {
    let bytes = fragment()
    _ = packet.assign(bytes.rawSpan)
    var headers = PacketHeaders()
    guard PacketHeaders.decode(packet.bytes, into: &headers) == nil else { return }
    // Mostly forward, sometimes back: a capture's clock.
    now += Int64(below(40)) * 20_000_000 - (below(50) == 0 ? 5_000_000_000 : 0)
    var info: ReassembledInfo?
    switch reassembler.add(&packet, headers: headers, now: now, user: UInt32(below(2))) {
    case .held, .dropped: break
    case .notAFragment: leave(headers, nil)
    case .complete(let reassembled):
      completed += 1
      info = reassembled
      if below(4) == 0 { info?.sizes.pull(below(60) - 20) }
      let drop = PacketHeaders.decode(packet.bytes, into: &headers)
      // Extension headers may be as wrong as they were; lengths and checksum may not.
      #expect(drop == nil && headers.end == packet.count)
      leave(headers, info)
    }
    // 40,000 bytes are room for 217 queues, if they are empty.
    #expect(reassembler.waiting <= 2 * 220)
    if below(200) == 0 {
      while reassembler.takeExpired(now: now, firstFragment: &scratch) != nil {}
    }
  }

  private mutating func leave(_ headers: PacketHeaders, _ info: ReassembledInfo?) {
    let mtu = below(8) == 0 ? below(100) : 68 + below(1500)
    var count = 0
    var valid = true
    let way = Fragmentation.way(headers: headers, mtu: mtu, longestFragment: info?.maxFragmentSize)
    Fragmentation.split(
      packet, headers: headers, mtu: mtu, reassembled: info, identification: 7,
      into: &scratch
    ) { piece in
      count += 1
      var headers = PacketHeaders()
      if way == .pieces { valid = valid && PacketHeaders.decode(piece, into: &headers) == nil }
    }
    pieces += count
    #expect(valid)
  }

  /// One of few packets' fragments, mostly with something wrong.
  private mutating func fragment() -> [UInt8] {
    let family: AddressFamily = below(2) == 0 ? .ipv4 : .ipv6
    let id = below(8)
    let unit = [8, 16, 24, 1480][below(5) == 0 ? below(4) : id % 4]
    let before = family == .ipv4 ? [UInt8](repeating: 1, count: 4 * below(3)) : []
    let offset = below(100) == 0 ? 8 * below(8192) : below(3) * unit
    var bytes = piece(
      family, offset, below(10) == 0 ? below(60) : unit, more: offset < 2 * unit && below(8) > 0,
      id: UInt32(id), trafficClass: below(30) == 0 ? 3 : 2, dontFragment: below(2) == 0,
      next: [17, 6, 58, 60, 44, 43, 59][below(14) % 7], before: before)
    if family == .ipv6, below(4) == 0 {
      // An extension header in front.
      let header: [UInt8] = [44, 0, 1, 4, 0, 0, 0, 0]
      bytes = ipv6Packet([0, 43, 60, 51][below(4)], header + bytes[40...], trafficClass: 0x02)
    }
    if below(3) == 0 { mutate(&bytes) }
    if family == .ipv4 { fixChecksum(&bytes) }
    return bytes
  }

  private mutating func mutate(_ bytes: inout [UInt8]) {
    for _ in 0...below(3) {
      let at = below(min(bytes.count, 56))
      bytes[at] = below(2) == 0 ? UInt8(below(256)) : bytes[at] ^ 1 << UInt8(below(8))
    }
    switch below(6) {
    case 0: bytes.removeLast(below(bytes.count))
    case 1: bytes += [UInt8](repeating: 9, count: below(40))
    default: break
    }
  }

  /// Otherwise nearly all would be refused for it.
  private func fixChecksum(_ bytes: inout [UInt8]) {
    guard let first = bytes.first else { return }
    let length = Int(first & 0xf) * 4
    guard length >= 20, length <= bytes.count else { return }
    bytes[10] = 0
    bytes[11] = 0
    let sum = InternetChecksum.sum(bytes.rawSpan, from: 0, to: length)
    let checksum = InternetChecksum.checksum(sum)
    bytes[10] = UInt8(checksum >> 8)
    bytes[11] = UInt8(checksum & 0xff)
  }
}
