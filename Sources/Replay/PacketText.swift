// A packet in words, in the manner of tcpdump: for the lines of `weir replay` and the whole way of one
// packet. Reads whatever bytes there are; what is missing or broken is left out or said so.

import Conntrack
import Wire

/// Prints packets. Numbers are absolute, as in the reasons Weir gives, not relative as tcpdump's.
enum PacketText {
  /// Appends `192.0.2.1.40000 > 192.0.2.2.80: Flags [S], seq 1, win 64240, mss 1460, length 0`.
  /// - Parameter quotes: whether an ICMP error tells which packet it is about.
  /// - Returns: where the two ends are, in `line`; what else is told starts behind it.
  @discardableResult
  static func append(_ bytes: RawSpan, quotes: Bool = true, to line: inout [UInt8]) -> Range<Int> {
    let start = line.count
    guard let packet = LooseHeaders(bytes) else {
      append("packet of \(bytes.byteCount) bytes without an IP header", to: &line)
      return start..<line.count
    }
    let ports = packet.ports(bytes)
    packet.source.appendText(packet.family, to: &line)
    if let ports { appendPort(ports.source, to: &line) }
    append(" > ", to: &line)
    packet.destination.appendText(packet.family, to: &line)
    if let ports { appendPort(ports.destination, to: &line) }
    let end = line.count
    append(": ", to: &line)
    if packet.fragmentOffset > 0 || packet.moreFragments {
      appendFragment(packet, to: &line)
    } else {
      appendTransport(packet, bytes, quotes: quotes, to: &line)
    }
    if packet.isCut { append(" (cut short)", to: &line) }
    return start..<end
  }

  private static func appendFragment(_ packet: LooseHeaders, to line: inout [UInt8]) {
    append(PacketText.name(packet.transportProtocol), to: &line)
    append(" fragment, id \(packet.identification), bytes ", to: &line)
    append("\(packet.fragmentOffset)-\(packet.fragmentOffset + packet.fragmentLength)", to: &line)
    if packet.moreFragments { append(", more follow", to: &line) }
  }

  private static func appendTransport(
    _ packet: LooseHeaders, _ bytes: RawSpan, quotes: Bool, to line: inout [UInt8]
  ) {
    let at = packet.transportOffset
    let length = max(0, packet.wholeEnd - max(0, at))
    switch packet.transportProtocol {
    case IPProtocolNumber.tcp:
      guard let segment = TCPHeader(bytes, at: at, end: packet.end) else { break }
      appendTCP(segment, bytes, at: at, length: length - segment.headerLength, to: &line)
      return
    case IPProtocolNumber.udp, IPProtocolNumber.udpLite:
      guard UDPHeader(bytes, at: at, end: packet.end) != nil else { break }
      append(PacketText.name(packet.transportProtocol), to: &line)
      append(", length ", to: &line)
      append(number: length - UDPField.headerLength, to: &line)
      return
    case IPProtocolNumber.icmp where packet.family == .ipv4,
      IPProtocolNumber.icmpv6 where packet.family == .ipv6:
      guard let message = ICMPHeader(bytes, at: at, end: packet.end) else { break }
      appendICMP(message, packet, bytes, quotes: quotes, length: length, to: &line)
      return
    case IPProtocolNumber.sctp:
      guard let header = SCTPHeader(bytes, at: at, end: packet.end) else { break }
      append("SCTP", to: &line)
      if let chunk = SCTPChunk(bytes, at: at + SCTPField.headerLength, end: packet.end) {
        append(" \(SCTPChunkType.name(chunk.type))", to: &line)
      }
      append(", tag \(header.verificationTag), length \(length)", to: &line)
      return
    default:
      append("\(PacketText.name(packet.transportProtocol)), length \(length)", to: &line)
      return
    }
    append("\(PacketText.name(packet.transportProtocol)), header incomplete", to: &line)
  }

  // MARK: TCP

