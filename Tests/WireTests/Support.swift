// What the tests of `Wire` share: bytes written as hexadecimal text, a seeded generator, and short
// words for the packets they send.

import Wire

/// The bytes of hexadecimal text; spaces and line breaks are only for the reader.
func hex(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }.map { UInt8(String($0), radix: 16)! }
  precondition(digits.count % 2 == 0)
  return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

/// A generator whose seed is printed by whatever fails.
struct SplitMix64: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z >> 31
  }

  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  /// True with a chance of one in `n`.
  mutating func oneIn(_ n: Int) -> Bool { below(n) == 0 }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }
}

extension PacketBuffer {
  init(_ bytes: [UInt8]) {
    self.init(capacity: max(bytes.count, 16))
    _ = assign(bytes.span.octets)
  }

  /// The bytes in use, to be compared.
  var array: [UInt8] { (0..<count).map { uint8(at: $0) } }
}

extension RawSpan {
  var array: [UInt8] { (0..<byteCount).map { uint8(at: $0) } }
}

/// A header read from an array; `#expect` cannot hold a span.
func read<Header>(
  _ make: (RawSpan, Int, Int) -> Header?, _ bytes: [UInt8], at offset: Int, end: Int
) -> Header? {
  make(bytes.span.octets, offset, end)
}

/// An address from text that is known to be one.
func address(_ text: String) -> IPAddress { IPAddress.parse(text)!.0 }

let client4 = address("192.0.2.1")
let server4 = address("203.0.113.9")
let client6 = address("2001:db8:1::1")
let server6 = address("2001:db8:2::9")

/// From the client to the server.
func fields(_ family: AddressFamily) -> IPFields {
  family == .ipv4
    ? IPFields(.ipv4, from: client4, to: server4)
    : IPFields(.ipv6, from: client6, to: server6)
}

/// A UDP datagram from the client to the server.
func udp(
  _ family: AddressFamily = .ipv4, payload: [UInt8] = [1, 2, 3, 4, 5],
  _ change: (inout IPFields) -> Void = { _ in }
) -> [UInt8] {
  var ip = fields(family)
  change(&ip)
  var packet = PacketBuffer()
  precondition(packet.buildUDP(ip, from: 1, to: 2, payload: payload.span.octets))
  return packet.array
}

/// `bytes` with the IPv4 header checksum made right.
func withHeaderChecksum(_ bytes: [UInt8]) -> [UInt8] {
  var packet = PacketBuffer(bytes)
  packet.updateIPv4HeaderChecksum()
  return packet.array
}

/// An IPv6 packet of the client to the server with these bytes behind the header.
func ipv6(
  next: UInt8, _ payload: [UInt8], length: Int? = nil, source: IPAddress = client6,
  destination: IPAddress = server6
) -> [UInt8] {
  var packet = PacketBuffer()
  let ip = IPFields(.ipv6, from: source, to: destination)
  precondition(packet.buildIP(ip, transportProtocol: next, payload: payload.span.octets))
  if let length { packet.store16(UInt16(length), at: IPv6Field.payloadLength) }
  return packet.array
}

/// The headers of a packet, or why it is dropped.
func decode(_ bytes: [UInt8]) -> Result<PacketHeaders, IPDrop> {
  var headers = PacketHeaders()
  if let drop = PacketHeaders.decode(bytes.span.octets, into: &headers) { return .failure(drop) }
  return .success(headers)
}

func drop(_ bytes: [UInt8]) -> IPDrop? {
  guard case .failure(let drop) = decode(bytes) else { return nil }
  return drop
}
