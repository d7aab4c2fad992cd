// Checksums the slow and plain way, word by word from the RFCs: what tests hold the library's own
// against, and what fuzzing repairs mutated packets with.

import Wire

/// The ones' complement sum of 16-bit words (RFC 1071), not complemented.
public func onesSum(_ bytes: some Collection<UInt8>) -> UInt16 {
  var sum: UInt32 = 0
  var high = true
  for byte in bytes {
    sum += high ? UInt32(byte) << 8 : UInt32(byte)
    high.toggle()
    if sum > 0xffff { sum -= 0xffff }
  }
  return UInt16(sum)
}

/// Where the transport header of a packet is, as far as building and checking needs it.
public struct Layout: Hashable, Sendable {
  public var family: AddressFamily
  public var source: [UInt8]
  public var destination: [UInt8]
  public var transportProtocol: UInt8
  public var transport: Int
  public var end: Int
  public var isFragment = false
}

extension Packet {
  /// Reads as much of the headers as checksums need; nil where they do not hold together.
  public var layout: Layout? { Packet.layout(of: bytes[...]) }

  static func layout(of bytes: ArraySlice<UInt8>) -> Layout? {
    let start = bytes.startIndex
    let count = bytes.count
    func word(_ offset: Int) -> Int {
      Int(bytes[start + offset]) << 8 | Int(bytes[start + offset + 1])
    }
    guard count >= 20 else { return nil }
    switch bytes[start] >> 4 {
    case 4:
      let header = Int(bytes[start] & 15) * 4
      let total = word(2)
      guard header >= 20, total >= header, total <= count else { return nil }
      return Layout(
        family: .ipv4, source: Array(bytes[start + 12..<start + 16]),
        destination: Array(bytes[start + 16..<start + 20]),
        transportProtocol: bytes[start + 9], transport: header, end: total,
        isFragment: word(6) & 0x3fff != 0)
    case 6:
      guard count >= 40 else { return nil }
      let end = 40 + word(4)
      guard end <= count else { return nil }
      var layout = Layout(
        family: .ipv6, source: Array(bytes[start + 8..<start + 24]),
        destination: Array(bytes[start + 24..<start + 40]),
        transportProtocol: bytes[start + 6], transport: 40, end: end)
      while [0, 43, 44, 60].contains(layout.transportProtocol) {
        guard layout.transport + 8 <= end else { return nil }
        let length =
          layout.transportProtocol == 44
          ? 8 : (Int(bytes[start + layout.transport + 1]) + 1) * 8
        if layout.transportProtocol == 44 && word(layout.transport + 2) & 0xfff9 != 0 {
          layout.isFragment = true
        }
        layout.transportProtocol = bytes[start + layout.transport]
        layout.transport += length
      }
      return layout.transport <= end ? layout : nil
    default: return nil
    }
  }

  /// The checksum field of the transport header, for protocols whose checksum tests know.
  private static func checksumOffset(_ layout: Layout) -> Int? {
    let (offset, header): (Int, Int)
    switch (layout.transportProtocol, layout.family) {
    case (IPProtocolNumber.tcp, _): (offset, header) = (16, 20)
    case (IPProtocolNumber.udp, _): (offset, header) = (6, 8)
    case (IPProtocolNumber.icmp, .ipv4), (IPProtocolNumber.icmpv6, .ipv6):
      (offset, header) = (2, 4)
    default: return nil
    }
    guard !layout.isFragment, layout.transport + header <= layout.end else { return nil }
    return layout.transport + offset
  }

  private func transportSum(_ layout: Layout) -> UInt16 {
    var covered: [UInt8] = []
    if layout.transportProtocol != IPProtocolNumber.icmp {
      covered = layout.source + layout.destination
      covered += bigEndian(UInt32(layout.end - layout.transport))
      covered += [0, 0, 0, layout.transportProtocol]
    }
    return onesSum(covered + bytes[layout.transport..<layout.end])
  }

  /// Whether the transport checksum is right. Nil where there is none that tests know: another
  /// protocol, a fragment, a UDP checksum of 0.
  public var transportChecksumIsRight: Bool? {
    guard let layout, let offset = Packet.checksumOffset(layout) else { return nil }
    if layout.transportProtocol == IPProtocolNumber.udp && bytes[offset] == 0
      && bytes[offset + 1] == 0
    {
      return nil
    }
    let sum = transportSum(layout)
    // A message of nothing but zeros adds up to the other zero, which the kernel's own arithmetic
    // makes of it when NAT rewrites it.
    return sum == 0xffff || sum == 0
  }

  /// Whether the IPv4 header's checksum is right; true for IPv6.
  public var headerChecksumIsRight: Bool {
    guard bytes.count >= 20, bytes[0] >> 4 == 4 else { return true }
    let header = min(Int(bytes[0] & 15) * 4, bytes.count)
    return onesSum(bytes[..<header]) == 0xffff
  }

  /// Puts right the checksums of the IPv4 header and of the transport header.
  public mutating func repairChecksums() {
    if bytes.count >= 20, bytes[0] >> 4 == 4 {
      let header = Int(bytes[0] & 15) * 4
      if header >= 20 && header <= bytes.count {
        store(0, at: 10)
        store(~onesSum(bytes[..<header]), at: 10)
      }
    }
    guard let layout, let offset = Packet.checksumOffset(layout) else { return }
    store(0, at: offset)
    let checksum = ~transportSum(layout)
    store(
      checksum == 0 && layout.transportProtocol == IPProtocolNumber.udp ? 0xffff : checksum,
      at: offset)
  }

  mutating func store(_ word: UInt16, at offset: Int) {
    bytes[offset] = UInt8(word >> 8)
    bytes[offset + 1] = UInt8(word & 0xff)
  }
}