  private static func appendTCP(
    _ segment: TCPHeader, _ bytes: RawSpan, at offset: Int, length: Int, to line: inout [UInt8]
  ) {
    append("Flags [", to: &line)
    appendFlags(segment.flags, to: &line)
    append("]", to: &line)
    if length > 0 || !segment.flags.isDisjoint(with: [.syn, .fin, .rst]) {
      append(", seq ", to: &line)
      append(number: Int(segment.sequence), to: &line)
      if length > 0 {
        append(":", to: &line)
        append(number: Int(segment.sequence &+ UInt32(truncatingIfNeeded: length)), to: &line)
      }
    }
    if segment.flags.contains(.ack) {
      append(", ack ", to: &line)
      append(number: Int(segment.acknowledgement), to: &line)
    }
    append(", win ", to: &line)
    append(number: Int(segment.window), to: &line)
    if segment.flags.contains(.syn) && segment.headerLength > TCPField.minimumLength {
      let options = TCPOptions.scan(
        bytes, at: offset + TCPField.minimumLength, end: offset + segment.headerLength)
      if let size = options.maximumSegmentSize {
        append(", mss ", to: &line)
        append(number: Int(size), to: &line)
      }
    }
    append(", length ", to: &line)
    append(number: max(0, length), to: &line)
  }

  /// The letters of tcpdump: a dot stands for ACK.
  private static func appendFlags(_ flags: TCPFlags, to line: inout [UInt8]) {
    let letters: [(TCPFlags, UInt8)] = [
      (.fin, UInt8(ascii: "F")), (.syn, UInt8(ascii: "S")), (.rst, UInt8(ascii: "R")),
      (.psh, UInt8(ascii: "P")), (.ack, UInt8(ascii: ".")), (.urg, UInt8(ascii: "U")),
      (.ece, UInt8(ascii: "E")), (.cwr, UInt8(ascii: "W")),
    ]
    if flags.rawValue == 0 { return append("none", to: &line) }
    for (flag, letter) in letters where flags.contains(flag) { line.append(letter) }
  }

  // MARK: ICMP

  private static func appendICMP(
    _ message: ICMPHeader, _ packet: LooseHeaders, _ bytes: RawSpan, quotes: Bool, length: Int,
    to line: inout [UInt8]
  ) {
    append(packet.family == .ipv4 ? "ICMP " : "ICMPv6 ", to: &line)
    append(ICMPNames.name(message, packet.family), to: &line)
    let at = packet.transportOffset
    switch ICMPNames.shape(message, packet.family) {
    case .query:
      append(", id \(message.identifier), seq \(message.sequence)", to: &line)
    case .neighbour:
      if packet.end >= at + 24 {
        append(" ", to: &line)
        let target = IPAddress(high: bytes.uint64(at: at + 8), low: bytes.uint64(at: at + 16))
        target.appendText(.ipv6, to: &line)
      }
    case .error:
      guard quotes else { return }
      append(", about ", to: &line)
      guard packet.end > at + ICMPField.inner else { return append("nothing", to: &line) }
      let inner = bytes.slice(at + ICMPField.inner..<packet.end)
      append(inner, quotes: false, isQuoted: true, to: &line)
      return
    case .other: break
    }
    append(", length \(length)", to: &line)
  }

  /// The packet an ICMP error quotes: mostly its beginning alone, which is not worth a word.
  private static func append(
    _ bytes: RawSpan, quotes: Bool, isQuoted: Bool, to line: inout [UInt8]
  ) {
    guard var packet = LooseHeaders(bytes) else { return append("no IP packet", to: &line) }
    packet.isCut = false
    let ports = packet.ports(bytes)
    packet.source.appendText(packet.family, to: &line)
    if let ports { appendPort(ports.source, to: &line) }
    append(" > ", to: &line)
    packet.destination.appendText(packet.family, to: &line)
    if let ports { appendPort(ports.destination, to: &line) }
    append(" \(PacketText.name(packet.transportProtocol))", to: &line)
  }

  /// A protocol's name, of those one meets on a wire.
  static func name(_ transportProtocol: UInt8) -> String {
    switch transportProtocol {
    case 4: "IPv4 in IP"
    case 33: "DCCP"
    case 41: "IPv6 in IP"
    case 89: "OSPF"
    case 103: "PIM"
    case 108: "IPComp"
    case 112: "VRRP"
    default: protocolName(transportProtocol)
    }
  }

  // MARK: Bytes

  static func append(_ text: String, to line: inout [UInt8]) {
    line.append(contentsOf: text.utf8)
  }

  private static func appendPort(_ port: UInt16, to line: inout [UInt8]) {
    line.append(UInt8(ascii: "."))
    append(number: Int(port), to: &line)
  }

