// Every recorded rule is accepted or refused as iptables does, and printed byte for byte as
// iptables-save prints it; whole rulesets too.

import Ruleset
import Testing
import Wire

@Suite struct SaveFormatTests {
  @Test func recordedRulesAreThere() {
    #expect(RecordedRule.all.count > 1400)
  }

  @Test(arguments: RecordedRule.all)
  func printsAsIptablesSave(_ recorded: RecordedRule) throws {
    let outcome = Result { () throws(RulesetError) in
      try Ruleset(parsing: recorded.text, family: recorded.family)
    }
    switch recorded.answer {
    case .different: break
    case .refused:
      #expect(throws: RulesetError.self) { try outcome.get() }
    case .printed(let expected):
      let printed = try outcome.get()[recorded.family].saveText()
        .split(separator: "\n").filter { $0.hasPrefix("-A") }
        .map { line in
          let prefix = "-A \(recorded.chain)"
          return line.hasPrefix(prefix)
            ? String(line.dropFirst(prefix.count + 1)) : String(line)
        }
      #expect(printed.joined(separator: " | ") == expected)
    }
  }

  /// What is printed is read back as the same rule, and printed the same.
  @Test(arguments: RecordedRule.all)
  func readsBackWhatItPrints(_ recorded: RecordedRule) throws {
    guard let first = try? Ruleset(parsing: recorded.text, family: recorded.family) else { return }
    let text = first[recorded.family].saveText(counters: true)
    let second = try Ruleset(parsing: text, family: recorded.family)
    #expect(second[recorded.family].saveText(counters: true) == text)
  }

  static let material = [
    "docker__new-daemon", "docker__swarm-portmap", "docker__usernet-internal",
    "docker__usernet-portmap-lo", "docker__usernet-portmap-natunprot",
    "docker__usernet-portmap-noicc", "docker__usernet-portmap-noproxy",
    "docker__usernet-portmap-routed", "docker__usernet-portmap", "istio__basic-exclude-nic",
    "istio__cni-dns_pod_disabled_and_on_globally_ipv6-v6", "istio__cni-ingress_ipv6-v6",
    "istio__dns-uid-gid", "istio__inbound-ports-include", "istio__ip-range",
    "istio__ipv6-dns-uid-gid", "istio__ipv6-ipnets-v6", "istio__ipv6-uid-gid-v6",
    "istio__loopback-outbound-iprange", "kube-proxy__TestTracePacket",
  ]

  /// Rulesets in use, against what the real programs made of them.
  @Test(
    .enabled(
      if: Recordings.material("frequency.tsv") != nil,
      "the material from outside is not beside the project"),
    arguments: material)
  func printsRealRulesets(_ name: String) throws {
    let isVersion4 = Recordings.material("\(name).v4.save") != nil
    let family: AddressFamily = isVersion4 ? .ipv4 : .ipv6
    let rules = try #require(Recordings.material("\(name).rules"))
    let expected = try #require(
      Recordings.material(isVersion4 ? "\(name).v4.save" : "\(name).v6.save"))
    let ruleset = try Ruleset(parsing: rules, file: name, family: family)
    #expect(ruleset[family].saveText() == expected)
    let again = try Ruleset(parsing: expected, file: name, family: family)
    #expect(again[family].saveText() == expected)
  }

  @Test func printsTablesAndChainsInOrder() throws {
    let ruleset = try Ruleset(
      parsing: """
        *nat
        -N B_1
        -N A-2
        -A PREROUTING -j B_1
        COMMIT
        *filter
        :INPUT DROP [1:2]
        COMMIT
        *raw
        COMMIT
        *mangle
        :FORWARD ACCEPT
        COMMIT
        """)
    #expect(
      ruleset.ipv4.saveText() == """
        *mangle
        :PREROUTING ACCEPT [0:0]
        :INPUT ACCEPT [0:0]
        :FORWARD ACCEPT [0:0]
        :OUTPUT ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        COMMIT
        *filter
        :INPUT DROP [1:2]
        :FORWARD ACCEPT [0:0]
        :OUTPUT ACCEPT [0:0]
        COMMIT
        *nat
        :PREROUTING ACCEPT [0:0]
        :INPUT ACCEPT [0:0]
        :OUTPUT ACCEPT [0:0]
        :POSTROUTING ACCEPT [0:0]
        :A-2 - [0:0]
        :B_1 - [0:0]
        -A PREROUTING -j B_1
        COMMIT

        """)
  }

  @Test func keepsCounters() throws {
    let text = """
      *filter
      :INPUT ACCEPT [12:3456]
      :FORWARD DROP [0:0]
      :OUTPUT ACCEPT [7:8]
      [5:600] -A INPUT -i lo -j ACCEPT
      [0:0] -A INPUT -p tcp -m tcp --dport 22 -j DROP
      COMMIT

      """
    #expect(try Ruleset(parsing: text).ipv4.saveText(counters: true) == text)
  }
}
