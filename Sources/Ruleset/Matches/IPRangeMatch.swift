// `-m iprange`: addresses from one to another (iptables-extensions(8), iprange).

import Wire

/// Ranges of source and destination addresses.
public struct IPRangeMatch: RuleMatch {
  public static let name = "iprange"
  public static let options = [
    OptionRule("--src-range", isInvertible: true), OptionRule("--dst-range", isInvertible: true),
  ]

  public struct Condition: Hashable, Sendable {
    public var first: IPAddress
    /// May lie before `first`: then nothing matches.
    public var last: IPAddress
    public var isInverted: Bool
  }

  public var source: Condition?
  public var destination: Condition?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let (first, last) = use.argument.cut(at: "-")
    let start = try first.address(scope.family)
    let condition = Condition(
      first: start, last: try last?.address(scope.family) ?? start, isInverted: use.isInverted)
    if use.name == "--src-range" { source = condition } else { destination = condition }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    if source == nil && destination == nil {
      throw scope.word.problem("`-m iprange` needs `--src-range` or `--dst-range`")
    }
  }

  public func write(to text: inout RuleText) {
    for (option, condition) in [("--src-range", source), ("--dst-range", destination)] {
      guard let condition else { continue }
      let first = condition.first.text(text.family)
      let last = condition.last.text(text.family)
      text.add(option, "\(first)-\(last)", isInverted: condition.isInverted)
    }
  }

  public func list(to text: inout ListText) {
    for (side, condition) in [("source", source), ("destination", destination)] {
      guard let condition else { continue }
      let first = condition.first.text(text.family)
      let last = condition.last.text(text.family)
      text.add("\(side) IP range \(condition.isInverted ? "! " : "")\(first)-\(last)")
    }
  }

  public func compile(into compiler: inout RulesetCompiler) {
    if let source {
      compiler.add(
        RuleTest(
          .addressRange, address: .source, isInverted: source.isInverted, source.first,
          source.last))
    }
    if let destination {
      compiler.add(
        RuleTest(
          .addressRange, address: .destination, isInverted: destination.isInverted,
          destination.first, destination.last))
    }
  }
}
