// Rules that name a timeout policy, held against the policies there are: as the kernel does when such a
// rule is added.

import Conntrack
import Wire

extension FamilyRules {
  /// Refuses rules whose `CT --timeout` names a policy that is not there, or is of another protocol.
  /// O(rules).
  func checkTimeoutPolicies(_ policies: [TimeoutPolicy]) throws(RulesetError) {
    for table in tables where table.name == .raw {
      for chain in table.chains {
        for rule in chain.rules { try check(rule, policies) }
      }
    }
  }

  private func check(_ rule: Rule, _ policies: [TimeoutPolicy]) throws(RulesetError) {
    guard case .custom(let custom) = rule.specification.target,
      let name = (custom.body as? CTTarget)?.tracking.timeoutPolicy
    else { return }
    func problem(_ message: String) -> RulesetError {
      RulesetError(
        file: rule.location.file, line: rule.location.line, column: 1, message: message, words: name)
    }
    guard let policy = policies.first(where: { $0.name == name }) else {
      let known = policies.map(\.name).joined(separator: ", ")
      throw problem(
        "there is no timeout policy `\(name)`; "
          + (known.isEmpty
            ? "the host snapshot's `timeouts.txt` (nfct list timeout) would have it"
            : "there are \(known)"))
    }
    guard let transport = rule.specification.transport, !transport.isInverted,
      policy.fits(transport.number, family)
    else { throw problem("the timeout policy `\(name)` is for another protocol than the rule") }
  }
}
