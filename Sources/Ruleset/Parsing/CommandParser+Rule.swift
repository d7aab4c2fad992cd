// The conditions every rule may have, and putting the finished rule together.

import Wire

extension CommandParser {
  /// `-s` and `-d`: one address, or a list of them.
  func addresses(_ word: Word, isInverted: Bool) throws(RulesetError) -> [AddressCondition] {
    let parts = word.parts(separator: ",")
    if parts.count > 1 && isInverted {
      throw word.problem("`!` does not go with a list of addresses")
    }
    guard parts.count <= limits.maximumRules else {
      throw word.problem("more than \(limits.maximumRules) addresses")
    }
    var conditions: [AddressCondition] = []
    for part in parts {
      let (address, mask) = try part.maskedAddress(family)
      conditions.append(AddressCondition(address: address, mask: mask, isInverted: isInverted))
    }
    return conditions
  }

  /// `-p`; nil for all protocols.
  func transport(_ word: Word, isInverted: Bool) throws(RulesetError) -> ProtocolCondition? {
    let number = try word.protocolNumber()
    guard number != 0 else {
      if isInverted { throw word.problem("no packet is of no protocol: the rule never matches") }
      return nil
    }
    return ProtocolCondition(number: number, isInverted: isInverted)
  }

  /// `-i` and `-o`; nil for any interface.
  func interface(_ word: Word, isInverted: Bool) throws(RulesetError) -> InterfaceCondition? {
    guard !word.text.isEmpty else { throw word.problem("an interface has a name") }
    guard word.text.utf8.count <= 15 else {
      throw word.problem("an interface's name has at most 15 characters")
    }
    guard !word.text.contains(where: { $0.isWhitespace || $0 == "\"" }) else {
      throw word.problem("an interface's name has no blanks and no quotes")
    }
    // Every name begins with nothing.
    if word.text == "+" && !isInverted { return nil }
    return InterfaceCondition(pattern: word.text, isInverted: isInverted)
  }

  /// `-j` and `-g`.
  mutating func takeTarget(
    _ option: Word, _ name: Word, isGoto: Bool
  ) throws(RulesetError) {
    if seen["j"] != nil && seen["g"] != nil {
      throw option.problem("a rule has one target, by `-j` or by `-g`")
    }
    if BuiltInChain(name.text) != nil {
      throw name.problem("a rule cannot jump to the built-in chain `\(name.text)`")
    }
    if !isGoto {
      switch name.text {
      case "ACCEPT":
        rule.target = .accept
        return
      case "DROP":
        guard table != .nat else {
          throw name.problem("the nat table is not for filtering: DROP has no place in it")
        }
        rule.target = .drop
        return
      case "RETURN":
        rule.target = .returnFromChain
        return
      default:
        if try load(target: name) { return }
      }
    }
    guard chains[Int(table.rawValue)][name.text] != nil else { throw unknownTarget(name, isGoto) }
    rule.target = isGoto ? .goTo(name.text) : .jump(name.text)
  }

  private func unknownTarget(_ name: Word, _ isGoto: Bool) -> RulesetError {
    // Of thousands of chains only some are compared.
    let own = chains[Int(table.rawValue)].keys.filter { BuiltInChain($0) == nil }
      .sorted().prefix(2000)
    if isGoto {
      return name.problem("no chain `\(name.text)` in the table \(table.name)", known: Array(own))
    }
    return name.problem(
      "no target, and no chain in the table \(table.name), is named `\(name.text)`",
      known: own + Self.targetNames)
  }

  /// Every target by name, supported or not.
  static let targetNames =
    ["ACCEPT", "DROP", "RETURN"] + Target.known.map { $0.name } + Unsupported.targets.sorted()

  /// The finished command.
  mutating func finish() throws(RulesetError) -> Command {
    guard let (kind, word) = verb else {
      guard let first = words.first else {
        throw RulesetError(line: 0, column: 0, message: "no command")
      }
      throw first.problem("no command, such as `-A CHAIN`")
    }
    if !kind.takesRule, let stray = seen.values.min(by: { $0.column < $1.column }) {
      let harmless =
        [.list, .listRules].contains(kind) || kind == .policy && stray == seen["c"]
      if !harmless { throw stray.problem("`\(stray.text)` does not go with `\(word.text)`") }
    }
    // Deleting by number leaves no rule to read.
    let specifications = kind.takesRule ? try specifications() : []
    let action = try action(kind, word, specifications)
    var command = Command(
      table: table, chain: chain, action: action, counters: counters, verb: word)
    command.zeroesAfterListing = zeroesAfterListing
    command.isVerbose = form.isVerbose
    return command
  }

  private func action(
    _ kind: Verb, _ word: Word, _ specifications: [RuleSpecification]
  ) throws(RulesetError) -> Command.Action {
    switch kind {
    case .append: return .append(specifications)
    case .insert: return .insert(number: number ?? 1, specifications)
    case .replace:
      guard specifications.count == 1 else {
        throw word.problem("`-R` replaces a rule by one rule, not by \(specifications.count)")
      }
      return .replace(number: number ?? 1, specifications)
    case .delete: return number.map { .deleteNumber($0) } ?? .delete(specifications)
    case .newChain: return .newChain
    case .deleteChain: return .deleteChain
    case .flush: return .flush
    case .zero: return .zero(number: number)
    case .policy:
      guard let policy else { throw word.problem("`-P` needs a chain and a policy") }
      return .setPolicy(policy)
    case .renameChain:
      guard let newName else { throw word.problem("`-E` needs the old and the new name") }
      return .renameChain(newName)
    case .check: return .check(specifications)
    case .list: return .list(form, number: number)
    case .listRules: return .listRules(form, number: number)
    }
  }

  /// The rule, once for each pair of addresses.
  private mutating func specifications() throws(RulesetError) -> [RuleSpecification] {
    try checkInterfaces()
    for index in matches.indices {
      let scope = scope(matches[index].word)
      rule.matches.append(try matches[index].finish(scope))
    }
    if var use = target {
      rule.target = try use.finish(scope(use.word))
    }
    guard sources.count * max(1, destinations.count) <= limits.maximumRules else {
      throw words[0].problem("these lists of addresses make more than \(limits.maximumRules) rules")
    }
    var all: [RuleSpecification] = []
    for source in sources.isEmpty ? [nil] : sources.map(Optional.some) {
      for destination in destinations.isEmpty ? [nil] : destinations.map(Optional.some) {
        var one = rule
        one.source = source?.orNil
        one.destination = destination?.orNil
        all.append(one)
      }
    }
    return all
  }

  private func checkInterfaces() throws(RulesetError) {
    guard let chain, let builtIn = BuiltInChain(chain.text) else { return }
    if let word = seen["i"], [.output, .postrouting].contains(builtIn) {
      throw word.problem("`-i` has no place in \(builtIn.name): its packets have no in interface")
    }
    if let word = seen["o"], [.prerouting, .input].contains(builtIn) {
      throw word.problem("`-o` has no place in \(builtIn.name): its packets have no out interface")
    }
  }
}

extension AddressCondition {
  /// nil where every address fits.
  fileprivate var orNil: AddressCondition? {
    mask == .any && !isInverted ? nil : self
  }
}
