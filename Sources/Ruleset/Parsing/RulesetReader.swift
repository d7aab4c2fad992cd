// Line by line: what belongs to `iptables-save` text and what is a command of a shell.

import Wire

/// Reads a whole text into a ruleset.
struct RulesetReader {
  private var builder: RulesetBuilder
  private let file: String
  private let family: AddressFamily
  private let options: ParseOptions
  /// The open `*table` section.
  private var section: (table: TableName, word: Word)?
  /// Words of a shell command whose line ended in a backslash.
  private var pending: [Word] = []
  private var pendingText = ""

  init(_ ruleset: Ruleset, file: String, family: AddressFamily, options: ParseOptions) {
    builder = RulesetBuilder(ruleset, file: file, options: options)
    self.file = file
    self.family = family
    self.options = options
  }

  mutating func read(_ text: String) throws(RulesetError) -> Ruleset {
    var number = 0
    for bytes in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      number += 1
      guard bytes.count <= options.maximumLineLength else {
        throw RulesetError(
          line: number, column: 1,
          message: "the line is longer than \(options.maximumLineLength) bytes")
      }
      try read(line: trimmed(Substring(bytes)), number: number)
    }
    if let last = pending.last { throw last.problem("a line should follow the `\\` at the end") }
    if let section {
      throw section.word.problem("no `COMMIT` ends the section `*\(section.table.name)`")
    }
    return try builder.finish()
  }

  mutating func read(_ arguments: [String]) throws(RulesetError) -> Ruleset {
    var words: [Word] = []
    var column = 1
    for argument in arguments {
      words.append(Word(argument, line: 1, column: column))
      column += argument.unicodeScalars.count + 1
    }
    try command(words, family: family, text: arguments.joined(separator: " "), counters: nil)
    return try builder.finish()
  }

  private func trimmed(_ line: Substring) -> String {
    var end = line.utf8.endIndex
    while end > line.utf8.startIndex {
      let before = line.utf8.index(before: end)
      guard [9, 13, 32].contains(line.utf8[before]) else { break }
      end = before
    }
    return String(line[..<end])
  }

  private mutating func read(line: String, number: Int) throws(RulesetError) {
    if section != nil {
      try readSectionLine(line, number: number)
      return
    }
    if pending.isEmpty {
      guard let first = line.utf8.first(where: { $0 != 32 && $0 != 9 }),
        first != UInt8(ascii: "#")
      else { return }
      if first == UInt8(ascii: "*") {
        try openSection(line, number: number)
        return
      }
      if first == UInt8(ascii: ":") || first == UInt8(ascii: "[") || line == "COMMIT" {
        throw RulesetError(
          line: number, column: 1, message: "no `*table` line stands before this",
          words: line)
      }
    }
    let continues = line.utf8.last == UInt8(ascii: "\\")
    pending += try WordSplitter.split(
      continues ? String(line.dropLast()) : line, number: number, style: .shell)
    pendingText += (pendingText.isEmpty ? "" : " ") + (continues ? String(line.dropLast()) : line)
    guard !continues else {
      guard pendingText.utf8.count <= options.maximumLineLength else {
        throw RulesetError(
          line: number, column: 1,
          message: "the command is longer than \(options.maximumLineLength) bytes")
      }
      return
    }
    let words = pending
    let text = pendingText
    pending = []
    pendingText = ""
    try readShellCommand(words, text: text)
  }

  private mutating func openSection(_ line: String, number: Int) throws(RulesetError) {
    let words = try WordSplitter.split(line, number: number, style: .restore)
    guard let word = words.first else { return }
    let name = String(word.text.dropFirst())
    guard let table = TableName(name) else {
      throw word.problem("unknown table `\(name)`", known: TableName.allCases.map { "*\($0.name)" })
    }
    if words.count > 1 { throw words[1].problem("unexpected word `\(words[1].text)`") }
    section = (table, word)
    builder.beginSection(table, family)
  }

  private mutating func readSectionLine(_ line: String, number: Int) throws(RulesetError) {
    guard let first = line.utf8.first, first != UInt8(ascii: "#"), let section else { return }
    if first == UInt8(ascii: "*") {
      throw section.word.problem("no `COMMIT` ends the section `*\(section.table.name)`")
    }
    var words = try WordSplitter.split(line, number: number, style: .restore)
    guard let word = words.first else { return }
    if word.text == "COMMIT" {
      if words.count > 1 { throw words[1].problem("unexpected word `\(words[1].text)`") }
      self.section = nil
      return
    }
    if word.text.hasPrefix(":") {
      try declareChain(words, section.table)
      return
    }
    var counters: RuleCounters?
    if word.text.hasPrefix("[") {
      counters = try self.counters(word)
      words.removeFirst()
      guard !words.isEmpty else { throw word.problem("no rule follows the counters") }
    }
    guard words[0].text.hasPrefix("-") else {
      throw words[0].problem(
        "a line here is `-A …`, `:CHAIN …` or `COMMIT`, not `\(words[0].text)`",
        known: ["COMMIT"] + CoreOptions.names)
    }
    try command(words, family: family, text: line, counters: counters)
  }

  /// `:CHAIN POLICY [packets:bytes]`
  private mutating func declareChain(_ words: [Word], _ table: TableName) throws(RulesetError) {
    var name = words[0]
    name.text.removeFirst()
    name.column += 1
    guard words.count >= 2 else { throw name.problem("a policy or `-` should follow the chain") }
    if words.count > 3 { throw words[3].problem("unexpected word `\(words[3].text)`") }
    let counters = words.count == 3 ? try counters(words[2]) : RuleCounters()
    let policy = words[1].text == "-" ? nil : Policy(words[1].text)
    if policy == nil && words[1].text != "-" {
      throw words[1].problem("a policy is ACCEPT, DROP or `-`", known: ["ACCEPT", "DROP"])
    }
    try builder.declare(name, policy: policy, counters: counters, table, family)
  }

  /// `[packets:bytes]`
  private func counters(_ word: Word) throws(RulesetError) -> RuleCounters {
    let inner = word.text.dropFirst().dropLast()
    let parts = inner.split(separator: ":", omittingEmptySubsequences: false)
    guard word.text.first == "[", word.text.last == "]", parts.count == 2,
      let packets = UInt64(parts[0]), let bytes = UInt64(parts[1])
    else { throw word.problem("counters are written `[packets:bytes]`") }
    return RuleCounters(packets: packets, bytes: bytes)
  }

  /// `sudo ip6tables -A …`
  private mutating func readShellCommand(_ words: [Word], text: String) throws(RulesetError) {
    var words = words[...]
    if words.first?.text == "sudo" {
      words.removeFirst()
      while let option = words.first, option.text.hasPrefix("-") {
        if ["-A", "-I", "-t"].contains(option.text) { break }
        words.removeFirst()
      }
    }
    guard let program = words.first else { return }
    if program.text.hasPrefix("-") {
      try command(Array(words), family: family, text: text, counters: nil)
      return
    }
    guard let commandFamily = Self.family(of: program.text) else {
      throw program.problem(
        "a line here is an iptables command or a comment, not `\(program.text)`",
        known: ["iptables", "ip6tables", "sudo"])
    }
    let arguments = Array(words.dropFirst())
    guard !arguments.isEmpty else {
      throw program.problem("no command follows `\(program.text)`")
    }
    try command(arguments, family: commandFamily, text: text, counters: nil)
  }

  /// The family a program is for, nil if it is not iptables.
  private static func family(of program: String) -> AddressFamily? {
    switch program.split(separator: "/").last ?? "" {
    case "iptables", "iptables-legacy", "iptables-nft": .ipv4
    case "ip6tables", "ip6tables-legacy", "ip6tables-nft": .ipv6
    default: nil
    }
  }

  private mutating func command(
    _ words: [Word], family: AddressFamily, text: String, counters: RuleCounters?
  ) throws(RulesetError) {
    let location = SourceLocation(
      file: file, line: words.first?.line ?? 0, column: words.first?.column ?? 0)
    do {
      guard var command = try parse(words, family) else { return }
      if let counters { command.counters = counters }
      try builder.carryOut(command, family, location: location, text: text)
    } catch {
      guard error.isUnsupported, options.ignoreUnsupported else { throw error }
      builder.ignore(
        IgnoredRule(location: location, what: error.message, text: text))
    }
  }

  private func parse(
    _ words: [Word], _ family: AddressFamily
  ) throws(RulesetError) -> Command? {
    var parser = CommandParser(
      words, family: family, chains: builder.chainNumbers(family),
      sectionTable: section?.table, limits: options)
    return try parser.parse()
  }
}
