// Every match and target Weir has, with random parameters, in every table and hook it is legal in, on
// packets of all kinds. Most rules only count, so that each packet meets all of them.

import Conntrack
import Wire

enum MatchesGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(15) { test.rules = LocalGenerator.rules(&chooser, family) }
    (test.flows, test.steps) = traffic(&chooser, family, isTranslated: test.translates)
    for _ in 0..<chooser.of([1, 2, 3]) {
      let table = chooser.of(["raw", "mangle", "mangle", "filter", "filter"])
      if test.rules.contains(where: { $0.hasPrefix("-t \(table)") }) { continue }
      test.rules.append("-t \(table)")
      let chains = hooks(table)
      for _ in 0..<chooser.of([4, 10, 20]) {
        var writer = RuleWriter(table: table, chain: chooser.of(chains), family: family)
        writer.write(&chooser)
        test.rules.append(writer.text)
      }
    }
    return test
  }

  private static func hooks(_ table: String) -> [String] {
    switch table {
    case "raw": ["PREROUTING", "OUTPUT"]
    case "mangle": ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
    default: ["INPUT", "FORWARD", "OUTPUT"]
    }
  }

  // MARK: Packets

  /// Packets of all protocols between all hosts, the router among them.
  static func traffic(
    _ chooser: inout Chooser, _ family: AddressFamily, isTranslated: Bool = false
  ) -> (flows: [Flow], steps: [Step]) {
    var (flows, steps) = NATGenerator.traffic(&chooser, family) { chooser, _ in
      let kind = chooser.of([Flow.Kind.tcp, .tcp, .udp, .udp, .echo, .sctp, .lite, .raw])
      return chooser.chance(40)
        ? LocalGenerator.flow(&chooser, kind, family) : Flow.make(&chooser, kind, family)
    }
    let numbers: [UInt8] = [2, 33, 47, 50, 51, 253]
    let number = chooser.of(numbers)
    for at in steps.indices {
      if case .raw = steps[at].kind {
        steps[at] = ProtocolsGenerator.rawStep(&chooser, number, flow: steps[at].flow, flows)
      }
      if case .tcp(var tcp) = steps[at].kind, tcp.flags.contains(.syn), chooser.chance(60) {
        tcp.options = chooser.of(synOptions)
        steps[at].kind = .tcp(tcp)
      }
      change(&chooser, &steps[at].ip, family)
    }
    if chooser.chance(30) { fragment(&chooser, &steps, isTranslated) }
    return (flows, steps)
  }

  /// Options of a SYN: with an MSS at an even and at an odd place, twice, of another length, cut short,
  /// behind the end of the list, and none.
  private static let synOptions: [[UInt8]] = [
    [], [2, 4, 5, 0xb4], [2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1], [1, 2, 4, 5, 0xb4, 1, 1, 1],
    [2, 4, 2, 0x18], [2, 4, 0, 0], [2, 4, 5, 0xb4, 2, 4, 4, 0], [2, 3, 5, 1], [1, 1, 1, 2],
    [0, 0, 0, 0, 2, 4, 5, 0xb4], [3, 3, 7, 0], [8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1],
    [254, 4, 1, 2], [3, 0, 0, 0], [2, 4, 0xff, 0xff],
    [UInt8](repeating: 1, count: 36) + [2, 4, 5, 0xb4],
  ]

  private static func change(
    _ chooser: inout Chooser, _ ip: inout IPLayer, _ family: AddressFamily
  ) {
    if chooser.chance(15) { ip.trafficClass = chooser.of([0x10, 0x08, 0x28, 0xb8, 3]) }
    if chooser.chance(4) { ip.frame = chooser.of([.broadcast, .multicast]) }
    if family == .ipv4 {
      if chooser.chance(10) { ip.dontFragment = true }
      if chooser.chance(3) { ip.options = chooser.of([[1, 1, 1, 1], [7, 7, 4, 0, 0, 0, 0, 0]]) }
    } else if chooser.chance(5) {
      let number: UInt8 = chooser.of([0, 60])
      ip.extensions = [IPLayer.Extension(number: number, body: [1, 4, 0, 0, 0, 0])]
    }
  }

  /// Sends some datagrams in two pieces, sometimes the second first, or one alone.
  private static func fragment(
    _ chooser: inout Chooser, _ steps: inout [Step], _ isTranslated: Bool
  ) {
    for at in steps.indices.reversed() where chooser.chance(25) {
      let length: Int
      switch steps[at].kind {
      case .udp(let udp) where udp.lengthField == nil: length = 8 + udp.length
      case .echo(let echo): length = 8 + echo.length
      case .tcp(let tcp): length = 20 + tcp.options.count + tcp.length
      default: continue
      }
      guard length > 8, steps[at].ip.extensions.isEmpty, steps[at].ip.options.isEmpty else {
        continue
      }
      var middle = chooser.of([8, 8, 16, 24])
      // A port drawn by chance shows in TCP's checksum, which is compared where the ports are too.
      if isTranslated, case .tcp = steps[at].kind { middle = 24 }
      middle = middle.clamped(to: 8...max(8, (length - 1) / 8 * 8))
      guard middle < length else { continue }
      var first = steps[at]
      var last = steps[at]
      let id = UInt16(truncatingIfNeeded: 500 + at)
      first.ip.identification = id
      last.ip.identification = id
      first.ip.dontFragment = false
      last.ip.dontFragment = false
      first.ip.piece = IPLayer.Piece(start: 0, end: middle, more: true)
      last.ip.piece = IPLayer.Piece(start: middle, end: length, more: false)
      let pieces = chooser.chance(80) ? [first, last] : [last, first]
      steps.replaceSubrange(at...at, with: chooser.chance(92) ? pieces : [pieces[0]])
    }
  }
}

