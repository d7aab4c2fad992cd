// The firewall: one network namespace's hooks, over its connections, rules, addresses and routes.
// Packets in, verdicts and packets out. The way itself is in `Hooks.swift`.

import Conntrack
import NAT
import Ruleset
import Wire

/// Connection tracking, NAT and rules of one machine, as one engine.
///
/// It calls no clock and no random source: time comes in with each packet, choices come from the
/// seed, so the same input gives the same output.
public struct Firewall: ~Copyable {
  public var tracker: ConnectionTracker
  public internal(set) var ipv4Rules: CompiledRuleset
  public internal(set) var ipv6Rules: CompiledRuleset
  public internal(set) var host: HostConfiguration
  public internal(set) var interfaces = InterfaceTable()
  var limiter: ICMPRateLimiter
  var reassembler: Reassembler
  /// Of the packet under way, if it was put together from fragments: there is one such at a time, since
  /// answers come in one piece.
  var reassembled = ReassembledInfo(
    maxFragmentSize: 0, dontFragment: false, sizes: FragmentSizes(), dataOffset: 0,
    longestHeader: 0)
  /// A burst's packets that are not plain, fragments among them, one at a time; taken out while it is under
  /// way.
  var wholeBuffer: PacketBuffer? = PacketBuffer()
  var answerBuffers = AnswerBuffers()
  /// The host's own copy of what it sends to everyone; taken out while it is under way.
  var loopedBuffer: PacketBuffer? = PacketBuffer()
  /// Fragments on their way out; taken out meanwhile.
  var fragment: PacketBuffer? = PacketBuffer()
  /// The first fragment of a packet that never became whole; taken out while its sender is told.
  var expiredFragment: PacketBuffer? = PacketBuffer()
  /// Identification of the host's own IPv4 packets.
  var nextIdentification: UInt16
  /// Identification of IPv6 fragments.
  var generator: SeededGenerator
  var now: Int64 = 0
  /// Whoever sends an IPv4 packet on cuts it to its link's length; else it leaves here in pieces that fit.
  public var leavesCutting = false
  var ways = WayTable()
  /// How many times the rules were replaced: who read them can tell whether they are still those.
  public internal(set) var rulesVersion: UInt64 = 0
  /// Where nothing is known of routes: the only two interfaces there are. What comes in by one
  /// leaves by the other.
  public var forwardingPair: [InterfaceID] = [] {
    didSet { if forwardingPair != oldValue { forgetWays() } }
  }

  /// - Parameters:
  ///   - ruleset: both families' rules; empty accepts everything.
  ///   - settings: conntrack's, `sysctl net.netfilter`.
  ///   - seed: every choice (hash secret, ports, identifications) comes from it.
  /// - Throws: a rule names a timeout policy that `host` has not; or a ruleset put together by hand
  ///   jumps in a circle or nowhere.
  public init(
    ruleset: Ruleset = Ruleset(), host: HostConfiguration = HostConfiguration(),
    settings: ConntrackSettings = ConntrackSettings(), seed: UInt64 = 0
  ) throws(RulesetError) {
    var known = InterfaceTable()
    for interface in host.interfaces { _ = known.register(interface.name) }
    // What may fail is tried first.
    let ipv4 = try CompiledRuleset(
      ruleset.ipv4, interfaces: known, seed: seed, policies: host.timeoutPolicies)
    let ipv6 = try CompiledRuleset(
      ruleset.ipv6, interfaces: known, seed: seed, policies: host.timeoutPolicies)
    ipv4Rules = ipv4
    ipv6Rules = ipv6
    self.host = host
    interfaces = known
    tracker = ConnectionTracker(
      settings: settings, policies: host.timeoutPolicies, seed: seed)
    limiter = ICMPRateLimiter(host.settings)
    reassembler = Reassembler(
      ReassemblySettings(
        ipv4HighThreshold: host.settings.ipv4FragmentHighThreshold,
        ipv4TimeoutNanoseconds: host.settings.ipv4FragmentTimeoutNanoseconds,
        ipv4MaxDistance: host.settings.ipv4FragmentMaxDistance,
        ipv6HighThreshold: Int(settings.frag6HighThreshold),
        ipv6LowThreshold: Int(settings.frag6LowThreshold),
        ipv6TimeoutNanoseconds: settings.frag6Timeout))
    generator = SeededGenerator(seed: seed ^ 0x5EED)
    nextIdentification = UInt16(truncatingIfNeeded: generator.next())
  }

  /// The number of an interface by name; one the host does not know is added, without addresses.
  public mutating func interface(named name: String) -> InterfaceID {
    let index = host.addInterface(named: name)
    let id = interfaces.register(name)
    precondition(Int(id.rawValue) == index, "host and rules count interfaces alike")
    ipv4Rules.learn(interfaces)
    ipv6Rules.learn(interfaces)
    return id
  }

  /// The interface's place in the host's list.
  @inline(__always)
  func index(_ interface: InterfaceID) -> Int? {
    interface == .none ? nil : Int(interface.rawValue)
  }

  /// Moves the clock and expires what connections are due. Fragments wait until something can be sent.
  @inline(__always)
  public mutating func advance(to time: Int64) {
    tracker.advance(to: time)
    now = tracker.now
  }

  /// Takes the memory that packets will touch from the system now, so that none of them waits for a page:
  /// about 150 bytes for each connection the table has room for, 170 under NAT.
  /// - Complexity: O(capacity): some tenths of a second a million connections.
  public func populateTable() {
    tracker.populate(sources: hasTable(.nat, .ipv4) || hasTable(.nat, .ipv6))
  }

  /// A rule or chain as text, for explanations.
  public func describe(_ rule: RuleReference, _ family: AddressFamily) -> RuleDescription? {
    family == .ipv4 ? ipv4Rules.describe(rule) : ipv6Rules.describe(rule)
  }

  /// The rules with the counters they have now. O(rules).
  public func countedRules() -> Ruleset {
    settleCounters()
    var ruleset = Ruleset()
    ruleset.ipv4 = ipv4Rules.withCounters()
    ruleset.ipv6 = ipv6Rules.withCounters()
    return ruleset
  }

  /// The prefix of a LOG rule, by the number observers hear.
  public func logPrefix(_ log: Int, _ family: AddressFamily) -> String {
    family == .ipv4 ? ipv4Rules.logs[log].prefix : ipv6Rules.logs[log].prefix
  }

  @inline(__always)
  func hasTable(_ table: TableName, _ family: AddressFamily) -> Bool {
    family == .ipv4 ? ipv4Rules.hasTable(table) : ipv6Rules.hasTable(table)
  }

  @inline(__always)
  func uses(_ family: AddressFamily) -> CompiledRuleset.Uses {
    family == .ipv4 ? ipv4Rules.uses : ipv6Rules.uses
  }
}
