// Every switch and timeout of `sysctl net.netfilter` that conntrack has, by the same names and with
// the same defaults (Linux 6.18), and the few that only Weir has.

/// The settings of one table. Times are nanoseconds here, seconds in `sysctl` text; switches are 0
/// or 1.
public struct ConntrackSettings: Hashable, Sendable, BitwiseCopyable {
  public var acct: Int64 = 0
  public var checksum: Int64 = 1
  public var events: Int64 = 2
  public var expectMax: Int64 = 4096
  public var logInvalid: Int64 = 0
  public var max: Int64 = 262_144
  public var buckets: Int64 = 262_144
  public var timestamp: Int64 = 0
  public var tcpBeLiberal: Int64 = 0
  public var tcpIgnoreInvalidRST: Int64 = 0
  public var tcpLoose: Int64 = 1
  public var tcpMaxRetransmissions: Int64 = 3

  public var genericTimeout: Int64 = seconds(600)
  public var greTimeout: Int64 = seconds(30)
  public var greTimeoutStream: Int64 = seconds(180)
  public var icmpTimeout: Int64 = seconds(30)
  public var icmpv6Timeout: Int64 = seconds(30)
  public var sctpTimeoutClosed: Int64 = seconds(10)
  public var sctpTimeoutCookieEchoed: Int64 = seconds(3)
  public var sctpTimeoutCookieWait: Int64 = seconds(3)
  public var sctpTimeoutEstablished: Int64 = seconds(210)
  public var sctpTimeoutHeartbeatSent: Int64 = seconds(30)
  public var sctpTimeoutShutdownAckSent: Int64 = seconds(3)
  public var sctpTimeoutShutdownReceived: Int64 = seconds(3)
  public var sctpTimeoutShutdownSent: Int64 = seconds(3)
  public var tcpTimeoutClose: Int64 = seconds(10)
  public var tcpTimeoutCloseWait: Int64 = seconds(60)
  public var tcpTimeoutEstablished: Int64 = seconds(432_000)
  public var tcpTimeoutFinWait: Int64 = seconds(120)
  public var tcpTimeoutLastAck: Int64 = seconds(30)
  public var tcpTimeoutMaxRetransmissions: Int64 = seconds(300)
  public var tcpTimeoutSynReceived: Int64 = seconds(60)
  public var tcpTimeoutSynSent: Int64 = seconds(120)
  /// No sysctl has it: only a timeout policy changes it.
  public var tcpTimeoutSynSent2: Int64 = seconds(120)
  public var tcpTimeoutTimeWait: Int64 = seconds(120)
  public var tcpTimeoutUnacknowledged: Int64 = seconds(300)
  public var udpTimeout: Int64 = seconds(30)
  public var udpTimeoutStream: Int64 = seconds(120)
  public var frag6HighThreshold: Int64 = 4_194_304
  public var frag6LowThreshold: Int64 = 3_145_728
  public var frag6Timeout: Int64 = seconds(60)

  /// Weir's own: how long after its first packet a UDP flow that is answered must still be active to
  /// count as a stream. Today's kernels wait 2 s; 0 is the rule of kernels before 4.20, where the
  /// first packet after the reply is enough.
  public var udpStreamDelay: Int64 = seconds(2)

  public init() {}

  @inlinable static func seconds(_ seconds: Int64) -> Int64 { seconds * 1_000_000_000 }
}

extension ConntrackSettings {
  /// How a setting's text is read.
  public enum Unit: Sendable { case number, seconds }

  /// A setting: its full `sysctl` name, its unit, and where it is kept.
  public struct Entry: Sendable {
    public let name: String
    public let unit: Unit
    public let path: any WritableKeyPath<ConntrackSettings, Int64> & Sendable
  }