extension Int {
  fileprivate func clamped(to range: ClosedRange<Int>) -> Int {
    Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
  }
}

// MARK: - One rule

private struct RuleWriter {
  let table: String
  let chain: String
  let family: AddressFamily
  var words: [String] = []
  var name = ""

  init(table: String, chain: String, family: AddressFamily) {
    self.table = table
    self.chain = chain
    self.family = family
  }

  var text: String { "-t \(table) -A \(chain) " + words.joined(separator: " ") }

  private var seesIncoming: Bool { chain != "OUTPUT" && chain != "POSTROUTING" }
  private var seesOutgoing: Bool { chain != "PREROUTING" && chain != "INPUT" }
  private var isIPv4: Bool { family == .ipv4 }

  mutating func write(_ chooser: inout Chooser) {
    head(&chooser)
    // Each at most once: of one that is there twice `iptables-save` shows the last.
    for _ in 0..<chooser.of([0, 1, 1, 1, 2]) {
      let match = match(&chooser)
      if !uses(match[1]) { words += match }
    }
    target(&chooser)
  }

  private func uses(_ match: String) -> Bool {
    words.indices.dropLast().contains { words[$0] == "-m" && words[$0 + 1] == match }
  }

  private func not(_ chooser: inout Chooser, _ percent: Int = 20) -> [String] {
    chooser.chance(percent) ? ["!"] : []
  }

  private func host(_ chooser: inout Chooser) -> String {
    let addresses = [
      Network.host(chooser.number(2...6), .lan, family),
      Network.host(chooser.number(2...4), .wan, family), Network.router(.lan, family),
      Network.router(.wan, family), Network.distant(1, family), Network.loopback(family),
    ]
    return chooser.of(addresses).text(family)
  }

  private mutating func head(_ chooser: inout Chooser) {
    for option in ["-s", "-d"] where chooser.chance(12) {
      let lengths = isIPv4 ? ["", "/24", "/30", "/255.0.255.0", "/8"] : ["", "/64", "/120", "/16"]
      words += not(&chooser) + [option, host(&chooser) + chooser.of(lengths)]
    }
    let ports = ["lan0", "wan0", "lo", "lan+", "+", "eth0", "wan"]
    if seesIncoming && chooser.chance(20) {
      words += not(&chooser) + ["-i", chooser.of(ports)]
    }
    if seesOutgoing && chooser.chance(20) {
      words += not(&chooser) + ["-o", chooser.of(ports)]
    }
    let icmp = isIPv4 ? "icmp" : "ipv6-icmp"
    name = chooser.of([
      "", "", "", "tcp", "tcp", "tcp", "udp", "udp", icmp, icmp, "sctp", "udplite", "esp", "ah",
      "gre", "253", "dccp",
    ])
    if !name.isEmpty {
      // Behind a `!` no match of the protocol may follow.
      let isInverted = chooser.chance(8)
      words += (isInverted ? ["!"] : []) + ["-p", name]
      if isInverted { name = "" }
    }
    if isIPv4 && chooser.chance(5) { words += not(&chooser, 50) + ["-f"] }
  }

  private func range(_ chooser: inout Chooser) -> String {
    chooser.of([
      "22", "53", "80", "300:1001", "1000:1001", "1024:65535", "0:1023", "7", "443", "6000:6003",
    ])
  }

