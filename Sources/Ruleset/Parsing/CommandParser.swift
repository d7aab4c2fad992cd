// Reads the words of one command: iptables' own options here, those of matches and targets in
// `CommandParser+Extensions`.

import Wire

/// Reads one command from its words.
struct CommandParser {
  let family: AddressFamily
  /// The chains that exist, for `-j`, by `TableName.rawValue`.
  let chains: [[String: Int]]
  /// Set within a `*table` section, where `-t` has no place.
  let sectionTable: TableName?
  let limits: ParseOptions

  let words: [Word]
  var next = 0
  var table: TableName
  var verb: (kind: Verb, word: Word)?
  var chain: Word?
  var number: Int?
  var newName: Word?
  var form = ListForm()
  var zeroesAfterListing = false
  var policy: Policy?
  var counters: RuleCounters?
  var rule = RuleSpecification()
  var sources: [AddressCondition] = []
  var destinations: [AddressCondition] = []
  /// The letters of options met so far that may come once.
  var seen: [Character: Word] = [:]
  var matches: [MatchUse] = []
  var target: TargetUse?
  /// The line is for the other family (`-4`, `-6`).
  var isForOtherFamily = false

  init(
    _ words: [Word], family: AddressFamily, chains: [[String: Int]], sectionTable: TableName?,
    limits: ParseOptions
  ) {
    self.words = words
    self.family = family
    self.chains = chains
    self.sectionTable = sectionTable
    self.limits = limits
    table = sectionTable ?? .filter
  }

  /// Reads all words. nil where the line is for the other family.
  mutating func parse() throws(RulesetError) -> Command? {
    try findTableAndChain()
    var bang: Word?
    while next < words.count {
      let word = words[next]
      next += 1
      if word.text == "!" && !word.isQuoted {
        if bang != nil { throw word.problem("two `!` in a row") }
        bang = word
        continue
      }
      try takeOption(word, bang: bang)
      bang = nil
    }
    if let bang { throw bang.problem("nothing follows this `!`") }
    return isForOtherFamily ? nil : try finish()
  }

  /// `-t` and the chain may stand anywhere; options read before them may need them.
  private mutating func findTableAndChain() throws(RulesetError) {
    for (index, word) in words.enumerated() where word.text == "-t" || word.text == "--table" {
      guard sectionTable == nil else {
        throw word.problem("`-t` has no place in a `*table` section")
      }
      guard index + 1 < words.count else { throw word.problem("`-t` needs a table") }
      let name = words[index + 1]
      guard let found = TableName(name.text) else {
        throw name.problem("unknown table `\(name.text)`", known: TableName.allCases.map(\.name))
      }
      table = found
    }
  }

  private mutating func takeOption(_ word: Word, bang: Word?) throws(RulesetError) {
    let text = word.text
    guard text.utf8.first == UInt8(ascii: "-"), text.utf8.count > 1 else {
      throw strayWord(word, bang: bang)
    }
    if text.hasPrefix("--") {
      // `--option=value` is one word.
      let (name, value) = word.cut(at: "=")
      try takeLong(name, attached: value, bang: bang)
    } else {
      // By scalars: `-` and a combining mark after it would be one character.
      let letter = Character(text.unicodeScalars[text.unicodeScalars.index(after: text.startIndex)])
      let rest = text.unicodeScalars.dropFirst(2)
      if !rest.isEmpty, "nvxhV46f".contains(letter) {
        // `-nvL` is `-n -v -L`.
        try takeCore(letter, word, attached: nil, bang: bang)
        let others = Word(
          "-" + String(rest), line: word.line, column: word.column + 1, isQuoted: word.isQuoted)
        try takeOption(others, bang: nil)
        return
      }
      let attached =
        rest.isEmpty
        ? nil : Word(String(rest), line: word.line, column: word.column + 2, isQuoted: true)
      try takeCore(letter, word, attached: attached, bang: bang)
    }
  }

  private func strayWord(_ word: Word, bang: Word?) -> RulesetError {
    if bang != nil {
      return word.problem("`!` stands before an option, as in `! --dport 22`")
    }
    if word.text.hasPrefix("–") || word.text.hasPrefix("—") {
      return word.problem("this begins with a typographic dash, not with `-`")
    }
    return word.problem("unexpected word `\(word.text)`", known: CoreOptions.names)
  }

  /// The scope extensions see.
  func scope(_ word: Word) -> RuleScope {
    RuleScope(
      family: family, table: table, chain: chain?.text ?? "", transport: rule.transport, word: word)
  }

  /// The next word, or the attached value.
  mutating func argument(
    _ option: Word, _ attached: Word?, _ what: String
  ) throws(RulesetError) -> Word {
    if let attached { return attached }
    guard next < words.count else { throw option.problem("`\(option.text)` needs \(what)") }
    next += 1
    if words[next - 1].text == "!", !words[next - 1].isQuoted {
      throw words[next - 1].problem("`!` stands before the option: `! \(option.text) …`")
    }
    return words[next - 1]
  }

