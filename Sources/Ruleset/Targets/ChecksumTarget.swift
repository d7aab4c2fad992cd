// `-j CHECKSUM`: fills in a checksum that hardware was to compute (iptables-extensions(8),
// CHECKSUM). Weir's packets always have theirs, so nothing is done.

/// Only counts.
public struct ChecksumTarget: RuleTarget {
  public static let name = "CHECKSUM"
  public static let tables: [TableName]? = [.mangle]
  public static let options = [OptionRule("--checksum-fill", arguments: 0, isRequired: true)]

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {}

  public func write(to text: inout RuleText) {
    text.add("--checksum-fill")
  }

  public func list(to text: inout ListText) {
    text.add("CHECKSUM fill")
  }

  public func compile(into compiler: inout RulesetCompiler) {}
}
