// `iptables`, `ip6tables`, their `-save` and `-restore`, carried out on a ruleset: what they print, what
// they refuse, and the exit codes scripts ask for. For the command line and the gateway.

import Wire

/// One of the six programs of iptables(8), iptables-save(8) and iptables-restore(8).
public struct IptablesProgram: Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    case command = ""
    case save = "-save"
    case restore = "-restore"
  }

  public var family: AddressFamily
  public var kind: Kind

  public init(family: AddressFamily, kind: Kind) {
    self.family = family
    self.kind = kind
  }

  /// By its name, such as `ip6tables-save`.
  public init?(_ name: String) {
    for family in [AddressFamily.ipv4, .ipv6] {
      for kind in Kind.allCases where IptablesProgram(family: family, kind: kind).name == name {
        self.init(family: family, kind: kind)
        return
      }
    }
    return nil
  }

  public var name: String { (family == .ipv4 ? "iptables" : "ip6tables") + kind.rawValue }

  /// What `-V` prints: the version whose behaviour this is.
  var version: String { "\(name) v1.8.9 (nf_tables)" }
}

/// What came of one run of such a program.
public struct IptablesResult: Hashable, Sendable {
  /// For standard output.
  public var output = ""
  /// For standard error.
  public var errors = ""
  /// The exit code: 0; 1 where the rules do not allow it; 2 where the words cannot be used; 3 where there
  /// is no such table; 4 where something still needs what was to go.
  public var status: Int32 = 0
  /// Whether the ruleset is another now.
  public var hasChanged = false

  public init() {}

  init(refusing errors: String, status: Int32) {
    self.errors = errors + "\n"
    self.status = status
  }
}

extension Ruleset {
  /// Runs a program of the iptables family on these rules. Nothing is changed where the status is not 0.
  ///
  /// Source: iptables(8), iptables-save(8), iptables-restore(8); texts and exit codes of 1.8.9 where a script
  /// could depend on them. Words that cannot be used are refused in Weir's own words, with status 2.
  ///
  /// - Parameters:
  ///   - arguments: the words after the program's name.
  ///   - input: what a `-restore` reads.
  ///   - date: what a `-save` writes into its comments, such as `Tue Nov 24 20:17:17 2026`.
  public mutating func run(
    _ program: IptablesProgram, arguments: [String], input: String = "", date: String = ""
  ) -> IptablesResult {
    switch program.kind {
    case .command: runCommand(program, arguments)
    case .save: save(program, arguments, date: date)
    case .restore: restore(program, arguments, input)
    }
  }

  private mutating func runCommand(
    _ program: IptablesProgram, _ arguments: [String]
  ) -> IptablesResult {
    if let word = arguments.first, ["-V", "--version"].contains(word) {
      var result = IptablesResult()
      result.output = program.version + "\n"
      return result
    }
    if let name = IptablesProgram.table(in: arguments), TableName(name) == nil {
      return IptablesResult(
        refusing: "\(program.version): table '\(name)' does not exist\n"
          + "Perhaps \(program.name) or your kernel needs to be upgraded.", status: 3)
    }
    do {
      var reader = RulesetReader(
        self, file: program.name, family: program.family, options: ParseOptions())
      guard let command = try reader.command(arguments) else { return IptablesResult() }
      if var refusal = refusal(of: command, program) {
        if command.isVerbose { refusal.output = verboseText(of: command, program, isRefused: true) }
        return refusal
      }
      var result = IptablesResult()
      if command.isVerbose { result.output = verboseText(of: command, program, isRefused: false) }
      let table = self[program.family][command.table] ?? Table(name: command.table)
      let chain = command.chain?.text
      switch command.action {
      case .list(let form, let number):
        result.output =
          table.listText(
            program.family, chain: chain, number: number, form: form) + result.output
      case .listRules(let form, let number):
        result.output =
          table.rulesText(
            program.family, chain: chain, number: number, form: form) + result.output
      case .check: return result
      default: break
      }
      var change = command
      if command.action.lists {
        guard command.zeroesAfterListing else { return result }
        change.action = .zero(number: nil)
      }
      let before = self
      self = try reader.carryOut(change, arguments)
      result.hasChanged = self != before
      return result
    } catch {
      return IptablesResult(refusing: error.inFile(program.name).description, status: 2)
    }
  }

  private func save(
    _ program: IptablesProgram, _ arguments: [String], date: String
  ) -> IptablesResult {
    var result = IptablesResult()
    var hasCounters = false
    var names = FamilyRules.saveOrder.filter { self[program.family][$0] != nil }
    var words = arguments[...]
    while let word = words.popFirst() {
      switch word {
      case "-c", "--counters": hasCounters = true
      case "-t", "--table":
        guard let name = words.popFirst() else {
          return program.unusable("option requires an argument -- 't'")
        }
        guard let table = TableName(name) else {
          return IptablesResult(refusing: "Table `\(name)' does not exist", status: 1)
        }
        names = [table]
      case "-V", "--version":
        result.output = program.version + "\n"
        return result
      default: return program.unusable("unrecognized option '\(word)'")
      }
    }
    for name in names {
      let table = self[program.family][name] ?? Table(name: name)
      result.output += "# Generated by \(program.name) v1.8.9 (nf_tables) on \(date)\n"
      result.output += table.saveText(program.family, counters: hasCounters)
      result.output += "# Completed on \(date)\n"
    }
    return result
  }

  private mutating func restore(
    _ program: IptablesProgram, _ arguments: [String], _ input: String
  ) -> IptablesResult {
    var options = ParseOptions()
    options.takesCounters = false
    var isTest = false
    var words = arguments[...]
    while let word = words.popFirst() {
      switch word {
      case "-c", "--counters": options.takesCounters = true
      case "-n", "--noflush": options.keepsContents = true
      case "-t", "--test": isTest = true
      case "-v", "--verbose": break
      case "-w", "--wait", "-W", "--wait-interval":
        if let next = words.first, UInt(next) != nil { words.removeFirst() }
      case "-M", "--modprobe": words = words.dropFirst()
      case "-T", "--table":
        guard let name = words.popFirst(), let table = TableName(name) else {
          return program.unusable("option requires the name of a table -- 'T'")
        }
        options.onlyTable = table
      case "-V", "--version":
        var result = IptablesResult()
        result.output = program.version + "\n"
        return result
      default: return program.unusable("unrecognized option '\(word)'")
      }
    }
    var changed = self
    do {
      try changed.apply(input, file: program.name, family: program.family, options: options)
    } catch {
      return IptablesResult(
        refusing: "\(error.description)\nError occurred at line: \(error.line)", status: 2)
    }
    var result = IptablesResult()
    if !isTest {
      result.hasChanged = changed != self
      self = changed
    }
    return result
  }
}

extension IptablesProgram {
  fileprivate func unusable(_ message: String) -> IptablesResult {
    let hint =
      kind == .save
      ? "Look at manual page `\(name).8' for more information."
      : "Try `\(name) -h' for more information."
    return IptablesResult(refusing: "\(name): \(message)\n\(hint)", status: 1)
  }

  /// The word after `-t`.
  fileprivate static func table(in arguments: [String]) -> String? {
    guard let index = arguments.firstIndex(where: { $0 == "-t" || $0 == "--table" }),
      index + 1 < arguments.count
    else { return nil }
    return arguments[index + 1]
  }
}
