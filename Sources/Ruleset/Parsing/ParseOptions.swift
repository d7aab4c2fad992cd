// How a rule text is read.

import Wire

/// How a rule text is read.
public struct ParseOptions: Hashable, Sendable {
  /// Leave rules out that use a match or target Weir does not support, and list them in
  /// `Ruleset.ignored`, instead of refusing the text.
  public var ignoreUnsupported: Bool
  /// `iptables-restore --noflush`: a `*table` section adds to the table, and of the chains it declares only
  /// users' are emptied.
  public var keepsContents = false
  /// Take the counters of a section's lines; `iptables-restore` does so with `--counters` alone.
  public var takesCounters = true
  /// `iptables-restore --table`: other tables' sections change nothing.
  public var onlyTable: TableName?
  /// At most so many rules in all.
  public var maximumRules = 1_000_000
  /// At most so many chains in a table.
  public var maximumChains = 100_000
  /// At most so many bytes in a line.
  public var maximumLineLength = 65_536

  public init(ignoreUnsupported: Bool = false) {
    self.ignoreUnsupported = ignoreUnsupported
  }
}

extension Ruleset {
  /// Reads rules: `iptables-save` text, or iptables commands as people share them (comments and
  /// blank lines between, `sudo` before), or both mixed.
  ///
  /// Source: iptables(8), iptables-restore(8), iptables-extensions(8).
  ///
  /// - Parameters:
  ///   - file: the name errors and locations show.
  ///   - family: the family of `iptables-save` text and of lines without a command name; a line
  ///     that begins with `iptables` or `ip6tables` says itself.
  /// - Throws: the first mistake. Nothing of the text is used then.
  public init(
    parsing text: String, file: String = "", family: AddressFamily = .ipv4,
    options: ParseOptions = ParseOptions()
  ) throws(RulesetError) {
    self.init()
    try apply(text, file: file, family: family, options: options)
  }

  /// Carries out a rule text on these rules, as `iptables-restore` and a shell would: a `*table`
  /// section replaces that table, a command changes what it says. After an error the rules are as
  /// they were.
  public mutating func apply(
    _ text: String, file: String = "", family: AddressFamily = .ipv4,
    options: ParseOptions = ParseOptions()
  ) throws(RulesetError) {
    var reader = RulesetReader(self, file: file, family: family, options: options)
    do {
      self = try reader.read(text)
    } catch {
      throw error.inFile(file)
    }
  }

  /// Carries out one command given as separate words, without the program's name:
  /// `["-A", "INPUT", "-j", "DROP"]`. Columns in errors count the words' characters and one space
  /// between them.
  public mutating func apply(
    arguments: [String], file: String = "arguments", family: AddressFamily = .ipv4,
    options: ParseOptions = ParseOptions()
  ) throws(RulesetError) {
    var reader = RulesetReader(self, file: file, family: family, options: options)
    do {
      self = try reader.read(arguments)
    } catch {
      throw error.inFile(file)
    }
  }
}

extension RulesetError {
  func inFile(_ file: String) -> RulesetError {
    var copy = self
    if copy.file.isEmpty { copy.file = file }
    return copy
  }
}
