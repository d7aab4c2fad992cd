// What `iptables -v` says of a command that changes rules: the rule, or the chains it goes through.

import Wire

extension Ruleset {
  /// - Parameters:
  ///   - isRefused: the rules do not allow the command; then of several rules those are said that come before
  ///     the first for which they do not.
  func verboseText(
    of command: Command, _ program: IptablesProgram, isRefused: Bool
  ) -> String {
    let table = self[program.family][command.table] ?? Table(name: command.table)
    func lines(_ rules: some Sequence<RuleSpecification>) -> String {
      rules.map { $0.verboseText(program.family) + "\n" }.joined()
    }
    func chains(_ what: String, _ isMeant: (Chain) -> Bool = { _ in true }) -> String {
      let meant = table.chainsInOrder.filter {
        command.chain.map(\.text) == nil || $0.name == command.chain?.text
      }
      return meant.filter(isMeant).map { "\(what) chain `\($0.name)'\n" }.joined()
    }
    let there = command.chain.flatMap { table[chain: $0.text] }
    switch command.action {
    // Whether there is such a chain is found out after the first.
    case .append(let rules): return lines(isRefused ? rules.prefix(1) : rules[...])
    case .insert(_, let rules), .replace(_, let rules): return isRefused ? "" : lines(rules)
    case .check(let rules), .delete(let rules):
      var left = there?.rules.map(\.specification) ?? []
      return lines(
        rules.prefix { rule in
          guard let place = left.firstIndex(of: rule) else { return false }
          if case .delete = command.action { left.remove(at: place) }
          return true
        })
    case .flush: return isRefused ? "" : chains("Flushing")
    case .deleteChain: return chains("Deleting") { $0.builtIn == nil }
    case .zero(number: nil): return isRefused ? "" : chains("Zeroing")
    case .list, .listRules: return command.zeroesAfterListing ? chains("Zeroing") : ""
    default: return ""
    }
  }
}
