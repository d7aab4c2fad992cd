// Which chain jumps to which: that every aim exists, that no chain comes back to itself, and that
// what may stand only at some hooks is reached only from them.

/// The jumps of one table.
struct ChainGraph {
  private let table: Table
  private let numbers: [String: Int]

  init(_ table: Table) {
    self.table = table
    numbers = Dictionary(
      table.chains.enumerated().map { ($1.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// The names of all chains some rule jumps to.
  static func aims(in table: Table) -> Set<String> {
    var aims: Set<String> = []
    for chain in table.chains {
      for rule in chain.rules {
        switch rule.specification.target {
        case .jump(let name), .goTo(let name): aims.insert(name)
        default: break
        }
      }
    }
    return aims
  }

  /// Throws at the first rule that is wrong. O(rules × hooks).
  func check() throws(RulesetError) {
    var walked = [Bool](repeating: false, count: table.chains.count)
    for (number, chain) in table.chains.enumerated() {
      try walk(from: number, hook: chain.builtIn, &walked)
    }
  }

  /// Visits every chain that is reached from `start`. With a hook, every rule is checked for its
  /// place; without, only chains that no hook reached.
  private func walk(
    from start: Int, hook: BuiltInChain?, _ walked: inout [Bool]
  ) throws(RulesetError) {
    if hook == nil && walked[start] { return }
    // Chains on the way from the start to here, and chains that are done. The way is kept by hand,
    // so that no depth of chains exhausts the stack.
    var isOnWay = [start: true]
    var way = [(chain: start, next: 0)]
    while let (number, next) = way.last {
      let chain = table.chains[number]
      guard next < chain.rules.count else {
        isOnWay[number] = false
        walked[number] = true
        way.removeLast()
        continue
      }
      way[way.count - 1].next += 1
      let rule = chain.rules[next]
      if let hook { try checkPlace(of: rule, hook) }
      let name: String
      switch rule.specification.target {
      case .jump(let aim), .goTo(let aim): name = aim
      default: continue
      }
      guard let aim = numbers[name], table.chains[aim].builtIn == nil else {
        throw problem(
          rule, "no chain `\(name)` in the table \(table.name.name)",
          suggestion: NearestWord.find(name, among: Array(numbers.keys)))
      }
      switch isOnWay[aim] {
      case true?:
        throw problem(rule, "through this rule the chain `\(name)` comes back to itself")
      case false?: continue
      case nil:
        isOnWay[aim] = true
        way.append((aim, 0))
      }
    }
  }

  private func checkPlace(of rule: Rule, _ hook: BuiltInChain) throws(RulesetError) {
    for match in rule.specification.matches {
      let type = type(of: match.body)
      if let chains = match.body.requiredChains, !chains.contains(hook) {
        throw problem(
          rule, "`-m \(type.name)` can stand only in \(chains.spelled), not below \(hook.name)")
      }
    }
    if case .custom(let target) = rule.specification.target {
      let type = type(of: target.body)
      if let chains = target.body.requiredChains, !chains.contains(hook) {
        throw problem(
          rule, "`-j \(type.name)` can stand only in \(chains.spelled), not below \(hook.name)")
      }
    }
  }

  private func problem(
    _ rule: Rule, _ message: String, suggestion: String? = nil
  ) -> RulesetError {
    RulesetError(
      file: rule.location.file, line: rule.location.line, column: max(1, rule.location.column),
      message: message, words: rule.text, suggestion: suggestion)
  }
}
