// Expectations as everyone above the table sees them: connections that a helper has read of in
// another connection's bytes, and what listeners hear of them.

import Wire

/// What sets one expectation apart from others, as `conntrack -L expect` shows it.
@frozen
public struct ExpectationFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
  public var rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// A connection that fulfils it does not use it up. The values are those ctnetlink shows.
  @inlinable public static var permanent: Self { .init(rawValue: 1 << 0) }
  /// Nothing fulfils it yet.
  @inlinable public static var inactive: Self { .init(rawValue: 1 << 1) }
  /// Put there by a program.
  @inlinable public static var userspace: Self { .init(rawValue: 1 << 2) }
}

/// One expectation, copied out.
public struct Expectation: Hashable, Sendable {
  /// The original tuple of the connection that is expected.
  public var tuple: Tuple
  /// Which bits of the source count; those of the destination all do.
  public var sourceMask: IPAddress
  public var sourcePortMask: UInt16
  /// The original tuple of the connection whose helper announced it.
  public var master: Tuple
  public var zone: UInt16
  /// Time left until it is given up, nanoseconds, never negative.
  public var timeoutNanoseconds: Int64
  public var helper: HelperKind
  /// The name of a helper that only the kernel has.
  public var foreignHelperName: String?
  /// Which of its helper's kinds of expectation this is.
  public var classNumber: UInt8
  public var flags: ExpectationFlags
  /// A number that tells this expectation from every other of the same table.
  public var id: UInt32

  public init(
    tuple: Tuple, sourceMask: IPAddress, sourcePortMask: UInt16, master: Tuple,
    helper: HelperKind
  ) {
    self.tuple = tuple
    self.sourceMask = sourceMask
    self.sourcePortMask = sourcePortMask
    self.master = master
    self.helper = helper
    zone = 0
    timeoutNanoseconds = 0
    classNumber = 0
    flags = []
    id = 0
  }

  public var helperName: String { foreignHelperName ?? helper.name }
}

/// One event of the expectation table (`conntrack -E expect`).
public struct ExpectationEvent: Hashable, Sendable {
  public enum Kind: UInt8, Hashable, Sendable {
    case new
    case destroy
  }

  public var kind: Kind
  public var expectation: Expectation
  /// When, nanoseconds on the table's clock.
  public var timeNanoseconds: Int64

  public init(kind: Kind, expectation: Expectation, timeNanoseconds: Int64) {
    self.kind = kind
    self.expectation = expectation
    self.timeNanoseconds = timeNanoseconds
  }
}

/// The counters of `conntrack -S expect`, by its names.
public struct ExpectationStatistics: Hashable, Sendable {
  /// Connections that fulfilled an expectation.
  public var new: UInt64 = 0
  public var create: UInt64 = 0
  public var delete: UInt64 = 0
  public init() {}
}

/// What NAT does with a connection that fulfils an expectation.
@frozen
public enum ExpectationFollowing: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// The nat table is asked as for every other connection.
  case nothing
  /// It is translated as its master is, toward the end that announced it.
  case master
  /// PPTP's GRE: its keys are translated back to what the ends call their calls.
  case pptp
}

/// An expectation that is yet to be filed.
public struct ExpectationDraft: Hashable, Sendable, BitwiseCopyable {
  public var tuple: Tuple
  public var sourceMask: IPAddress
  public var sourcePortMask: UInt16
  public var helper: HelperKind
  public var classNumber: UInt8 = 0
  public var flags: ExpectationFlags = []
  /// Of the expected connection's packets within the master: those of the end that did not announce.
  public var direction: Direction
  public var following = ExpectationFollowing.nothing
  /// The destination port (GRE: key) the announcing end itself has; where NAT chose another one,
  /// `tuple` has that.
  public var savedPort: UInt16
  /// GRE: the source's key as the announcing end has it.
  public var savedSourcePort: UInt16 = 0

  /// Expects `tuple` from any source port.
  public init(_ tuple: Tuple, helper: HelperKind, direction: Direction) {
    self.tuple = tuple
    self.helper = helper
    self.direction = direction
    sourceMask = tuple.family == .ipv4 ? IPAddress(ipv4: .max) : IPAddress(high: .max, low: .max)
    sourcePortMask = 0
    savedPort = tuple.destinationPort
  }
}

/// Why an expectation was not filed.
public enum ExpectationRefusal: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// Another one waits for the same connection.
  case busy
  /// There are as many as there may be (`nf_conntrack_expect_max`, or the helper's own limit).
  case full
}

/// Why an expectation that a command asked for was not filed.
public enum CommandedExpectationRefusal: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// One waits for this tuple.
  case exists
  case noMaster
  /// No helper watches the master.
  case noHelper
  /// One waits for some of the same connections.
  case busy
  case full
}
