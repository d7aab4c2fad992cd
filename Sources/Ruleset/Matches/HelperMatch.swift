// `-m helper`: which helper announced the connection (iptables-extensions(8), helper).

import Conntrack

/// Packets of connections that the named helper announced. A helper's own control connection is
/// none of them.
public struct HelperMatch: RuleMatch {
  public static let name = "helper"
  public static let options = [OptionRule("--helper", isInvertible: true, isRequired: true)]

  public var helper = ""
  public var isInverted = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    guard use.argument.text.utf8.count < 30 else {
      throw use.argument.problem("a helper's name has at most 29 letters")
    }
    helper = use.argument.text
    isInverted = use.isInverted
  }

  public func write(to text: inout RuleText) {
    text.add("--helper", helper, isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    text.add("helper match \(isInverted ? "! " : "")\"\(helper)\"")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    // `ftp-2121` is ftp on another port: what counts is how the name begins. Without a name every
    // helper will do.
    var kinds: UInt64 = 0
    for kind in HelperKind.allCases where kind != .none {
      if helper.isEmpty || helper.hasPrefix(kind.name) { kinds |= 1 << UInt64(kind.rawValue) }
    }
    compiler.uses.insert(.masterHelper)
    compiler.add(RuleTest(.anyBit, field: .masterHelper, isInverted: isInverted, a: kinds))
  }
}