  /// The next word if it is no option.
  private mutating func optionalArgument(_ attached: Word?) -> Word? {
    if let attached { return attached }
    guard next < words.count, !words[next].text.hasPrefix("-"), words[next].text != "!" else {
      return nil
    }
    next += 1
    return words[next - 1]
  }

  mutating func takeCore(
    _ letter: Character, _ word: Word, attached: Word?, bang: Word?
  ) throws(RulesetError) {
    if let bang, !"sdpiof".contains(letter) {
      throw bang.problem("`\(word.text)` cannot be inverted with `!`")
    }
    if "sdpiofjgc".contains(letter) {
      if seen[letter] != nil { throw word.problem("a rule has `-\(letter)` only once") }
      seen[letter] = word
    }
    let isInverted = bang != nil
    switch letter {
    case "s":
      let value = try argument(word, attached, "an address")
      sources = try addresses(value, isInverted: isInverted)
    case "d":
      let value = try argument(word, attached, "an address")
      destinations = try addresses(value, isInverted: isInverted)
    case "p":
      let value = try argument(word, attached, "a protocol")
      rule.transport = try transport(value, isInverted: isInverted)
    case "i":
      let value = try argument(word, attached, "an interface")
      rule.inInterface = try interface(value, isInverted: isInverted)
    case "o":
      let value = try argument(word, attached, "an interface")
      rule.outInterface = try interface(value, isInverted: isInverted)
    case "f":
      guard family == .ipv4 else {
        throw word.problem("IPv6 has no `-f`; its fragments are matched by `-m frag`")
      }
      rule.isLaterFragment = !isInverted
    case "j", "g":
      try takeTarget(word, try argument(word, attached, "a target"), isGoto: letter == "g")
    case "m":
      let value = try argument(word, attached, "a match")
      try load(match: value, word: value)
    case "t":
      _ = try argument(word, attached, "a table")
    case "c":
      try takeCounters(word, attached)
    case "4", "6":
      if (letter == "4") != (family == .ipv4) { isForOtherFamily = true }
    case "n": form.isNumeric = true
    case "v": form.isVerbose = true
    case "x": form.isExact = true
    case "0": form.hasLineNumbers = true
    case "V", "h": break
    case "w", "W", "M":
      _ = optionalArgument(attached)
    default:
      guard let kind = Verb(rawValue: letter) else {
        throw word.problem("unknown option `\(word.text)`", known: CoreOptions.names)
      }
      try takeVerb(kind, word, attached)
    }
  }

  private mutating func takeVerb(
    _ kind: Verb, _ word: Word, _ attached: Word?
  ) throws(RulesetError) {
    if let earlier = verb {
      // `-L -Z` lists and zeroes.
      let both = [earlier.kind, kind]
      guard both.contains(.zero), both.contains(.list) || both.contains(.listRules) else {
        throw word.problem("`\(word.text)` cannot be used together with `\(earlier.word.text)`")
      }
    }
    if verb != nil {
      // What is listed stays; where one of the two names a chain, both mean it.
      zeroesAfterListing = true
      let named = optionalArgument(attached)
      chain = chain ?? named
      if kind != .zero { verb = (kind, word) }
      return
    }
    verb = (kind, word)
    chain =
      kind.needsChain ? try argument(word, attached, "a chain") : optionalArgument(attached)
    switch kind {
    case .insert, .delete, .replace, .zero, .list, .listRules:
      if next < words.count, let value = Numbers.parse(words[next].text, limit: 0xFFFF_FFFF) {
        number = Int(value)
        guard value > 0 else { throw words[next].problem("rules are numbered from 1") }
        next += 1
      } else if kind == .replace {
        throw word.problem("`-R` needs a chain and a rule number")
      }
    case .policy:
      let name = try argument(word, nil, "a chain and a policy")
      guard let found = Policy(name.text) else {
        throw name.problem("a policy is ACCEPT or DROP", known: ["ACCEPT", "DROP"])
      }
      policy = found
    case .renameChain:
      newName = try argument(word, nil, "the old and the new name")
    default: break
    }
  }

  private mutating func takeCounters(_ word: Word, _ attached: Word?) throws(RulesetError) {
    let first = try argument(word, attached, "packets and bytes")
    let (packets, bytes) = first.cut(at: ",")
    let second = if let bytes { bytes } else { try argument(word, nil, "packets and bytes") }
    counters = RuleCounters(
      packets: try packets.number(upTo: .max), bytes: try second.number(upTo: .max))
  }
}

extension Policy {
  init?(_ name: String) {
    switch name {
    case "ACCEPT": self = .accept
    case "DROP": self = .drop
    default: return nil
    }
  }
}
