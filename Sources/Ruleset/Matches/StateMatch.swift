// `-m state`: the connection's state, the older spelling (iptables-extensions(8), state).

/// A list of states.
public struct StateMatch: RuleMatch {
  public static let name = "state"
  public static let options = [OptionRule("--state", isInvertible: true, isRequired: true)]

  public var states: ConntrackMatch.States = []
  public var isInverted = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    states = try ConntrackMatch.States(use.argument, allowing: .tracked)
    isInverted = use.isInverted
  }

  public func write(to text: inout RuleText) {
    text.add("--state", states.text, isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    text.add("\(isInverted ? "! " : "")state \(states.text)")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(
      RuleTest(.anyBit, field: .ctState, isInverted: isInverted, a: states.bits))
  }
}
