// Rules in words, each put together once and then kept: a replay speaks of the same few rules again
// and again.

import Firewall
import Ruleset
import Wire

/// A rule or a chain's policy, ready to be spoken of.
public struct RuleNote: Hashable, Sendable {
  public let description: RuleDescription
  /// `filter FORWARD rule 3`, `filter FORWARD policy`.
  public let place: String
  /// The text of `-m comment` in quotes, or else the rule without `-A CHAIN`; for a policy its name.
  /// At most `longestGist` characters.
  public let gist: String
  /// `by rule 3 of filter FORWARD: -A FORWARD …`, `by the policy of filter FORWARD`.
  let agent: String

  static let longestGist = 72

  init(_ description: RuleDescription) {
    self.description = description
    place = description.place
    agent = description.agent
    if description.number == 0 {
      gist = description.target
      return
    }
    if let comment = description.comment {
      gist = RuleNote.cut("\"\(comment)\"")
    } else {
      let prefix = "-A \(description.chain) "
      let text = description.text
      gist = RuleNote.cut(text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text)
    }
  }

  private static func cut(_ text: String) -> String {
    text.count <= longestGist ? text : text.prefix(longestGist - 1) + "…"
  }
}

/// The notes made so far.
struct RuleBook: Sendable {
  private struct Key: Hashable {
    var rule: RuleReference
    var family: AddressFamily
  }

  private var notes: [Key: RuleNote] = [:]

  /// The note of a rule; nil for `.none`.
  mutating func note(
    _ rule: RuleReference, _ family: AddressFamily, _ firewall: borrowing Firewall
  ) -> RuleNote? {
    let key = Key(rule: rule, family: family)
    if let known = notes[key] { return known }
    guard let description = firewall.describe(rule, family) else { return nil }
    let note = RuleNote(description)
    notes[key] = note
    return note
  }
}
