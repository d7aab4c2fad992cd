// What a rule of the nat table lets NAT choose from, read from the rule's own words: what both sides'
// choices are held against.

import Conntrack
import NAT
import Wire

/// The addresses and ports one rule gives.
struct NATChoice: Hashable {
  var kind: NATKind
  /// Nil: the rule gives none.
  var addresses: ClosedRange<IPAddress>?
  var ports: ClosedRange<UInt16>?
  /// The same address for one client, whomever it talks to.
  var isPersistent = false
  /// Ports are drawn, not kept.
  var isRandom = false
  /// Of `-p`; ports go with no rule that has none.
  var protocolNumber: UInt8?

  private static let protocols: [String: UInt8] = [
    "icmp": IPProtocolNumber.icmp, "tcp": IPProtocolNumber.tcp, "udp": IPProtocolNumber.udp,
    "dccp": IPProtocolNumber.dccp, "sctp": IPProtocolNumber.sctp,
  ]

  /// Nil where the words are of no rule that leaves a choice.
  init?(rule: String, _ family: AddressFamily) {
    let words = rule.split(separator: " ")
    guard let jump = words.firstIndex(of: "-j"), jump + 1 < words.count else { return nil }
    switch words[jump + 1] {
    case "SNAT", "MASQUERADE": kind = .source
    case "DNAT", "REDIRECT": kind = .destination
    default: return nil
    }
    isPersistent = words.contains("--persistent")
    isRandom = words.contains("--random") || words.contains("--random-fully")
    if let name = words.firstIndex(of: "-p"), name + 1 < words.count {
      protocolNumber = NATChoice.protocols[String(words[name + 1])]
    }
    for index in words.indices.dropLast() {
      switch words[index] {
      case "--to-ports": ports = NATChoice.ports(words[index + 1])
      case "--to-source", "--to-destination":
        let parts = NATChoice.parts(words[index + 1], family)
        ports = parts.ports.flatMap(NATChoice.ports)
        let ends = parts.addresses.split(separator: "-").compactMap {
          IPAddress.parse(String($0), family)
        }
        if let low = ends.first, let high = ends.last, low <= high { addresses = low...high }
      default: break
      }
    }
  }

  /// A source of one address.
  init(address: IPAddress) {
    kind = .source
    addresses = address...address
  }

  /// Whether the source of `tuple` lies in what the rule gives: `usual` where it gives no address.
  func accepts(_ tuple: Tuple, _ usual: IPAddress) -> Bool {
    (protocolNumber ?? tuple.protocolNumber) == tuple.protocolNumber
      && (addresses ?? usual...usual).contains(tuple.source)
      && ports?.contains(tuple.sourcePort) ?? true
  }

  /// Whether an address of a reply tuple is of those the rule chooses from.
  func gives(_ reply: Tuple) -> Bool {
    addresses?.contains(kind == .source ? reply.destination : reply.source) ?? false
  }

  /// `[2001:db8::1]:80-90`, `192.0.2.1-192.0.2.9:80`, `:80`, `2001:db8::1`.
  private static func parts(
    _ value: Substring, _ family: AddressFamily
  ) -> (addresses: Substring, ports: Substring?) {
    if value.hasPrefix("["), let end = value.firstIndex(of: "]") {
      let rest = value[value.index(after: end)...]
      return (
        value[value.index(after: value.startIndex)..<end], rest.isEmpty ? nil : rest.dropFirst()
      )
    }
    if family == .ipv6 {
      return value.hasPrefix(":") && !value.hasPrefix("::") ? ("", value.dropFirst()) : (value, nil)
    }
    guard let colon = value.firstIndex(of: ":") else { return (value, nil) }
    return (value[..<colon], value[value.index(after: colon)...])
  }

  /// `80`, `80-90`, `80-90/8000`.
  private static func ports(_ value: Substring) -> ClosedRange<UInt16>? {
    let numbers = (value.split(separator: "/").first ?? "").split(separator: "-")
      .compactMap { UInt16($0) }
    guard let low = numbers.first, let high = numbers.last, low <= high else { return nil }
    return low...high
  }
}
