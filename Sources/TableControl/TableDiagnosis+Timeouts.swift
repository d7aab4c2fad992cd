// Which timeouts do not fit what the table is used for. For `weir doctor`.

import Conntrack

extension TableDiagnosis {
  /// RFC 5382, REQ-5: a NAT keeps an established connection for 2 hours and 4 minutes at least.
  static let shortEstablished: Int64 = 7440
  /// A day: longer, and what lost its ends stays for as long as the table needs to fill.
  static let longEstablished: Int64 = 86_400
  /// RFC 4787, REQ-5: a UDP mapping stays for 2 minutes at least.
  static let shortStream: Int64 = 120
  /// Twice the 5 minutes that RFC 4787 recommends; a mapping a NAT client keeps alive needs no more.
  static let longUDP: Int64 = 600
  /// A resolver waits 5 seconds for an answer before it asks again (resolv.conf(5)), and twice.
  static let shortUDP: Int64 = 10
  /// Protocols the tracker does not know: six times the kernel's 10 minutes.
  static let longGeneric: Int64 = 3600
  /// Below this, tunnels (ESP, IP in IP) that are kept alive twice a minute begin anew all the time.
  static let shortGeneric: Int64 = 30

  func timeouts() -> [TableFinding] {
    guard let settings = surroundings.settings else { return [] }
    return [
      established(settings),
      check(
        "udp_timeout", settings.udpTimeout, TableDiagnosis.shortUDP, TableDiagnosis.longUDP,
        "answers to slow requests come as new connections",
        "single requests fill the table"),
      check(
        "udp_timeout_stream", settings.udpTimeoutStream, TableDiagnosis.shortStream,
        TableDiagnosis.longUDP, "calls and tunnels that pause lose their mapping (RFC 4787, REQ-5)",
        "flows that are over stay in the table"),
      check(
        "generic_timeout", settings.genericTimeout, TableDiagnosis.shortGeneric,
        TableDiagnosis.longGeneric, "tunnels that pause begin anew",
        "flows that are over stay in the table"),
    ].compactMap { $0 }
  }

  private func established(_ settings: ConntrackSettings) -> TableFinding? {
    let seconds = settings.tcpTimeoutEstablished / 1_000_000_000
    if seconds < TableDiagnosis.shortEstablished {
      return TableFinding(
        .timeout, .note,
        "tcp_timeout_established is short: connections that are silent for as long break.",
        evidence: [
          "nf_conntrack_tcp_timeout_established=\(seconds); RFC 5382, REQ-5, asks for "
            + "\(TableDiagnosis.shortEstablished) at least"
        ],
        advice: [
          "Set net.netfilter.nf_conntrack_tcp_timeout_established to "
            + "\(TableDiagnosis.shortEstablished) or more."
        ])
    }
    guard seconds > TableDiagnosis.longEstablished, isFilling,
      Double(silent) >= Double(entries) * TableDiagnosis.silentShare
    else { return nil }
    return TableFinding(
      .timeout, .warning,
      "tcp_timeout_established is long, and connections that are silent fill the table.",
      evidence: [
        "nf_conntrack_tcp_timeout_established=\(seconds)",
        "\(silent) of \(established) established TCP connections were silent for an hour or more",
      ],
      advice: [
        "Set net.netfilter.nf_conntrack_tcp_timeout_established to "
          + "\(TableDiagnosis.shortEstablished) (RFC 5382, REQ-5) or somewhat more; it holds for a "
          + "connection from its next packet on."
      ])
  }

  private func check(
    _ name: String, _ nanoseconds: Int64, _ short: Int64, _ long: Int64, _ tooShort: String,
    _ tooLong: String
  ) -> TableFinding? {
    let seconds = nanoseconds / 1_000_000_000
    guard seconds < short || seconds > long else { return nil }
    let isShort = seconds < short
    return TableFinding(
      .timeout, .note,
      "\(name) is \(isShort ? "short" : "long"): \(isShort ? tooShort : tooLong).",
      evidence: ["nf_conntrack_\(name)=\(seconds)"],
      advice: ["Set net.netfilter.nf_conntrack_\(name) between \(short) and \(long)."])
  }
}
