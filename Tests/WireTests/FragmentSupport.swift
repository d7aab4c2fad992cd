// What the tests of reassembly and fragmentation share: fragments, a reassembler to feed them to,
// and what leaves again.

import Wire

/// A fragment of packet `id` from a client to a server. Its data is, for each unit of 8 bytes, the
/// unit's number in the whole packet, so that a packet shows what it was made of.
func piece(
  _ family: AddressFamily, _ offset: Int, _ length: Int, more: Bool, id: UInt32 = 7,
  fill: UInt8? = nil, trafficClass: UInt8 = 0, dontFragment: Bool = false, hopLimit: UInt8 = 64,
  next: UInt8 = 17, before: [UInt8] = [], firstHeader: UInt8 = 44, client: UInt8 = 1
) -> [UInt8] {
  let data = (0..<length).map { fill ?? UInt8(truncatingIfNeeded: (offset + $0) / 8) }
  func pair(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 0xff), UInt8(value & 0xff)] }
  switch family {
  case .ipv4:
    let headerLength = 20 + before.count
    let word = offset / 8 | (more ? 0x2000 : 0) | (dontFragment ? 0x4000 : 0)
    var header: [UInt8] = [0x40 | UInt8(headerLength / 4), trafficClass]
    header += pair(headerLength + length) + pair(Int(id & 0xffff)) + pair(word)
    header += [hopLimit, next, 0, 0, 192, 0, 2, client, 203, 0, 113, 9] + before
    let sum = InternetChecksum.sum(header.rawSpan)
    header.replaceSubrange(10..<12, with: pair(Int(InternetChecksum.checksum(sum))))
    return header + data
  case .ipv6:
    let fragment = [next, 0] + pair(offset | (more ? 1 : 0)) + pair(Int(id >> 16)) + pair(Int(id))
    return ipv6Packet(
      firstHeader, before + fragment + data, trafficClass: trafficClass, hopLimit: hopLimit)
  }
}

/// An IPv6 packet between the same two with these bytes behind its header.
func ipv6Packet(
  _ next: UInt8, _ payload: [UInt8], trafficClass: UInt8 = 0, hopLimit: UInt8 = 64
) -> [UInt8] {
  var bytes: [UInt8] = [0x60 | trafficClass >> 4, trafficClass << 4, 0, 0]
  bytes += [UInt8(payload.count >> 8), UInt8(payload.count & 0xff), next, hopLimit]
  for network: UInt8 in [1, 2] {
    bytes += [0x20, 1, 0x0d, 0xb8, 0, network, 0, 0, 0, 0, 0, 0, 0, 0, 0, network]
  }
  return bytes + payload
}

/// A whole IPv4 packet of so many bytes of data.
func wholePacket(_ length: Int, dontFragment: Bool = false, options: [UInt8] = []) -> [UInt8] {
  piece(.ipv4, 0, length, more: false, dontFragment: dontFragment, next: 200, before: options)
}

/// A packet cut into pieces of these lengths.
func pieces(
  _ family: AddressFamily, _ lengths: [Int], dontFragment: [Bool] = []
) -> [[UInt8]] {
  var offset = 0
  return lengths.enumerated().map { index, length in
    defer { offset += length }
    return piece(
      family, offset, length, more: index < lengths.count - 1,
      dontFragment: index < dontFragment.count && dontFragment[index], next: 200)
  }
}

/// The headers of a packet that has good ones.
func headersOf(_ bytes: [UInt8]) -> PacketHeaders {
  var headers = PacketHeaders()
  let drop = PacketHeaders.decode(bytes.rawSpan, into: &headers)
  precondition(drop == nil, "\(drop!.text)")
  return headers
}

/// A reassembler, fed packet by packet; what it says, in a word.
struct ReassemblyBench: ~Copyable {
  var reassembler: Reassembler
  var packet = PacketBuffer()
  var info: ReassembledInfo?
  var now: Int64 = 0

  init(_ settings: ReassemblySettings = ReassemblySettings()) {
    reassembler = Reassembler(settings)
  }

  mutating func send(_ bytes: [UInt8], user: UInt32 = 0) -> String {
    _ = packet.assign(bytes.rawSpan)
    info = nil
    switch reassembler.add(&packet, headers: headersOf(bytes), now: now, user: user) {
    case .notAFragment: return "passed"
    case .held: return "held"
    case .dropped(let reason): return "\(reason)"
    case .complete(let info):
      self.info = info
      return "complete"
    }
  }

  /// What each of these packets gets for an answer.
  mutating func send(all packets: [[UInt8]]) -> [String] {
    var answers: [String] = []
    for packet in packets { answers.append(send(packet)) }
    return answers
  }

  /// The packet's bytes.
  var bytes: [UInt8] { packet.bytes.array }

  /// The number of every unit of data of the packet put together.
  var units: [UInt8] {
    let headers = headersOf(bytes)
    let start = headers.networkHeaderLength
    return stride(from: start, to: headers.end, by: 8).map { packet.uint8(at: $0) }
  }
}

/// How a packet left: `whole`, `too big`, or what `Fragmentation.split` made of it.
func leave(
  _ bytes: [UInt8], mtu: Int, _ reassembled: ReassembledInfo? = nil
) -> (way: Fragmentation.Way, packets: [[UInt8]]) {
  let headers = headersOf(bytes)
  let way = Fragmentation.way(
    headers: headers, mtu: mtu, longestFragment: reassembled?.maxFragmentSize)
  guard way == .pieces else { return (way, []) }
  var scratch = PacketBuffer()
  var packets: [[UInt8]] = []
  Fragmentation.split(
    bytes.rawSpan, headers: headers, mtu: mtu, reassembled: reassembled,
    identification: 0xabcd_ef01, into: &scratch
  ) { packets.append($0.array) }
  return (way, packets)
}

/// Of each fragment: offset, length of data, `D` for DF, `+` when more follow.
func shape(_ packets: [[UInt8]]) -> [String] {
  packets.map { bytes in
    let headers = headersOf(bytes)
    let header =
      headers.family == .ipv4
      ? headers.networkHeaderLength
      : headers.fragmentHeaderOffset + IPv6Field.fragmentHeaderLength
    let flags = (headers.dontFragment ? "D" : "") + (headers.moreFragments ? "+" : "")
    return "\(headers.fragmentOffset):\(headers.end - header)\(flags)"
  }
}
