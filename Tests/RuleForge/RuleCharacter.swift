// Rulesets of several characters and any size, as text, for benchmarks of the classifier. What
// address lists, packet filters and orchestrators are known to write, in pure form.

import Wire

/// What a forged ruleset is like. All rules are in the filter table below FORWARD.
public enum RuleCharacter: String, CaseIterable, Sendable {
  /// Pairs of networks, most destinations narrow, most rules with a port: an access list.
  case access
  /// Many rules with one address open, ranges of ports: a packet filter grown over years.
  case firewall
  /// Pairs of hosts and networks, seldom a port.
  case pairs
  /// One source address each.
  case blocklist
  /// One port each.
  case ports
  /// One service address and port each, with a jump to a chain of its own.
  case services
  /// One interface each, or the beginning of several.
  case interfaces
  /// Wide networks, long ranges of ports, and negations, all over each other.
  case wide
  /// As `access`, of IPv6.
  case access6
  /// As `blocklist`, of IPv6.
  case blocklist6

  public var family: AddressFamily {
    self == .access6 || self == .blocklist6 ? .ipv6 : .ipv4
  }

  /// `count` rules as `iptables-save` prints them, the same for the same seed.
  public func text(count: Int, seed: UInt64) -> String {
    var forge = CharacterForge(dice: Dice(seed: seed), count: count)
    var lines = ["*filter", ":FORWARD DROP [0:0]"]
    let rules = (0..<count).map { forge.rule(self, number: $0) }
    if self == .services { lines += (0..<count).map { ":SVC-\($0) - [0:0]" } }
    lines += rules.map { "-A FORWARD \($0)" }
    if self == .services { lines += (0..<count).map { "-A SVC-\($0) -j ACCEPT" } }
    return (lines + ["COMMIT", ""]).joined(separator: "\n")
  }
}

private struct CharacterForge {
  var dice: Dice
  let count: Int
  /// Networks that addresses are taken from, so that they nest and repeat.
  lazy var sites: [UInt32] = (0..<max(4, count / 20)).map { _ in
    UInt32(truncatingIfNeeded: dice.next())
  }

  init(dice: Dice, count: Int) {
    self.dice = dice
    self.count = count
  }

  mutating func rule(_ character: RuleCharacter, number: Int) -> String {
    switch character {
    case .access:
      return pair(
        [(0, 15), (8, 5), (16, 15), (24, 30), (28, 10), (32, 25)],
        [(16, 5), (24, 25), (30, 10), (32, 60)], portsIn: 85)
    case .firewall:
      return pair(
        [(0, 45), (16, 10), (24, 20), (32, 25)], [(0, 30), (16, 5), (24, 15), (32, 50)],
        portsIn: 60)
    case .pairs:
      return pair(
        [(0, 10), (16, 15), (24, 35), (32, 40)], [(0, 10), (16, 15), (24, 35), (32, 40)],
        portsIn: 20)
    case .blocklist:
      return "-s \(dotted(UInt32(truncatingIfNeeded: dice.next()))) -j DROP"
    case .ports:
      let transport = number & 1 == 0 ? "tcp" : "udp"
      return "-p \(transport) -m \(transport) --dport \(1 + number / 2) -j ACCEPT"
    case .services:
      let address = dotted(0x0A60_0000 | UInt32(number / 2))
      return "-d \(address) -p tcp -m tcp --dport \(number & 1 == 0 ? 80 : 443) -j SVC-\(number)"
    case .interfaces:
      let name = number % 50 == 49 ? "vm\(number / 100)+" : "vm\(number)"
      return "-i \(name) -p tcp -m tcp --dport \(dice.pick([22, 80, 443])) -j ACCEPT"
    case .wide:
      let first = dice.below(60_000)
      let ports = "--dport \(first):\(first + 1000 + dice.below(4000))"
      let inverted = dice.chance(10) ? "! " : ""
      return "\(inverted)-s \(network([(4, 30), (8, 40), (12, 30)])) "
        + "-d \(network([(0, 40), (6, 30), (10, 30)])) -p tcp -m tcp \(ports) -j \(verdict())"
    case .access6:
      let source = network6([(0, 15), (32, 15), (48, 20), (64, 30), (128, 20)])
      let destination = network6([(48, 10), (64, 30), (128, 60)])
      return "-s \(source) -d \(destination)\(transport(portsIn: 85)) -j \(verdict())"
    case .blocklist6:
      return "-s \(network6([(128, 1)])) -j DROP"
    }
  }

  /// A rule about two networks; never both wide, for such a rule would hide all rules after it.
  private mutating func pair(
    _ sources: [(Int, Int)], _ destinations: [(Int, Int)], portsIn percent: Int
  ) -> String {
    var (source, destination) = (0, 0)
    while source + destination < 24 {
      source = dice.pick(weighted: sources)
      destination = dice.pick(weighted: destinations)
    }
    return "-s \(network([(source, 1)])) -d \(network([(destination, 1)]))"
      + "\(transport(portsIn: percent)) -j \(verdict())"
  }

  private mutating func verdict() -> String { dice.pick(["ACCEPT", "DROP", "ACCEPT"]) }

  private mutating func transport(portsIn percent: Int) -> String {
    guard dice.chance(percent) else {
      return dice.pick(weighted: [("", 50), (" -p tcp", 30), (" -p udp", 15), (" -p icmp", 5)])
    }
    let name = dice.pick(weighted: [("tcp", 75), ("udp", 25)])
    var text = " -p \(name) -m \(name)"
    if dice.chance(5) { text += " --sport \(1 + dice.below(65_535))" }
    switch dice.below(10) {
    case 0: text += " --dport 1024:65535"
    case 1:
      let first = 1 + dice.below(60_000)
      text += " --dport \(first):\(first + dice.below(500))"
    case 2...5:
      text += " --dport \(dice.pick([22, 25, 53, 80, 110, 123, 143, 389, 443, 445, 993, 3306]))"
    default: text += " --dport \(1 + dice.below(65_535))"
    }
    return text
  }

  private mutating func network(_ lengths: [(Int, Int)]) -> String {
    let length = dice.pick(weighted: lengths)
    // The site's first bits, and the rest at random: networks of one site nest.
    let low = UInt32(truncatingIfNeeded: dice.next())
    let address = (dice.pick(sites) & 0xFFFF_0000) | (low & 0xFFFF)
    return "\(dotted(address & IPAddress.mask(length, .ipv4).ipv4))/\(length)"
  }

  private mutating func network6(_ lengths: [(Int, Int)]) -> String {
    let length = dice.pick(weighted: lengths)
    let site = UInt64(dice.pick(sites) >> 12)
    let subnet = UInt64(dice.below(64))
    let host = dice.next() & (dice.chance(50) ? 0xFFFF : .max)
    let address = IPAddress(high: 0x2001_0DB8_0000_0000 | site << 16 | subnet, low: host)
    return "\(address.masked(length, .ipv6).text(.ipv6))/\(length)"
  }

  private func dotted(_ address: UInt32) -> String { IPAddress(ipv4: address).text(.ipv4) }
}
