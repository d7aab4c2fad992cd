// Rule text being written the way `iptables-save` writes it: words with single spaces, strings
// quoted where they must be.

import Wire

/// Words of one rule.
public struct RuleText: Sendable {
  public private(set) var text = ""
  /// Whose addresses are written.
  public let family: AddressFamily

  public init(family: AddressFamily) {
    self.family = family
  }

  /// Adds a word as it is.
  public mutating func add(_ word: String) {
    if !text.isEmpty { text += " " }
    text += word
  }

  /// Adds an option, with `!` before it where inverted, and its argument.
  public mutating func add(_ option: String, _ argument: String, isInverted: Bool = false) {
    if isInverted { add("!") }
    add(option)
    add(argument)
  }

  /// Adds an option whose argument may have any characters.
  public mutating func add(_ option: String, quoting argument: String) {
    add(option)
    add(RuleText.quoted(argument))
  }

  /// A string as `iptables-save` quotes it: plain where it has only letters, digits, `_`, `-`…
  static func quoted(_ string: String) -> String {
    let safe = string.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
        true
      default: false
      }
    }
    if safe && !string.isEmpty { return string }
    var out = "\""
    for character in string.unicodeScalars {
      if character == "\"" || character == "\\" || character == "'" { out += "\\" }
      out.unicodeScalars.append(character)
    }
    return out + "\""
  }
}
