// What matches and targets say of their options, and what they are handed when one is used.

import Wire

/// One option of a match or target.
public struct OptionRule: Sendable {
  /// With its dashes.
  public var name: String
  public var aliases: [String]
  /// How many words follow it.
  public var arguments: Int
  public var isInvertible: Bool
  /// Whether it is known but not supported yet.
  public var isUnsupported: Bool

  public init(
    _ name: String, aliases: [String] = [], arguments: Int = 1, isInvertible: Bool = false,
    isUnsupported: Bool = false
  ) {
    self.name = name
    self.aliases = aliases
    self.arguments = arguments
    self.isInvertible = isInvertible
    self.isUnsupported = isUnsupported
  }
}

/// A word of a rule text and where it stands.
public struct Word: Hashable, Sendable {
  /// Without quotes.
  public var text: String
  /// From 1.
  public var line: Int
  /// In characters, from 1.
  public var column: Int

  public init(_ text: String, line: Int, column: Int) {
    self.text = text
    self.line = line
    self.column = column
  }

  /// An error about this word.
  func problem(_ message: String, known: [String] = [], isUnsupported: Bool = false)
    -> RulesetError
  {
    RulesetError(
      line: line, column: column, message: message, words: text,
      suggestion: NearestWord.find(text, among: known), isUnsupported: isUnsupported)
  }
}

/// One option as it was used.
public struct OptionUse: Sendable {
  /// The rule's canonical name, whatever alias or beginning was written.
  public var name: String
  public var isInverted: Bool
  /// As many as the rule says.
  public var arguments: [Word]
  /// The option itself.
  public var word: Word
}

/// What a match or target may want to know of the rule around it.
public struct RuleScope: Sendable {
  public var family: AddressFamily
  public var table: TableName
  public var chain: String
  public var transport: ProtocolCondition?
  /// The word that began the match or target, for errors about it as a whole.
  public var word: Word
}
