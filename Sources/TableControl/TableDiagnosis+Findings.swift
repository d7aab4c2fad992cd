// What is said of a table that was looked at: each finding with its evidence and what to do. For
// `weir doctor`.

import Conntrack
import ConntrackFormat
import Wire

extension TableDiagnosis {
  /// What is wrong, most serious first; of the same seriousness in the order of `TableFinding.Kind`.
  /// - Parameters:
  ///   - before: the counters at some moment.
  ///   - after: the same a while later, or the same again: what grew meanwhile goes on.
  public func findings(
    before: ConntrackStatistics = ConntrackStatistics(),
    after: ConntrackStatistics = ConntrackStatistics()
  ) -> [TableFinding] {
    let all =
      fill() + counters(before, after) + ports() + staleTargets() + unansweredSources()
      + timeouts()
    return TableFinding.Severity.allCases.flatMap { severity in
      all.filter { $0.severity == severity }
    }
  }

  /// What could not be looked at, and why.
  public var unchecked: [String] {
    var all: [String] = []
    if surroundings.settings == nil {
      all.append("how full the table is, and timeouts: the settings are not known")
    }
    if surroundings.rules == nil {
      all.append(
        "UDP entries whose target no rule names any more, and port ranges of rules: the rules are "
          + "not known")
    }
    return all
  }

  // MARK: Fill

  /// The share of the limit that is in use; nil without a limit (`nf_conntrack_max` 0 is none).
  private var share: Double? {
    guard let limit = surroundings.settings?.max, limit > 0 else { return nil }
    return Double(entries) / Double(limit)
  }

  var isFilling: Bool { share.map { $0 >= TableDiagnosis.warningFill } ?? false }

  private func percent(_ share: Double) -> String { "\(Int(share * 100)) %" }

  private func fill() -> [TableFinding] {
    guard let share, share >= TableDiagnosis.warningFill, let limit = surroundings.settings?.max
    else { return [] }
    let isUrgent = share >= TableDiagnosis.urgentFill
    var evidence = ["\(entries) entries of \(limit) (nf_conntrack_max), \(percent(share))"]
    evidence += holders("source", sources)
    evidence += holders("destination", destinations)
    evidence += holders("service", services)
    return [
      TableFinding(
        .tableNearlyFull, isUrgent ? .urgent : .warning,
        isUrgent
          ? "The table is nearly full: once it is, new connections are dropped."
          : "The table is filling up.",
        evidence: evidence,
        advice: [
          "Where the biggest holders are wanted, raise net.netfilter.nf_conntrack_max (and "
            + "nf_conntrack_buckets with it).",
          "Where they are not, drop them before they are tracked (raw table), or do not track them "
            + "(-j CT --notrack), and delete their entries (conntrack -D -s ADDRESS).",
        ])
    ]
  }

  /// The biggest holders, where they hold a part worth naming: a hundredth of the table.
  private func holders(_ what: String, _ hitters: HeavyHitters<TableParty>) -> [String] {
    let big = hitters.keys(atLeast: max(entries / 100, 1)).prefix(TableDiagnosis.named)
    return big.map { key, count in
      "\(what) \(key.text): \(atLeast(count, hitters.largestError)) entries, "
        + percent(Double(count) / Double(entries))
    }
  }

  private func atLeast(_ count: Int, _ error: Int) -> String {
    error == 0 ? "\(count)" : "at least \(count)"
  }

  // MARK: Counters

