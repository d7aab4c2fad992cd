// Rules that can be read and printed, but that the firewall does not act on yet: who replays must say
// so rather than give a wrong answer.

extension Ruleset {
  /// The rules whose target the firewall does not act on yet: CT with what expectations would
  /// need.
  /// O(rules).
  public var unheeded: [IgnoredRule] {
    let words = ["--helper", "--expevents"]
    var found: [IgnoredRule] = []
    for rules in [ipv4, ipv6] {
      for table in rules.tables where table.name == .raw {
        for chain in table.chains {
          for rule in chain.rules where rule.specification.target?.name == "CT" {
            let text = rule.specification.text(chain: chain.name, family: rules.family)
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
