// A machine's rules as plain values: families, tables, chains. What the parsers make, the printer
// prints and the compiler compiles. Knows no syntax.

import Wire

/// The rules of both address families. An empty ruleset has no table and accepts everything.
public struct Ruleset: Hashable, Sendable {
  public var ipv4: FamilyRules
  public var ipv6: FamilyRules
  /// Rules that were left out because Weir does not support them (`ParseOptions`).
  public var ignored: [IgnoredRule]

  public init() {
    ipv4 = FamilyRules(family: .ipv4)
    ipv6 = FamilyRules(family: .ipv6)
    ignored = []
  }

  /// The same, with every counter at 0: what two rulesets that only counted apart have in common.
  public var withoutCounters: Ruleset {
    var plain = self
    plain.ipv4.zeroCounters()
    plain.ipv6.zeroCounters()
    return plain
  }

  public subscript(family: AddressFamily) -> FamilyRules {
    get { family == .ipv4 ? ipv4 : ipv6 }
    set {
      switch family {
      case .ipv4: ipv4 = newValue
      case .ipv6: ipv6 = newValue
      }
    }
  }
}

/// A rule that was left out: where it stood, what was not supported, and its text.
public struct IgnoredRule: Hashable, Sendable, CustomStringConvertible {
  public var location: SourceLocation
  public var what: String
  public var text: String

  public var description: String { "\(location): \(what): \(text)" }
}

/// Which of the kernel's two implementations of iptables rules is meant. They differ only at the
/// edges: in `-m limit`'s arithmetic, and with headers cut short, where the older drops the packet
/// (it is "hot") and the newer goes on with the next rule.
@frozen
public enum RuleDialect: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// `iptables-nft`, what today's distributions run.
  case nftables
  /// `iptables-legacy`.
  case legacy
}

/// The tables of one family.
public struct FamilyRules: Hashable, Sendable {
  public let family: AddressFamily
  /// `iptables-save` text says in its first comment which it comes from; else `nftables`.
  public var dialect = RuleDialect.nftables
  /// The tables that exist, in the order they first appeared. Whether `nat` is among them decides
  /// whether connections are asked for a binding at all.
  public var tables: [Table]

  public init(family: AddressFamily, tables: [Table] = []) {
    self.family = family
    self.tables = tables
  }

  fileprivate mutating func zeroCounters() {
    for table in tables.indices {
      for chain in tables[table].chains.indices { tables[table].chains[chain].clearCounters() }
    }
  }

  public subscript(name: TableName) -> Table? {
    tables.first { $0.name == name }
  }

  /// The index of a table in `tables`, made with its built-in chains if it did not exist.
  mutating func indexMakingTable(_ name: TableName) -> Int {
    if let index = tables.firstIndex(where: { $0.name == name }) { return index }
    tables.append(Table(name: name))
    return tables.count - 1
  }
}

/// One table: its built-in chains first, then user chains in the order they were made.
public struct Table: Hashable, Sendable {
  public let name: TableName
  public var chains: [Chain]

  /// A table with its built-in chains, empty, policy ACCEPT.
  public init(name: TableName) {
    self.name = name
    chains = name.builtInChains.map { Chain(builtIn: $0) }
  }

  public subscript(chain name: String) -> Chain? {
    chains.first { $0.name == name }
  }
}

/// A chain: rules asked in order.
public struct Chain: Hashable, Sendable {
  public var name: String
  /// The hook, for a built-in chain.
  public let builtIn: BuiltInChain?
  /// ACCEPT or DROP for a built-in chain; of no effect in a user chain, whose end returns.
  public var policy: Policy
  /// The policy's counters.
  public var counters: RuleCounters
  public var rules: [Rule]

  public init(builtIn: BuiltInChain, policy: Policy = .accept) {
    name = builtIn.name
    self.builtIn = builtIn
    self.policy = policy
    counters = RuleCounters()
    rules = []
  }

  /// A user chain.
  public init(name: String) {
    self.name = name
    builtIn = nil
    policy = .accept
    counters = RuleCounters()
    rules = []
  }
}
