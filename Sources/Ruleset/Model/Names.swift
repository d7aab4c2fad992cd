// The tables and built-in chains of iptables(8), by name, and which table has which chain. For the
// parser, the compiler and whoever asks the compiled rules.

/// A table of iptables(8). The order of the cases is the order in which a hook asks them.
@frozen
public enum TableName: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case raw
  case mangle
  case nat
  case filter
  case security

  /// The table as `iptables -t` spells it.
  public var name: String {
    switch self {
    case .raw: "raw"
    case .mangle: "mangle"
    case .nat: "nat"
    case .filter: "filter"
    case .security: "security"
    }
  }

  public init?(_ name: some StringProtocol) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }

  /// The built-in chains of the table, in the order `iptables-save` prints them.
  public var builtInChains: [BuiltInChain] {
    switch self {
    case .raw: [.prerouting, .output]
    case .mangle: [.prerouting, .input, .forward, .output, .postrouting]
    case .nat: [.prerouting, .input, .output, .postrouting]
    case .filter, .security: [.input, .forward, .output]
    }
  }
}

/// A built-in chain, that is, a hook of Netfilter.
@frozen
public enum BuiltInChain: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case prerouting
  case input
  case forward
  case output
  case postrouting

  /// The chain as iptables spells it.
  public var name: String {
    switch self {
    case .prerouting: "PREROUTING"
    case .input: "INPUT"
    case .forward: "FORWARD"
    case .output: "OUTPUT"
    case .postrouting: "POSTROUTING"
    }
  }

  public init?(_ name: some StringProtocol) {
    guard let found = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = found
  }
}

/// What a built-in chain does with a packet no rule decided.
@frozen
public enum Policy: UInt8, Hashable, Sendable, BitwiseCopyable {
  case accept
  case drop

  public var name: String { self == .accept ? "ACCEPT" : "DROP" }
}

/// Packets and bytes (IP total length) of one rule or policy, as `iptables-save -c` prints them.
@frozen
public struct RuleCounters: Hashable, Sendable, BitwiseCopyable {
  public var packets: UInt64
  public var bytes: UInt64

  @inlinable public init(packets: UInt64 = 0, bytes: UInt64 = 0) {
    self.packets = packets
    self.bytes = bytes
  }
}
