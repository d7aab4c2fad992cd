// The shape of every target with options, and the list of them. To add one: a file in this folder
// with a type of this shape, and its line in `Target.known`.

import Wire

/// One kind of target extension (`-j NAME`) with its options, as a plain value.
public protocol RuleTarget: Hashable, Sendable {
  /// The name after `-j`.
  static var name: String { get }
  /// The name in `iptables -L`.
  static var listName: String { get }
  static var families: [AddressFamily] { get }
  /// Tables that alone may have it; nil: any.
  static var tables: [TableName]? { get }
  static var options: [OptionRule] { get }
  init()
  mutating func take(_ option: OptionUse, _ scope: RuleScope) throws(RulesetError)
  /// What only shows when all options are there, and the rule's protocol is known.
  mutating func finish(_ scope: RuleScope) throws(RulesetError)
  /// Built-in chains below which alone it may stand, as its options have it; nil: any.
  var requiredChains: [BuiltInChain]? { get }
  /// The options as `iptables-save` prints them, after `-j NAME`.
  func write(to text: inout RuleText)
  /// What `iptables -L` says of it.
  func list(to text: inout ListText)
  /// What is done with a packet that matched.
  func compile(into compiler: inout RulesetCompiler)
}

extension RuleTarget {
  public static var listName: String { name }
  public static var families: [AddressFamily] { [.ipv4, .ipv6] }
  public static var tables: [TableName]? { nil }
  public var requiredChains: [BuiltInChain]? { nil }
  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {}
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
  static let known: [any RuleTarget.Type] = [
    RejectTarget.self, LogTarget.self, MarkTarget.self, ConnmarkTarget.self, CTTarget.self,
    NotrackTarget.self, SNATTarget.self, DNATTarget.self, MasqueradeTarget.self,
    RedirectTarget.self, NetmapTarget.self, NFQueueTarget.self, TCPMSSTarget.self,
    ChecksumTarget.self,
  ]
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
