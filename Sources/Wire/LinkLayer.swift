// From a frame to the IP packet in it: Ethernet with VLAN tags and PPPoE, cooked captures, raw IP,
// BSD loopback and PPP. For whoever reads captures or sockets; the numbers are those of pcap.

/// Where the IP packet of one frame is, and what the layers before it say.
@frozen
public struct LinkFrame: BitwiseCopyable, Sendable {
  /// Where the IP packet starts; for a frame without one, where reading stopped.
  public var networkOffset: Int
  /// How many bytes there are from `networkOffset` on; link padding may be among them.
  public var networkLength: Int
  /// The IP version by the link layer's word (raw IP: by the packet's first byte); nil: not IP.
  public var family: AddressFamily?
  /// Set exactly when `family` is nil.
  public var notIPReason: NotIPReason?
  /// The low 48 bits, the first byte on the wire highest. Ethernet and, where the interface had such
  /// addresses, cooked captures.
  public var sourceMAC: UInt64?
  /// As `sourceMAC`; cooked captures do not have it.
  public var destinationMAC: UInt64?
  /// Cooked captures: 0 to this host, 1 broadcast, 2 multicast, 3 to another host, 4 sent by it.
  public var cookedPacketType: UInt16?
  /// Cooked captures of version 2: the interface's index on the capturing machine.
  public var cookedInterfaceIndex: UInt32?
  /// The identifiers (12 bits) of the VLAN tags, outermost first; the first `vlanCount` count.
  public var vlanIDs: InlineArray<3, UInt16>
  /// How many tags `vlanIDs` holds. More than three are read over, not kept.
  public var vlanCount: Int

  /// A frame of which nothing is known yet.
  @usableFromInline
  init(length: Int) {
    networkOffset = 0
    networkLength = length
    family = nil
    notIPReason = nil
    sourceMAC = nil
    destinationMAC = nil
    cookedPacketType = nil
    cookedInterfaceIndex = nil
    vlanIDs = InlineArray(repeating: 0)
    vlanCount = 0
  }
}

extension LinkFrame {
  /// Reads the link layer of a frame. Never fails: a frame without an IP packet says why it has none.
  ///
  /// - Parameter linkType: the number of www.tcpdump.org/linktypes.html, as pcap files have it.
  public static func decode(_ frame: RawSpan, linkType: Int) -> LinkFrame {
    var link = LinkFrame(length: frame.byteCount)
    switch linkType {
    case 1: link.readEthernet(frame)
    case 0: link.readLoopback(frame, eitherOrder: true)
    case 108: link.readLoopback(frame, eitherOrder: false)
    case 12, 14, 101: link.readRawIP(frame)
    case 228: link.found(.ipv4, at: 0, end: frame.byteCount)
    case 229: link.found(.ipv6, at: 0, end: frame.byteCount)
    case 113: link.readCookedV1(frame)
    case 276: link.readCookedV2(frame)
    case 9: link.readPPP(frame, at: 0)
    case 50: link.readHDLC(frame)
    case 51: link.readPPPoE(frame, at: 0)
    default: link.stop(.linkType(linkType), at: 0, end: frame.byteCount)
    }
    return link
  }

  private mutating func found(_ family: AddressFamily, at offset: Int, end: Int) {
    self.family = family
    networkOffset = offset
    networkLength = end &- offset  // Callers have read up to `offset`, so `end` is not before it.
  }

  private mutating func stop(_ reason: NotIPReason, at offset: Int, end: Int) {
    notIPReason = reason
    networkOffset = offset
    networkLength = end &- offset  // As in `found`.
  }
}

// MARK: - Ethernet

/// The EtherTypes that are read further or have a name (IEEE's public list).
enum EtherType {
  static let ipv4: UInt16 = 0x0800
  static let arp: UInt16 = 0x0806
  static let ipv6: UInt16 = 0x86dd
  static let mplsUnicast: UInt16 = 0x8847
  static let mplsMulticast: UInt16 = 0x8848
  static let pppoeDiscovery: UInt16 = 0x8863
  static let pppoeSession: UInt16 = 0x8864
  /// Below this it is the length of an IEEE 802.3 frame.
  static let lowest: UInt16 = 0x0600

