// Rules of the nat table of every kind, with their options mixed: addresses and ranges, ports, ranges and
// shifted ranges, networks, in every chain, behind user chains and matches.

import Wire

struct NATRules {
  let family: AddressFamily
  var lines: [String] = []
  private var chainsUsed: Set<String> = []

  /// Networks that NETMAP maps onto the inside, none of which anybody has.
  static func mapped(_ family: AddressFamily) -> String {
    family == .ipv4 ? "192.0.2.0" : "2001:db8:aa::"
  }

  init(_ chooser: inout Chooser, _ family: AddressFamily, chains: [String]) {
    self.family = family
    if chooser.chance(20) {
      lines.append("-t nat :extra - [0:0]")
      for _ in 0..<chooser.number(1...2) { add("extra", rule(&chooser, chain: "extra")) }
    }
    for chain in chains {
      let usual = chain == "POSTROUTING" || chain == "PREROUTING"
      for _ in 0..<chooser.of(usual ? [0, 1, 1, 2, 3] : [0, 1]) {
        add(chain, rule(&chooser, chain: chain))
      }
    }
    // At times the table has some of its chains alone.
    if chooser.chance(20) {
      let kept = chains.filter { chainsUsed.contains($0) || chooser.chance(20) }
      for chain in kept { lines.append("-t nat :\(chain) ACCEPT [0:0]") }
    }
    if lines.isEmpty { lines.append("-t nat") }
  }

  private mutating func add(_ chain: String, _ rule: String) {
    lines.append("-t nat -A \(chain) \(rule)")
    chainsUsed.insert(chain)
  }

  // MARK: One rule

  private func rule(_ chooser: inout Chooser, chain: String) -> String {
    var words: [String] = []
    let icmp = family == .ipv4 ? "icmp" : "ipv6-icmp"
    let name = chooser.of(["", "", "", "tcp", "udp", "udp", icmp, "sctp", "dccp"])
    if chooser.chance(15) {
      words.append("-s \(Network.host(chooser.number(2...4), .lan, family).text(family))")
    } else if chooser.chance(10) {
      words.append("-s \(family == .ipv4 ? "10.0.1.0/24" : "fd00:1::/64")")
    }
    if chain == "PREROUTING" && chooser.chance(10) {
      words.append("-d \(destination(&chooser).text(family))")
    }
    if chain == "PREROUTING" && chooser.chance(20) {
      words.append("-i \(chooser.of(["lan0", "wan0"]))")
    }
    if chain == "POSTROUTING" && chooser.chance(60) {
      words.append("-o \(chooser.of(["wan0", "wan0", "wan0", "lan0"]))")
    }
    if !name.isEmpty { words.append("-p \(name)") }
    if ["tcp", "udp"].contains(name) && chooser.chance(25) {
      words.append("-m \(name) --dport \(chooser.of(["53", "80", "22:80", "443"]))")
    }
    if chooser.chance(8) {
      words.append(
        "-m conntrack --ctstate \(chooser.of(["NEW", "ESTABLISHED", "RELATED", "DNAT"]))")
    }
    words.append("-j \(target(&chooser, chain, name))")
    return words.joined(separator: " ")
  }

  private func target(_ chooser: inout Chooser, _ chain: String, _ name: String) -> String {
    if chooser.chance(8) { return chooser.of(["RETURN", "ACCEPT"]) }
    if chain != "extra" && lines.contains("-t nat :extra - [0:0]") && chooser.chance(30) {
      return "extra"
    }
    // Networks fit every chain.
    if chain == "extra" || chooser.chance(15) { return "NETMAP --to \(network(&chooser))" }
    let hasPorts = ["tcp", "udp", "sctp", "dccp"].contains(name) || name == "icmp"
    switch chain {
    case "POSTROUTING" where chooser.chance(45):
      var words = "MASQUERADE"
      if hasPorts && chooser.chance(40) { words += " --to-ports \(ports(&chooser, name))" }
      if chooser.chance(15) { words += " --random" }
      if chooser.chance(15) { words += " --random-fully" }
      return words
    case "POSTROUTING", "INPUT":
      var words = "SNAT --to-source "
      words += place(&chooser, sources(&chooser), hasPorts ? ports(&chooser, name) : nil)
      if chooser.chance(15) { words += " --random" }
      if chooser.chance(15) { words += " --random-fully" }
      if chooser.chance(25) { words += " --persistent" }
      return words
    default:
      if chooser.chance(25) {
        var words = "REDIRECT"
        if hasPorts && chooser.chance(60) { words += " --to-ports \(ports(&chooser, name))" }
        if chooser.chance(20) { words += " --random" }
        return words
      }
      let aim = place(&chooser, destinations(&chooser), hasPorts ? ports(&chooser, name) : nil)
      var words = "DNAT --to-destination \(aim)"
      let last = aim.split(separator: ":", omittingEmptySubsequences: false).last ?? ""
      let isRange = last.contains("-") && last.allSatisfy { $0.isNumber || $0 == "-" }
      if isRange && (family == .ipv4 || aim.contains("]:") || aim.hasPrefix(":")) && hasPorts
        && chooser.chance(35)
      {
        words += "/\(chooser.of([1, 20, 53, 80, 79, 443, 1000]))"
      }
      if chooser.chance(15) { words += " --random" }
      if chooser.chance(25) { words += " --persistent" }
      return words
    }
  }