  private func match(_ chooser: inout Chooser) -> [String] {
    let isSpecific = chooser.chance(60)
    switch name {
    case "tcp" where isSpecific: return tcp(&chooser)
    case "udp" where isSpecific:
      if chooser.chance(30) { return multiport(&chooser) }
      return ["-m", "udp"] + not(&chooser) + [chooser.of(["--sport", "--dport"]), range(&chooser)]
    case "udplite" where isSpecific, "sctp" where isSpecific, "dccp" where isSpecific:
      return multiport(&chooser)
    case "icmp" where isSpecific:
      let types = [
        "8", "0", "3", "3/3", "3/4", "11/0", "11", "5", "12", "any", "8/0", "3/255", "13",
        "echo-request", "destination-unreachable", "fragmentation-needed", "ttl-exceeded",
      ]
      return ["-m", "icmp"] + not(&chooser) + ["--icmp-type", chooser.of(types)]
    case "ipv6-icmp" where isSpecific:
      let types = [
        "128", "129", "1", "1/4", "2", "3/0", "4/1", "135", "255", "echo-reply", "packet-too-big",
        "destination-unreachable", "port-unreachable",
      ]
      return ["-m", "icmp6"] + not(&chooser) + ["--icmpv6-type", chooser.of(types)]
    default: return general(&chooser)
    }
  }

  private func tcp(_ chooser: inout Chooser) -> [String] {
    switch chooser.number(0...7) {
    case 0...1:
      return ["-m", "tcp"] + not(&chooser) + [chooser.of(["--sport", "--dport"]), range(&chooser)]
    case 2: return ["-m", "tcp"] + not(&chooser, 40) + ["--syn"]
    case 3:
      let sets = [
        ["SYN,RST", "SYN"], ["ALL", "ACK"], ["FIN,SYN,RST,ACK", "SYN,ACK"], ["ALL", "NONE"],
        ["PSH", "PSH"], ["ALL", "FIN,PSH,URG"], ["FIN,ACK", "FIN"],
      ]
      return ["-m", "tcp"] + not(&chooser) + ["--tcp-flags"] + chooser.of(sets)
    case 4:
      return ["-m", "tcp"] + not(&chooser)
        + ["--tcp-option", chooser.of(["2", "3", "4", "8", "254", "1"])]
    case 5:
      let values = ["1460", "0:1459", "1200:1400", "536", "0:65535", "1461:65535"]
      return ["-m", "tcpmss"] + not(&chooser) + ["--mss", chooser.of(values)]
    default: return multiport(&chooser)
    }
  }

  private func multiport(_ chooser: inout Chooser) -> [String] {
    let lists = ["22,80,8080", "53", "1:1023", "1000,1001,40000", "0:65535", "22,1000:1001,443"]
    return ["-m", "multiport"] + not(&chooser)
      + [chooser.of(["--sports", "--dports", "--ports"]), chooser.of(lists)]
  }

  private func general(_ chooser: inout Chooser) -> [String] {
    switch chooser.number(0...17) {
    case 0...1:
      let values = ["28", "40", "0:60", "48:100", "60:65535", "520:600", "0", "1:27"]
      return ["-m", "length"] + not(&chooser) + ["--length", chooser.of(values)]
    case 2...3:
      let option = isIPv4 ? "ttl" : "hl"
      let value = chooser.of(["1", "2", "63", "64", "62", "255"])
      if chooser.chance(40) {
        return ["-m", option] + not(&chooser, 40) + ["--\(option)-eq", value]
      }
      return ["-m", option, "--\(option)-\(chooser.of(["lt", "gt"]))", value]
    case 4 where seesIncoming:
      let macs = ["02:00:00:00:01:02", "02:00:00:00:02:02", "00:00:00:00:00:00"]
      return ["-m", "mac"] + not(&chooser, 40) + ["--mac-source", chooser.of(macs)]
    case 5:
      return ["-m", "pkttype"] + not(&chooser, 30)
        + ["--pkt-type", chooser.of(["unicast", "broadcast", "multicast"])]
    case 6:
      var words = ["-m", "iprange"]
      let ends = [
        (Network.host(2, .lan, family), Network.host(4, .lan, family)),
        (Network.router(.wan, family), Network.host(3, .wan, family)),
        (Network.host(1, .lan, family), Network.host(1, .lan, family)),
      ]
      for option in chooser.of([["--src-range"], ["--dst-range"], ["--src-range", "--dst-range"]]) {
        let (low, high) = chooser.of(ends)
        words += not(&chooser) + [option, "\(low.text(family))-\(high.text(family))"]
      }
      return words
    case 7:
      let every = chooser.number(1...4)
      return ["-m", "statistic", "--mode", "nth"] + not(&chooser)
        + ["--every", "\(every)", "--packet", "\(chooser.number(0...every - 1))"]
    case 8:
      // So slow that only the burst counts.
      return ["-m", "limit", "--limit", chooser.of(["1/hour", "1/day"])]
        + chooser.of([[], ["--limit-burst", "\(chooser.number(1...9))"]])
    case 9...10:
      return ["-m", chooser.of(["mark", "connmark"])] + not(&chooser)
        + ["--mark", chooser.of(["0x0", "0x1", "0x1/0x1", "0x0/0xff", "0x10/0xf0", "0x5"])]
    case 11:
      let states = ["NEW", "ESTABLISHED", "RELATED,ESTABLISHED", "INVALID", "UNTRACKED", "RELATED"]
      return ["-m", "state"] + not(&chooser) + ["--state", chooser.of(states)]
    case 12:
      var states = ["INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"]
      states = states.filter { _ in chooser.chance(35) }
      return ["-m", "conntrack"] + not(&chooser)
        + ["--ctstate", states.isEmpty ? "NEW" : states.joined(separator: ",")]
    case 13 where seesOutgoing && (chain == "OUTPUT" || chain == "POSTROUTING"):
      return ["-m", "owner"] + owner(&chooser)
    case 14...16: return addrtype(&chooser)
    default: return ["-m", "comment", "--comment", chooser.of(["plain", "\"two words\""])]
    }
  }