  /// Whether a VLAN tag follows: 802.1Q, 802.1ad, and the two in use before that.
  static func isVLAN(_ type: UInt16) -> Bool {
    switch type {
    case 0x8100, 0x88a8, 0x9100, 0x9200: true
    default: false
    }
  }
}

extension LinkFrame {
  /// Two addresses and a type (IEEE 802.3 section 3.2): 14 bytes.
  private mutating func readEthernet(_ frame: RawSpan) {
    guard frame.byteCount >= 14 else { return stop(.truncated, at: 0, end: frame.byteCount) }
    destinationMAC = frame.uint64(at: 0) >> 16
    // Bytes 6 to 11: the low six of these eight.
    sourceMAC = frame.uint64(at: 4) & 0xffff_ffff_ffff
    readEtherType(frame.uint16(at: 12), frame, at: 14)
  }

  /// What stands behind an EtherType: VLAN tags first, as many as there are.
  private mutating func readEtherType(
    _ type: UInt16, _ frame: RawSpan, at offset: Int
  ) {
    var type = type
    var at = offset
    let end = frame.byteCount
    while EtherType.isVLAN(type) {
      guard at <= end &- 4 else { return stop(.truncated, at: at, end: end) }
      if vlanCount < 3 {
        vlanIDs[vlanCount] = frame.uint16(at: at) & 0x0fff
        vlanCount &+= 1  // At most 3.
      }
      type = frame.uint16(at: at &+ 2)
      at &+= 4
    }
    switch type {
    case EtherType.ipv4: found(.ipv4, at: at, end: end)
    case EtherType.ipv6: found(.ipv6, at: at, end: end)
    case EtherType.pppoeSession: readPPPoE(frame, at: at)
    case EtherType.arp: stop(.arp, at: at, end: end)
    case EtherType.mplsUnicast, EtherType.mplsMulticast: stop(.mpls, at: at, end: end)
    case EtherType.pppoeDiscovery: stop(.pppoeDiscovery, at: at, end: end)
    case ..<EtherType.lowest: stop(.llc, at: at, end: end)
    default: stop(.etherType(type), at: at, end: end)
    }
  }
}

// MARK: - PPP

extension LinkFrame {
  /// RFC 2516 section 4: version and type (1, 1), code, session, length of what follows; 6 bytes.
  ///
  /// The length is not asked: the packet has its own, and there are captures whose PPPoE length
  /// is the smaller although the packet is whole.
  private mutating func readPPPoE(_ frame: RawSpan, at offset: Int) {
    let end = frame.byteCount
    guard offset <= end &- 6 else { return stop(.truncated, at: offset, end: end) }
    guard frame.uint8(at: offset) == 0x11, frame.uint8(at: offset &+ 1) == 0 else {
      return stop(.badPPPoE, at: offset, end: end)
    }
    readPPP(frame, at: offset &+ 6)
  }

  /// RFC 1661 section 2: a protocol of two bytes, or one when compressed. HDLC's address and control
  /// (RFC 1662 section 3.1) may stand before it.
  private mutating func readPPP(_ frame: RawSpan, at offset: Int) {
    let end = frame.byteCount
    var at = offset
    if at <= end &- 2, frame.uint16(at: at) == 0xff03 { at &+= 2 }
    guard at < end else { return stop(.truncated, at: at, end: end) }
    var number = UInt16(frame.uint8(at: at))
    at &+= 1
    // The last byte of a protocol number is odd, the one before it even.
    if number & 1 == 0 {
      guard at < end else { return stop(.truncated, at: at, end: end) }
      number = number << 8 | UInt16(frame.uint8(at: at))
      at &+= 1
    }
    switch number {
    case 0x0021: found(.ipv4, at: at, end: end)
    case 0x0057: found(.ipv6, at: at, end: end)
    default: stop(.pppProtocol(number), at: at, end: end)
    }
  }

