// Packets built from the IP header up, by name, for tests that read like what they send.

import Wire

/// What an IP header says beside addresses and protocol.
public struct HeaderFields: Hashable, Sendable {
  public var timeToLive: UInt8 = 64
  /// TOS or traffic class.
  public var trafficClass: UInt8 = 0
  public var identification: UInt16 = 0
  public var dontFragment = false
  public var moreFragments = false
  /// Bytes, a multiple of 8.
  public var fragmentOffset = 0
  /// IPv4 options, a multiple of 4 bytes.
  public var options: [UInt8] = []
  /// IPv6: 20 bits.
  public var flowLabel: UInt32 = 0

  public init(
    ttl: UInt8 = 64, tos: UInt8 = 0, id: UInt16 = 0, df: Bool = false, options: [UInt8] = [],
    flowLabel: UInt32 = 0
  ) {
    timeToLive = ttl
    trafficClass = tos
    identification = id
    dontFragment = df
    self.options = options
    self.flowLabel = flowLabel
  }
}

/// One packet, from its IP header on.
public struct Packet: Hashable, Sendable, CustomStringConvertible {
  public var bytes: [UInt8]

  public init(bytes: [UInt8]) { self.bytes = bytes }

  public var family: AddressFamily { bytes.first.map { $0 >> 4 == 6 } == true ? .ipv6 : .ipv4 }
  public var description: String { hexText(bytes) }

  /// A packet of protocol `number`. Its transport checksum is put right where tests know it.
  public init(
    _ number: UInt8, from source: Address, to destination: Address,
    _ fields: HeaderFields = HeaderFields(),
    payload: [UInt8]
  ) {
    precondition(source.family == destination.family, "two families in one packet")
    if source.family == .ipv4 {
      let header = 20 + fields.options.count
      let fragment =
        UInt16(fields.fragmentOffset / 8) | (fields.dontFragment ? 0x4000 : 0)
        | (fields.moreFragments ? 0x2000 : 0)
      bytes =
        [0x40 | UInt8(header / 4), fields.trafficClass]
        + bigEndian(UInt16(header + payload.count)) + bigEndian(fields.identification)
        + bigEndian(fragment) + [fields.timeToLive, number, 0, 0] + source.bytes
        + destination.bytes + fields.options + payload
    } else {
      let word = 6 << 28 | UInt32(fields.trafficClass) << 20 | fields.flowLabel
      bytes =
        bigEndian(word) + bigEndian(UInt16(payload.count)) + [number, fields.timeToLive]
        + source.bytes + destination.bytes + payload
    }
    repairChecksums()
  }

  /// The packet with one byte changed and nothing put right after it.
  public func damaged(at offset: Int, by mask: UInt8 = 0xff) -> Packet {
    var copy = self
    copy.bytes[offset] ^= mask
    return copy
  }

  /// The packet cut to its first `count` bytes, its length field following.
  public func cut(to count: Int) -> Packet {
    var copy = self
    copy.bytes = Array(bytes.prefix(count))
    if family == .ipv4 {
      copy.store(UInt16(count), at: 2)
      copy.store(0, at: 10)
      copy.store(~onesSum(copy.bytes[..<(Int(bytes[0] & 15) * 4)]), at: 10)
    } else {
      copy.store(UInt16(count - 40), at: 4)
    }
    return copy
  }

  /// The packet one hop further on.
  public func hopped(_ hops: UInt8 = 1) -> Packet {
    var copy = self
    if family == .ipv4 {
      copy.bytes[8] -= hops
      copy.store(0, at: 10)
      copy.store(~onesSum(copy.bytes[..<(Int(bytes[0] & 15) * 4)]), at: 10)
    } else {
      copy.bytes[7] -= hops
    }
    return copy
  }
}

// MARK: - UDP and ICMP

/// An address and a port: one end of a UDP flow.
public struct Socket: Hashable, Sendable {
  public var address: Address
  public var port: UInt16

  public init(_ address: Address, _ port: UInt16) {
    self.address = address
    self.port = port
  }

  /// A datagram to `other`. A checksum of 0 means none (RFC 768).
  public func udp(
    to other: Socket, _ data: [UInt8] = Array("hello".utf8),
    _ fields: HeaderFields = HeaderFields(),
    checksum: UInt16? = nil
  ) -> Packet {
    let header = bigEndian(port) + bigEndian(other.port) + bigEndian(UInt16(8 + data.count))
    var packet = Packet(
      IPProtocolNumber.udp, from: address, to: other.address, fields,
      payload: header + [0, 0] + data)
    if let checksum, let layout = packet.layout {
      packet.store(checksum, at: layout.transport + 6)
    }
    return packet
  }
}

extension Packet {
  /// An ICMP or ICMPv6 message: `rest` is what stands in bytes 4 to 7.
  public static func icmp(
    _ type: UInt8, _ code: UInt8 = 0, rest: UInt32 = 0, from source: Address,
    to destination: Address, _ fields: HeaderFields = HeaderFields(), data: [UInt8] = []
  ) -> Packet {
    Packet(
      source.family == .ipv4 ? IPProtocolNumber.icmp : IPProtocolNumber.icmpv6, from: source,
      to: destination, fields, payload: [type, code, 0, 0] + bigEndian(rest) + data)
  }

  public static func echoRequest(
    from source: Address, to destination: Address, id: UInt16, sequence: UInt16 = 1,
    _ fields: HeaderFields = HeaderFields()
  ) -> Packet {
    icmp(
      source.family == .ipv4 ? 8 : 128, rest: UInt32(id) << 16 | UInt32(sequence), from: source,
      to: destination, fields, data: Array("ping".utf8))
  }

  public static func echoReply(
    from source: Address, to destination: Address, id: UInt16, sequence: UInt16 = 1
  ) -> Packet {
    icmp(
      source.family == .ipv4 ? 0 : 129, rest: UInt32(id) << 16 | UInt32(sequence), from: source,
      to: destination, data: Array("ping".utf8))
  }

  /// An error about `packet`, which it quotes.
  public static func error(
    _ type: UInt8, _ code: UInt8, rest: UInt32 = 0, about packet: Packet, from source: Address,
    to destination: Address, quoting length: Int = 576 - 28
  ) -> Packet {
    icmp(
      type, code, rest: rest, from: source, to: destination,
      data: Array(packet.bytes.prefix(length)))
  }
}
