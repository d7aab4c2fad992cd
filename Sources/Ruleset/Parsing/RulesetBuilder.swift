// Carries commands out on the rule model: what iptables does with a table once it has read a line.

import Wire

/// A ruleset being changed, with its chains by name.
struct RulesetBuilder {
  private var ruleset: Ruleset
  private let file: String
  private let options: ParseOptions
  /// Chain numbers by `[TableName.rawValue][name]`, for each family.
  private var numbers4: [[String: Int]]
  private var numbers6: [[String: Int]]
  private var ruleCount = 0

  init(_ ruleset: Ruleset, file: String, options: ParseOptions) {
    self.ruleset = ruleset
    self.file = file
    self.options = options
    numbers4 = Self.numbers(of: ruleset.ipv4)
    numbers6 = Self.numbers(of: ruleset.ipv6)
    for family in [ruleset.ipv4, ruleset.ipv6] {
      for table in family.tables {
        for chain in table.chains { ruleCount += chain.rules.count }
      }
    }
  }

  private static func numbers(of rules: FamilyRules) -> [[String: Int]] {
    TableName.allCases.map { name in
      var numbers: [String: Int] = [:]
      for (index, chain) in (rules[name] ?? Table(name: name)).chains.enumerated() {
        numbers[chain.name] = index
      }
      return numbers
    }
  }

  func chainNumbers(_ family: AddressFamily) -> [[String: Int]] {
    family == .ipv4 ? numbers4 : numbers6
  }

  /// The whole, once every rule is in place; checks what only then shows.
  func finish() throws(RulesetError) -> Ruleset {
    for family in [ruleset.ipv4, ruleset.ipv6] {
      for table in family.tables { try ChainGraph(table).check() }
    }
    return ruleset
  }

  mutating func setDialect(_ dialect: RuleDialect, _ family: AddressFamily) {
    edit(family) { rules, _ in rules.dialect = dialect }
  }

  mutating func ignore(_ rule: IgnoredRule) { ruleset.ignored.append(rule) }

  /// `*table`: what the table had is gone. A table that did not exist comes to be with its first
  /// chain or rule.
  mutating func beginSection(_ table: TableName, _ family: AddressFamily) {
    guard ruleset[family][table] != nil, !options.keepsContents else { return }
    edit(family) { rules, numbers in
      let index = rules.indexMakingTable(table)
      rules.tables[index] = Table(name: table)
      numbers[Int(table.rawValue)] = Self.builtInNumbers(table)
    }
    recount()
  }

  private static func builtInNumbers(_ table: TableName) -> [String: Int] {
    Dictionary(uniqueKeysWithValues: table.builtInChains.enumerated().map { ($1.name, $0) })
  }

  /// `:CHAIN POLICY [counters]`
  mutating func declare(
    _ name: Word, policy: Policy?, counters: RuleCounters, _ table: TableName,
    _ family: AddressFamily
  ) throws(RulesetError) {
    if chainNumbers(family)[Int(table.rawValue)][name.text] == nil {
      if BuiltInChain(name.text) != nil {
        throw name.problem("the table \(table.name) has no chain \(name.text)")
      }
      try makeChain(name, table, family)
      return
    }
    let isBuiltIn = BuiltInChain(name.text) != nil
    let keepsRules = isBuiltIn && options.keepsContents
    let counters = options.takesCounters ? counters : RuleCounters()
    try editChain(name, table, family) { chain in
      if !keepsRules { chain.rules = [] }
      guard isBuiltIn else { return }
      if let policy { chain.policy = policy }
      chain.counters = counters
    }
    recount()
  }

