// Why a frame holds no IP packet: for counters, and in words for transcripts and explanations.

/// Why a frame holds no IP packet.
@frozen
public enum NotIPReason: Hashable, Sendable, BitwiseCopyable {
  /// The frame ends within its link-layer headers.
  case truncated
  case arp
  case mpls
  case pppoeDiscovery
  /// A PPPoE session header of another version, type or code than RFC 2516 gives it.
  case badPPPoE
  /// IEEE 802.3 with a length instead of a type, LLC behind it: spanning tree and the like. IP in
  /// LLC/SNAP (RFC 1042) is among them, as Linux does not read it.
  case llc
  /// Any other EtherType.
  case etherType(UInt16)
  /// A protocol in PPP that is not IP.
  case pppProtocol(UInt16)
  /// A family in a BSD loopback header.
  case addressFamily(UInt32)
  /// Raw IP of a version other than 4 and 6.
  case ipVersion(UInt8)
  /// A cooked capture of an interface whose protocols are not EtherTypes (ARPHRD_*).
  case hardwareType(UInt16)
  /// A link type this reader does not know.
  case linkType(Int)

  /// The reason in words, to stand behind "not IP: ".
  public var text: String {
    switch self {
    case .truncated: "the frame is cut short"
    case .arp: "ARP"
    case .mpls: "MPLS"
    case .pppoeDiscovery: "PPPoE discovery"
    case .badPPPoE: "a malformed PPPoE header"
    case .llc: "IEEE 802.3 with LLC"
    case .etherType(let type): "EtherType 0x" + NotIPReason.hexadecimal(type)
    case .pppProtocol(let number): "PPP protocol 0x" + NotIPReason.hexadecimal(number)
    case .addressFamily(let family): "address family \(family)"
    case .ipVersion(let version): "IP version \(version)"
    case .hardwareType(let type): "hardware type \(type)"
    case .linkType(let type): "link type \(type) is not known"
    }
  }

  private static func hexadecimal(_ value: UInt16) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 4 - digits.count) + digits
  }
}
