// One family's rules in the form packets are compared with: flat arrays, no text. For the firewall,
// which asks it, and whoever renders a verdict's rule back.

import Conntrack
import NAT
import Wire

/// The compiled rules of one family. Rules do not change; counters, token buckets and the like do,
/// so the value belongs to one worker.
public struct CompiledRuleset: ~Copyable, Sendable {
  /// What must be filled in of a `MatchContext` because some rule asks for it, or heeded because
  /// some rule sets it. Who cannot do one of these must refuse the ruleset.
  @frozen
  public struct Uses: OptionSet, Hashable, Sendable {
    public var rawValue: UInt16
    @inlinable public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable public static var connectionTuples: Self { .init(rawValue: 1 << 0) }
    @inlinable public static var connectionTimeout: Self { .init(rawValue: 1 << 1) }
    @inlinable public static var tcpOptions: Self { .init(rawValue: 1 << 2) }
    @inlinable public static var addressTypes: Self { .init(rawValue: 1 << 3) }
    @inlinable public static var interfaceAddressTypes: Self { .init(rawValue: 1 << 4) }
    @inlinable public static var linkLayer: Self { .init(rawValue: 1 << 5) }
    @inlinable public static var socketOwner: Self { .init(rawValue: 1 << 6) }
    /// Some rule sets `MatchContext.trackingOptions`, which tracking must heed.
    @inlinable public static var trackingOptions: Self { .init(rawValue: 1 << 7) }
    /// Some rule answers `RuleVerdict.Kind.limitMSS`, and the packet must be rewritten.
    @inlinable public static var clampMSS: Self { .init(rawValue: 1 << 8) }
    @inlinable public static var masterHelper: Self { .init(rawValue: 1 << 9) }
  }

  private let inPlace = InPlace()
  public let family: AddressFamily
  public let uses: Uses
  /// What NAT verdicts point into.
  public let ranges: [NATRange]
  /// What LOG rules say.
  public let logs: [LogOptions]
  /// What CT rules say.
  public let trackingOptions: [TrackingOptions]
  private let templates: FlatArray<CompiledTemplate>
  /// The rules these were compiled from, with the counters they had then.
  public let source: FamilyRules

  @usableFromInline let rules: FlatArray<CompiledRule>
  @usableFromInline let tests: FlatArray<RuleTest>
  @usableFromInline let portSpans: FlatArray<PortSpan>
  @usableFromInline let chains: FlatArray<CompiledChain>
  /// The chain number of `[table * 5 + built-in chain]`, -1 where there is none.
  @usableFromInline let entries: InlineArray<25, Int32>
  /// The same as a bit for each that is there.
  @usableFromInline let existing: UInt32

  @usableFromInline let counters: FlatArray<RuleCounters>
  @usableFromInline let state: MatchState
  /// Rules to come back to, as numbers in `rules`.
  /// Those of chains with an index are inverted: `candidateStack` has the places to go on from.
  @usableFromInline let stack: FlatArray<Int32>
  @usableFromInline let candidateStack: FlatArray<Candidates>
  /// Where the rules were left to change the packet.
  @usableFromInline var left = RuleWalk()
  @usableFromInline let indexes: ChainIndexes
  /// By protocol, the bytes a transport header needs for `PacketForm.whole`.
  @usableFromInline let headerBytes: FlatArray<UInt32>
  /// Of the packet being asked about.
  @usableFromInline let keys: FlatArray<UInt32>
  @usableFromInline private(set) var patterns: InterfacePatterns
  /// The rules that have counted the packet under way, in order, as far as there is room.
  @usableFromInline let journal: FlatArray<Int32>
  @usableFromInline var journalCount = 0

  /// Compiles. O(rules × log rules), and more where many rules of a long chain overlap, within the
  /// bounds of `TreeBuilder`. Rules parsed by `Ruleset.parse` always compile; a ruleset made by hand
  /// must jump only to chains that exist and must not loop.
  ///
  /// - Parameters:
  ///   - interfaces: the interfaces known so far; tell later ones with `learn(_:)`.
  ///   - tickNanoseconds: the kernel's timer tick, by which `-m limit` counts time; 4 ms is a
  ///     kernel with HZ 250.
  ///   - seed: for `-m statistic --mode random`.
  ///   - policies: those that `CT --timeout` may name.
  public init(
    _ rules: FamilyRules, interfaces: InterfaceTable = InterfaceTable(),
    tickNanoseconds: Int64 = 4_000_000, seed: UInt64 = 0, policies: [TimeoutPolicy] = []
  ) throws(RulesetError) {
    var compiler = RulesetCompiler(
      rules, tickNanoseconds: tickNanoseconds, seed: seed, policies: policies)
    try compiler.compile()
    journal = FlatArray([Int32](repeating: 0, count: CompiledRuleset.journalRoom))
    patterns = InterfacePatterns(compiler.patterns)
    patterns.learn(interfaces)
    indexes = ChainIndexes(compiler.indexChains(patterns))
    headerBytes = FlatArray(compiler.headerBytes)
    keys = FlatArray([UInt32](repeating: 0, count: PacketKey.count))
    family = rules.family
    source = rules
    uses = compiler.uses
    ranges = compiler.ranges
    logs = compiler.logs
    trackingOptions = compiler.trackingOptions
    templates = FlatArray(compiler.templates)
    self.rules = FlatArray(compiler.rules)
    tests = FlatArray(compiler.tests)
    portSpans = FlatArray(compiler.portSpans)
    chains = FlatArray(compiler.chains)
    entries = compiler.entries
    var existing: UInt32 = 0
    for entry in 0..<25 where entries[entry] >= 0 { existing |= 1 << UInt32(entry) }
    self.existing = existing
    counters = FlatArray(compiler.counters)
    state = MatchState(compiler)
    // A way through chains that do not loop is at most as deep as there are chains.
    stack = FlatArray([Int32](repeating: 0, count: compiler.chains.count))
    candidateStack = FlatArray([Candidates](repeating: Candidates(), count: compiler.chains.count))
  }

