// ICMP and ICMPv6 messages by name, and ARP requests and replies: the small talk of a network, for the
// lines of `weir replay`.

import Wire

enum ICMPNames {
  /// What stands behind a message's type and code.
  enum Shape {
    case query
    /// The packet it is about.
    case error
    /// Neighbour discovery: the address in question.
    case neighbour
    case other
  }

  static func shape(_ message: ICMPHeader, _ family: AddressFamily) -> Shape {
    if family == .ipv4 {
      if ICMPType.isError(message.type) { return .error }
      switch message.type {
      case ICMPType.echoRequest, ICMPType.echoReply, ICMPType.timestampRequest,
        ICMPType.timestampReply, ICMPType.informationRequest, ICMPType.informationReply,
        ICMPType.addressMaskRequest, ICMPType.addressMaskReply:
        return .query
      default: return .other
      }
    }
    switch message.type {
    case ICMPv6Type.destinationUnreachable...ICMPv6Type.parameterProblem: return .error
    case ICMPv6Type.echoRequest, ICMPv6Type.echoReply: return .query
    case ICMPv6Type.neighbourSolicitation, ICMPv6Type.neighbourAdvertisement: return .neighbour
    default: return .other
    }
  }

  static func name(_ message: ICMPHeader, _ family: AddressFamily) -> String {
    family == .ipv4 ? name4(message) : name6(message)
  }

  private static func name4(_ message: ICMPHeader) -> String {
    switch message.type {
    case ICMPType.echoReply: "echo reply"
    case ICMPType.destinationUnreachable:
      message.code == 4
        ? "fragmentation needed, mtu \(message.sequence)"
        : unreachable[Int(message.code), or: "unreachable, code \(message.code)"]
    case ICMPType.sourceQuench: "source quench"
    case ICMPType.redirect: "redirect to \(IPAddress(ipv4: message.rest).text(.ipv4))"
    case ICMPType.echoRequest: "echo request"
    case ICMPType.routerAdvertisement: "router advertisement"
    case ICMPType.routerSolicitation: "router solicitation"
    case ICMPType.timeExceeded:
      message.code == 0 ? "time exceeded in transit" : "fragment reassembly time exceeded"
    case ICMPType.parameterProblem: "parameter problem"
    case ICMPType.timestampRequest: "timestamp request"
    case ICMPType.timestampReply: "timestamp reply"
    case ICMPType.informationRequest: "information request"
    case ICMPType.informationReply: "information reply"
    case ICMPType.addressMaskRequest: "address mask request"
    case ICMPType.addressMaskReply: "address mask reply"
    default: "type \(message.type), code \(message.code)"
    }
  }

  /// By code; RFC 792 and RFC 1812 5.2.7.1.
  private static let unreachable = [
    "net unreachable", "host unreachable", "protocol unreachable", "port unreachable",
    "fragmentation needed", "source route failed", "net unknown", "host unknown",
    "source host isolated", "net prohibited", "host prohibited", "net unreachable for this TOS",
    "host unreachable for this TOS", "administratively prohibited", "host precedence violation",
    "precedence cutoff",
  ]

  private static func name6(_ message: ICMPHeader) -> String {
    switch message.type {
    case ICMPv6Type.destinationUnreachable:
      unreachable6[Int(message.code), or: "unreachable, code \(message.code)"]
    case ICMPv6Type.packetTooBig: "packet too big, mtu \(message.rest)"
    case ICMPv6Type.timeExceeded:
      message.code == 0 ? "time exceeded in transit" : "fragment reassembly time exceeded"
    case ICMPv6Type.parameterProblem: "parameter problem"
    case ICMPv6Type.echoRequest: "echo request"
    case ICMPv6Type.echoReply: "echo reply"
    case ICMPv6Type.multicastListenerQuery: "multicast listener query"
    case ICMPv6Type.multicastListenerReport: "multicast listener report"
    case ICMPv6Type.multicastListenerDone: "multicast listener done"
    case ICMPv6Type.routerSolicitation: "router solicitation"
    case ICMPv6Type.routerAdvertisement: "router advertisement"
    case ICMPv6Type.neighbourSolicitation: "neighbor solicitation"
    case ICMPv6Type.neighbourAdvertisement: "neighbor advertisement"
    case ICMPv6Type.redirect: "redirect"
    case ICMPv6Type.multicastListenerReportV2: "multicast listener report v2"
    default: "type \(message.type), code \(message.code)"
    }
  }

  /// By code; RFC 4443 3.1.
  private static let unreachable6 = [
    "no route", "administratively prohibited", "beyond scope", "address unreachable",
    "port unreachable", "source address failed policy", "reject route",
  ]
}

extension [String] {
  fileprivate subscript(index: Int, or other: @autoclosure () -> String) -> String {
    index < count ? self[index] : other()
  }
}

/// ARP for IPv4 over Ethernet (RFC 826).
enum ARPText {
  /// `ARP who-has 192.0.2.1 tell 192.0.2.2`; nil where it is another kind of ARP.
  static func text(_ bytes: RawSpan) -> String? {
    // Hardware type, protocol, lengths, operation; then both ends' addresses.
    guard bytes.byteCount >= 28, bytes.uint16(at: 2) == 0x0800, bytes.uint8(at: 4) == 6,
      bytes.uint8(at: 5) == 4
    else { return nil }
    let sender = IPAddress(ipv4: bytes.uint32(at: 14)).text(.ipv4)
    let target = IPAddress(ipv4: bytes.uint32(at: 24)).text(.ipv4)
    switch bytes.uint16(at: 6) {
    case 1: return "ARP who-has \(target) tell \(sender)"
    case 2: return "ARP \(sender) is-at \(macText(bytes.uint64(at: 8) >> 16))"
    default: return nil
    }
  }

  /// `02:00:00:00:01:01`
  static func macText(_ address: UInt64) -> String {
    (0..<6).map { index in
      let byte = UInt8(truncatingIfNeeded: address >> UInt64(40 - 8 * index))
      return (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }.joined(separator: ":")
  }
}
