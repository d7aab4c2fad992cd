// `-j TCPMSS`: lowers the MSS a SYN announces, then on with the next rule (iptables-extensions(8),
// TCPMSS).

/// Limits the MSS option of SYN packets.
public struct TCPMSSTarget: RuleTarget {
  public static let name = "TCPMSS"
  public static let options = [
    OptionRule("--set-mss", excludes: ["--clamp-mss-to-pmtu"]),
    OptionRule("--clamp-mss-to-pmtu", arguments: 0, excludes: ["--set-mss"]),
  ]

  /// The most the option may say, at most 65515; nil: what the path's MTU allows.
  public var maximum: UInt16?
  private var isSet = false

  public init() {}

  /// The path is known only once the packet was routed.
  public var requiredChains: [BuiltInChain]? {
    maximum == nil ? [.forward, .output, .postrouting] : nil
  }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    isSet = true
    if use.name == "--set-mss" { maximum = UInt16(try use.argument.number(upTo: 65515)) }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard isSet else {
      throw scope.word.problem("`-j TCPMSS` needs `--set-mss` or `--clamp-mss-to-pmtu`")
    }
    guard scope.protocolNumber == 6 else { throw scope.word.problem("`-j TCPMSS` needs `-p tcp`") }
  }

  public func write(to text: inout RuleText) {
    if let maximum {
      text.add("--set-mss", "\(maximum)")
    } else {
      text.add("--clamp-mss-to-pmtu")
    }
  }

  public func list(to text: inout ListText) {
    text.add(maximum.map { "TCPMSS set \($0)" } ?? "TCPMSS clamp to PMTU")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.uses.insert(.clampMSS)
    compiler.set(RuleAction(.clampMSS, a: UInt32(maximum ?? .max)))
  }
}
