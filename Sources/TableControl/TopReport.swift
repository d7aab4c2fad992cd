// What `weir top` shows after a pass over a table: numbers and names, without any layout. Its JSON form is
// described in docs/top.md.

/// One look at a table, and what has changed since the one before.
public struct TopReport: Hashable, Sendable, Encodable {
  /// A key and how many entries it holds.
  public struct Holder: Hashable, Sendable, Encodable {
    public var name: String
    public var entries: Int
  }

  /// A connection that had packets since the last look.
  public struct Flow: Hashable, Sendable, Encodable {
    public var packetsPerSecond: Double
    public var bytesPerSecond: Double
    public var family: String
    public var `protocol`: String
    /// Absent for protocols without one.
    public var state: String?
    public var source: String
    public var destination: String
    /// To where NAT sends it; absent without.
    public var translatedTo: String?
    /// As what NAT shows its sender; absent without.
    public var translatedFrom: String?
  }

  /// The source ports of an address that connections are translated to.
  public struct Ports: Hashable, Sendable, Encodable {
    public var address: String
    /// The destination toward which most are in use.
    public var destination: String
    public var used: Int
    public var left: Int
  }

  public struct Drop: Hashable, Sendable, Encodable {
    public var reason: String
    /// Since the counter began.
    public var packets: UInt64
    public var perSecond: Double
  }

  /// Seconds since the look before; absent for the first.
  public var seconds: Double?
  public var entries = 0
  /// `nf_conntrack_max`; absent where there is none or it is not known.
  public var limit: Int64?
  public var ipv4 = 0
  public var ipv6 = 0
  public var unreplied = 0
  public var assured = 0
  /// Entries that were not there at the look before, per second.
  public var newPerSecond: Double?
  /// Packets that passed; absent where nobody counts them.
  public var acceptedPerSecond: Double?
  public var states: [Holder] = []
  /// Whether entries count their packets (`nf_conntrack_acct`); without, no rate is known.
  public var isCounted = false
  /// The fastest, by bytes and by packets a second.
  public var byBytes: [Flow] = []
  public var byPackets: [Flow] = []
  public var sources: [Holder] = []
  public var destinations: [Holder] = []
  public var services: [Holder] = []
  /// Absent where it is not known which rule let an entry begin.
  public var rules: [Holder]?
  public var ports: [Ports] = []
  public var drops: [Drop] = []

  public init() {}
}

/// By what connections are ordered.
public enum TopOrder: String, CaseIterable, Sendable {
  case bytes
  case packets
}
