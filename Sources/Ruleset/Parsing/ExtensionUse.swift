// A match or target while its options are being read: finds options by name, alias or unambiguous
// beginning, and sees that each is used once and together with what it allows.

import Wire

struct MatchUse {
  var body: any RuleMatch
  var word: Word
  var used: [String] = []
}

struct TargetUse {
  var body: any RuleTarget
  var word: Word
  var used: [String] = []
}

extension OptionRule {
  /// Every spelling.
  var names: [String] { [name] + aliases }

  /// Checks one more use of the option; throws where iptables would.
  func check(
    _ use: OptionUse, owner: String, used: [String]
  ) throws(RulesetError) {
    if use.isInverted && !isInvertible {
      throw use.word.problem("`\(name)` of `\(owner)` cannot be inverted with `!`")
    }
    if used.contains(name) {
      throw use.word.problem("`\(name)` can be used only once in a `\(owner)`")
    }
    if let other = used.first(where: { excludes.contains($0) }) {
      throw use.word.problem("`\(name)` cannot be used together with `\(other)`")
    }
  }
}

extension MatchUse {
  var rules: [OptionRule] { type(of: body).options }
  var name: String { type(of: body).name }

  mutating func take(
    _ rule: OptionRule, _ use: OptionUse, _ scope: RuleScope
  ) throws(RulesetError) {
    try rule.check(use, owner: name, used: used)
    try body.take(use, scope)
    used.append(rule.name)
  }

  /// The finished match.
  mutating func finish(_ scope: RuleScope) throws(RulesetError) -> Match {
    if let missing = rules.first(where: { $0.isRequired && !used.contains($0.name) }) {
      throw word.problem("`-m \(name)` needs `\(missing.name)`")
    }
    var scope = scope
    scope.word = word
    try body.finish(scope)
    if let chains = body.requiredChains, let chain = BuiltInChain(scope.chain),
      !chains.contains(chain)
    {
      throw word.problem("`-m \(name)` can stand only in \(chains.spelled)")
    }
    func wrap(_ body: some RuleMatch) -> Match { Match(body) }
    return wrap(body)
  }
}

extension TargetUse {
  var rules: [OptionRule] { type(of: body).options }
  var name: String { type(of: body).name }

  mutating func take(
    _ rule: OptionRule, _ use: OptionUse, _ scope: RuleScope
  ) throws(RulesetError) {
    try rule.check(use, owner: name, used: used)
    try body.take(use, scope)
    used.append(rule.name)
  }

  mutating func finish(_ scope: RuleScope) throws(RulesetError) -> Target {
    if let missing = rules.first(where: { $0.isRequired && !used.contains($0.name) }) {
      throw word.problem("`-j \(name)` needs `\(missing.name)`")
    }
    var scope = scope
    scope.word = word
    if let tables = type(of: body).tables, !tables.contains(scope.table) {
      throw word.problem(
        "`-j \(name)` can stand only in the table \(tables.map(\.name).joined(separator: " or "))")
    }
    try body.finish(scope)
    if let chains = body.requiredChains, let chain = BuiltInChain(scope.chain),
      !chains.contains(chain)
    {
      throw word.problem("`-j \(name)` can stand only in \(chains.spelled)")
    }
    func wrap(_ body: some RuleTarget) -> Target { .custom(CustomTarget(body)) }
    return wrap(body)
  }
}

extension [BuiltInChain] {
  /// `INPUT, FORWARD and OUTPUT`
  var spelled: String {
    let names = map(\.name)
    guard names.count > 1 else { return names.first ?? "no chain" }
    return names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
  }
}
