// Protocols by name and number, as `-p` takes and `iptables-save` prints them (IANA's names, in the
// spelling of /etc/protocols).

enum ProtocolNames {
  /// The number of a protocol given by number or name; 0 for `all`. nil if there is none.
  static func number(_ text: String) -> UInt8? {
    if let number = Numbers.parse(text, limit: 255) { return UInt8(number) }
    let name = text.lowercased()
    return numbers[name] ?? extra[name]
  }

  /// The protocol as `iptables-save` prints it: its name, or its number where it has none.
  static func name(_ number: UInt8) -> String {
    names[number] ?? String(number)
  }

  /// Every name, for suggestions.
  static var all: [String] { Array(numbers.keys).sorted() + Array(extra.keys).sorted() }

  /// Names that iptables knows beside those of /etc/protocols (iptables(8), `-p`).
  private static let extra: [String: UInt8] = [
    "all": 0, "icmpv6": 58, "mh": 135, "ipv6-mh": 135, "ip": 0, "hopopt": 0,
  ]

  private static let pairs: [(name: String, number: UInt8)] = table.split(separator: ",").compactMap
  {
    entry in
    let parts = entry.split(whereSeparator: \.isWhitespace)
    return UInt8(parts[1]).map { (String(parts[0]), $0) }
  }
  private static let numbers = Dictionary(pairs.map { ($0.name, $0.number) }) { first, _ in first }
  private static let names = Dictionary(pairs.map { ($0.number, $0.name) }) { first, _ in first }

  private static let table = """
    icmp 1, igmp 2, ggp 3, ipencap 4, st 5, tcp 6, egp 8, igp 9, pup 12, udp 17, hmp 20,
    xns-idp 22, rdp 27, iso-tp4 29, dccp 33, xtp 36, ddp 37, idpr-cmtp 38, ipv6 41,
    ipv6-route 43, ipv6-frag 44, idrp 45, rsvp 46, gre 47, esp 50, ah 51, skip 57, ipv6-icmp 58,
    ipv6-nonxt 59, ipv6-opts 60, rspf 73, vmtp 81, eigrp 88, ospf 89, ax.25 93, ipip 94,
    etherip 97, encap 98, pim 103, ipcomp 108, vrrp 112, l2tp 115, isis 124, sctp 132, fc 133,
    mobility-header 135, udplite 136, mpls-in-ip 137, manet 138, hip 139, shim6 140, wesp 141,
    rohc 142, ethernet 143
    """
}
