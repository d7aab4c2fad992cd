// The raw table's CT target: zones of both directions or one, by number or by mark, with NAT and
// collisions across them; timeout policies, masks of events, packets left untracked.

import Conntrack
import Wire

enum ZonesGenerator {
  /// Zones: the same few numbers everywhere, so that flows meet.
  static func zones(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    acct(&chooser, &test)
    if chooser.chance(25) {
      for _ in 0..<chooser.of([1, 2]) {
        test.rules.append(
          "-t raw -A PREROUTING\(place(&chooser, family)) -j MARK --set-xmark "
            + "\(chooser.of(["0x1", "0x2", "0x10001", "0xffff0002"]))/0xffffffff")
      }
    }
    for _ in 0..<chooser.of([1, 1, 2, 3]) {
      let option = chooser.of(["--zone", "--zone", "--zone-orig", "--zone-reply"])
      let zone = chooser.of(["1", "1", "2", "65535", "mark"])
      let chain = chooser.chance(12) ? "OUTPUT" : "PREROUTING"
      let place = chain == "OUTPUT" ? "" : place(&chooser, family)
      test.rules.append("-t raw -A \(chain)\(place) -j CT \(option) \(zone)")
    }
    if chooser.chance(15) { test.rules.append("-t raw -A PREROUTING -p udp -j CT --notrack") }
    if chooser.chance(55) { test.rules += NATGenerator.rules(&chooser, family) }
    (test.flows, test.steps) = NATGenerator.traffic(&chooser, family)
    crossFlows(&chooser, &test)
    return test
  }

  /// Everything else that CT can be asked for.
  static func templates(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    acct(&chooser, &test)
    if chooser.chance(20) {
      test.sysctls.append(
        ConformanceCase.Sysctl(
          name: "net.netfilter.nf_conntrack_events", value: chooser.of(["0", "1", "2"])))
    }
    for _ in 0..<chooser.of([1, 2, 4]) {
      let chain = chooser.chance(10) ? "OUTPUT" : "PREROUTING"
      var (name, rule) = transport(&chooser, family)
      if chain == "PREROUTING" && chooser.chance(30) {
        rule += " -i \(chooser.of(["lan0", "wan0"]))"
      }
      switch chooser.number(0...19) {
      case 0...1: rule += " -j CT --notrack"
      case 2: rule += " -j NOTRACK"
      case 3: rule += " -j CT"
      default:
        rule += " -j CT"
        if !name.isEmpty && chooser.chance(60) {
          rule += " --timeout \(LabPolicies.name(chooser.of(policies(name)), family))"
        }
        if chooser.chance(45) { rule += " --ctevents \(events(&chooser))" }
        if chooser.chance(10) { rule += " --expevents new" }
        if chooser.chance(20) { rule += " --zone \(chooser.number(0...2))" }
      }
      name = ""
      test.rules.append("-t raw -A \(chain)\(rule)")
    }
    if chooser.chance(40) { test.rules += NATGenerator.rules(&chooser, family) }
    if chooser.chance(40) {
      test.rules.append(
        "-t mangle -A FORWARD -j CONNMARK --set-xmark \(chooser.of(["0x5", "0x0", "0x7"]))/0xffffffff"
      )
    }
    (test.flows, test.steps) = NATGenerator.traffic(&chooser, family)
    return test
  }

  private static func acct(_ chooser: inout Chooser, _ test: inout ConformanceCase) {
    for name in ["acct", "timestamp"] where chooser.chance(30) {
      test.sysctls.append(
        ConformanceCase.Sysctl(name: "net.netfilter.nf_conntrack_\(name)", value: "1"))
    }
  }

  /// Which packets a rule is for: mostly all, or one side's, or one host's.
  private static func place(_ chooser: inout Chooser, _ family: AddressFamily) -> String {
    switch chooser.number(0...9) {
    case 0...2: " -i lan0"
    case 3...4: " -i wan0"
    case 5: " -s \(Network.host(chooser.number(2...4), .lan, family).text(family))"
    case 6: " -p \(chooser.of(["tcp", "udp"]))"
    case 7: " -d \(Network.host(chooser.number(2...4), .wan, family).text(family))"
    default: ""
    }
  }

  /// The same flow from the other side, or from a second host of the same source: so that tuples
  /// meet in two zones.
  private static func crossFlows(_ chooser: inout Chooser, _ test: inout ConformanceCase) {
    guard chooser.chance(50), test.flows.count < 5 else { return }
    let index = chooser.number(0...test.flows.count - 1)
    var twin = test.flows[index]
    if twin.kind == .echo { return }
    (twin.source, twin.destination) = (twin.destination, twin.source)
    twin.port = twin.port.other
    test.flows.append(twin)
    var steps: [Step] = []
    for step in test.steps {
      steps.append(step)
      guard step.flow == index, chooser.chance(40) else { continue }
      var other = step
      other.flow = test.flows.count - 1
      steps.append(other)
    }
    test.steps = steps
  }

  private static func transport(
    _ chooser: inout Chooser, _ family: AddressFamily
  ) -> (name: String, words: String) {
    let echo = family == .ipv4 ? "icmp" : "ipv6-icmp"
    switch chooser.number(0...5) {
    case 0...1: return ("tcp", " -p tcp")
    case 2...3: return ("udp", " -p udp")
    case 4: return ("echo", " -p \(echo)")
    default: return ("", "")
    }
  }

  private static func policies(_ name: String) -> [String] {
    switch name {
    case "tcp": ["t", "tl"]
    case "udp": ["u", "uh"]
    default: ["e"]
    }
  }

  private static func events(_ chooser: inout Chooser) -> String {
    let all = [
      "new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo",
    ]
    let some = all.filter { _ in chooser.chance(40) }
    return some.isEmpty ? "new" : some.joined(separator: ",")
  }
}
