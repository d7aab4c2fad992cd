// ARP (RFC 826) and neighbour discovery's questions and answers (RFC 4861): read and built. For the packet
// port.

#if os(Linux)
  import Wire

  /// Who asks or says what about a link-layer address.
  struct NeighbourMessage {
    var isQuestion: Bool
    /// Who sent it; any where it has no address yet.
    var sender: NeighbourKey
    /// The sender's link-layer address; of an answer: the target's; nil where it is not said.
    var mac: UInt64?
    /// Whose address is asked for or told.
    var target: IPAddress
    /// An answer to a question of ours, not a word to all.
    var isSolicited = false
    /// An answer that outweighs what was known before.
    var overrides = true
  }

  enum ARP {
    private static let length = 28

    /// A packet behind its Ethernet header; nil where it is not about IPv4 over Ethernet.
    static func read(_ bytes: RawSpan) -> NeighbourMessage? {
      guard bytes.byteCount >= length, bytes.uint32(at: 0) == 0x0001_0800,
        bytes.uint16(at: 4) == 0x0604
      else { return nil }
      let operation = bytes.uint16(at: 6)
      guard operation == 1 || operation == 2 else { return nil }
      let sender = IPAddress(ipv4: bytes.uint32(at: 14))
      let target = IPAddress(ipv4: bytes.uint32(at: 24))
      return NeighbourMessage(
        isQuestion: operation == 1, sender: NeighbourKey(address: sender, family: .ipv4),
        mac: Ethernet.address(bytes, at: 8), target: operation == 1 ? target : sender,
        isSolicited: operation == 2)
    }

    private static func message(
      _ operation: UInt8, _ mac: UInt64, _ address: IPAddress, _ otherMAC: UInt64,
      _ other: IPAddress
    ) -> [UInt8] {
      func bytes(_ address: IPAddress) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: address.ipv4 >> (24 - 8 * UInt32($0))) }
      }
      return [0, 1, 8, 0, 6, 4, 0, operation] + Ethernet.bytes(mac) + bytes(address)
        + Ethernet.bytes(otherMAC) + bytes(other)
    }

    /// A frame that asks who has `target`.
    static func question(
      _ target: IPAddress, from mac: UInt64, _ address: IPAddress, to known: UInt64?
    ) -> [UInt8] {
      Ethernet.header(to: known ?? Ethernet.broadcast, from: mac, Ethernet.arp)
        + message(1, mac, address, known ?? 0, target)
    }

    /// A frame that answers `question` for `address`, which is ours.
    static func answer(_ question: NeighbourMessage, _ questioner: UInt64, from mac: UInt64)
      -> [UInt8]
    {
      Ethernet.header(to: questioner, from: mac, Ethernet.arp)
        + message(2, mac, question.target, questioner, question.sender.address)
    }
  }

  enum NeighbourDiscovery {
    static let solicitation: UInt8 = 135
    static let advertisement: UInt8 = 136
    private static let sourceOption: UInt8 = 1
    private static let targetOption: UInt8 = 2

    /// An IPv6 packet whose next header is ICMPv6; nil where it is neither, or not to be believed
    /// (RFC 4861 7.1).
    static func read(_ packet: RawSpan) -> NeighbourMessage? {
      let at = IPv6Field.length
      guard packet.byteCount >= at + 24, packet.uint8(at: 6) == IPProtocolNumber.icmpv6,
        packet.uint8(at: 7) == 255
      else { return nil }
      let end = at + Int(packet.uint16(at: 4))
      guard end >= at + 24, end <= packet.byteCount else { return nil }
      let type = packet.uint8(at: at)
      guard type == solicitation || type == advertisement, packet.uint8(at: at + 1) == 0 else {
        return nil
      }
      let source = address(packet, at: 8)
      let sum = InternetChecksum.sum(
        packet, from: at, to: end,
        initial: InternetChecksum.pseudoHeader(
          source: source, destination: address(packet, at: 24),
          transportProtocol: IPProtocolNumber.icmpv6, length: end - at))
      let target = address(packet, at: at + 8)
      guard InternetChecksum.fold(sum) == 0xffff, target.high >> 56 != 0xff else { return nil }
      let isQuestion = type == solicitation
      let flags = packet.uint8(at: at + 4)
      var message = NeighbourMessage(
        isQuestion: isQuestion, sender: NeighbourKey(address: source, family: .ipv6), mac: nil,
        target: target, isSolicited: !isQuestion && flags & 0x40 != 0,
        overrides: isQuestion || flags & 0x20 != 0)
      var option = at + 24
      while option + 8 <= end {
        let length = Int(packet.uint8(at: option + 1)) * 8
        guard length > 0, option + length <= end else { return nil }
        if packet.uint8(at: option) == (isQuestion ? sourceOption : targetOption) {
          message.mac = Ethernet.address(packet, at: option + 2)
        }
        option += length
      }
      return message
    }

    private static func address(_ bytes: RawSpan, at offset: Int) -> IPAddress {
      IPAddress(high: bytes.uint64(at: offset), low: bytes.uint64(at: offset + 8))
    }

    private static func packet(
      _ type: UInt8, flags: UInt8, _ target: IPAddress, _ option: UInt8, _ mac: UInt64,
      from source: IPAddress, to destination: IPAddress, _ group: UInt64
    ) -> [UInt8] {
      var payload: [UInt8] = [type, 0, 0, 0, flags, 0, 0, 0]
      for half in [target.high, target.low] {
        payload += (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * UInt64($0))) }
      }
      payload += [option, 1] + Ethernet.bytes(mac)
      let sum = InternetChecksum.sum(
        payload.rawSpan,
        initial: InternetChecksum.pseudoHeader(
          source: source, destination: destination, transportProtocol: IPProtocolNumber.icmpv6,
          length: payload.count))
      let checksum = InternetChecksum.checksum(sum)
      payload[2] = UInt8(checksum >> 8)
      payload[3] = UInt8(truncatingIfNeeded: checksum)
      var header: [UInt8] = [0x60, 0, 0, 0, 0, UInt8(payload.count), IPProtocolNumber.icmpv6, 255]
      for half in [source.high, source.low, destination.high, destination.low] {
        header += (0..<8).map { UInt8(truncatingIfNeeded: half >> (56 - 8 * UInt64($0))) }
      }
      return Ethernet.header(to: group, from: mac, Ethernet.ipv6) + header + payload
    }

    /// A frame that asks who has `target`.
    static func question(
      _ target: IPAddress, from mac: UInt64, _ address: IPAddress, to known: UInt64?
    ) -> [UInt8] {
      // RFC 4291 2.7.1.
      let group = IPAddress(
        high: 0xff02 << 48, low: 0x0000_0001_ff00_0000 | target.low & 0xff_ffff)
      let destination = known == nil ? group : target
      return packet(
        solicitation, flags: 0, target, sourceOption, mac, from: address, to: destination,
        known ?? 0x3333_0000_0000 | group.low & 0xffff_ffff)
    }

    /// A frame that answers `question` for an address of ours: we are a router, and it outweighs what
    /// was known.
    static func answer(
      _ question: NeighbourMessage, _ questioner: UInt64, from mac: UInt64
    ) -> [UInt8] {
      // One who asks without an address asks whether it may take it: all are told (RFC 4861 7.2.4).
      let isUnspecified = question.sender.address == .any
      let destination =
        isUnspecified ? IPAddress(high: 0xff02 << 48, low: 1) : question.sender.address
      return packet(
        advertisement, flags: isUnspecified ? 0xa0 : 0xe0, question.target, targetOption, mac,
        from: question.target, to: destination, isUnspecified ? 0x3333_0000_0001 : questioner)
    }
  }
#endif
