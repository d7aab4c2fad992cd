// Other rules while the firewall is running: compiled apart, taken up whole between two packets.

import Conntrack
import Ruleset
import Wire

/// Both families' rules, compiled for a firewall that is running.
public struct CompiledRules: ~Copyable, Sendable {
  var ipv4: CompiledRuleset
  var ipv6: CompiledRuleset

  /// Compiles; takes its time, so not where packets wait.
  ///
  /// - Parameters:
  ///   - interfaces: those of the firewall that is to take them, so that it need not learn them.
  ///   - host: names the timeout policies there are; the firewall's own.
  ///   - seed: for `-m statistic --mode random`.
  /// - Throws: a rule names a timeout policy that `host` has not; or a ruleset put together by hand
  ///   jumps in a circle or nowhere.
  public init(
    _ ruleset: Ruleset, interfaces: InterfaceTable, host: HostConfiguration, seed: UInt64
  ) throws(RulesetError) {
    // What may fail is tried first.
    let first = try CompiledRuleset(
      ruleset.ipv4, interfaces: interfaces, seed: seed, policies: host.timeoutPolicies)
    let second = try CompiledRuleset(
      ruleset.ipv6, interfaces: interfaces, seed: seed, policies: host.timeoutPolicies)
    ipv4 = first
    ipv6 = second
  }

  /// Takes up the counters of `ruleset`, which is the one these were compiled from but for its counters.
  public func setCounters(of ruleset: Ruleset) {
    ipv4.setCounters(of: ruleset.ipv4)
    ipv6.setCounters(of: ruleset.ipv6)
  }
}

extension Firewall {
  /// The rules are these from now on, with the counters they were given, as after `iptables-restore`.
  /// Connections stay as they are, bindings too; what their packets remember of the old rules is
  /// forgotten.
  /// - Complexity: O(connections), a store for each.
  public mutating func replaceRules(_ rules: consuming CompiledRules) {
    forgetWays()
    ipv4Rules = rules.ipv4
    ipv6Rules = rules.ipv6
    ipv4Rules.learn(interfaces)
    ipv6Rules.learn(interfaces)
    rulesVersion += 1
  }

  /// Takes up the counters of `ruleset`, which is the one in force but for its counters. Connections
  /// remember what they remembered, and so do `-m limit` and the like. O(rules).
  public func setCounters(of ruleset: Ruleset) {
    // What is still to be added to the old ones must not be added to these.
    settleCounters()
    ipv4Rules.setCounters(of: ruleset.ipv4)
    ipv6Rules.setCounters(of: ruleset.ipv6)
  }
}
