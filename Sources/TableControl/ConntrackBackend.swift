// What can be done to a table of connections, whoever holds it: the running kernel, a gateway, or the end
// of a replayed capture. The operations are ctnetlink's, so that one command says the same of all of them.

import Conntrack
import ConntrackFormat
import Wire

/// Which entries a listing is about.
public enum ListedTable: UInt8, Hashable, Sendable {
  case conntrack
  /// Ended, but still held by a packet.
  case dying
  /// Begun by a packet that has not come to the end of its way.
  case unconfirmed
}

/// A listing as the table's holder may narrow it; whoever asked still filters.
public struct ListRequest: Hashable, Sendable {
  public var table: ListedTable
  public var family: AddressFamily?
  /// Whether the counters of every entry that is listed begin anew (`-z`).
  public var zeroesCounters: Bool
  public var mark: UInt32?
  public var markMask: UInt32

  public init(
    table: ListedTable = .conntrack, family: AddressFamily? = nil, zeroesCounters: Bool = false,
    mark: UInt32? = nil, markMask: UInt32 = .max
  ) {
    self.table = table
    self.family = family
    self.zeroesCounters = zeroesCounters
    self.mark = mark
    self.markMask = markMask
  }
}

/// A tuple of which only parts may be given.
public struct TupleRequest: Hashable, Sendable {
  public var source: IPAddress?
  public var destination: IPAddress?
  /// As in `Tuple`: an ICMP query's id, a GRE key.
  public var sourcePort: UInt16?
  /// As in `Tuple`: an ICMP query's `type << 8 | code`.
  public var destinationPort: UInt16?
  public var protocolNumber: UInt8?

  public init() {}

  public init(_ tuple: Tuple) {
    source = tuple.source
    destination = tuple.destination
    sourcePort = tuple.sourcePort
    destinationPort = tuple.destinationPort
    protocolNumber = tuple.protocolNumber
  }

  public var isEmpty: Bool { self == TupleRequest() }

  /// The tuple, where all of it is given that its protocol needs.
  public func tuple(_ family: AddressFamily) -> Tuple? {
    guard let protocolNumber else { return nil }
    let needsPorts = [1, 6, 17, 47, 58, 132, 136].contains(protocolNumber)
    if needsPorts && (sourcePort == nil || destinationPort == nil) { return nil }
    // Of other protocols, DCCP among them, nothing but the addresses counts.
    return Tuple(
      source: source ?? .any, destination: destination ?? .any,
      sourcePort: needsPorts ? sourcePort ?? 0 : 0,
      destinationPort: needsPorts ? destinationPort ?? 0 : 0, protocolNumber: protocolNumber,
      family: family)
  }
}

/// What `-n` and `-g` of `conntrack -I` ask for.
public struct TranslationRequest: Hashable, Sendable {
  public var address: IPAddress
  public var port: UInt16?

  public init(address: IPAddress, port: UInt16? = nil) {
    self.address = address
    self.port = port
  }
}

/// A connection to look up, to make or to change: what is nil is not said.
public struct ConnectionRequest: Hashable, Sendable {
  /// Without a family nothing can be changed: `TableError.notSupported`.
  public var family: AddressFamily?
  public var original = TupleRequest()
  public var reply = TupleRequest()
  public var zone: UInt16?
  public var zoneDirection = ZoneDirection.both
  public var status: ConnectionStatus?
  public var timeoutSeconds: UInt32?
  public var mark: UInt32?
  public var protocolState: ProtocolState?
  /// SCTP's verification tags: original, reply.
  public var originalTag: UInt32?
  public var replyTag: UInt32?
  /// DCCP: whether the original direction is the server's.
  public var isServer: Bool?
  public var labels: ConnectionLabels?
  /// Which labels `labels` speaks of.
  public var labelMask: ConnectionLabels?
  public var sourceNAT: TranslationRequest?
  public var destinationNAT: TranslationRequest?

  public init(family: AddressFamily?) {
    self.family = family
  }
}

/// An expectation to look up, end or make.
public struct ExpectationRequest: Hashable, Sendable {
  public var family: AddressFamily
  public var expected = TupleRequest()
  public var mask = TupleRequest()
  public var master = TupleRequest()
  public var timeoutSeconds: UInt32?

  public init(family: AddressFamily) {
    self.family = family
  }
}

/// Which events to follow.
public struct FollowRequest: Hashable, Sendable {
  public var kinds: Set<ConnectionEventKind>
  public var expectations: Bool
  /// How much may wait for a reader that is slow, bytes; nil: as much as the system likes.
  public var bufferBytes: Int?
  /// A descriptor that becomes readable when following is to end.
  public var interruption: Int32?

  public init(
    kinds: Set<ConnectionEventKind>, expectations: Bool = false, bufferBytes: Int? = nil,
    interruption: Int32? = nil
  ) {
    self.kinds = kinds
    self.expectations = expectations
    self.bufferBytes = bufferBytes
    self.interruption = interruption
  }
}

/// What a follower hears.
public enum TableEvent: Sendable {
  /// Following has begun. `bufferBytes` is what was asked for and granted.
  case began(bufferBytes: Int?)
  case connection(ConnectionEvent)
  case expectation(ExpectationEvent)
  /// Events were lost, since the reader was too slow; how many, where that is known.
  case lost(UInt64?)
}

/// Counters of one processor, or of one worker.
public struct ProcessorStatistics: Hashable, Sendable {
  public var processor: Int
  public var connections: ConntrackStatistics
  public var expectations: ExpectationStatistics

  public init(
    processor: Int, connections: ConntrackStatistics = ConntrackStatistics(),
    expectations: ExpectationStatistics = ExpectationStatistics()
  ) {
    self.processor = processor
    self.connections = connections
    self.expectations = expectations
  }
}

/// A table that commands can be given. Each operation throws a `TableError` where the table refuses.
public protocol ConntrackBackend {
  /// Now on the table's clock, nanoseconds since 1970.
  mutating func now() throws -> Int64
  mutating func list(_ request: ListRequest, _ each: (Connection) throws -> Void) throws
  mutating func get(_ request: ConnectionRequest) throws -> Connection
  mutating func create(_ request: ConnectionRequest) throws
  mutating func update(_ request: ConnectionRequest) throws
  /// Ends a connection that a listing has shown: the one with its tuples, zone and id.
  mutating func delete(_ connection: Connection) throws
  mutating func flush(_ family: AddressFamily?) throws
  mutating func count() throws -> Int
  mutating func statistics() throws -> [ProcessorStatistics]
  mutating func listExpectations(
    _ family: AddressFamily, _ each: (Expectation) throws -> Void) throws
  mutating func getExpectation(_ request: ExpectationRequest) throws -> Expectation
  mutating func createExpectation(_ request: ExpectationRequest) throws
  mutating func deleteExpectation(_ request: ExpectationRequest) throws
  mutating func flushExpectations() throws
  /// Calls `each` with every event until it returns false or the interruption comes.
  mutating func follow(_ request: FollowRequest, _ each: (TableEvent) throws -> Bool) throws
}

/// A table that also says what holds for it beside its entries, for `weir doctor`.
public protocol DiagnosedTable: ConntrackBackend {
  mutating func surroundings() throws -> TableSurroundings
}