  /// Bytes of memory that the indexes of long chains take.
  public var indexByteCount: Int { indexes.byteCount }

  /// Whether the table exists: without a nat table no connection is asked for a binding.
  @inlinable @inline(__always)
  public func hasTable(_ table: TableName) -> Bool {
    (existing >> (UInt32(table.rawValue) &* 5)) & 0x1f != 0
  }

  /// Whether the table has the built-in chain, so that `evaluate` would ask anything.
  @inlinable @inline(__always)
  public func hasChain(_ table: TableName, _ chain: BuiltInChain) -> Bool {
    (existing >> (UInt32(table.rawValue) &* 5 &+ UInt32(chain.rawValue))) & 1 != 0
  }

  /// What tracking is to do with a packet by the CT rule it met; `context.trackingOptions` must be
  /// that rule's. A zone by mark is that of the mark the packet has now.
  public func template(_ context: MatchContext) -> TrackingTemplate {
    templates[Int(context.trackingOptions)].template(mark: context.mark)
  }

  /// Learns the interfaces registered since the last call. Must be called before a packet carries
  /// one of them; an interface not learnt matches no pattern but `+`. O(interfaces).
  public mutating func learn(_ interfaces: InterfaceTable) {
    patterns.learn(interfaces)
  }
}

extension CompiledRuleset {
  /// How many rules the journal holds.
  public static var journalRoom: Int { 32 }

  /// Begins a packet's journal.
  @inlinable @inline(__always)
  public mutating func beginJournal() { journalCount = 0 }

  /// How many rules have counted the packet under way; more than `journalRoom` are not known by name.
  @inlinable public var journalLength: Int { journalCount }

  /// The rule that was number `place` to count the packet under way; for `count`.
  @inlinable public func journalEntry(_ place: Int) -> Int32 { journal[place] }

  /// Counts packets that went through a rule without its being asked.
  public func count(_ rule: Int32, packets: UInt64, bytes: UInt64) {
    let counted = counters[Int(rule)]
    counters[Int(rule)] = RuleCounters(
      packets: counted.packets &+ packets, bytes: counted.bytes &+ bytes)
  }
}

/// The conditions every rule has, and where its tests stand.
@usableFromInline
struct CompiledRule: BitwiseCopyable, Sendable {
  @usableFromInline
  struct Flags: OptionSet, BitwiseCopyable, Sendable {
    @usableFromInline var rawValue: UInt16
    @inlinable init(rawValue: UInt16) { self.rawValue = rawValue }
    @inlinable static var sourceInverted: Self { .init(rawValue: 1 << 0) }
    @inlinable static var destinationInverted: Self { .init(rawValue: 1 << 1) }
    @inlinable static var inInverted: Self { .init(rawValue: 1 << 2) }
    @inlinable static var outInverted: Self { .init(rawValue: 1 << 3) }
    @inlinable static var protocolInverted: Self { .init(rawValue: 1 << 4) }
    @inlinable static var laterFragment: Self { .init(rawValue: 1 << 5) }
    @inlinable static var notLaterFragment: Self { .init(rawValue: 1 << 6) }
    /// A packet whose transport protocol cannot be found is dropped, not passed over.
    @inlinable static var dropsUnknownProtocol: Self { .init(rawValue: 1 << 8) }
    /// Some test looks at what may differ between the packets of one connection (`RuleTest.heedsPacket`).
    @inlinable static var heedsPacket: Self { .init(rawValue: 1 << 9) }
    /// The end of a chain: a policy, or the return of a user chain.
    @inlinable static var isEnd: Self { .init(rawValue: 1 << 7) }
  }

  @usableFromInline var source = IPAddress.any
  @usableFromInline var sourceMask = IPAddress.any
  @usableFromInline var destination = IPAddress.any
  @usableFromInline var destinationMask = IPAddress.any
  /// Pattern numbers, -1 for any interface.
  @usableFromInline var inPattern: Int32 = -1
  @usableFromInline var outPattern: Int32 = -1
  @usableFromInline var flags: Flags = []
  /// 0 for any protocol.
  @usableFromInline var protocolNumber: UInt8 = 0
  @usableFromInline var testCount: UInt32 = 0
  @usableFromInline var firstTest: UInt32 = 0
  @usableFromInline var chain: Int32 = 0
  @usableFromInline var action = RuleAction(.none)
}

/// A chain: its rules stand in `rules` from `first` on, the end of the chain after them.
@usableFromInline
struct CompiledChain: BitwiseCopyable, Sendable {
  @usableFromInline var first: Int32
  /// Without the end.
  @usableFromInline var count: Int32
  @usableFromInline var table: TableName
  /// The chain's place in `FamilyRules.tables` and `Table.chains`.
  @usableFromInline var tableIndex: Int32
  @usableFromInline var chainIndex: Int32
  /// The chain's number in `ChainIndexes`, -1 where it has none.
  @usableFromInline var index: Int32 = -1

  @inlinable var end: Int32 { first &+ count }
}