  private func counters(
    _ before: ConntrackStatistics, _ after: ConntrackStatistics
  ) -> [TableFinding] {
    func finding(
      _ kind: TableFinding.Kind, _ path: KeyPath<ConntrackStatistics, UInt64>, _ name: String,
      _ growing: TableFinding.Severity, _ summary: String, _ advice: [String]
    ) -> TableFinding? {
      let total = after[keyPath: path]
      guard total > 0 else { return nil }
      let (grown, isLess) = total.subtractingReportingOverflow(before[keyPath: path])
      let goesOn = grown > 0 && !isLess
      return TableFinding(
        kind, goesOn ? growing : .note, summary,
        evidence: [
          "\(name)=\(total) since the counters began, "
            + (goesOn ? "\(grown) of them just now" : "none just now")
        ], advice: advice)
    }
    return [
      finding(
        .dropped, \.drop, "drop", .urgent,
        "Packets were dropped for want of room, or since their connection could not be confirmed.",
        [
          "Raise net.netfilter.nf_conntrack_max where the table is full; see also insert_failed."
        ]),
      finding(
        .earlyDrop, \.earlyDrop, "early_drop", .urgent,
        "The table was full: connections gave way to new ones.",
        [
          "Raise net.netfilter.nf_conntrack_max, or shorten the timeouts of what fills the table."
        ]),
      finding(
        .insertFailed, \.insertFailed, "insert_failed", .warning,
        "Connections could not be confirmed, since a tuple of theirs was another's by then: their "
          + "first packet was lost.",
        [
          "Mostly NAT gave two new connections the same port: use more addresses in SNAT, or "
            + "--random-fully.",
          "Or a client sends two packets at once from one socket (DNS: A and AAAA together).",
        ]),
    ].compactMap { $0 }
  }

  // MARK: NAT

  private func ports() -> [TableFinding] {
    let all = translations.keys(atLeast: 1).lazy.compactMap { key, used -> TableFinding? in
      let there = ports(of: key.first)
      let share = Double(used) / Double(there)
      guard share >= TableDiagnosis.usedPortsShare else { return nil }
      let isUrgent = share >= TableDiagnosis.lastPortsShare
      return TableFinding(
        .portsRunningOut, isUrgent ? .urgent : .warning,
        "The source ports of \(key.first.text) toward \(key.second.text) are running out: "
          + "connections for which none is free fail.",
        evidence: [
          "\(atLeast(used, translations.largestError)) of \(there) ports in use, \(percent(share))"
        ],
        advice: [
          "Translate to more addresses (--to-source FIRST-LAST), or widen the rule's --to-ports.",
          "Have clients keep connections open instead of opening new ones.",
        ])
    }
    return Array(all.prefix(TableDiagnosis.named))
  }

  private func staleTargets() -> [TableFinding] {
    stale.keys().prefix(TableDiagnosis.named).map { key, count in
      TableFinding(
        .staleTarget, .warning,
        "UDP to \(key.second.text) still goes to \(key.first.text), which no rule names any more.",
        evidence: [
          "\(atLeast(count, stale.largestError)) entries, kept alive by their own traffic"
        ],
        advice: [
          "Delete them, so that the next packet asks the rules: conntrack -D -p udp --orig-dst "
            + "\(key.second.addressText) --dst-nat "
            + "\(key.first.addressText)"
        ])
    }
  }

  // MARK: Sources

  private func unansweredSources() -> [TableFinding] {
    let many = unreplied.keys(atLeast: TableDiagnosis.fewUnreplied).filter { key, count in
      Double(count) >= Double(sources[key]) * TableDiagnosis.unrepliedShare
    }
    return many.prefix(TableDiagnosis.named).map { key, count in
      let services = unrepliedServices.keys(atLeast: 1).lazy.filter { $0.key.first == key }
        .prefix(TableDiagnosis.named)
      return TableFinding(
        .unreplied, .warning,
        "\(key.text) has many entries that nobody answered: a scan, a flood, or a way back that is "
          + "broken.",
        evidence: [
          "\(atLeast(count, unreplied.largestError)) of its \(max(sources[key], count)) entries "
            + "are UNREPLIED"
        ]
          + services.map { service, count in
            "\(atLeast(count, unrepliedServices.largestError)) of them to \(service.second.text)"
          },
        advice: [
          "See where they go: conntrack -L -u UNREPLIED -s \(key.addressText)",
          "If they are not wanted, drop them before they are tracked (raw table), or do not track "
            + "them; if they are, look for where the answers get lost.",
        ])
    }
  }
}

extension TableParty {
  /// The address alone, as conntrack takes it.
  fileprivate var addressText: String { address?.text(family) ?? "" }
}
