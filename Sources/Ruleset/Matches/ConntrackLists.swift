// The lists `-m conntrack` and `-m state` take: states and statuses, read and printed in Netfilter's
// order (iptables-extensions(8), conntrack).

import Conntrack

extension ConntrackMatch {
  /// Values of `--ctstate`.
  public struct States: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let invalid = States(rawValue: 1 << 0)
    public static let established = States(rawValue: 1 << 1)
    public static let related = States(rawValue: 1 << 2)
    public static let new = States(rawValue: 1 << 3)
    public static let untracked = States(rawValue: 1 << 4)
    /// The original source is rewritten.
    public static let sourceNAT = States(rawValue: 1 << 5)
    /// The original destination is rewritten.
    public static let destinationNAT = States(rawValue: 1 << 6)

    /// What `-m state` has.
    static let tracked: States = [.invalid, .established, .related, .new, .untracked]
    static let all: States = [.tracked, .sourceNAT, .destinationNAT]

    /// In the order they are printed.
    private static let names: [(name: String, state: States)] = [
      ("INVALID", .invalid), ("NEW", .new), ("RELATED", .related), ("ESTABLISHED", .established),
      ("UNTRACKED", .untracked), ("SNAT", .sourceNAT), ("DNAT", .destinationNAT),
    ]

    /// Reads a comma-separated list.
    init(_ word: Word, allowing allowed: States) throws(RulesetError) {
      self = []
      for part in word.parts(separator: ",") {
        let name = part.text.uppercased()
        guard let found = Self.names.first(where: { $0.name == name && allowed.contains($0.state) })
        else {
          throw part.problem(
            "unknown connection state `\(part.text)`",
            known: Self.names.filter { allowed.contains($0.state) }.map(\.name))
        }
        insert(found.state)
      }
    }

    var text: String {
      Self.names.filter { contains($0.state) }.map(\.name).joined(separator: ",")
    }

    /// As `StateBits` has them.
    var bits: UInt64 {
      let pairs: [(States, UInt64)] = [
        (.invalid, StateBits.invalid), (.established, StateBits.established),
        (.related, StateBits.related), (.new, StateBits.new),
        (.untracked, StateBits.untracked), (.sourceNAT, StateBits.sourceNAT),
        (.destinationNAT, StateBits.destinationNAT),
      ]
      return pairs.reduce(0) { contains($1.0) ? $0 | $1.1 : $0 }
    }
  }

  /// Values of `--ctstatus`; empty is NONE.
  public struct Statuses: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let expected = Statuses(rawValue: 1 << 0)
    public static let seenReply = Statuses(rawValue: 1 << 1)
    public static let assured = Statuses(rawValue: 1 << 2)
    public static let confirmed = Statuses(rawValue: 1 << 3)

    private static let names: [(name: String, status: Statuses)] = [
      ("EXPECTED", .expected), ("SEEN_REPLY", .seenReply), ("ASSURED", .assured),
      ("CONFIRMED", .confirmed),
    ]

    /// Reads a comma-separated list.
    init(_ word: Word) throws(RulesetError) {
      self = []
      for part in word.parts(separator: ",") {
        let name = part.text.uppercased()
        if name == "NONE" { continue }
        guard let found = Self.names.first(where: { $0.name == name }) else {
          throw part.problem(
            "unknown connection status `\(part.text)`", known: Self.names.map(\.name) + ["NONE"])
        }
        insert(found.status)
      }
    }

    var text: String {
      isEmpty
        ? "NONE" : Self.names.filter { contains($0.status) }.map(\.name).joined(separator: ",")
    }

    /// As `ConnectionStatus` has them. NONE asks for no bit, so no connection has it.
    var bits: UInt64 {
      let pairs: [(Statuses, ConnectionStatus)] = [
        (.expected, .expected), (.seenReply, .seenReply), (.assured, .assured),
        (.confirmed, .confirmed),
      ]
      return pairs.reduce(0) { contains($1.0) ? $0 | UInt64($1.1.rawValue) : $0 }
    }
  }
}
