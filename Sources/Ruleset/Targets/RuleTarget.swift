// The shape of every target with options, and the list of them. To add one: a file in this folder
// with a type of this shape, and its line in `Target.known`.

import Wire

/// One kind of target extension (`-j NAME`) with its options, as a plain value.
public protocol RuleTarget: Hashable, Sendable {
  /// The name after `-j`.
  static var name: String { get }
  static var families: [AddressFamily] { get }
  /// Where rules with it may stand; a user chain may have it where every way to the chain begins in
  /// one of these.
  static var places: TargetPlaces { get }
  static var options: [OptionRule] { get }
  init()
  mutating func take(_ option: OptionUse, _ scope: RuleScope) throws(RulesetError)
  mutating func finish(_ scope: RuleScope) throws(RulesetError)
  /// The options as `iptables-save` prints them, after `-j NAME`.
  func write(to text: inout RuleText)
  /// What is done with a packet that matched.
  func compile(into compiler: inout RulesetCompiler)
}

extension RuleTarget {
  public static var families: [AddressFamily] { [.ipv4, .ipv6] }
  public static var places: TargetPlaces { TargetPlaces() }
  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {}
}

/// Where a target may stand; nil is anywhere.
public struct TargetPlaces: Hashable, Sendable {
  public var tables: [TableName]?
  public var chains: [BuiltInChain]?

  public init(tables: [TableName]? = nil, chains: [BuiltInChain]? = nil) {
    self.tables = tables
    self.chains = chains
  }
}

/// What a rule does with a packet that matched.
public enum Target: Hashable, Sendable {
  case accept
  case drop
  case returnFromChain
  /// `-j` to a user chain.
  case jump(String)
  /// `-g`
  case goTo(String)
  case custom(CustomTarget)

  /// Every kind of target with options Weir knows.
  static let known: [any RuleTarget.Type] = []
}

/// A target with options, of any kind.
public struct CustomTarget: Hashable, Sendable {
  public var body: any RuleTarget
  public init(_ body: some RuleTarget) { self.body = body }

  public static func == (a: CustomTarget, b: CustomTarget) -> Bool {
    func same<T: RuleTarget>(_ a: T) -> Bool { (b.body as? T) == a }
    return same(a.body)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(type(of: body).name)
    body.hash(into: &hasher)
  }
}
