// `-m hl`: the hop limit of an IPv6 header (iptables-extensions(8), hl).

import Wire

/// A hop limit.
public struct HLMatch: RuleMatch {
  public static let name = "hl"
  public static let families: [AddressFamily] = [.ipv6]
  public static let options = TimeToLiveCondition.options("hl")

  public var condition: TimeToLiveCondition?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    condition = try TimeToLiveCondition(use)
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard condition != nil else {
      throw scope.word.problem("`-m hl` needs `--hl-eq`, `--hl-lt` or `--hl-gt`")
    }
  }

  public func write(to text: inout RuleText) {
    condition?.write("hl", to: &text)
  }

  public func list(to text: inout ListText) {
    condition?.list("HL", to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    condition?.compile(into: &compiler)
  }
}
