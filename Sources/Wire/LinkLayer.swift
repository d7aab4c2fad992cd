// From a captured or received frame to the IP packet in it, for captures and live ports: Ethernet
// with VLAN tags and PPPoE, Linux cooked, loopback, PPP and raw IP.

/// The kinds of frames Weir reads, by their numbers in pcap files (LINKTYPE_…).
@frozen
public enum LinkType: UInt32, Sendable, BitwiseCopyable, CaseIterable {
  /// BSD loopback: an address family in the byte order of the machine that captured.
  case null = 0
  case ethernet = 1
  case ppp = 9
  /// Raw IP; 12 and 14 are what some systems' captures call it.
  case rawBSD = 12
  case rawOpenBSD = 14
  /// PPP in HDLC framing, or Cisco HDLC.
  case pppHDLC = 50
  case raw = 101
  /// OpenBSD loopback: an address family in network byte order.
  case loop = 108
  case linuxCooked = 113
  case ipv4 = 228
  case ipv6 = 229
  case linuxCooked2 = 276
}

/// Whom a frame was for (the kernel's `PACKET_HOST` and so on).
@frozen
public enum LinkPacketType: UInt8, Sendable, BitwiseCopyable {
  case host = 0
  case broadcast = 1
  case multicast = 2
  case otherHost = 3
  case outgoing = 4
}

/// Why a frame holds no IP packet.
@frozen
public enum LinkRefusal: Hashable, Sendable, BitwiseCopyable {
  case truncated
  /// An 802.3 frame with a length in the EtherType's place.
  case length
  case etherType(UInt16)
  case addressFamily(UInt32)
  case pppProtocol(UInt16)
  /// PPPoE, but not of the version or code of a session's data.
  case pppoe
  case tooManyTags
  /// Raw IP whose first four bits are neither 4 nor 6.
  case version(UInt8)

  /// The reason as a sentence.
  public var text: String {
    switch self {
    case .truncated: "the frame ends within its link header"
    case .length: "an 802.3 frame (LLC) holds no IP"
    case .etherType(0x0806): "ARP is not IP"
    case .etherType(0x8847), .etherType(0x8848): "MPLS is not IP to a host"
    case .etherType(0x8863): "PPPoE discovery is not IP"
    case .etherType(0x88cc): "LLDP is not IP"
    case .etherType(0x888e): "802.1X is not IP"
    case .etherType(let type): "EtherType 0x\(String(type, radix: 16)) is not IP"
    case .addressFamily(let family): "address family \(family) is not IP"
    case .pppProtocol(let number): "PPP protocol 0x\(String(number, radix: 16)) is not IP"
    case .pppoe: "a PPPoE frame without session data"
    case .tooManyTags: "more than three VLAN tags"
    case .version(let version): "IP version \(version) is unknown"
    }
  }
}

/// What a frame's link layer says. Decoding never fails: a frame without IP has a `refusal`.
@frozen
public struct LinkFrame: Sendable, BitwiseCopyable {
  /// Which IP the frame says it holds; meaningless with a `refusal`.
  public var family: AddressFamily
  /// Where the IP packet starts in the frame.
  public var networkOffset: Int
  /// Bytes of it, link padding included.
  public var networkLength: Int
  /// 48 bits; nil where the link has none.
  public var source: UInt64?
  public var destination: UInt64?
  /// As a cooked header says, or by the destination's group bit; nil for an Ethernet unicast, of
  /// which only the interface's own address can tell, and for links without addresses.
  public var packetType: LinkPacketType?
  /// Linux cooked, version 2 only.
  public var interfaceIndex: UInt32?
  /// The first `tagCount` entries: tag control information, outermost first.
  public var tags: InlineArray<3, UInt16>
  public var tagCount: Int
  public var refusal: LinkRefusal?

  init() {
    family = .ipv4
    networkOffset = 0
    networkLength = 0
    source = nil
    destination = nil
    packetType = nil
    interfaceIndex = nil
    tags = InlineArray(repeating: 0)
    tagCount = 0
    refusal = nil
  }

  /// Reads the link header of a frame.
  public static func decode(_ frame: RawSpan, linkType: LinkType) -> LinkFrame {
    var result = LinkFrame()
    switch linkType {
    case .ethernet: result.readEthernet(frame)
    case .null: result.readLoopback(frame, swapsToo: true)
    case .loop: result.readLoopback(frame, swapsToo: false)
    case .raw, .rawBSD, .rawOpenBSD: result.readRaw(frame, at: 0)
    case .ipv4: result.found(.ipv4, frame, at: 0)
    case .ipv6: result.found(.ipv6, frame, at: 0)
    case .linuxCooked: result.readCooked(frame)
    case .linuxCooked2: result.readCooked2(frame)
    case .ppp, .pppHDLC: result.readPPPFrame(frame)
    }
    return result
  }
}

// MARK: - The kinds of frames

extension LinkFrame {
  private mutating func found(_ family: AddressFamily, _ frame: RawSpan, at offset: Int) {
    guard offset < frame.byteCount else {
      refusal = .truncated
      return
    }
    self.family = family
    networkOffset = offset
    networkLength = frame.byteCount - offset
  }

  private mutating func readRaw(_ frame: RawSpan, at offset: Int) {
    guard offset < frame.byteCount else {
      refusal = .truncated
      return
    }
    switch frame.uint8(at: offset) >> 4 {
    case 4: found(.ipv4, frame, at: offset)
    case 6: found(.ipv6, frame, at: offset)
    case let version: refusal = .version(version)
    }
  }

