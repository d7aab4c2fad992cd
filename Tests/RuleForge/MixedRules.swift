// Rulesets and packets with everything at once, over few values so that they meet: for holding one way
// of asking rules against another.

import Conntrack
import Ruleset
import Wire

/// A ruleset of one family: in its mangle (or raw) table, a built-in chain and chains below it, with
/// matches and targets of every kind in any order.
public struct MixedRules {
  public let text: String
  public let family: AddressFamily
  public let table: TableName
  public let chain: BuiltInChain
  public let dialect: RuleDialect

  /// - Parameter rules: how many rules a chain has at most.
  public init(seed: UInt64, rules: Int) {
    var forge = MixedForge(dice: Dice(seed: seed))
    family = forge.family
    table = forge.isRaw ? .raw : .mangle
    chain = forge.isRaw ? .prerouting : .forward
    dialect = forge.dice.chance(50) ? .legacy : .nftables
    text = forge.text(chain: chain.name, rules: rules)
  }

  /// The rules, read and of their dialect.
  public func parsed() throws(RulesetError) -> FamilyRules {
    var rules = try Ruleset(parsing: text, file: "mixed", family: family)[family]
    rules.dialect = dialect
    return rules
  }

  /// The interfaces packets come and go by; the last is of no rule's.
  public static let interfaces = ["eth0", "eth1", "eth10", "lo", "tun0", "wlan3"]

  /// A packet over the same few values, whole or cut short.
  public func packet(_ dice: inout Dice) -> MatchContext {
    let number = dice.pick(weighted: [
      (UInt8(6), 50), (17, 25), (family == .ipv4 ? 1 : 58, 10), (132, 5), (47, 5), (0, 5),
    ])
    var context = MatchContext(
      source: MixedForge.address(family, &dice), destination: MixedForge.address(family, &dice),
      family: family, protocolNumber: number,
      inInterface: InterfaceID(rawValue: Int32(dice.below(Self.interfaces.count + 2)) - 1),
      outInterface: InterfaceID(rawValue: Int32(dice.below(Self.interfaces.count + 2)) - 1),
      length: UInt32(40 + dice.below(60)))
    context.transportAvailable = dice.chance(80) ? 40 : UInt32(dice.below(26))
    if dice.chance(5) { context.fragmentOffset = UInt16(1 + dice.below(3)) }
    if dice.chance(5) {
      context.isProtocolKnown = false
      context.transportAvailable = 0
    }
    if context.transportAvailable >= 4 && context.fragmentOffset == 0 {
      context.sourcePort = MixedForge.port(&dice)
      context.destinationPort = MixedForge.port(&dice)
    }
    context.tcpFlags = dice.pick([0x02, 0x12, 0x10, 0x04])
    context.icmpType = dice.pick([0, 3, 8, 128, 129])
    context.timeToLive = UInt8(60 + dice.below(8))
    context.mark = UInt32(dice.below(4))
    context.connectionMark = UInt32(dice.below(4))
    context.sourceMAC = dice.chance(50) ? UInt64(dice.below(3)) : nil
    if table == .raw { return context }
    context.ctState = dice.pick([.new, .established, .related, .invalid, .untracked])
    context.hasConnection = context.ctState != .invalid && context.ctState != .untracked
    context.ctDirection = dice.chance(50) ? .original : .reply
    return context
  }
}

private struct MixedForge {
  var dice: Dice
  let family: AddressFamily
  let isRaw: Bool
  private var below: [String] = []

  init(dice: Dice) {
    self.dice = dice
    family = self.dice.chance(60) ? .ipv4 : .ipv6
    isRaw = self.dice.chance(15)
  }

  mutating func text(chain: String, rules: Int) -> String {
    let chains = (0..<4).map { "CHAIN\($0)" }
    var lines = [isRaw ? "*raw" : "*mangle", ":\(chain) \(dice.pick(["ACCEPT", "DROP"])) [0:0]"]
    lines += chains.map { ":\($0) - [0:0]" }
    for (place, name) in ([chain] + chains).enumerated() {
      // Only chains after this one, so that none comes back to itself.
      below = Array(chains[place...])
      for _ in 0..<(1 + dice.below(rules)) { lines.append("-A \(name)\(rule())") }
    }
    return (lines + ["COMMIT", ""]).joined(separator: "\n")
  }

  private mutating func rule() -> String {
    var text = ""
    if dice.chance(50) { text += not(15) + " -s \(network())" }
    if dice.chance(50) { text += not(15) + " -d \(network())" }
    if dice.chance(20) { text += not(30) + " -i \(interface())" }
    if dice.chance(15) && !isRaw { text += not(30) + " -o \(interface())" }
    if dice.chance(3) && family == .ipv4 { text += not(50) + " -f" }
    var matches: [String] = []
    switch dice.below(10) {
    case 0...3:
      text += " -p tcp"
      if dice.chance(80) { matches.append(tcp()) }
      if dice.chance(15) { matches.append(multiport()) }
    case 4, 5:
      text += " -p udp"
      if dice.chance(80) { matches.append(" -m udp\(ports())") }
      if dice.chance(15) { matches.append(multiport()) }
    case 6:
      let name = family == .ipv4 ? "icmp" : "ipv6-icmp"
      text += " -p \(name)"
      if dice.chance(60) {
        let match = family == .ipv4 ? " -m icmp" : " -m icmp6"
        let option = family == .ipv4 ? " --icmp-type 8" : " --icmpv6-type 128"
        matches.append(match + not(20) + option)
      }
    case 7:
      text += not(50) + " -p \(dice.pick(["sctp", "gre", "tcp"]))"
    default: break
    }
    while dice.chance(25) { matches.append(other()) }
    matches.shuffle(using: &dice)
    return text + matches.joined() + target()
  }