  /// PPP in HDLC framing, or Cisco's: an address of 0x0f or 0x8f, a zero, an EtherType.
  private mutating func readHDLC(_ frame: RawSpan) {
    let end = frame.byteCount
    guard end >= 4 else { return stop(.truncated, at: 0, end: end) }
    switch frame.uint16(at: 0) {
    case 0x0f00, 0x8f00: readEtherType(frame.uint16(at: 2), frame, at: 4)
    default: readPPP(frame, at: 0)
    }
  }
}

// MARK: - Captures without an Ethernet header

extension LinkFrame {
  /// BSD's loopback: an address family in four bytes, in the capturing machine's order or, as
  /// OpenBSD has it, in the network's. IPv6 has another number on every system.
  private mutating func readLoopback(_ frame: RawSpan, eitherOrder: Bool) {
    let end = frame.byteCount
    guard end >= 4 else { return stop(.truncated, at: 0, end: end) }
    var number = frame.uint32(at: 0)
    if eitherOrder, number > 0xffff { number = number.byteSwapped }
    switch number {
    case 2: found(.ipv4, at: 4, end: end)
    case 10, 24, 28, 30: found(.ipv6, at: 4, end: end)
    default: stop(.addressFamily(number), at: 4, end: end)
    }
  }

  /// The packet alone: its version says what it is.
  private mutating func readRawIP(_ frame: RawSpan) {
    let end = frame.byteCount
    guard end >= 1 else { return stop(.truncated, at: 0, end: end) }
    switch frame.uint8(at: 0) >> 4 {
    case 4: found(.ipv4, at: 0, end: end)
    case 6: found(.ipv6, at: 0, end: end)
    default: stop(.ipVersion(frame.uint8(at: 0) >> 4), at: 0, end: end)
    }
  }

  /// LINKTYPE_LINUX_SLL: packet type, hardware type, address length, address (8), protocol.
  private mutating func readCookedV1(_ frame: RawSpan) {
    let end = frame.byteCount
    guard end >= 16 else { return stop(.truncated, at: 0, end: end) }
    cookedPacketType = frame.uint16(at: 0)
    if frame.uint16(at: 4) == 6 { sourceMAC = frame.uint64(at: 6) >> 16 }
    readCookedProtocol(
      frame.uint16(at: 14), hardware: frame.uint16(at: 2), frame, at: 16)
  }

  /// LINKTYPE_LINUX_SLL2: protocol, reserved, interface (4), hardware type, packet type (1),
  /// address length (1), address (8).
  private mutating func readCookedV2(_ frame: RawSpan) {
    let end = frame.byteCount
    guard end >= 20 else { return stop(.truncated, at: 0, end: end) }
    cookedInterfaceIndex = frame.uint32(at: 4)
    cookedPacketType = UInt16(frame.uint8(at: 10))
    if frame.uint8(at: 11) == 6 { sourceMAC = frame.uint64(at: 12) >> 16 }
    readCookedProtocol(
      frame.uint16(at: 0), hardware: frame.uint16(at: 8), frame, at: 20)
  }

  /// The protocol of a cooked header is an EtherType unless the hardware type says otherwise.
  private mutating func readCookedProtocol(
    _ number: UInt16, hardware: UInt16, _ frame: RawSpan, at offset: Int
  ) {
    switch hardware {
    // Frame relay, 802.11 with radiotap header, netlink: other numbers, or none that count.
    case 770, 803, 824: return stop(.hardwareType(hardware), at: offset, end: frame.byteCount)
    default: break
    }
    // Linux's own numbers are no lengths: 1 and 4 are 802.3 and LLC, and CAN, for one, is 12.
    if number < EtherType.lowest, number != 1, number != 4 {
      return stop(.etherType(number), at: offset, end: frame.byteCount)
    }
    readEtherType(number, frame, at: offset)
  }
}
