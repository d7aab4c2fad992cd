// What is measured: for the command, which fills it in, and the benchmark, which does as it says.

import Wire

/// What `weir bench` is asked.
public struct BenchOptions: Sendable {
  public enum Work: String, Sendable, CaseIterable {
    /// Packets of established connections, hit at random.
    case established
    /// First packets of new ones.
    case create
    /// The end of a full table.
    case expire
  }

  /// How much of the engine the packets go through.
  public enum Level: String, Sendable, CaseIterable {
    /// Decoding and connection tracking alone.
    case track
    /// The whole firewall: every hook, NAT, routing, rewriting.
    case firewall
  }

  public enum Transport: String, Sendable, CaseIterable { case tcp, udp }
  public enum NAT: String, Sendable, CaseIterable { case none, snat, masquerade, dnat }

  public var work = Work.established
  public var level = Level.firewall
  public var connections = 65_536
  /// In each round.
  public var packets = 2_000_000
  public var rounds = 7
  /// Packets handed over together, 1 to 32.
  public var burst = 32
  public var transport = Transport.tcp
  public var family = AddressFamily.ipv4
  public var nat = NAT.none
  /// All clients use the same source ports, so that NAT has to look for other ones.
  public var sharesPorts = false
  /// How many rules in FORWARD, made up, where no file is given.
  public var rules = 5
  /// Text of `iptables-save` instead.
  public var rulesText: String?
  public var workers = 1
  public var seed: UInt64 = 1
  /// Per-connection packet and byte counters (`nf_conntrack_acct`).
  public var counts = false

  public init() {}

  /// - Throws: what makes no sense, in words.
  func check() throws {
    func refuse(_ isWrong: Bool, _ what: String) throws {
      if isWrong { throw BenchError(what) }
    }
    try refuse(!(1...32).contains(burst), "--burst: 1 to 32 packets fit a burst, not \(burst)")
    try refuse(
      !(1...16_000_000).contains(connections), "--connections: 1 to 16,000,000, not \(connections)")
    try refuse(packets < 1, "--packets: at least 1")
    try refuse(rounds < 1, "--rounds: at least 1")
    try refuse(!(1...64).contains(workers), "--workers: 1 to 64, not \(workers)")
    try refuse(!(0...100_000).contains(rules), "--rules: 0 to 100,000, not \(rules)")
    try refuse(
      level == .track && nat != .none, "--nat: tracking alone translates nothing; --level firewall")
    try refuse(
      work == .create && connections < rounds, "--connections: fewer than --rounds to share them")
  }
}
