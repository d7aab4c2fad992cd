// How words stand out in text for people. Replay names the roles; who prints to a terminal says what
// they look like there.

/// Marks put before and after words by what they are. Plain unless told otherwise.
public struct TextStyle: Sendable {
  public enum Role: Int, CaseIterable, Sendable {
    /// Accepted, matched.
    case good
    /// Dropped, rejected, INVALID.
    case bad
    /// Held, queued, warnings, unexplained.
    case notable
    /// The state of a packet that begins something: NEW, RELATED.
    case fresh
    /// What NAT made of a packet.
    case changed
    /// Said in passing.
    case faint
    case heading
  }

  private var marks: [(before: [UInt8], after: [UInt8])]

  /// No marks at all.
  public static let plain = TextStyle { _ in ("", "") }

  /// - Parameter marks: what stands before and after words of a role.
  public init(_ marks: (Role) -> (before: String, after: String)) {
    self.marks = Role.allCases.map { role in
      let (before, after) = marks(role)
      return (Array(before.utf8), Array(after.utf8))
    }
  }

  func begin(_ role: Role?, _ line: inout [UInt8]) {
    if let role { line.append(contentsOf: marks[role.rawValue].before) }
  }

  func end(_ role: Role?, _ line: inout [UInt8]) {
    if let role { line.append(contentsOf: marks[role.rawValue].after) }
  }

  /// Appends `text` in a role, and spaces up to `width` characters.
  func append(_ text: String, _ role: Role? = nil, width: Int = 0, to line: inout [UInt8]) {
    begin(role, &line)
    line.append(contentsOf: text.utf8)
    end(role, &line)
    pad(text.utf8.count, to: width, &line)
  }

  /// Appends `text` in a role behind spaces that fill up to `width` characters.
  func append(_ text: String, right width: Int, _ role: Role? = nil, to line: inout [UInt8]) {
    pad(text.utf8.count, to: width, &line)
    append(text, role, to: &line)
  }

  private func pad(_ length: Int, to width: Int, _ line: inout [UInt8]) {
    var length = length
    while length < width {
      line.append(UInt8(ascii: " "))
      length += 1
    }
  }
}