  /// Addresses, ports or both, as `--to-source` wants them.
  private func place(_ chooser: inout Chooser, _ addresses: String, _ ports: String?) -> String {
    guard var ports, chooser.chance(55) else { return addresses }
    // Each side has its own idea of who gets which address, so none may run short of ports.
    if addresses.contains("-") { ports = chooser.of(["2000-2063", "512-1023", "60000-65535"]) }
    if chooser.chance(15) { return ":\(ports)" }
    return family == .ipv4 ? "\(addresses):\(ports)" : "[\(addresses)]:\(ports)"
  }

  private func ports(_ chooser: inout Chooser, _ name: String) -> String {
    if name == "icmp" { return chooser.of(["7", "1-3", "100-163", "0-65535"]) }
    return chooser.of([
      "7000", "5000-5003", "5000-5001", "2000-2063", "80-95", "600-601", "1-2", "1000", "512-1023",
      "60000-65535", "3000-3130",
    ])
  }

  private func range(_ low: IPAddress, _ high: IPAddress) -> String {
    "\(low.text(family))-\(high.text(family))"
  }

  private func sources(_ chooser: inout Chooser) -> String {
    let spare = Network.spare.map { Network.host($0, .wan, family) }
    return chooser.of([
      spare[0].text(family), spare[1].text(family), range(spare[0], spare[3]),
      range(spare[2], spare[7]), range(spare[4], spare[5]),
      Network.router(.wan, family).text(family), Network.router(.lan, family).text(family),
      Network.host(9, .lan, family).text(family), Network.distant(9, family).text(family),
      family == .ipv4 ? "192.0.2.0-192.0.3.255" : "2001:db8:9::fffe-2001:db8:9::1:1",
    ])
  }

  private func destinations(_ chooser: inout Chooser) -> String {
    let inside = (6...9).map { Network.host($0, .lan, family) }
    return chooser.of([
      inside[0].text(family), inside[1].text(family), range(inside[0], inside[3]),
      range(inside[1], inside[2]), Network.host(2, .lan, family).text(family),
      Network.host(6, .wan, family).text(family),
      range(Network.host(6, .wan, family), Network.host(8, .wan, family)),
      Network.distant(2, family).text(family), Network.router(.wan, family).text(family),
      Network.router(.lan, family).text(family), family == .ipv4 ? "127.0.0.1" : "::1",
      Network.host(50, .wan, family).text(family),
    ])
  }

  private func network(_ chooser: inout Chooser) -> String {
    let mapped = NATRules.mapped(family)
    if family == .ipv4 {
      return chooser.of([
        "\(mapped)/24", "10.0.1.0/24", "10.0.1.0/24", "198.51.100.48/29", "10.0.1.6/31",
        "10.0.1.0/28", "198.51.100.51", "\(mapped)/20", "203.0.113.0/25", "198.51.100.48/30",
      ])
    }
    return chooser.of([
      "\(mapped)/64", "fd00:1::/64", "fd00:1::/64", "2001:db8:9::/64", "fd00:1::6/127",
      "fd00:1::/124", "2001:db8:9::33", "\(mapped)/61", "\(mapped)/33", "2001:db8:9::30/125",
    ])
  }

  /// Whom a flow, or a rule's `-d`, is meant for.
  func destination(_ chooser: inout Chooser) -> IPAddress {
    switch chooser.number(0...99) {
    case ..<35: return Network.host(chooser.number(2...4), .wan, family)
    case ..<50: return Network.distant(chooser.number(1...3), family)
    case ..<65: return Network.router(.wan, family)
    case ..<70: return Network.router(.lan, family)
    case ..<78: return Network.host(chooser.of(Network.spare), .wan, family)
    case ..<88: return Network.host(chooser.number(5...7), .lan, family)
    case ..<97:
      let base = IPAddress.parse(NATRules.mapped(family), family) ?? .any
      let number = UInt64(chooser.number(2...7))
      return family == .ipv4
        ? IPAddress(ipv4: base.ipv4 | UInt32(number)) : IPAddress(high: base.high, low: number)
    default:
      let texts =
        family == .ipv4
        ? ["224.0.0.5", "239.1.2.3", "10.0.1.255", "198.51.100.255", "255.255.255.255"]
        : ["ff02::5", "ff0e::123"]
      return IPAddress.parse(chooser.of(texts), family) ?? .any
    }
  }
}
