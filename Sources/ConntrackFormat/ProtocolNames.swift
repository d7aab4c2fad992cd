// Which transport protocols `conntrack` knows by name, and what it prints of their tuples and states.
// For the writers, the parser and `-p`; a protocol that gains a state is added here.

import Conntrack

/// What of a tuple tells two flows apart, hence what is printed of it.
enum TupleKind {
  case ports
  case icmp
  case keys
  case nothing
}

/// One protocol `conntrack` has a module for.
struct KnownProtocol {
  let name: String
  let number: UInt8
  let tuple: TupleKind
}

/// The protocols with a name of their own in output. Every other one is `unknown`.
let knownProtocols: [KnownProtocol] = [
  KnownProtocol(name: "tcp", number: 6, tuple: .ports),
  KnownProtocol(name: "udp", number: 17, tuple: .ports),
  KnownProtocol(name: "udplite", number: 136, tuple: .ports),
  KnownProtocol(name: "icmp", number: 1, tuple: .icmp),
  KnownProtocol(name: "icmpv6", number: 58, tuple: .icmp),
  KnownProtocol(name: "sctp", number: 132, tuple: .ports),
  KnownProtocol(name: "dccp", number: 33, tuple: .ports),
  KnownProtocol(name: "gre", number: 47, tuple: .keys),
]

@inline(__always)
func protocolName(_ number: UInt8) -> String {
  switch number {
  case 6: "tcp"
  case 17: "udp"
  case 1: "icmp"
  case 58: "icmpv6"
  case 132: "sctp"
  case 33: "dccp"
  case 47: "gre"
  case 136: "udplite"
  default: "unknown"
  }
}

@inline(__always)
func tupleKind(_ number: UInt8) -> TupleKind {
  switch number {
  case 6, 17, 33, 132, 136: .ports
  case 1, 58: .icmp
  case 47: .keys
  default: .nothing
  }
}

extension ConntrackFormat {
  /// `tcp`, or `protocol 89` where there is no name.
  public static func name(ofProtocol number: UInt8) -> String {
    knownProtocols.first { $0.number == number }?.name ?? "protocol \(number)"
  }
}

extension ProtocolState {
  /// The state as `conntrack` prints it; nil for protocols that have none.
  public var name: String? {
    switch self {
    case .none: nil
    case .tcp(let state): state.name
    case .sctp(let state): state.name
    case .dccp(let state): state.name
    }
  }

  /// The state that `protocolNumber` calls `name`.
  init?(name: Substring, protocolNumber: UInt8) {
    switch protocolNumber {
    case 6:
      guard let state = TCPState.allCases.first(where: { $0.name == name }) else { return nil }
      self = .tcp(state)
    case 132:
      guard let state = SCTPState.allCases.first(where: { $0.name == name }) else { return nil }
      self = .sctp(state)
    case 33:
      guard let state = DCCPState.allCases.first(where: { $0.name == name }) else { return nil }
      self = .dccp(state)
    default: return nil
    }
  }
}

/// Names for `-p` beside those above: the IANA registry's, as `/etc/protocols` of Debian 12 spells
/// them. `conntrack` asks getprotobyname(3).
let otherProtocolNumbers: [String: UInt8] = [
  "ip": 0, "hopopt": 0, "igmp": 2, "ggp": 3, "ipencap": 4, "st": 5, "egp": 8, "igp": 9, "pup": 12,
  "hmp": 20, "xns-idp": 22, "rdp": 27, "iso-tp4": 29, "xtp": 36, "ddp": 37, "idpr-cmtp": 38,
  "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "idrp": 45, "rsvp": 46, "esp": 50, "ah": 51,
  "skip": 57, "ipv6-icmp": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73, "vmtp": 81,
  "eigrp": 88, "ospf": 89, "ax.25": 93, "ipip": 94, "etherip": 97, "encap": 98, "pim": 103,
  "ipcomp": 108, "vrrp": 112, "l2tp": 115, "isis": 124, "fc": 133, "mobility-header": 135,
  "mpls-in-ip": 137, "manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142,
  "ethernet": 143,
]

extension ConnectionStatus {
  /// The connection's packets take the flow table in software (`[OFFLOAD]`).
  static var offload: Self { .init(rawValue: 1 << 14) }
  /// The connection's packets take the flow table in the network card (`[HW_OFFLOAD]`).
  static var hardwareOffload: Self { .init(rawValue: 1 << 15) }
}