  private mutating func tcp() -> String {
    var text = " -m tcp\(ports())"
    if dice.chance(15) { text += not(30) + " --tcp-flags SYN,ACK SYN" }
    if dice.chance(8) { text += not(50) + " --tcp-option 4" }
    return text
  }

  private mutating func ports() -> String {
    var text = ""
    if dice.chance(25) { text += not(20) + " --sport \(span())" }
    if dice.chance(75) { text += not(10) + " --dport \(span())" }
    return text
  }

  private mutating func span() -> String {
    let low = Int(Self.port(&dice))
    return dice.chance(70) ? "\(low)" : "\(low):\(min(65_535, low + dice.below(8)))"
  }

  private mutating func multiport() -> String {
    let list = (0..<(1 + dice.below(4))).map { _ in
      let port = min(65_530, Self.port(&dice))
      return dice.chance(70) ? "\(port)" : "\(port):\(port + 3)"
    }
    return " -m multiport" + not(20)
      + " --\(dice.pick(["sports", "dports", "ports"])) \(list.joined(separator: ","))"
  }

  /// A match without a protocol of its own.
  private mutating func other() -> String {
    switch dice.below(isRaw ? 8 : 11) {
    case 0: return " -m limit --limit \(1 + dice.below(9))/sec --limit-burst \(1 + dice.below(3))"
    case 1: return " -m statistic --mode nth --every 2 --packet \(dice.below(2))"
    case 2: return " -m statistic --mode random --probability 0.5"
    case 3: return " -m mark" + not(30) + " --mark \(dice.below(4))/0x3"
    case 4: return " -m length --length 40:\(50 + dice.below(40))"
    case 5:
      return family == .ipv4
        ? " -m ttl --ttl-gt \(60 + dice.below(8))" : " -m hl --hl-lt \(60 + dice.below(8))"
    case 6: return " -m mac" + not(30) + " --mac-source 00:00:00:00:00:0\(dice.below(3))"
    case 7:
      var ends = [Self.address(family, &dice), Self.address(family, &dice)]
      ends.sort()
      return " -m iprange" + not(20)
        + " --\(dice.pick(["src", "dst"]))-range \(ends[0].text(family))-\(ends[1].text(family))"
    case 8: return " -m connmark" + not(30) + " --mark \(dice.below(4))"
    case 9: return " -m conntrack" + not(20) + " --ctstate \(dice.pick(["NEW", "INVALID,NEW"]))"
    default: return " -m conntrack --ctdir ORIGINAL --ctstate ESTABLISHED"
    }
  }

  private mutating func target() -> String {
    switch dice.below(20) {
    case 0...3: return " -j DROP"
    case 4, 5: return " -j ACCEPT"
    case 6, 7: return " -j RETURN"
    case 8...11 where !below.isEmpty: return " -j \(dice.pick(below))"
    case 12 where !below.isEmpty: return " -g \(dice.pick(below))"
    case 13: return " -j LOG"
    case 14, 15:
      return isRaw ? " -j CT --notrack" : " -j MARK --set-xmark \(dice.below(4))/0x3"
    case 16: return isRaw ? "" : " -j CONNMARK --set-xmark \(dice.below(4))/0x3"
    default: return ""
    }
  }

  private mutating func not(_ percent: Int) -> String { dice.chance(percent) ? " !" : "" }

  private mutating func interface() -> String {
    dice.pick(["eth0", "eth1", "eth+", "eth1+", "lo", "tun+", "+", "none"])
  }

  private mutating func network() -> String {
    let address = Self.address(family, &dice)
    if dice.chance(5) {
      return family == .ipv4
        ? "\(address.text(family))/255.0.255.\(dice.pick([0, 192, 255]))"
        : "\(address.text(family))/ffff:ffff:0:ffff::\(dice.pick(["", "ffff"]))"
    }
    let length =
      family == .ipv4
      ? dice.pick([0, 8, 24, 30, 31, 32, 32, 32])
      : dice.pick([0, 32, 48, 63, 64, 96, 127, 128, 128])
    return "\(address.text(family))/\(length)"
  }

  static func address(_ family: AddressFamily, _ dice: inout Dice) -> IPAddress {
    if family == .ipv4 {
      if dice.chance(3) { return IPAddress(ipv4: dice.pick([0, .max])) }
      return IPAddress(ipv4: 0x0A00_0000 | UInt32(dice.below(3)) << 8 | UInt32(dice.below(8)))
    }
    if dice.chance(3) {
      return dice.pick([.any, IPAddress(high: .max, low: .max)])
    }
    let high = 0x2001_0DB8_0000_0000 | UInt64(dice.below(2)) << 16 | UInt64(dice.below(3))
    return IPAddress(high: high, low: UInt64(dice.below(2)) << 40 | UInt64(dice.below(4)))
  }

  static func port(_ dice: inout Dice) -> UInt16 {
    dice.pick(weighted: [
      (0, 3), (22, 10), (53, 10), (80, 20), (81, 10), (443, 20), (8080, 10), (65_532, 3),
      (65_535, 3),
    ])
  }
}
