// Matches and targets of one rule: loading them by name, and giving each option to the one it
// belongs to.

import Wire

extension CommandParser {
  /// A long option: one of iptables' own, or of a match or target of this rule.
  mutating func takeLong(
    _ name: Word, attached: Word?, bang: Word?
  ) throws(RulesetError) {
    if let found = try find(name) {
      switch found {
      case .core(let letter): try takeCore(letter, name, attached: attached, bang: bang)
      case .match(let index, let rule):
        let use = try use(rule, name, attached, bang)
        try matches[index].take(rule, use, scope(matches[index].word))
      case .target(let rule):
        let use = try use(rule, name, attached, bang)
        guard var chosen = target else { return }
        try chosen.take(rule, use, scope(chosen.word))
        target = chosen
      }
      return
    }
    // `-p tcp` alone is enough for the options of the match of that name.
    guard try loadProtocolMatch(word: name) else { throw unknown(name) }
    try takeLong(name, attached: attached, bang: bang)
  }

  private enum Found {
    case core(Character)
    case match(Int, OptionRule)
    case target(OptionRule)
  }

  /// The option of this name, or the only one that begins so.
  private func find(_ name: Word) throws(RulesetError) -> Found? {
    if let letter = CoreOptions.letters[name.text] { return .core(letter) }
    if let rule = target?.rules.first(where: { $0.names.contains(name.text) }) {
      return .target(rule)
    }
    // The last match that has it: `-m mark --mark 1 -m connmark --mark 2`.
    for index in matches.indices.reversed() {
      if let rule = matches[index].rules.first(where: { $0.names.contains(name.text) }) {
        return .match(index, rule)
      }
    }
    guard name.text.utf8.count > 2 else { return nil }
    var found: [String: Found] = [:]
    for (core, letter) in CoreOptions.letters where core.hasPrefix(name.text) {
      found["-\(letter)"] = .core(letter)
    }
    for rule in target?.rules ?? [] where rule.names.contains(where: { $0.hasPrefix(name.text) }) {
      found["-j \(rule.name)"] = .target(rule)
    }
    for index in matches.indices {
      for rule in matches[index].rules
      where rule.names.contains(where: { $0.hasPrefix(name.text) }) {
        found["-m \(matches[index].name) \(rule.name)"] = .match(index, rule)
      }
    }
    if found.count > 1 {
      let several = found.keys.sorted().map { "`\($0)`" }.joined(separator: ", ")
      throw name.problem("`\(name.text)` may mean \(several)")
    }
    return found.values.first
  }

  private mutating func use(
    _ rule: OptionRule, _ name: Word, _ attached: Word?, _ bang: Word?
  ) throws(RulesetError) -> OptionUse {
    var arguments: [Word] = []
    if let attached {
      guard rule.arguments > 0 else {
        throw attached.problem("`\(rule.name)` takes no value")
      }
      arguments.append(attached)
    }
    while arguments.count < rule.arguments {
      arguments.append(
        try argument(name, nil, rule.arguments == 1 ? "a value" : "\(rule.arguments) values"))
    }
    return OptionUse(
      name: rule.name, isInverted: bang != nil, arguments: arguments, word: name)
  }

  /// `-m NAME`.
  mutating func load(match name: Word, word: Word) throws(RulesetError) {
    let named = Match.known.filter { $0.name == name.text || $0.aliases.contains(name.text) }
    if let type = named.first(where: { $0.families.contains(family) }) {
      matches.append(MatchUse(body: type.init(), word: word))
      return
    }
    if !named.isEmpty {
      throw name.problem("`-m \(name.text)` is not for \(family == .ipv4 ? "IPv4" : "IPv6")")
    }
    if Unsupported.matches.contains(name.text) {
      throw name.problem("match `\(name.text)` is not supported yet", isUnsupported: true)
    }
    throw name.problem(
      "unknown match `\(name.text)`",
      known: Match.known.map { $0.name } + Unsupported.matches.sorted())
  }

  /// `-j NAME` where it is no verdict and no chain; false if there is none of this name.
  mutating func load(target name: Word) throws(RulesetError) -> Bool {
    if let type = Target.known.first(where: {
      $0.name == name.text && $0.families.contains(family)
    }) {
      target = TargetUse(body: type.init(), word: name)
      return true
    }
    if Unsupported.targets.contains(name.text) {
      throw name.problem("target `\(name.text)` is not supported yet", isUnsupported: true)
    }
    return false
  }

  /// Loads the match named like the protocol, as `-p tcp --dport 80` does; false if it is there
  /// already or there is none.
  private mutating func loadProtocolMatch(word: Word) throws(RulesetError) -> Bool {
    guard let transport = rule.transport else { return false }
    let name: String? =
      switch transport.number {
      case IPProtocolNumber.icmp where family == .ipv4: "icmp"
      case IPProtocolNumber.icmpv6 where family == .ipv6: "icmp6"
      case IPProtocolNumber.tcp: "tcp"
      case IPProtocolNumber.udp: "udp"
      case IPProtocolNumber.dccp: "dccp"
      case IPProtocolNumber.esp: "esp"
      case IPProtocolNumber.ah: "ah"
      case IPProtocolNumber.sctp: "sctp"
      case IPProtocolNumber.mobility where family == .ipv6: "mh"
      default: nil
      }
    guard let name, !matches.contains(where: { $0.name == name }) else { return false }
    try load(match: Word(name, line: word.line, column: word.column), word: word)
    return true
  }

  private func unknown(_ name: Word) -> RulesetError {
    let owners = Match.known.filter { type in
      type.families.contains(family) && type.options.contains { $0.names.contains(name.text) }
    }.map { type in
      ["tcp", "udp"].contains(type.name) ? "`-p \(type.name)`" : "`-m \(type.name)`"
    }
    let targets = Target.known.filter { type in
      type.options.contains { $0.names.contains(name.text) }
    }.map { "`-j \($0.name)`" }
    if !owners.isEmpty || !targets.isEmpty {
      let all = (owners + targets).joined(separator: " or ")
      return name.problem("`\(name.text)` needs \(all) before it")
    }
    let known =
      matches.flatMap { $0.rules.flatMap(\.names) } + (target?.rules.flatMap(\.names) ?? [])
      + CoreOptions.names + implied.flatMap(\.names)
    return name.problem("unknown option `\(name.text)`", known: known)
  }

  /// Options a protocol's match would have brought.
  private var implied: [OptionRule] {
    switch rule.transport?.number {
    case IPProtocolNumber.tcp: TCPMatch.options
    case IPProtocolNumber.udp: UDPMatch.options
    default: []
    }
  }
}