  mutating func carryOut(
    _ command: Command, _ family: AddressFamily, location: SourceLocation, text: String
  ) throws(RulesetError) {
    let table = command.table
    func made(_ specifications: [RuleSpecification]) -> [Rule] {
      specifications.map {
        Rule($0, counters: command.counters ?? RuleCounters(), location: location, text: text)
      }
    }
    guard let chain = command.chain else {
      carryOutOnAll(command.action, table, family)
      return
    }
    switch command.action {
    case .append(let specifications):
      try makeRoom(for: specifications.count, command.verb)
      try editChain(chain, table, family) { $0.rules += made(specifications) }
    case .insert(let number, let specifications):
      try makeRoom(for: specifications.count, command.verb)
      try refuse(number, beyond: 1, chain, table, family)
      // Each goes in at the same place, so the last stands first.
      try editChain(chain, table, family) {
        $0.rules.insert(contentsOf: made(specifications).reversed(), at: number - 1)
      }
    case .replace(let number, let specifications):
      try refuse(number, beyond: 0, chain, table, family)
      try editChain(chain, table, family) { $0.rules[number - 1] = made(specifications)[0] }
    case .delete(let specifications):
      for specification in specifications {
        try delete(specification, chain, table, family, command.verb)
      }
    case .deleteNumber(let number):
      try refuse(number, beyond: 0, chain, table, family)
      try editChain(chain, table, family) { _ = $0.rules.remove(at: number - 1) }
      ruleCount -= 1
    case .newChain:
      guard chainNumbers(family)[Int(table.rawValue)][chain.text] == nil else {
        throw chain.problem("the chain `\(chain.text)` exists already")
      }
      try makeChain(chain, table, family)
    case .deleteChain:
      try deleteChain(chain, table, family)
    case .renameChain(let name):
      try rename(chain, to: name, table, family)
    case .flush:
      try editChain(chain, table, family) { $0.rules = [] }
      recount()
    case .zero(let number):
      if let number { try refuse(number, beyond: 0, chain, table, family) }
      try editChain(chain, table, family) { chain in
        guard number == nil else {
          chain.rules[(number ?? 1) - 1].counters = RuleCounters()
          return
        }
        chain.clearCounters()
      }
    case .setPolicy(let policy):
      guard BuiltInChain(chain.text) != nil else {
        throw chain.problem("only a built-in chain has a policy")
      }
      if table == .nat && policy == .drop {
        throw chain.problem("the nat table is not for filtering: its policy cannot be DROP")
      }
      try editChain(chain, table, family) { $0.policy = policy }
    case .check, .list, .listRules: break
    }
  }

  private mutating func carryOutOnAll(
    _ action: Command.Action, _ table: TableName, _ family: AddressFamily
  ) {
    guard ruleset[family][table] != nil else { return }
    edit(family) { rules, numbers in
      let index = rules.indexMakingTable(table)
      switch action {
      case .flush:
        for chain in rules.tables[index].chains.indices {
          rules.tables[index].chains[chain].rules = []
        }
      case .zero:
        for chain in rules.tables[index].chains.indices {
          rules.tables[index].chains[chain].clearCounters()
        }
      case .deleteChain:
        let aims = ChainGraph.aims(in: rules.tables[index])
        rules.tables[index].chains.removeAll { chain in
          chain.builtIn == nil && chain.rules.isEmpty && !aims.contains(chain.name)
        }
        numbers[Int(table.rawValue)] = Dictionary(
          uniqueKeysWithValues: rules.tables[index].chains.enumerated().map { ($1.name, $0) })
      default: break
      }
    }
    recount()
  }
}

extension Chain {
  mutating func clearCounters() {
    counters = RuleCounters()
    for index in rules.indices { rules[index].counters = RuleCounters() }
  }
}

// MARK: - Chains

extension RulesetBuilder {
  private mutating func edit(
    _ family: AddressFamily, _ body: (inout FamilyRules, inout [[String: Int]]) -> Void
  ) {
    switch family {
    case .ipv4: body(&ruleset.ipv4, &numbers4)
    case .ipv6: body(&ruleset.ipv6, &numbers6)
    }
  }

  private mutating func editChain(
    _ name: Word, _ table: TableName, _ family: AddressFamily, _ body: (inout Chain) -> Void
  ) throws(RulesetError) {
    guard let number = chainNumbers(family)[Int(table.rawValue)][name.text] else {
      let known = chainNumbers(family)[Int(table.rawValue)].keys.sorted().prefix(2000)
      throw name.problem("the table \(table.name) has no chain `\(name.text)`", known: Array(known))
    }
    edit(family) { rules, _ in
      let index = rules.indexMakingTable(table)
      body(&rules.tables[index].chains[number])
    }
  }

  private mutating func makeChain(
    _ name: Word, _ table: TableName, _ family: AddressFamily
  ) throws(RulesetError) {
    try checkName(name)
    edit(family) { rules, numbers in
      let index = rules.indexMakingTable(table)
      numbers[Int(table.rawValue)][name.text] = rules.tables[index].chains.count
      rules.tables[index].chains.append(Chain(name: name.text))
    }
    if chainNumbers(family)[Int(table.rawValue)].count > options.maximumChains {
      throw name.problem("more than \(options.maximumChains) chains in a table")
    }
  }

