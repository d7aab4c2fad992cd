// timeouts.txt: what `nfct list timeout` printed, what is refused, and rules that name policies.

import Conntrack
import Firewall
import Ruleset
import Testing

@testable import HostSnapshot

@Suite struct TimeoutsTests {
  /// As nfct 1.4.7 printed it.
  static let listed = """
    .long = {
    \t.l3proto = 2,
    \t.l4proto = 17,
    \t.policy = {
    \t\t.UNREPLIED = 11,
    \t\t.REPLIED = 22,
    \t},
    };
    .rest = {
    \t.l3proto = 10,
    \t.l4proto = 255,
    \t.policy = {
    \t\t.TIMEOUT = 55,
    \t},
    };
    """

  private func firewall(_ rules: String, _ text: String = listed) throws {
    var host = HostConfiguration()
    host.timeoutPolicies = try TimeoutsFile.parse(snapshotFile(text))
    var ruleset = Ruleset()
    try ruleset.apply(rules, file: "rules.v4", family: .ipv4)
    _ = try Firewall(ruleset: ruleset, host: host)
  }

  @Test func asListed() throws {
    let policies = try TimeoutsFile.parse(snapshotFile(Self.listed))
    #expect(policies.map(\.name) == ["long", "rest"])
    #expect(policies.map(\.family) == [.ipv4, .ipv6])
    #expect(policies[0].timeouts == ["UNREPLIED": 11_000_000_000, "REPLIED": 22_000_000_000])
    #expect(policies[1].protocolNumber == TimeoutPolicy.generic)
  }

  @Test(arguments: [
    (".a = {\n};", "f:2: `a` is of a protocol that has no timeout policies"),
    (
      ".a = {\n.l3proto = 2,\n.l4proto = 17,\n.policy = {\n.SYN_SENT = 1,\n},\n};",
      "f:5: the protocol of `a` has no state `SYN_SENT`; it has UNREPLIED, REPLIED"
    ),
    ("nonsense", "f:1: `nonsense` is no part of a policy as `nfct list timeout` prints it"),
    (".a = {\n.l3proto = 2,", "f:2: the policy `a` does not end; expected `};`"),
  ])
  func refused(text: String, message: String) {
    let error = #expect(throws: HostSnapshotError.self) {
      try TimeoutsFile.parse(snapshotFile(text))
    }
    #expect(error?.description == message)
  }

  @Test func rulesThatNamePolicies() throws {
    try firewall("-t raw -A PREROUTING -p udp -j CT --timeout long")
    // The kernel tells iptables-save four characters of a name.
    let longer = Self.listed.replacing(".long", with: ".longest")
    try firewall("-t raw -A PREROUTING -p udp -j CT --timeout long", longer)
  }

  @Test(arguments: [
    ("-p udp -j CT --timeout short", "there is no timeout policy `short`; there are long, rest"),
    (
      "-p tcp -j CT --timeout long",
      "the timeout policy `long` is for another protocol than the rule"
    ),
    ("-j CT --timeout long", "the timeout policy `long` is for another protocol than the rule"),
  ])
  func rulesThatAreRefused(rule: String, message: String) {
    let error = #expect(throws: RulesetError.self) {
      try firewall("-t raw -A PREROUTING \(rule)")
    }
    #expect(error?.message == message)
    #expect(error?.line == 1)
  }
}
