// Rules that can be read and printed, but that the firewall does not act on yet: who replays must say
// so rather than give a wrong answer.

extension Ruleset {
  /// The rules whose target the firewall does not act on yet: CT with masks of expectations' events, or
  /// a helper that Weir has not. O(rules).
  public var unheeded: [IgnoredRule] {
    let words = ["--expevents"]
    var found: [IgnoredRule] = []
    for rules in [ipv4, ipv6] {
      for table in rules.tables where table.name == .raw {
        for chain in table.chains {
          for rule in chain.rules where rule.specification.target?.name == "CT" {
            let text = rule.specification.text(chain: chain.name, family: rules.family)
            if let target = rule.specification.target, let helper = target.unknownHelper {
              found.append(
                IgnoredRule(
                  location: rule.location,
                  what: "the helper `\(helper)` of `CT --helper` is not supported", text: text))
              continue
            }
            guard let word = words.first(where: { text.contains($0) }) else { continue }
            found.append(
              IgnoredRule(
                location: rule.location, what: "`CT \(word)` is not supported yet", text: text))
          }
        }
      }
    }
    return found
  }
}

extension Target {
  /// The helper that a CT rule names and Weir lacks.
  fileprivate var unknownHelper: String? {
    guard case .custom(let target) = self, let tracking = (target.body as? CTTarget)?.tracking,
      tracking.helperKind == .none
    else { return nil }
    return tracking.helper
  }
}