  private func owner(_ chooser: inout Chooser) -> [String] {
    switch chooser.number(0...3) {
    case 0: not(&chooser, 50) + ["--socket-exists"]
    case 1: not(&chooser, 40) + ["--uid-owner", chooser.of(["0", "1000", "0-99"])]
    case 2: not(&chooser, 40) + ["--gid-owner", chooser.of(["0", "7"])]
    default:
      not(&chooser, 40) + ["--uid-owner", "0"] + not(&chooser, 40) + ["--gid-owner", "0"]
    }
  }

  private func addrtype(_ chooser: inout Chooser) -> [String] {
    let all = [
      "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE",
      "UNREACHABLE", "PROHIBIT",
    ]
    // ip6tables has no others.
    let known =
      isIPv4 ? all : ["UNICAST", "LOCAL", "MULTICAST", "UNREACHABLE", "ANYCAST", "UNSPEC"]
    var words = ["-m", "addrtype"]
    for option in chooser.of([["--src-type"], ["--dst-type"], ["--src-type", "--dst-type"]]) {
      var kinds = known.filter { _ in chooser.chance(25) }
      if kinds.isEmpty { kinds = ["LOCAL"] }
      words += not(&chooser, 35) + [option, kinds.joined(separator: ",")]
    }
    if chooser.chance(20) {
      let isIncoming = seesIncoming && !(seesOutgoing && chooser.chance(50))
      words.append(isIncoming ? "--limit-iface-in" : "--limit-iface-out")
    }
    return words
  }

  private mutating func target(_ chooser: inout Chooser) {
    switch chooser.number(0...99) {
    case ..<50: break
    case ..<58: words += ["-j", chooser.of(["ACCEPT", "RETURN"])]
    case ..<62: words += ["-j", "DROP"]
    case ..<68 where table == "filter": reject(&chooser)
    case ..<72 where table == "raw":
      words += ["-j", "CT", "--notrack"]
    case ..<76: words += ["-j", "LOG", "--log-prefix", "seen"]
    case ..<80:
      words +=
        ["-j", "NFQUEUE", "--queue-num", "\(chooser.number(0...9))"]
        + (chooser.chance(70) ? ["--queue-bypass"] : [])
    case ..<90 where table == "mangle":
      let value = chooser.of(["0x1/0x1", "0x5/0xffffffff", "0x10/0xf0", "0x0/0xf", "0x7/0x3"])
      switch chooser.number(0...6) {
      case 0...2: words += ["-j", "MARK", "--set-xmark", value]
      case 3: words += ["-j", "CONNMARK", "--set-xmark", value]
      case 4: words += ["-j", "CONNMARK", "--save-mark", "--nfmask", "0xff", "--ctmask", "0xf"]
      case 5: words += ["-j", "CONNMARK", "--restore-mark"]
      default: words += ["-j", "CHECKSUM", "--checksum-fill"]
      }
    default:
      guard name == "tcp", seesOutgoing, table != "raw", !uses("tcp") else { return }
      words += ["-m", "tcp", "--tcp-flags", "SYN,RST", "SYN", "-j", "TCPMSS"]
      words +=
        chooser.chance(50)
        ? ["--clamp-mss-to-pmtu"] : ["--set-mss", chooser.of(["500", "1300", "9000"])]
    }
  }

  private mutating func reject(_ chooser: inout Chooser) {
    if name == "tcp" && chooser.chance(60) {
      words += ["-j", "REJECT", "--reject-with", "tcp-reset"]
      return
    }
    let kinds =
      isIPv4
      ? [
        "net-unreachable", "host-unreachable", "port-unreachable", "proto-unreachable",
        "net-prohibited", "host-prohibited", "admin-prohibited",
      ].map { "icmp-\($0)" }
      : [
        "no-route", "adm-prohibited", "addr-unreachable", "port-unreachable", "policy-fail",
        "reject-route",
      ].map { "icmp6-\($0)" }
    words += ["-j", "REJECT", "--reject-with", chooser.of(kinds)]
  }
}
