// Marks of packets and connections, carried between both in every table and hook, and rules that ask for
// them; chains of one's own with RETURN and -g; the security table.

import Conntrack
import Wire

enum MarksGenerator {
  /// Not OUTPUT and POSTROUTING: the laboratory has the router's answers reflect the mark of what they
  /// answer (`fwmark_reflect`), which Weir does not follow.
  private static let hooks = [
    "raw": ["PREROUTING"], "mangle": ["PREROUTING", "INPUT", "FORWARD"],
    "filter": ["INPUT", "FORWARD"], "security": ["INPUT", "FORWARD"],
    "nat": ["PREROUTING", "INPUT"],
  ]

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(30) { test.sysctls.append(.conntrack("acct", 1)) }
    if chooser.chance(25) { test.rules = NATGenerator.rules(&chooser, family) }
    for _ in 0..<chooser.of([1, 2, 3]) {
      let table = chooser.of(["mangle", "mangle", "filter", "security", "raw", "nat"])
      if test.rules.contains(where: { $0.hasPrefix("-t \(table)") }) { continue }
      test.rules += rules(&chooser, table)
    }
    (test.flows, test.steps) = NATGenerator.traffic(&chooser, family)
    return test
  }

  private static func rules(_ chooser: inout Chooser, _ table: String) -> [String] {
    var rules = ["-t \(table)"]
    let own = (1...3).map { "own\($0)" }.prefix(chooser.number(0...3))
    for chain in own { rules.append("-t \(table) :\(chain) - [0:0]") }
    let builtIn = hooks[table] ?? []
    for _ in 0..<chooser.of([3, 6, 12]) {
      var chain = chooser.of(builtIn)
      var aims = Array(own)
      if let index = own.indices.randomElement(using: &chooser.random), chooser.chance(45) {
        chain = own[index]
        // Only further on, so that no way is a circle.
        aims = Array(own[(index + 1)...])
      }
      rules.append(
        "-t \(table) -A \(chain)\(match(&chooser, table)) \(target(&chooser, table, aims))")
    }
    return rules
  }

  private static func value(_ chooser: inout Chooser) -> String {
    chooser.of(["0x0", "0x1", "0x2", "0x3", "0x80000001", "0xffffffff", "0xf0"])
  }

  private static func mask(_ chooser: inout Chooser) -> String {
    chooser.of(["0xffffffff", "0xffffffff", "0x1", "0xff", "0x80000000"])
  }

  private static func match(_ chooser: inout Chooser, _ table: String) -> String {
    let not = chooser.chance(20) ? "! " : ""
    switch chooser.number(0...9) {
    case 0...1: return " -m mark \(not)--mark \(value(&chooser))/\(mask(&chooser))"
    case 2...3: return " -m connmark \(not)--mark \(value(&chooser))/\(mask(&chooser))"
    case 4:
      let states = ["NEW", "NEW,ESTABLISHED", "RELATED", "INVALID,UNTRACKED", "ESTABLISHED,DNAT"]
      return " -m conntrack \(not)--ctstate \(chooser.of(states))"
    case 5: return " -p \(chooser.of(["tcp", "udp"])) -m conntrack --ctdir REPLY"
    case 6:
      let status = ["SEEN_REPLY", "ASSURED", "CONFIRMED", "NONE", "SEEN_REPLY,CONFIRMED"]
      return " -m conntrack \(not)--ctstatus \(chooser.of(status))"
    case 7: return " -m conntrack \(not)--ctexpire \(chooser.of(["1:28", "100:500000", "0"]))"
    default: return ""
    }
  }

  private static func target(
    _ chooser: inout Chooser, _ table: String, _ aims: [String]
  ) -> String {
    if !aims.isEmpty && chooser.chance(30) {
      return "\(chooser.of(["-j", "-j", "-g"])) \(chooser.of(aims))"
    }
    switch chooser.number(0...9) {
    case 0...1:
      let option = chooser.of(["--set-xmark", "--set-mark"])
      return "-j MARK \(option) \(value(&chooser))/\(mask(&chooser))"
    case 2: return "-j MARK \(chooser.of(["--and-mark", "--or-mark", "--xor-mark"])) 0x13"
    case 3...4:
      return "-j CONNMARK --set-xmark \(value(&chooser))/\(mask(&chooser))"
    case 5...6:
      let option = chooser.of(["--save-mark", "--restore-mark"])
      return "-j CONNMARK \(option) --nfmask \(mask(&chooser)) --ctmask \(mask(&chooser))"
    case 7:
      let shift = chooser.of(["--left-shift-mark", "--right-shift-mark"])
      let option = chooser.of(["--save-mark", "--restore-mark", "--set-xmark 0x6/0xff"])
      return "-j CONNMARK \(option) \(shift) \(chooser.of([1, 4, 31]))"
    case 8: return "-j RETURN"
    default:
      return "-j \(chooser.of(["ACCEPT", "ACCEPT", "RETURN", table == "nat" ? "RETURN" : "DROP"]))"
    }
  }
}
