// `-j MARK`: changes the packet's mark, then on with the next rule (iptables-extensions(8), MARK).

/// mark = (mark & ~mask) ^ value
public struct MarkTarget: RuleTarget {
  public static let name = "MARK"
  public static let options = MarkChange.options

  public var change = MarkChange()
  private var isSet = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    isSet = true
    try change.take(use)
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard isSet else {
      throw scope.word.problem("`-j MARK` needs an option, such as `--set-mark`")
    }
  }

  public func write(to text: inout RuleText) {
    text.add("--set-xmark", change.text)
  }

  public func list(to text: inout ListText) {
    text.add("MARK \(change.listText)")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.setMark, a: change.mask, b: change.value))
  }
}

/// The five ways MARK and CONNMARK write one change: bits of `mask` are cleared, then `value` is
/// XORed in.
public struct MarkChange: Hashable, Sendable {
  public var value: UInt32 = 0
  public var mask: UInt32 = 0

  static let names = ["--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark"]

  static let options = names.map { name in
    OptionRule(name, excludes: names.filter { $0 != name })
  }

  mutating func take(_ use: OptionUse) throws(RulesetError) {
    let word = use.argument
    switch use.name {
    case "--set-xmark": (value, mask) = try word.mark()
    case "--set-mark":
      (value, mask) = try word.mark()
      // What is set is cleared first, so that XOR sets it.
      mask |= value
    case "--and-mark":
      mask = ~UInt32(try word.number(upTo: 0xFFFF_FFFF))
      value = 0
    case "--or-mark":
      value = UInt32(try word.number(upTo: 0xFFFF_FFFF))
      mask = value
    default:
      value = UInt32(try word.number(upTo: 0xFFFF_FFFF))
      mask = 0
    }
  }

  var text: String { "\(Numbers.hex(value))/\(Numbers.hex(mask))" }

  /// As `iptables -L` prints it: by the shortest of the ways to say it.
  var listText: String {
    if value == 0 { return "and \(Numbers.hex(~mask))" }
    if value == mask { return "or \(Numbers.hex(value))" }
    if mask == 0 { return "xor \(Numbers.hex(value))" }
    if mask == .max { return "set \(Numbers.hex(value))" }
    return "xset \(text)"
  }
}
