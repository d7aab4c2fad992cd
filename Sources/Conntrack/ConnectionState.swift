// What rules and listings ask of a connection: ctstate, and the status bits with their kernel values.

/// The state of one packet's connection as `-m conntrack --ctstate` sees it
/// (iptables-extensions(8)).
@frozen
public enum ConnectionState: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case new
  case established
  case related
  case invalid
  case untracked

  /// The state as iptables spells it.
  public var name: String {
    switch self {
    case .new: "NEW"
    case .established: "ESTABLISHED"
    case .related: "RELATED"
    case .invalid: "INVALID"
    case .untracked: "UNTRACKED"
    }
  }
}

/// What holds of a connection as a whole; the values are those ctnetlink shows.
@frozen
public struct ConnectionStatus: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// An expectation announced this connection.
  @inlinable public static var expected: Self { .init(rawValue: 1 << 0) }
  /// Packets were seen in both directions.
  @inlinable public static var seenReply: Self { .init(rawValue: 1 << 1) }
  /// Never dropped early when the table is full.
  @inlinable public static var assured: Self { .init(rawValue: 1 << 2) }
  /// The first packet left the machine: the entry is in the table.
  @inlinable public static var confirmed: Self { .init(rawValue: 1 << 3) }
  /// The source of original packets is rewritten.
  @inlinable public static var sourceNAT: Self { .init(rawValue: 1 << 4) }
  /// The destination of original packets is rewritten.
  @inlinable public static var destinationNAT: Self { .init(rawValue: 1 << 5) }
  /// NAT has changed the length of what it carries, so sequence numbers are moved.
  @inlinable public static var sequenceAdjusted: Self { .init(rawValue: 1 << 6) }
  /// The nat table's source half has been asked.
  @inlinable public static var sourceNATDone: Self { .init(rawValue: 1 << 7) }
  /// The nat table's destination half has been asked.
  @inlinable public static var destinationNATDone: Self { .init(rawValue: 1 << 8) }
  /// Being removed.
  @inlinable public static var dying: Self { .init(rawValue: 1 << 9) }
  /// The timeout does not change with traffic.
  @inlinable public static var fixedTimeout: Self { .init(rawValue: 1 << 10) }
  /// A rule gave it a helper.
  @inlinable public static var helper: Self { .init(rawValue: 1 << 13) }
}
