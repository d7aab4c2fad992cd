// A word of a rule text that knows where it stands, and splitting a line into words as
// iptables-restore and as a shell do.

/// A word of a rule text and where it stands.
public struct Word: Hashable, Sendable {
  /// Without quotes.
  public var text: String
  /// From 1.
  public var line: Int
  /// In characters, from 1.
  public var column: Int
  /// Whether any of it was quoted.
  public var isQuoted: Bool

  public init(_ text: String, line: Int, column: Int, isQuoted: Bool = false) {
    self.text = text
    self.line = line
    self.column = column
    self.isQuoted = isQuoted
  }

  /// An error about this word.
  func problem(_ message: String, known: [String] = [], isUnsupported: Bool = false)
    -> RulesetError
  {
    RulesetError(
      line: line, column: column, message: message, words: text,
      suggestion: NearestWord.find(text, among: known), isUnsupported: isUnsupported)
  }

  /// The parts between separators, each knowing its own column.
  func parts(separator: Character) -> [Word] {
    var parts: [Word] = []
    var column = column
    for part in text.split(separator: separator, omittingEmptySubsequences: false) {
      parts.append(Word(String(part), line: line, column: column, isQuoted: isQuoted))
      column += part.unicodeScalars.count + 1
    }
    return parts
  }

  /// What stands before and after the first separator; the second nil where there is none.
  func cut(at separator: Character) -> (Word, Word?) {
    guard let index = text.firstIndex(of: separator) else { return (self, nil) }
    let head = text[..<index]
    let tail = text[text.index(after: index)...]
    return (
      Word(String(head), line: line, column: column, isQuoted: isQuoted),
      Word(
        String(tail), line: line, column: column + head.unicodeScalars.count + 1, isQuoted: isQuoted
      )
    )
  }
}

/// Splits one line into words.
struct WordSplitter {
  /// Whose rules of quoting: in a shell `'` quotes, `\` escapes, `#` begins a comment and `$` would
  /// be replaced.
  enum Style {
    case restore
    case shell
  }

  static func split(_ line: String, number: Int, style: Style) throws(RulesetError) -> [Word] {
    var splitter = WordSplitter(number: number, style: style)
    for scalar in line.unicodeScalars { try splitter.take(scalar) }
    try splitter.finish()
    return splitter.words
  }

  private let number: Int
  private let style: Style
  private var words: [Word] = []
  private var current = String.UnicodeScalarView()
  private var start: Int?
  private var column = 0
  private var quote: (scalar: Unicode.Scalar, column: Int)?
  private var isEscaped = false
  private var wasQuoted = false
  private var isDone = false

  private init(number: Int, style: Style) {
    self.number = number
    self.style = style
  }

  private mutating func take(_ scalar: Unicode.Scalar) throws(RulesetError) {
    column += 1
    if isDone { return }
    if isEscaped {
      // Within double quotes a shell's backslash stands for itself unless it guards something.
      if style == .shell, quote != nil, !["\"", "\\", "$", "`"].contains(scalar) {
        current.append("\\")
      }
      current.append(scalar)
      isEscaped = false
      return
    }
    if let open = quote {
      if scalar == open.scalar {
        quote = nil
      } else if scalar == "\\", open.scalar == "\"" {
        isEscaped = true
      } else {
        if open.scalar == "\"" { try refuseExpansion(scalar) }
        current.append(scalar)
      }
      return
    }
    switch scalar {
    case _ where scalar == "\"" || (scalar == "'" && style == .shell):
      if start == nil { start = column }
      wasQuoted = true
      quote = (scalar, column)
    case "\\" where style == .shell:
      if start == nil { start = column }
      isEscaped = true
    case " ", "\t", "\r":
      endWord()
    case "#" where style == .shell && start == nil:
      isDone = true
    default:
      try refuseExpansion(scalar)
      if start == nil { start = column }
      current.append(scalar)
    }
  }

  private func refuseExpansion(_ scalar: Unicode.Scalar) throws(RulesetError) {
    guard style == .shell, scalar == "$" || scalar == "`" else { return }
    throw RulesetError(
      line: number, column: column,
      message: "`\(scalar)`: this is a list of rules, not a script; write the value itself",
      words: String(scalar))
  }

  private mutating func endWord() {
    guard let begin = start else { return }
    words.append(Word(String(current), line: number, column: begin, isQuoted: wasQuoted))
    current.removeAll()
    start = nil
    wasQuoted = false
  }

  private mutating func finish() throws(RulesetError) {
    if let open = quote {
      throw RulesetError(
        line: number, column: open.column, message: "this quote is not closed",
        words: String(open.scalar))
    }
    if isEscaped { current.append("\\") }
    endWord()
  }
}
