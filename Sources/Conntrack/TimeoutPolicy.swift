// Timeouts by name that a rule can give a connection in place of the sysctls' (`CT --timeout`,
// nfct(8)).

import Wire

/// A timeout policy, as `nfct add timeout` makes it: times for the states of one protocol.
public struct TimeoutPolicy: Hashable, Sendable {
  /// Of protocols without a tracker of their own.
  public static let generic: UInt8 = 255

  public var name: String
  public var family: AddressFamily
  public var protocolNumber: UInt8
  /// Nanoseconds by the state's name as `nfct list timeout` prints it (`SYN_SENT`, `UNREPLIED`,
  /// `TIMEOUT`). States that are not named have the sysctls' times.
  public private(set) var timeouts: [String: Int64] = [:]

  /// Nil for a protocol that has no policies: ICMP of the other family, say.
  public init?(name: String, family: AddressFamily, protocolNumber: UInt8) {
    self.name = name
    self.family = family
    self.protocolNumber = protocolNumber
    if states.isEmpty { return nil }
  }

  /// The names of the protocol's states.
  public var stateNames: [String] { states.map(\.name) }

  /// Sets the time of one state. False where the protocol has no state of that name.
  public mutating func set(_ state: String, nanoseconds: Int64) -> Bool {
    guard states.contains(where: { $0.name == state }) else { return false }
    timeouts[state] = nanoseconds
    return true
  }

  /// Gives every state that is not named its time in `settings`: as the kernel does when a policy is
  /// made, so that later changes of a sysctl change nothing.
  public mutating func complete(from settings: ConntrackSettings) {
    for state in states where timeouts[state.name] == nil {
      timeouts[state.name] = settings[keyPath: state.path]
    }
  }

  /// Whether a rule for this protocol (0 to 255) may name the policy.
  public func fits(_ number: UInt8, _ family: AddressFamily) -> Bool {
    if family != self.family { return false }
    if protocolNumber != TimeoutPolicy.generic { return number == protocolNumber }
    return !TimeoutPolicy.trackers.contains(number)
  }

  /// Protocols with policies of their own.
  private static let trackers: Set<UInt8> = [
    IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.udpLite, IPProtocolNumber.icmp,
    IPProtocolNumber.icmpv6, IPProtocolNumber.sctp, IPProtocolNumber.gre,
  ]

  private typealias State = (name: String, path: WritableKeyPath<ConntrackSettings, Int64>)

  private var states: [State] {
    switch (protocolNumber, family) {
    case (IPProtocolNumber.tcp, _):
      [
        ("SYN_SENT", \.tcpTimeoutSynSent), ("SYN_RECV", \.tcpTimeoutSynReceived),
        ("ESTABLISHED", \.tcpTimeoutEstablished), ("FIN_WAIT", \.tcpTimeoutFinWait),
        ("CLOSE_WAIT", \.tcpTimeoutCloseWait), ("LAST_ACK", \.tcpTimeoutLastAck),
        ("TIME_WAIT", \.tcpTimeoutTimeWait), ("CLOSE", \.tcpTimeoutClose),
        ("SYN_SENT2", \.tcpTimeoutSynSent2), ("RETRANS", \.tcpTimeoutMaxRetransmissions),
        ("UNACKNOWLEDGED", \.tcpTimeoutUnacknowledged),
      ]
    case (IPProtocolNumber.udp, _), (IPProtocolNumber.udpLite, _):
      [("UNREPLIED", \.udpTimeout), ("REPLIED", \.udpTimeoutStream)]
    case (IPProtocolNumber.gre, _):
      [("UNREPLIED", \.greTimeout), ("REPLIED", \.greTimeoutStream)]
    case (IPProtocolNumber.icmp, .ipv4): [("TIMEOUT", \.icmpTimeout)]
    case (IPProtocolNumber.icmpv6, .ipv6): [("TIMEOUT", \.icmpv6Timeout)]
    case (IPProtocolNumber.sctp, _):
      [
        ("CLOSED", \.sctpTimeoutClosed), ("COOKIE_WAIT", \.sctpTimeoutCookieWait),
        ("COOKIE_ECHOED", \.sctpTimeoutCookieEchoed), ("ESTABLISHED", \.sctpTimeoutEstablished),
        ("SHUTDOWN_SENT", \.sctpTimeoutShutdownSent),
        ("SHUTDOWN_RECD", \.sctpTimeoutShutdownReceived),
        ("SHUTDOWN_ACK_SENT", \.sctpTimeoutShutdownAckSent),
        ("HEARTBEAT_SENT", \.sctpTimeoutHeartbeatSent),
      ]
    case (TimeoutPolicy.generic, _): [("TIMEOUT", \.genericTimeout)]
    default: []
    }
  }

  /// The settings as they are for a connection with this policy.
  func applied(to settings: ConntrackSettings) -> ConntrackSettings {
    var settings = settings
    for state in states {
      if let time = timeouts[state.name] { settings[keyPath: state.path] = time }
    }
    return settings
  }
}
