// A verdict's rule in words again, and the counters back in the model: for explanations, listings
// and `iptables-save -c`.

/// A rule or policy in words.
public struct RuleDescription: Hashable, Sendable {
  public var table: TableName
  public var chain: String
  /// From 1; 0 for the chain's policy or end.
  public var number: Int
  /// `ACCEPT`, `DROP`, a target's or user chain's name; the policy's; empty for a rule without.
  public var target: String
  /// The rule as `iptables-save` prints it (`-A INPUT …`), or `-P INPUT DROP`.
  public var text: String
  /// The text of `-m comment`, where the rule has one.
  public var comment: String?
  public var location: SourceLocation?
  public var counters: RuleCounters

  /// `filter FORWARD rule 3`, `filter FORWARD policy`.
  public var place: String {
    "\(table.name) \(chain) \(number == 0 ? "policy" : "rule \(number)")"
  }

  /// `by rule 3 of filter FORWARD: -A FORWARD …`, `by the policy of filter FORWARD`.
  public var agent: String {
    number == 0
      ? "by the policy of \(table.name) \(chain)"
      : "by rule \(number) of \(table.name) \(chain): \(text)"
  }
}

extension CompiledRuleset {
  /// The rule in words; nil for `.none`. O(length of the rule).
  public func describe(_ reference: RuleReference) -> RuleDescription? {
    guard reference.chain >= 0, Int(reference.chain) < chains.count else { return nil }
    let compiled = chains[Int(reference.chain)]
    let chain = source.tables[Int(compiled.tableIndex)].chains[Int(compiled.chainIndex)]
    let number = Int(reference.number)
    guard number >= 0, number <= chain.rules.count else { return nil }
    let index = Int(number == 0 ? compiled.end : compiled.first &+ reference.number &- 1)
    if number == 0 {
      let target = chain.builtIn == nil ? "RETURN" : chain.policy.name
      return RuleDescription(
        table: compiled.table, chain: chain.name, number: 0, target: target,
        text: chain.builtIn == nil ? "" : "-P \(chain.name) \(target)", comment: nil,
        location: nil, counters: counters[index])
    }
    let rule = chain.rules[number - 1]
    return RuleDescription(
      table: compiled.table, chain: chain.name, number: number,
      target: rule.specification.target?.name ?? "",
      text: rule.specification.text(chain: chain.name, family: family),
      comment: rule.specification.comment, location: rule.location,
      counters: counters[index])
  }

  /// The name and table of a chain by the number observers hear; nil for -1.
  public func chain(_ number: Int32) -> (table: TableName, name: String)? {
    guard number >= 0, Int(number) < chains.count else { return nil }
    let chain = chains[Int(number)]
    return (chain.table, source.tables[Int(chain.tableIndex)].chains[Int(chain.chainIndex)].name)
  }

  /// The rules with the counters they have now. O(rules).
  public func withCounters() -> FamilyRules {
    var rules = source
    for number in 0..<chains.count {
      let chain = chains[number]
      let table = Int(chain.tableIndex)
      let index = Int(chain.chainIndex)
      for rule in 0..<Int(chain.count) {
        rules.tables[table].chains[index].rules[rule].counters =
          counters[Int(chain.first) + rule]
      }
      if rules.tables[table].chains[index].builtIn != nil {
        rules.tables[table].chains[index].counters = counters[Int(chain.end)]
      }
    }
    return rules
  }

  /// Takes up the counters of `rules`, which are these but for their counters. O(rules).
  public func setCounters(of rules: FamilyRules) {
    for number in 0..<chains.count {
      let chain = chains[number]
      let counted = rules.tables[Int(chain.tableIndex)].chains[Int(chain.chainIndex)]
      for rule in 0..<Int(chain.count) {
        counters[Int(chain.first) + rule] = counted.rules[rule].counters
      }
      if counted.builtIn != nil { counters[Int(chain.end)] = counted.counters }
    }
  }
}

extension Target {
  /// The word after `-j` or `-g`.
  public var name: String {
    switch self {
    case .accept: "ACCEPT"
    case .drop: "DROP"
    case .returnFromChain: "RETURN"
    case .jump(let chain), .goTo(let chain): chain
    case .custom(let target): type(of: target.body).name
    }
  }
}
