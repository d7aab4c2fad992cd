// The one error of this module: text a person wrote that cannot be used, said in the manner of a
// good compiler. For every parser here and the commands that print it.

/// Why a rule text was refused.
public struct RulesetError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file's name as the caller gave it.
  public var file: String
  /// From 1.
  public var line: Int
  /// In characters, from 1.
  public var column: Int
  /// One sentence without a full stop.
  public var message: String
  /// The words the message is about, as written.
  public var words: String
  /// The nearest known word, where there is one near enough.
  public var suggestion: String?
  /// Whether the text is right but asks for something Weir does not do yet; such a rule is left
  /// out under `ParseOptions.ignoreUnsupported`.
  public var isUnsupported: Bool

  public init(
    file: String = "", line: Int, column: Int, message: String, words: String = "",
    suggestion: String? = nil, isUnsupported: Bool = false
  ) {
    self.file = file
    self.line = line
    self.column = column
    self.message = message
    self.words = words
    self.suggestion = suggestion
    self.isUnsupported = isUnsupported
  }

  /// `rules.v4:3:19: unknown option `--dpotr`; did you mean `--dport`?`
  public var description: String {
    let hint = suggestion.map { "; did you mean `\($0)`?" } ?? ""
    return "\(file):\(line):\(column): \(message)\(hint)"
  }
}
