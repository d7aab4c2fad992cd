// Who listens while rules are asked: replay's explanation, or no one. A type parameter of the
// evaluation, so that no one costs nothing.

/// Hears how a packet goes through the rules.
public protocol RuleObserver: ~Copyable {
  /// Whether `asked`, `entered` and `returned` are wanted. Where this is false they are not called.
  static var isActive: Bool { get }
  /// Whether `asked` is wanted for every rule, as if the rules were asked one after the other. Else
  /// it is called only for rules that could not be ruled out by address, protocol, port and
  /// interface. `isActive` unless said.
  static var hearsEveryRule: Bool { get }

  /// A rule was compared with the packet.
  mutating func asked(_ rule: RuleReference, matched: Bool)
  /// The packet went into a chain: the built-in chain at first, or the aim of `-j` or `-g`.
  mutating func entered(chain: Int32)
  /// The packet came back to `chain` from the end or a RETURN of a chain it jumped to.
  mutating func returned(chain: Int32)
  /// A LOG rule matched. Called whatever `isActive` says. The rule's prefix and level are in
  /// `CompiledRuleset.logs[log]`.
  mutating func logged(_ rule: RuleReference, log: Int, context: MatchContext)
}

extension RuleObserver where Self: ~Copyable {
  @inlinable public static var hearsEveryRule: Bool { isActive }
}

/// Listens to nothing, and compiles away.
@frozen
public struct SilentRuleObserver: RuleObserver, Sendable {
  @inlinable public init() {}
  @inlinable public static var isActive: Bool { false }
  @inlinable public mutating func asked(_ rule: RuleReference, matched: Bool) {}
  @inlinable public mutating func entered(chain: Int32) {}
  @inlinable public mutating func returned(chain: Int32) {}
  @inlinable public mutating func logged(
    _ rule: RuleReference, log: Int, context: MatchContext
  ) {}
}
