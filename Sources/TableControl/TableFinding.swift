// What `weir doctor` finds wrong with a table, and what it knows of the table beside its entries.

import Conntrack
import Wire

/// One thing that is wrong, with what shows it and what to do.
public struct TableFinding: Hashable, Sendable, Codable {
  public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
    case tableNearlyFull = "table-nearly-full"
    case dropped
    case earlyDrop = "early-drop"
    case insertFailed = "insert-failed"
    case portsRunningOut = "ports-running-out"
    case staleTarget = "stale-target"
    case unreplied
    case timeout
  }

  /// Most serious first.
  public enum Severity: String, Hashable, Sendable, Codable, CaseIterable {
    /// Connections fail now, or are about to.
    case urgent
    /// Something does not work for someone, or soon will not.
    case warning
    /// Worth knowing.
    case note
  }

  public var kind: Kind
  public var severity: Severity
  /// What is wrong, in one sentence.
  public var summary: String
  /// What was seen, a line each.
  public var evidence: [String]
  /// What to do about it, a line each.
  public var advice: [String]

  public init(
    _ kind: Kind, _ severity: Severity, _ summary: String, evidence: [String] = [],
    advice: [String]
  ) {
    self.kind = kind
    self.severity = severity
    self.summary = summary
    self.evidence = evidence
    self.advice = advice
  }
}

/// To where a NAT rule translates: what is nil the rule leaves open.
public struct TranslationRule: Hashable, Sendable {
  public var family: AddressFamily
  /// SNAT and MASQUERADE, or else DNAT, REDIRECT and NETMAP.
  public var isSource: Bool
  public var addresses: ClosedRange<IPAddress>?
  public var ports: ClosedRange<UInt16>?

  public init(
    _ family: AddressFamily, isSource: Bool, addresses: ClosedRange<IPAddress>? = nil,
    ports: ClosedRange<UInt16>? = nil
  ) {
    self.family = family
    self.isSource = isSource
    self.addresses = addresses
    self.ports = ports
  }

  /// Whether the rule may translate to this address and, where given, port.
  func allows(_ address: IPAddress, _ port: UInt16?, _ family: AddressFamily) -> Bool {
    self.family == family && addresses?.contains(address) ?? true
      && (port.flatMap { port in ports?.contains(port) } ?? true)
  }
}

/// What holds for a table beside its entries, as far as it can be known.
public struct TableSurroundings: Hashable, Sendable {
  /// `sysctl net.netfilter`; nil where none can be read.
  public var settings: ConntrackSettings?
  /// Where NAT rules translate to; nil where the rules are not known.
  public var rules: [TranslationRule]?

  public init(settings: ConntrackSettings? = nil, rules: [TranslationRule]? = nil) {
    self.settings = settings
    self.rules = rules
  }
}
