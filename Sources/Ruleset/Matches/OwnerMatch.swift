// `-m owner`: whose socket sent the packet (iptables-extensions(8), owner).

/// A socket's user and group.
public struct OwnerMatch: RuleMatch {
  public static let name = "owner"
  public static let options = [
    OptionRule("--uid-owner", isInvertible: true), OptionRule("--gid-owner", isInvertible: true),
    OptionRule("--suppl-groups", arguments: 0),
    OptionRule("--socket-exists", arguments: 0, isInvertible: true),
  ]

  public struct Condition: Hashable, Sendable {
    public var low: UInt32
    public var high: UInt32
    public var isInverted: Bool
  }

  public var user: Condition?
  public var group: Condition?
  /// Supplementary groups count too; Weir knows only the first group.
  public var countsSupplementaryGroups = false
  /// Whether a socket must exist, or must not.
  public var socketExists: Bool?

  public init() {}

  public var requiredChains: [BuiltInChain]? { [.output, .postrouting] }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    switch use.name {
    case "--uid-owner": user = try Self.condition(use, kind: "user")
    case "--gid-owner": group = try Self.condition(use, kind: "group")
    case "--suppl-groups": countsSupplementaryGroups = true
    default: socketExists = !use.isInverted
    }
  }

  private static func condition(
    _ use: OptionUse, kind: String
  ) throws(RulesetError) -> Condition {
    let word = use.argument
    if word.text == "root" { return Condition(low: 0, high: 0, isInverted: use.isInverted) }
    let (first, last) = word.cut(at: "-")
    guard let low = Numbers.parse(first.text, limit: 0xFFFF_FFFE),
      let high = Numbers.parse(last?.text ?? first.text, limit: 0xFFFF_FFFE)
    else {
      throw word.problem(
        "`\(word.text)` is not a \(kind)'s number; names are not looked up")
    }
    return Condition(low: UInt32(low), high: UInt32(high), isInverted: use.isInverted)
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard user != nil || group != nil || socketExists != nil else {
      throw scope.word.problem(
        "`-m owner` needs `--uid-owner`, `--gid-owner` or `--socket-exists`")
    }
  }

  public func write(to text: inout RuleText) {
    if let socketExists { text.add(socketExists ? "--socket-exists" : "! --socket-exists") }
    if let user { Self.write("--uid-owner", user, to: &text) }
    if let group { Self.write("--gid-owner", group, to: &text) }
    if countsSupplementaryGroups { text.add("--suppl-groups") }
  }

  public func list(to text: inout ListText) {
    if let socketExists { text.add("\(socketExists ? "" : "! ")owner socket exists") }
    for (name, condition) in [("UID", user), ("GID", group)] {
      guard let condition else { continue }
      let span =
        condition.low == condition.high
        ? "\(condition.low)" : "\(condition.low)-\(condition.high)"
      text.add("\(condition.isInverted ? "! " : "")owner \(name) match \(span)")
    }
    if countsSupplementaryGroups { text.add("incl. suppl. groups") }
  }

  private static func write(_ option: String, _ value: Condition, to text: inout RuleText) {
    text.add(
      option, value.low == value.high ? "\(value.low)" : "\(value.low)-\(value.high)",
      isInverted: value.isInverted)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.uses.insert(.socketOwner)
    if let socketExists {
      compiler.add(RuleTest(.present, field: .userID, isInverted: !socketExists))
    }
    for (field, condition) in [(PacketField.userID, user), (.groupID, group)] {
      guard let condition else { continue }
      compiler.add(
        .range(
          field, UInt64(condition.low), UInt64(condition.high), isInverted: condition.isInverted))
    }
  }
}
