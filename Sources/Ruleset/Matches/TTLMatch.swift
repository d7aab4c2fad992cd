// `-m ttl`: the TTL of an IPv4 header (iptables-extensions(8), ttl).

import Wire

/// A time to live.
public struct TTLMatch: RuleMatch {
  public static let name = "ttl"
  public static let families: [AddressFamily] = [.ipv4]
  public static let options = TimeToLiveCondition.options("ttl")

  public var condition: TimeToLiveCondition?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    condition = try TimeToLiveCondition(use)
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard condition != nil else {
      throw scope.word.problem("`-m ttl` needs `--ttl-eq`, `--ttl-lt` or `--ttl-gt`")
    }
  }

  public func write(to text: inout RuleText) {
    condition?.write("ttl", to: &text)
  }

  public func list(to text: inout ListText) {
    condition?.list("TTL", to: &text)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    condition?.compile(into: &compiler)
  }
}
