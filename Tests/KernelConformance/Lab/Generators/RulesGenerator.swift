// Filter rules of the kinds everyone has, with conntrack states and REJECT, sometimes behind NAT.

import Conntrack
import Wire

enum RulesGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(40) { test.rules = NATGenerator.rules(&chooser, family) }
    if chooser.chance(10) {
      test.rules.insert("-t raw -A PREROUTING -p udp -m udp --dport 53 -j CT --notrack", at: 0)
    }
    test.rules += filter(&chooser, family)
    (test.flows, test.steps) = NATGenerator.traffic(&chooser, family)
    return test
  }

  /// The filter table.
  static func filter(
    _ chooser: inout Chooser, _ family: AddressFamily
  ) -> [String] {
    var rules = ["-t filter"]
    for _ in 0..<chooser.of([2, 4, 8]) {
      let chain = chooser.of(["FORWARD", "FORWARD", "FORWARD", "INPUT", "OUTPUT"])
      let match = matches(&chooser, family, chain)
      let target = target(&chooser, family, chain, match.isTCP)
      rules.append("-t filter -A \(chain)\(match.words) -j \(target)")
    }
    return rules
  }

  private static func matches(
    _ chooser: inout Chooser, _ family: AddressFamily, _ chain: String
  ) -> (words: String, isTCP: Bool) {
    var words = ""
    if chooser.chance(15) {
      words += " -s \(Network.host(chooser.number(2...4), .lan, family).text(family))"
    }
    if chooser.chance(15) {
      words += " -d \(Network.host(chooser.number(2...4), .wan, family).text(family))"
    }
    if chain != "OUTPUT" && chooser.chance(25) {
      words += " -i \(chooser.of(["lan0", "wan0", "lan0", "wan0", "lo"]))"
    }
    if chain != "INPUT" && chooser.chance(15) {
      words += " -o \(chooser.of(["lan0", "wan0", "lan0", "wan0", "lo"]))"
    }
    let name = chooser.of(["", "", "tcp", "tcp", "udp", family == .ipv4 ? "icmp" : "ipv6-icmp"])
    if !name.isEmpty { words += " -p \(name)" }
    if name == "tcp" || name == "udp" {
      switch chooser.number(0...9) {
      case 0...2: words += " -m \(name) --dport \(chooser.of(["22", "53", "80", "1024:65535"]))"
      case 3: words += " -m \(name) --sport \(chooser.of(["1000", "300:1001"]))"
      case 4: words += " -m multiport --dports 22,80,8080"
      case 5 where name == "tcp": words += " -m tcp --tcp-flags FIN,SYN,RST,ACK SYN"
      default: break
      }
    }
    if chooser.chance(55) {
      let states = [
        "NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "RELATED", "INVALID", "INVALID,NEW",
        "UNTRACKED",
      ]
      words += " -m conntrack\(chooser.chance(10) ? " !" : "") --ctstate \(chooser.of(states))"
    } else if chooser.chance(35) {
      words += " " + connection(&chooser, family)
    }
    return (words, name == "tcp")
  }

  /// `-m conntrack` with one to three of all its options.
  static func connection(_ chooser: inout Chooser, _ family: AddressFamily) -> String {
    let states = ["INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"]
    let statuses = ["NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"]
    let options = [
      "--ctstate", "--ctstatus", "--ctproto", "--ctorigsrc", "--ctorigdst", "--ctreplsrc",
      "--ctrepldst", "--ctorigsrcport", "--ctorigdstport", "--ctreplsrcport", "--ctrepldstport",
      "--ctexpire", "--ctdir",
    ]
    var words = "-m conntrack"
    var left = options
    for _ in 0..<chooser.of([1, 1, 1, 2, 3]) {
      let option = left.remove(at: chooser.number(0...left.count - 1))
      // A direction cannot be inverted.
      if option != "--ctdir" && chooser.chance(25) { words += " !" }
      let value: String
      switch option {
      case "--ctstate":
        let some = states.filter { _ in chooser.chance(30) }
        value = some.isEmpty ? chooser.of(states) : some.joined(separator: ",")
      case "--ctstatus":
        let some = statuses.dropFirst().filter { _ in chooser.chance(30) }
        value = some.isEmpty ? chooser.of(statuses) : some.joined(separator: ",")
      case "--ctproto": value = chooser.of(["6", "17", "1", "58", "132"])
      case "--ctdir": value = chooser.of(["ORIGINAL", "REPLY"])
      case "--ctexpire": value = chooser.of(["0", "0:100", "100:200", "100:500", "200:4294967295"])
      case _ where option.hasSuffix("port"):
        value = chooser.of(["80", "53", "22", "1000", "1:1023", "1024:65535", "0", "8080"])
      default:
        let addresses = [
          Network.host(chooser.number(2...6), .lan, family), Network.router(.lan, family),
          Network.host(chooser.number(2...4), .wan, family), Network.router(.wan, family),
          Network.distant(1, family),
        ]
        let lengths = family == .ipv4 ? ["", "", "/24", "/30"] : ["", "", "/64", "/126"]
        value = chooser.of(addresses).text(family) + chooser.of(lengths)
      }
      words += " \(option) \(value)"
    }
    return words
  }

  private static func target(
    _ chooser: inout Chooser, _ family: AddressFamily, _ chain: String, _ isTCP: Bool
  ) -> String {
    if isTCP && chooser.chance(25) { return "REJECT --reject-with tcp-reset" }
    let ipv4 = [
      "net-unreachable", "host-unreachable", "port-unreachable", "proto-unreachable",
      "net-prohibited", "host-prohibited", "admin-prohibited",
    ].map { "REJECT --reject-with icmp-\($0)" }
    let ipv6 = [
      "no-route", "adm-prohibited", "addr-unreachable", "port-unreachable", "policy-fail",
      "reject-route",
    ].map { "REJECT --reject-with icmp6-\($0)" }
    return switch chooser.number(0...9) {
    case 0...4: "ACCEPT"
    case 5...6: "DROP"
    case 7: "REJECT"
    default: chooser.of(family == .ipv4 ? ipv4 : ipv6)
    }
  }
}
