// What the tests of this target share: bytes from hexadecimal text, a generator that repeats itself
// from its seed, and packets that a Linux 6.18 kernel sent.

import Wire

/// The bytes of hexadecimal digits; everything else between them is for the reader's eye.
func hex(_ text: String) -> [UInt8] {
  let digits = text.compactMap(\.hexDigitValue)
  precondition(digits.count % 2 == 0, "half a byte")
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// SplitMix64: every failure prints the seed that repeats it.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
  }

  /// Addresses with many zeros and ones in them, where carries and short forms are.
  mutating func address(_ family: AddressFamily) -> IPAddress {
    func half(_ g: inout SeededGenerator) -> UInt64 {
      let masks: [UInt64] = [
        0, .max, 0xffff, 0xffff_0000, 0xffff << 32, 0xffff << 48, 0xffff_ffff, 0xffff_0000_ffff,
        0xff00_00ff_0f0f_0001,
      ]
      return g.next() & masks[Int(g.next() % 9)]
        | (g.next() % 4 == 0 ? masks[Int(g.next() % 9)] : 0)
    }
    return family == .ipv4
      ? IPAddress(ipv4: UInt32(truncatingIfNeeded: half(&self)))
      : IPAddress(high: half(&self), low: half(&self))
  }
}

/// What `body` reads from the bytes. A span cannot stand in `#expect` itself.
func read<Value>(_ bytes: [UInt8], _ body: (RawSpan) -> Value) -> Value { body(bytes.rawSpan) }

/// The headers of a packet, or why it is dropped.
func decode(_ packet: [UInt8]) -> Result<PacketHeaders, IPDrop> {
  var headers = PacketHeaders()
  if let drop = PacketHeaders.decode(packet.rawSpan, into: &headers) { return .failure(drop) }
  return .success(headers)
}

/// Why a packet is dropped; nil when it is not.
func drop(_ packet: [UInt8]) -> IPDrop? {
  switch decode(packet) {
  case .success: nil
  case .failure(let drop): drop
  }
}

/// Puts the right checksum into an IPv4 header.
func fixed(_ packet: [UInt8]) -> [UInt8] {
  var packet = packet
  let length = min(packet.count, max(20, Int(packet[0] & 0xf) * 4))
  packet.replaceSubrange(10..<12, with: [0, 0])
  let checksum = InternetChecksum.checksum(
    InternetChecksum.sum(packet.rawSpan, from: 0, to: length))
  packet.replaceSubrange(10..<12, with: [UInt8(checksum >> 8), UInt8(checksum & 0xff)])
  return packet
}

/// The same bytes with some written over from `offset` on.
func with(_ packet: [UInt8], _ bytes: [UInt8], at offset: Int) -> [UInt8] {
  var packet = packet
  packet.replaceSubrange(offset..<offset + bytes.count, with: bytes)
  return packet
}

/// Packets that Linux 6.18 sent over a veth pair with checksum offload turned off.
enum KernelMade {
  static let tcpSYN = hex(
    """
    4500003c 7ad04000 40063be8 c0000201 c0000202
    d7ba0050 a2e73f9b 00000000 a002faf0 8bdd0000 020405b4 0402080a 28315a6c 00000000 0103030a
    """)
  static let tcpSYNACK = hex(
    """
    4500003c 00004000 4006b6b8 c0000202 c0000201
    0050d7ba 4c33c740 a2e73f9c a012fe88 a3a60000 020405b4 0402080a abd62543 28315a6c 0103030a
    """)
  static let tcpData = hex(
    """
    45000039 7ad24000 40063be9 c0000201 c0000202
    d7ba0050 a2e73f9c 4c33c741 8018003f 8ce00000 0101080a 28315a6c abd62543 68656c6c 6f
    """)
  static let tcp6Data = hex(
    """
    600fdc3d 00250640 20010db8000000000000000000000001 20010db8000000000000000000000002
    c8120050 3fd175a0 9b2c54be 80180040 17770000 0101080a a0551288 7cc02255 68656c6c 6f
    """)
  static let udp = hex("4500001f 56944000 40116036 c0000201 c0000202 0fa00009 000b98c6 6f6464")
  static let udpWithOptions = hex(
    """
    47000028 56954000 40114d63 c0000201 c0000202 070708c0 00020100
    0fa10009 000c8844 6f707473
    """)
  static let udp6 = hex(
    """
    6008ee60 000b1140 20010db8000000000000000000000001 20010db8000000000000000000000002
    0fa00009 000bc155 6f6464
    """)
  /// About `udp`.
  static let portUnreachable = hex(
    """
    45c0003b 514d0000 4001a4b1 c0000202 c0000201 0303811d 00000000
    4500001f 56944000 40116036 c0000201 c0000202 0fa00009 000b98c6 6f6464
    """)
  /// About `udp6`.
  static let portUnreachable6 = hex(
    """
    600eda0a 003b3a40 20010db8000000000000000000000002 20010db8000000000000000000000001
    01044379 00000000
    6008ee60 000b1140 20010db8000000000000000000000001 20010db8000000000000000000000002
    0fa00009 000bc155 6f6464
    """)
  static let echoRequest = hex(
    """
    45280030 00004000 0901eda1 c0000201 c0000202
    08000ea6 02760001 5690056b 00000000 67c30100 00000000 10111213
    """)
  static let echoReply6 = hex(
    """
    60052369 001d3a40 20010db8000000000000000000000002 20010db8000000000000000000000001
    81004aef 02730001 5690056b 00000000 42b00100 00000000 10111213 14
    """)
  /// A multicast listener report, with a router alert in hop-by-hop options.
  static let listenerReport = hex(
    """
    60000000 00240001 fe80000000000000000000fffe000001 ff020000000000000000000000000016
    3a000502 00000100 8f007207 00000001 04000000 ff0200000000000000000001ff000001
    """)

  static let all = [
    tcpSYN, tcpSYNACK, tcpData, tcp6Data, udp, udpWithOptions, udp6, portUnreachable,
    portUnreachable6, echoRequest, echoReply6, listenerReport,
  ]
}