  private mutating func readEthernet(_ frame: RawSpan) {
    guard frame.byteCount >= 14 else {
      refusal = .truncated
      return
    }
    let destination = UInt64(frame.uint32(at: 0)) << 16 | UInt64(frame.uint16(at: 4))
    self.destination = destination
    source = UInt64(frame.uint16(at: 6)) << 32 | UInt64(frame.uint32(at: 8))
    if destination == 0xffff_ffff_ffff {
      packetType = .broadcast
    } else if destination >> 40 & 1 != 0 {
      packetType = .multicast
    }
    readEtherType(frame, at: 12)
  }

  /// Reads an EtherType and the tags that may come with it.
  private mutating func readEtherType(_ frame: RawSpan, at offset: Int) {
    var at = offset
    // At most three tags, then one type more.
    while at + 2 <= frame.byteCount {
      let type = frame.uint16(at: at)
      switch type {
      case 0x0800:
        found(.ipv4, frame, at: at + 2)
        return
      case 0x86dd:
        found(.ipv6, frame, at: at + 2)
        return
      case 0x8100, 0x88a8, 0x9100:
        guard at + 4 <= frame.byteCount else {
          refusal = .truncated
          return
        }
        guard tagCount < 3 else {
          refusal = .tooManyTags
          return
        }
        tags[tagCount] = frame.uint16(at: at + 2)
        tagCount += 1
        at += 4
      case 0x8864:
        readPPPoE(frame, at: at + 2)
        return
      default:
        // IEEE 802.3 section 3.2.6: values below 0x0600 are lengths.
        refusal = type < 0x0600 ? .length : .etherType(type)
        return
      }
    }
    refusal = .truncated
  }

  /// RFC 2516 section 4.
  private mutating func readPPPoE(_ frame: RawSpan, at offset: Int) {
    guard offset + 6 <= frame.byteCount else {
      refusal = .truncated
      return
    }
    guard frame.uint16(at: offset) == 0x1100 else {
      refusal = .pppoe
      return
    }
    // The length field is not asked: captures from offloading drivers have it too small, and the
    // IP header has a length of its own.
    readPPP(frame, at: offset + 6)
  }

  private mutating func readPPPFrame(_ frame: RawSpan) {
    guard frame.byteCount >= 2 else {
      refusal = .truncated
      return
    }
    switch frame.uint16(at: 0) {
    case 0xff03:
      readPPP(frame, at: 2)
    case 0x0f00, 0x8f00:
      // Cisco HDLC: an EtherType follows.
      readEtherType(frame, at: 2)
    default:
      // Address and control field compressed away (RFC 1661 section 6.6).
      readPPP(frame, at: 0)
    }
  }

  /// Reads PPP's protocol field, which is one byte when it is odd (RFC 1661 section 2).
  private mutating func readPPP(_ frame: RawSpan, at offset: Int) {
    guard offset < frame.byteCount else {
      refusal = .truncated
      return
    }
    var number = UInt16(frame.uint8(at: offset))
    var at = offset + 1
    if number & 1 == 0 {
      guard at < frame.byteCount else {
        refusal = .truncated
        return
      }
      number = number << 8 | UInt16(frame.uint8(at: at))
      at += 1
    }
    switch number {
    case 0x0021: found(.ipv4, frame, at: at)
    case 0x0057: found(.ipv6, frame, at: at)
    default: refusal = .pppProtocol(number)
    }
  }

  private mutating func readLoopback(_ frame: RawSpan, swapsToo: Bool) {
    guard frame.byteCount >= 4 else {
      refusal = .truncated
      return
    }
    let value = frame.uint32(at: 0)
    // A family is a small number: in the other byte order it looks large.
    let family = swapsToo && value > 0xffff ? value.byteSwapped : value
    switch family {
    case 2: found(.ipv4, frame, at: 4)
    // AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, and macOS.
    case 10, 24, 28, 30: found(.ipv6, frame, at: 4)
    default: refusal = .addressFamily(family)
    }
  }

  /// LINKTYPE_LINUX_SLL: type, hardware type, address length, address, protocol.
  private mutating func readCooked(_ frame: RawSpan) {
    guard frame.byteCount >= 16 else {
      refusal = .truncated
      return
    }
    packetType = LinkPacketType(rawValue: UInt8(clamping: frame.uint16(at: 0)))
    if frame.uint16(at: 4) == 6 { source = frame.uint64(at: 6) >> 16 }
    readCookedProtocol(frame, at: 14, network: 16)
  }

  /// LINKTYPE_LINUX_SLL2: protocol, reserved, interface, hardware type, type, address.
  private mutating func readCooked2(_ frame: RawSpan) {
    guard frame.byteCount >= 20 else {
      refusal = .truncated
      return
    }
    interfaceIndex = frame.uint32(at: 4)
    packetType = LinkPacketType(rawValue: frame.uint8(at: 10))
    if frame.uint8(at: 11) == 6 { source = frame.uint64(at: 12) >> 16 }
    readCookedProtocol(frame, at: 0, network: 20)
  }

  /// The protocol of a cooked header is an EtherType, and what it names starts at `network`.
  private mutating func readCookedProtocol(
    _ frame: RawSpan, at offset: Int, network: Int
  ) {
    switch frame.uint16(at: offset) {
    case 0x0800:
      found(.ipv4, frame, at: network)
    case 0x86dd:
      found(.ipv6, frame, at: network)
    case 0x8100, 0x88a8, 0x9100:
      guard network + 4 <= frame.byteCount else {
        refusal = .truncated
        return
      }
      tags[0] = frame.uint16(at: network)
      tagCount = 1
      readEtherType(frame, at: network + 2)
    case 0x8864:
      readPPPoE(frame, at: network)
    case let type:
      refusal = type < 0x0600 ? .length : .etherType(type)
    }
  }
}