  /// What iptables lets a chain be called.
  private func checkName(_ name: Word) throws(RulesetError) {
    guard !name.text.isEmpty, name.text.utf8.count <= 28 else {
      throw name.problem("a chain's name has 1 to 28 characters")
    }
    guard name.text.first != "-", name.text.first != "!" else {
      throw name.problem("a chain's name does not begin with `\(name.text.prefix(1))`")
    }
    if name.text.contains(where: \.isWhitespace) {
      throw name.problem("a chain's name has no blanks")
    }
    if CommandParser.targetNames.contains(name.text) {
      throw name.problem("`\(name.text)` is a target, not a name for a chain")
    }
  }

  private mutating func deleteChain(
    _ name: Word, _ table: TableName, _ family: AddressFamily
  ) throws(RulesetError) {
    guard BuiltInChain(name.text) == nil else {
      throw name.problem("a built-in chain cannot be deleted")
    }
    try editChain(name, table, family) { _ in }
    guard let model = ruleset[family][table], let chain = model[chain: name.text] else { return }
    guard chain.rules.isEmpty else { throw name.problem("the chain `\(name.text)` is not empty") }
    if ChainGraph.aims(in: model).contains(name.text) {
      throw name.problem("rules still jump to the chain `\(name.text)`")
    }
    edit(family) { rules, numbers in
      let index = rules.indexMakingTable(table)
      rules.tables[index].chains.removeAll { $0.name == name.text }
      numbers[Int(table.rawValue)] = Dictionary(
        uniqueKeysWithValues: rules.tables[index].chains.enumerated().map { ($1.name, $0) })
    }
  }

  private mutating func rename(
    _ old: Word, to new: Word, _ table: TableName, _ family: AddressFamily
  ) throws(RulesetError) {
    guard BuiltInChain(old.text) == nil else {
      throw old.problem("a built-in chain cannot be renamed")
    }
    guard chainNumbers(family)[Int(table.rawValue)][new.text] == nil else {
      throw new.problem("the chain `\(new.text)` exists already")
    }
    try checkName(new)
    try editChain(old, table, family) { $0.name = new.text }
    edit(family) { rules, numbers in
      let index = rules.indexMakingTable(table)
      numbers[Int(table.rawValue)][new.text] =
        numbers[Int(table.rawValue)].removeValue(forKey: old.text)
      for chain in rules.tables[index].chains.indices {
        for rule in rules.tables[index].chains[chain].rules.indices {
          rules.tables[index].chains[chain].rules[rule].specification.target?
            .rename(old.text, to: new.text)
        }
      }
    }
  }
}

extension Target {
  fileprivate mutating func rename(_ old: String, to new: String) {
    switch self {
    case .jump(old): self = .jump(new)
    case .goTo(old): self = .goTo(new)
    default: break
    }
  }
}

// MARK: - Rules

extension RulesetBuilder {
  private mutating func makeRoom(for count: Int, _ word: Word) throws(RulesetError) {
    ruleCount += count
    guard ruleCount <= options.maximumRules else {
      throw word.problem("more than \(options.maximumRules) rules")
    }
  }

  private mutating func recount() {
    ruleCount = 0
    for family in [ruleset.ipv4, ruleset.ipv6] {
      for table in family.tables {
        for chain in table.chains { ruleCount += chain.rules.count }
      }
    }
  }

  /// Throws where a rule number lies beyond the chain's rules and `beyond` more.
  private mutating func refuse(
    _ number: Int, beyond: Int, _ name: Word, _ table: TableName, _ family: AddressFamily
  ) throws(RulesetError) {
    var count = 0
    try editChain(name, table, family) { count = $0.rules.count }
    guard number <= count + beyond else {
      throw name.problem("the chain `\(name.text)` has \(count) rules, there is no \(number)")
    }
  }

  private mutating func delete(
    _ specification: RuleSpecification, _ name: Word, _ table: TableName,
    _ family: AddressFamily, _ verb: Word
  ) throws(RulesetError) {
    var isFound = false
    try editChain(name, table, family) { chain in
      guard let index = chain.rules.firstIndex(where: { $0.specification == specification })
      else { return }
      chain.rules.remove(at: index)
      isFound = true
    }
    guard isFound else {
      throw verb.problem("no rule of the chain `\(name.text)` is as this one says")
    }
    ruleCount -= 1
  }
}