  static func append(number: Int, to line: inout [UInt8]) {
    if number < 0 { return append("\(number)", to: &line) }
    let start = line.count
    var rest = number
    repeat {
      line.append(UInt8(ascii: "0") + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    line[start...].reverse()
  }
}

/// The headers of a packet that may be cut short or broken, as far as they can be read.
struct LooseHeaders {
  var family: AddressFamily
  var source: IPAddress
  var destination: IPAddress
  var transportProtocol: UInt8
  /// -1: none that can be found.
  var transportOffset: Int
  /// Where the bytes at hand end, link padding left out.
  var end: Int
  /// Where the packet ends by its header's word.
  var wholeEnd: Int
  var isCut: Bool
  var identification: UInt32 = 0
  var fragmentOffset = 0
  var fragmentLength = 0
  var moreFragments = false
  var hopLimit: UInt8
  var trafficClass: UInt8
  var dontFragment = false

  init?(_ bytes: RawSpan) {
    guard bytes.byteCount > 0 else { return nil }
    if let header = IPv4Header(bytes, at: 0, end: bytes.byteCount) {
      self.init(header, bytes)
    } else if let header = IPv6Header(bytes, at: 0, end: bytes.byteCount) {
      self.init(header, bytes)
    } else {
      return nil
    }
  }

  private init(_ header: IPv4Header, _ bytes: RawSpan) {
    family = .ipv4
    source = header.source
    destination = header.destination
    transportProtocol = header.transportProtocol
    wholeEnd = max(header.totalLength, header.headerLength)
    end = min(wholeEnd, bytes.byteCount)
    isCut = wholeEnd > bytes.byteCount
    fragmentOffset = header.fragmentOffset
    moreFragments = header.moreFragments
    identification = UInt32(header.identification)
    fragmentLength = wholeEnd - header.headerLength
    transportOffset = fragmentOffset == 0 ? header.headerLength : -1
    hopLimit = header.timeToLive
    trafficClass = header.trafficClass
    dontFragment = header.dontFragment
  }

  private init(_ header: IPv6Header, _ bytes: RawSpan) {
    family = .ipv6
    source = header.source
    destination = header.destination
    wholeEnd = header.payloadLength == 0 ? bytes.byteCount : 40 + header.payloadLength
    end = min(wholeEnd, bytes.byteCount)
    isCut = wholeEnd > bytes.byteCount
    hopLimit = header.hopLimit
    trafficClass = header.trafficClass
    transportProtocol = header.nextHeader
    transportOffset = 40
    guard IPv6ExtensionWalk.isExtensionHeader(header.nextHeader) else { return }
    let walk = IPv6ExtensionWalk(
      bytes, nextHeader: header.nextHeader, nextHeaderOffset: 6, at: 40, end: end)
    transportProtocol = walk.transportProtocol
    transportOffset = walk.transportOffset
    let at = walk.fragmentHeaderOffset
    guard at >= 0, at + 8 <= end else { return }
    let word = bytes.uint16(at: at + 2)
    fragmentOffset = Int(word & 0xfff8)
    moreFragments = word & 1 != 0
    identification = bytes.uint32(at: at + 4)
    fragmentLength = wholeEnd - at - 8
  }

  /// The ports, of protocols that have some and where they are there.
  func ports(_ bytes: RawSpan) -> TransportPorts? {
    switch transportProtocol {
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.udpLite,
      IPProtocolNumber.sctp, IPProtocolNumber.dccp:
      TransportPorts(bytes, at: transportOffset, end: end)
    default: nil
    }
  }
}

extension LooseHeaders {
  /// The tuple a connection of this packet would have; nil where it has none to speak of.
  func tuple(_ bytes: RawSpan) -> Tuple? {
    guard fragmentOffset == 0, transportOffset >= 0 else { return nil }
    var tuple = Tuple(
      source: source, destination: destination, sourcePort: 0, destinationPort: 0,
      protocolNumber: transportProtocol, family: family)
    if let ports = ports(bytes) {
      tuple.sourcePort = ports.source
      tuple.destinationPort = ports.destination
    } else if transportProtocol == IPProtocolNumber.icmp
      || transportProtocol == IPProtocolNumber.icmpv6
    {
      guard let message = ICMPHeader(bytes, at: transportOffset, end: end) else { return nil }
      tuple.sourcePort = message.identifier
      tuple.destinationPort = UInt16(message.type) << 8 | UInt16(message.code)
    }
    return tuple
  }
}
