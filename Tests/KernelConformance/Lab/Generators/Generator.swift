// What generators have in common: a seeded choice, and flows between the laboratory's hosts.

import Conntrack
import Wire

struct Chooser {
  var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(seed: seed) }

  mutating func of<Element>(_ choices: [Element]) -> Element {
    choices[Int.random(in: 0..<choices.count, using: &random)]
  }

  mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  mutating func number<Number: FixedWidthInteger>(_ range: ClosedRange<Number>) -> Number {
    Number.random(in: range, using: &random)
  }
}

/// One family of cases, by name.
struct CaseGenerator: Sendable {
  var name: String
  /// What it is about.
  var about: String
  /// Its cases set limits that are the whole machine's.
  var setsLimits = false
  /// Nil: either.
  var family: AddressFamily?
  var make: @Sendable (inout Chooser, AddressFamily) -> ConformanceCase

  static let all = [
    CaseGenerator(name: "tcp", about: "TCP: flags, windows, retransmissions, resets, reuse") {
      TCPGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "udp", about: "UDP: replies, streams, expiry, checksums, lengths") {
      DatagramGenerator.udp(&$0, $1)
    },
    CaseGenerator(name: "icmp", about: "ICMP: echo, errors that quote flows, whole or mangled") {
      DatagramGenerator.icmp(&$0, $1)
    },
    CaseGenerator(name: "nat", about: "NAT: MASQUERADE, SNAT, DNAT, REDIRECT, collisions") {
      NATGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "helpers", about: "helpers: FTP, TFTP, what they expect, NAT of it") {
      HelpersGenerator.make(&$0, $1)
    },
    CaseGenerator(
      name: "pptp", about: "PPTP: calls, the GRE flows of them, NAT of both", family: .ipv4
    ) {
      HelpersGenerator.make(&$0, $1, .pptp)
    },
    CaseGenerator(name: "irc", about: "IRC: what DCC offers, who comes, NAT", family: .ipv4) {
      HelpersGenerator.make(&$0, $1, .irc)
    },
    CaseGenerator(name: "local", about: "the router's own packets: OUTPUT, INPUT, lo, NAT there") {
      LocalGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "natwide", about: "NAT with all targets' options mixed, any addresses") {
      NATWideGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "natchange", about: "NAT while addresses, links and routes change") {
      NATChangeGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "natcrowd", about: "NAT: many clients, few ports, ranges used up") {
      NATWideGenerator.crowd(&$0, $1)
    },
    CaseGenerator(name: "matches", about: "every match and target, in every hook, on all packets") {
      MatchesGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "rules", about: "rules with conntrack states, REJECT, counters") {
      RulesGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "fragments", about: "fragments: order, overlaps, sizes, MTU, expiry") {
      FragmentGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "headers", about: "IPv4 options and IPv6 extension headers") {
      HeaderGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "malformed", about: "IP headers that lie, addresses that cannot be") {
      MalformedGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "router", about: "routes of every type, MTU, redirects, source checks") {
      RouterGenerator.make(&$0, $1)
    },
    CaseGenerator(
      name: "tcp-states", about: "TCP: any segment, at the edges of any window, in every state"
    ) {
      TCPStatesGenerator.make(&$0, $1)
    },
    CaseGenerator(
      name: "timeouts", about: "every timeout of every protocol, with waits that cross it"
    ) {
      TimeoutsGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "sctp", about: "SCTP: chunks, verification tags, bundles in every state") {
      SCTPGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "protocols", about: "UDP-Lite, GRE, DCCP, and every other protocol number")
    {
      ProtocolsGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "messages", about: "ICMP and ICMPv6 messages of every type") {
      MessagesGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "marks", about: "marks of packets and connections, chains of one's own") {
      MarksGenerator.make(&$0, $1)
    },
    CaseGenerator(
      name: "mutants", about: "sound scripts of two ends, with mutations here and there"
    ) {
      MutantsGenerator.make(&$0, $1)
    },
    CaseGenerator(
      name: "full", about: "a table at its limit: who gives way, who is refused", setsLimits: true
    ) {
      FullTableGenerator.make(&$0, $1)
    },
    CaseGenerator(name: "zones", about: "zones of one direction or both, NAT within and across") {
      ZonesGenerator.zones(&$0, $1)
    },
    CaseGenerator(name: "templates", about: "CT: timeout policies, events, untracked packets") {
      ZonesGenerator.templates(&$0, $1)
    },
  ]

  /// The case of a number: the same for the same seed, whatever was run before.
  func make(seed: UInt64, number: Int) -> ConformanceCase {
    let base = seed ^ name.utf8.reduce(7) { $0 &* 131 &+ UInt64($1) }
    // Mixed twice: neighbouring seeds of this generator give the same numbers, moved by one.
    var outer = SeededGenerator(seed: base)
    var inner = SeededGenerator(seed: outer.next() ^ UInt64(number))
    var chooser = Chooser(seed: inner.next())
    let family = self.family ?? (chooser.chance(60) ? .ipv4 : .ipv6)
    var test = make(&chooser, family)
    test.family = family
    test.name = "\(name)-\(seed)-\(number)"
    return test
  }
}

extension ConformanceCase.Sysctl {
  /// `net.netfilter.nf_conntrack_NAME`.
  static func conntrack(_ name: String, _ value: Int) -> Self {
    Self(name: "net.netfilter.nf_conntrack_\(name)", value: "\(value)")
  }
}

extension Flow {
  /// Between two of a few hosts, mostly from the inside out; few ports, so that flows meet.
  static func make(
    _ chooser: inout Chooser, _ kind: Kind, _ family: AddressFamily, port: Port? = nil
  ) -> Flow {
    let port = port ?? (chooser.chance(75) ? .lan : .wan)
    let inside = Network.host(chooser.number(2...4), .lan, family)
    let outside =
      chooser.chance(30)
      ? Network.distant(chooser.number(1...3), family)
      : Network.host(chooser.number(2...4), .wan, family)
    let isEcho = kind == .echo
    let sourcePort: UInt16 =
      isEcho
      ? chooser.of([1, 2, 3, chooser.number(0...65_535)])
      : chooser.of([1000, 1000, 1001, 600, 40_000, 300, chooser.number(1...65_535)])
    let destinationPort: UInt16 = isEcho ? 0 : chooser.of([22, 53, 80, 443, 8080])
    let ends = port == .lan ? (inside, outside) : (outside, inside)
    return Flow(
      kind: kind, port: port, source: Endpoint(ends.0, family, port: sourcePort),
      destination: Endpoint(ends.1, family, port: destinationPort))
  }
}

/// Mixes lists, each in its own order.
func merge(_ chooser: inout Chooser, _ lists: [[Step]]) -> [Step] {
  var rest = lists.map { $0[...] }.filter { !$0.isEmpty }
  var steps: [Step] = []
  while !rest.isEmpty {
    let index = chooser.number(0...rest.count - 1)
    steps.append(rest[index].removeFirst())
    if rest[index].isEmpty { rest.remove(at: index) }
  }
  return steps
}
