// `-m tcp`: ports, flags and options of a TCP header (iptables-extensions(8), tcp).

/// Ports, flags and options of TCP.
public struct TCPMatch: RuleMatch {
  public static let name = "tcp"
  public static let options: [OptionRule] = []
  public init() {}
  public mutating func take(_ option: OptionUse, _ scope: RuleScope) throws(RulesetError) {}
  public func write(to text: inout RuleText) {}
  public func compile(into compiler: inout RulesetCompiler) {}
}
