// `-m comment`: a remark, which every packet matches (iptables-extensions(8), comment).

extension RuleSpecification {
  /// The text of the rule's first `-m comment`.
  public var comment: String? {
    for match in matches {
      if let comment = match.body as? CommentMatch { return comment.text }
    }
    return nil
  }
}

/// A remark.
public struct CommentMatch: RuleMatch {
  public static let name = "comment"
  public static let options = [OptionRule("--comment", isRequired: true)]

  /// At most 255 bytes.
  public var text = ""

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    guard use.argument.text.utf8.count <= 255 else {
      throw use.argument.problem("a comment has at most 255 bytes")
    }
    text = use.argument.text
  }

  public func write(to text: inout RuleText) {
    text.add("--comment", quoting: self.text)
  }

  public func list(to text: inout ListText) {
    text.add("/* \(self.text) */")
  }

  public func compile(into compiler: inout RulesetCompiler) {}
}
