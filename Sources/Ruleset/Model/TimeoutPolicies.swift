// Rules that name a timeout policy, held against the policies there are: as the kernel does when such a
// rule is added.

import Conntrack
import Wire

extension RuleSpecification {
  /// The policy that the rule's `CT --timeout` names, by its place among `policies`; nil where it names
  /// none. O(policies).
  ///
  /// The kernel shows listings of rules no more than the first four characters of a name, so
  /// `iptables-save` prints no more: four stand for the only longer name that begins so and fits.
  func timeoutPolicy(
    among policies: [TimeoutPolicy], _ family: AddressFamily
  ) throws(TimeoutPolicyProblem) -> Int? {
    guard case .custom(let custom) = target,
      let name = (custom.body as? CTTarget)?.tracking.timeoutPolicy
    else { return nil }
    let fits = { (policy: TimeoutPolicy) in
      guard let transport = transport, !transport.isInverted else { return false }
      return policy.fits(transport.number, family)
    }
    if let index = policies.firstIndex(where: { $0.name == name }) {
      guard fits(policies[index]) else { throw .init(name: name, kind: .otherProtocol) }
      return index
    }
    let longer = policies.indices.filter {
      name.utf8.count == 4 && policies[$0].name.utf8.starts(with: name.utf8) && fits(policies[$0])
    }
    guard let index = longer.first else {
      throw .init(name: name, kind: .unknown(known: policies.map(\.name)))
    }
    guard longer.count == 1 else {
      throw .init(name: name, kind: .ambiguous(longer.map { policies[$0].name }))
    }
    return index
  }
}

/// Why a rule's timeout policy cannot be used.
struct TimeoutPolicyProblem: Error {
  enum Kind {
    case unknown(known: [String])
    case otherProtocol
    case ambiguous([String])
  }

  var name: String
  var kind: Kind

  func error(at location: SourceLocation) -> RulesetError {
    let message =
      switch kind {
      case .unknown(let known) where known.isEmpty:
        "there is no timeout policy `\(name)`; the host snapshot's `timeouts.txt` "
          + "(nfct list timeout) would have it"
      case .unknown(let known):
        "there is no timeout policy `\(name)`; there are \(known.joined(separator: ", "))"
      case .otherProtocol: "the timeout policy `\(name)` is for another protocol than the rule"
      case .ambiguous(let names):
        "`\(name)` may be each of the timeout policies \(names.joined(separator: ", ")), since "
          + "`iptables-save` prints four characters of a name; write the whole name"
      }
    return RulesetError(
      file: location.file, line: location.line, column: max(1, location.column), message: message,
      words: name)
  }
}
