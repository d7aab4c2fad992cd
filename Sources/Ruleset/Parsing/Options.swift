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
  /// Options it cannot be used together with.
  public var excludes: [String]
  /// Whether the match or target is nothing without it.
  public var isRequired: Bool

  public init(
    _ name: String, aliases: [String] = [], arguments: Int = 1, isInvertible: Bool = false,
    isRequired: Bool = false, excludes: [String] = []
  ) {
    self.name = name
    self.aliases = aliases
    self.arguments = arguments
    self.isInvertible = isInvertible
    self.isRequired = isRequired
    self.excludes = excludes
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

  /// The first argument.
  public var argument: Word { arguments.first ?? word }
}

/// What a match or target may want to know of the rule around it.
public struct RuleScope: Sendable {
  public var family: AddressFamily
  public var table: TableName
  public var chain: String
  /// `-p` as far as it has been read; when a match or target is finished, as the rule has it.
  public var transport: ProtocolCondition?
  /// The word that began the match or target, for errors about it as a whole.
  public var word: Word

  /// The protocol's number, where `-p` names one and is not inverted.
  var protocolNumber: UInt8? {
    transport.flatMap { $0.isInverted ? nil : $0.number }
  }
}