  /// Every setting there is.
  public static let entries: [Entry] = {
    func number(_ name: String, _ path: any WritableKeyPath<ConntrackSettings, Int64> & Sendable)
      -> Entry
    { Entry(name: "net.netfilter.nf_conntrack_\(name)", unit: .number, path: path) }
    func time(_ name: String, _ path: any WritableKeyPath<ConntrackSettings, Int64> & Sendable)
      -> Entry
    { Entry(name: "net.netfilter.nf_conntrack_\(name)", unit: .seconds, path: path) }
    return [
      number("acct", \.acct),
      number("buckets", \.buckets),
      number("checksum", \.checksum),
      number("events", \.events),
      number("expect_max", \.expectMax),
      number("frag6_high_thresh", \.frag6HighThreshold),
      number("frag6_low_thresh", \.frag6LowThreshold),
      time("frag6_timeout", \.frag6Timeout),
      time("generic_timeout", \.genericTimeout),
      time("gre_timeout", \.greTimeout),
      time("gre_timeout_stream", \.greTimeoutStream),
      time("icmp_timeout", \.icmpTimeout),
      time("icmpv6_timeout", \.icmpv6Timeout),
      number("log_invalid", \.logInvalid),
      number("max", \.max),
      time("sctp_timeout_closed", \.sctpTimeoutClosed),
      time("sctp_timeout_cookie_echoed", \.sctpTimeoutCookieEchoed),
      time("sctp_timeout_cookie_wait", \.sctpTimeoutCookieWait),
      time("sctp_timeout_established", \.sctpTimeoutEstablished),
      time("sctp_timeout_heartbeat_sent", \.sctpTimeoutHeartbeatSent),
      time("sctp_timeout_shutdown_ack_sent", \.sctpTimeoutShutdownAckSent),
      time("sctp_timeout_shutdown_recd", \.sctpTimeoutShutdownReceived),
      time("sctp_timeout_shutdown_sent", \.sctpTimeoutShutdownSent),
      number("tcp_be_liberal", \.tcpBeLiberal),
      number("tcp_ignore_invalid_rst", \.tcpIgnoreInvalidRST),
      number("tcp_loose", \.tcpLoose),
      number("tcp_max_retrans", \.tcpMaxRetransmissions),
      time("tcp_timeout_close", \.tcpTimeoutClose),
      time("tcp_timeout_close_wait", \.tcpTimeoutCloseWait),
      time("tcp_timeout_established", \.tcpTimeoutEstablished),
      time("tcp_timeout_fin_wait", \.tcpTimeoutFinWait),
      time("tcp_timeout_last_ack", \.tcpTimeoutLastAck),
      time("tcp_timeout_max_retrans", \.tcpTimeoutMaxRetransmissions),
      time("tcp_timeout_syn_recv", \.tcpTimeoutSynReceived),
      time("tcp_timeout_syn_sent", \.tcpTimeoutSynSent),
      time("tcp_timeout_time_wait", \.tcpTimeoutTimeWait),
      time("tcp_timeout_unacknowledged", \.tcpTimeoutUnacknowledged),
      number("timestamp", \.timestamp),
      time("udp_timeout", \.udpTimeout),
      time("udp_timeout_stream", \.udpTimeoutStream),
      Entry(name: "weir.udp_stream_delay", unit: .seconds, path: \.udpStreamDelay),
    ]
  }()

  private static let entriesByName = Dictionary(
    uniqueKeysWithValues: entries.map { ($0.name, $0) })

  /// Why `set` refused.
  public enum SettingError: Error, Hashable, Sendable {
    case unknown
    case badValue
  }

  /// Sets one setting from text, as `sysctl -w NAME=VALUE` does.
  /// - Throws: `.unknown` for a name that is no conntrack setting; `.badValue` for a value that is no
  ///   number of 0 to 2^31 - 1.
  public mutating func set(_ name: String, to value: String) throws(SettingError) {
    guard let entry = ConntrackSettings.entriesByName[name] else { throw .unknown }
    guard let number = Int64(value), (0...Int64(Int32.max)).contains(number) else {
      throw .badValue
    }
    switch entry.unit {
    case .number: self[keyPath: entry.path] = number
    case .seconds: self[keyPath: entry.path] = ConntrackSettings.seconds(number)
    }
  }
}
