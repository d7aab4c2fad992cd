// `weir doctor`: looks at a table and its counters and says what is wrong, with what shows it and what to do.

import ArgumentParser
import Conntrack
import Foundation
import TableControl

#if os(Linux)
  import Gateway
  import KernelTable
#endif

struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Say what is wrong with a table of connections, and what to do about it.",
    discussion: """
      Exit status: 0 where nothing was found, 1 where something was, 2 where the table cannot be looked at.
      """)

  @Flag(help: "The running kernel's table (Linux, as root).")
  var kernel = false

  @Option(
    help: ArgumentHelp(
      "The table of the gateway that listens there; without any of the three: of the one that listens "
        + "on /run/weir.sock.", valueName: "SOCKET"))
  var control: String?

  @Option(
    help: ArgumentHelp(
      "The table a capture leaves behind: pcap or pcapng, gzip too; - is standard input.",
      valueName: "FILE"))
  var capture: String?

  @Flag(help: "One JSON object instead of text (docs/doctor.md).")
  var json = false

  @OptionGroup(title: "With --capture") var host: HostOptions

  /// How long the counters are watched for growth, seconds.
  private static let watched = 1.0

  func validate() throws {
    if [kernel, control != nil, capture != nil].filter({ $0 }).count > 1 {
      throw ValidationError("--kernel, --control or --capture: one of them")
    }
  }

  func run() throws {
    let report: DoctorReport
    do {
      report = try examine()
    } catch let error as TableError {
      throw Failure.unusable("weir doctor: \(error.reason(.other))")
    }
    print(json ? report.json : report.text)
    if !report.findings.isEmpty { Foreign.exit(1) }
  }

  private func examine() throws -> DoctorReport {
    if let capture {
      return try DoctorReport(of: ReplayTable(capture, host), watching: nil)
    }
    #if os(Linux)
      if kernel {
        var table = try KernelTable()
        let rules = KernelRules.read()
        table.ruleSource = { rules.facts }
        var report = try DoctorReport(of: table, watching: Self.watched)
        report.unchecked += rules.notes
        return report
      }
      return try DoctorReport(
        of: GatewayTable(control ?? ControlServer.defaultPath), watching: Self.watched)
    #else
      throw Failure.unusable("weir doctor: --capture FILE says whose table to look at")
    #endif
  }
}

/// What was found, as text and as JSON.
struct DoctorReport: Encodable {
  var entries: Int
  /// Absent where it is not known, or there is none.
  var limit: Int64?
  var findings: [TableFinding]
  var unchecked: [String]

  /// - Parameter seconds: how long counters are watched; nil for a table that stands still.
  init<Table: DiagnosedTable>(of table: consuming Table, watching seconds: Double?) throws {
    var table = table
    let surroundings = try table.surroundings()
    let before = try table.statistics().total
    let began = Date()
    var diagnosis = TableDiagnosis(surroundings)
    try table.list(ListRequest()) { diagnosis.add($0) }
    if let seconds {
      Thread.sleep(forTimeInterval: max(seconds - Date().timeIntervalSince(began), 0))
    }
    let after = try table.statistics().total
    entries = diagnosis.entries
    limit = surroundings.settings.flatMap { $0.max > 0 ? $0.max : nil }
    findings = diagnosis.findings(before: before, after: after)
    unchecked = diagnosis.unchecked
  }

  var json: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // Strings and numbers always encode.
    return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
  }

  var text: String {
    var paragraphs = findings.map { finding in
      (["\(finding.severity.rawValue): \(finding.summary)"] + finding.evidence.map { "  " + $0 }
        + finding.advice.map { "  -> " + $0 })
        .joined(separator: "\n")
    }
    if findings.isEmpty {
      let of = limit.map { " of \($0)" } ?? ""
      paragraphs.append("Nothing is wrong that could be seen: \(entries)\(of) entries.")
    }
    if !unchecked.isEmpty {
      paragraphs.append(unchecked.map { "not checked: \($0)" }.joined(separator: "\n"))
    }
    return paragraphs.joined(separator: "\n\n")
  }
}

extension [ProcessorStatistics] {
  /// The counters that `weir doctor` looks at, of all processors together.
  fileprivate var total: ConntrackStatistics {
    reduce(into: ConntrackStatistics()) { sum, one in
      sum.drop += one.connections.drop
      sum.earlyDrop += one.connections.earlyDrop
      sum.insertFailed += one.connections.insertFailed
    }
  }
}
