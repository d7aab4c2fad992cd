// The shape of every match, and the list of them. To add one: a file in this folder with a type of
// this shape, and its line in `Match.known`.

import Wire

/// One kind of match (`-m NAME`) with its options, as a plain value.
public protocol RuleMatch: Hashable, Sendable {
  /// The name after `-m`.
  static var name: String { get }
  /// Other names after `-m`; printed by `name`.
  static var aliases: [String] { get }
  /// The families that have it.
  static var families: [AddressFamily] { get }
  static var options: [OptionRule] { get }
  /// The match without options, as after `-m NAME`.
  init()
  /// Takes one option. Each comes at most once.
  mutating func take(_ option: OptionUse, _ scope: RuleScope) throws(RulesetError)
  /// What only shows when all options are there, and the rule's protocol is known.
  mutating func finish(_ scope: RuleScope) throws(RulesetError)
  /// Built-in chains below which alone it may stand, as its options have it; nil: any.
  var requiredChains: [BuiltInChain]? { get }
  /// The options as `iptables-save` prints them, after `-m NAME`.
  func write(to text: inout RuleText)
  /// What `iptables -L` says of it.
  func list(to text: inout ListText)
  /// The elementary tests the match is.
  func compile(into compiler: inout RulesetCompiler)
}

extension RuleMatch {
  public static var aliases: [String] { [] }
  public static var families: [AddressFamily] { [.ipv4, .ipv6] }
  public var requiredChains: [BuiltInChain]? { nil }
  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {}
}

/// One match of a rule, of any kind.
public struct Match: Hashable, Sendable {
  public var body: any RuleMatch
  public init(_ body: some RuleMatch) { self.body = body }

  public static func == (a: Match, b: Match) -> Bool {
    func same<M: RuleMatch>(_ a: M) -> Bool { (b.body as? M) == a }
    return same(a.body)
  }

  public func hash(into hasher: inout Hasher) {
    hasher.combine(type(of: body).name)
    body.hash(into: &hasher)
  }

  /// Every kind of match Weir knows.
  static let known: [any RuleMatch.Type] = [
    TCPMatch.self, UDPMatch.self, ICMPMatch.self, ICMP6Match.self, ConntrackMatch.self,
    StateMatch.self, MultiportMatch.self, MarkMatch.self, ConnmarkMatch.self, CommentMatch.self,
    LimitMatch.self, AddrtypeMatch.self, IPRangeMatch.self, LengthMatch.self, TTLMatch.self,
    HLMatch.self, MACMatch.self, PkttypeMatch.self, OwnerMatch.self, StatisticMatch.self,
    TCPMSSMatch.self, HelperMatch.self,
  ]
}
