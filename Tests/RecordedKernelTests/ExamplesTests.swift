// Replays every capture in Examples/ and holds the result against what the kernel of the router it
// was taken on said at the end: its table, and the counters of every rule.

import Capture
import Conntrack
import ConntrackFormat
import Foundation
import HostSnapshot
import Replay
import Ruleset
import Testing

@Suite struct ExamplesTests {
  static let names = ["home-router", "port-forward", "scan", "long-download"]

  /// Where a test file lies tells where the package is.
  static let package = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  struct Run {
    var table: [Connection]
    var summary: ReplaySummary
    var counters: [String]
  }

  static func text(_ path: String) throws -> String {
    try String(contentsOf: package.appending(path: path), encoding: .utf8)
  }

  /// Replays an example up to the moment the kernel's table was read.
  static func run(_ name: String) throws -> Run {
    let folder = package.appending(path: "Examples/\(name)")
    let snapshot = try HostSnapshot(folder: folder.appending(path: "host").path)
    var ruleset = Ruleset()
    try ruleset.apply(snapshot.rules4?.text ?? "", file: "rules.v4", family: .ipv4)
    try ruleset.apply(snapshot.rules6?.text ?? "", file: "rules.v6", family: .ipv6)
    var settings = ConntrackSettings()
    for entry in ConntrackSettings.entries {
      if let value = snapshot.configuration.sysctls.text(entry.name) {
        try settings.set(entry.name, to: value)
      }
    }
    var session = try ReplaySession(
      ruleset: ruleset, snapshot: snapshot, settings: settings, seed: 1,
      options: ReplayOptions())
    var reader = try CaptureReader(path: folder.appending(path: "capture.pcapng").path)
    while let frame = try reader.next() {
      _ = session.report(frame, reader.frameBytes, in: reader.interfaces)
    }
    session.firewall.advance(to: try tableRead(name))
    let table = session.firewall.tracker.connections()
    let counters = session.firewall.countedRules()
    return Run(
      table: table, summary: session.finish(),
      counters: countLines(counters.ipv4.saveText(counters: true))
        + countLines(counters.ipv6.saveText(counters: true)))
  }

  static func tableRead(_ name: String) throws -> Int64 {
    let text = try text("Examples/\(name)/kernel-time.txt")
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("table-read") })
    let number = line.split(separator: "=")[1].trimmingCharacters(in: .whitespaces)
    let parts = number.split(separator: ".")
    return try #require(Int64(parts[0])) * 1_000_000_000 + #require(Int64(parts[1]))
  }

  /// The lines that carry counters, comments and table names left out.
  static func countLines(_ text: String) -> [String] {
    text.split(separator: "\n").map(String.init).filter { $0.contains("[") }
  }

  /// A table line without the seconds left, and those.
  static func split(_ line: String) -> (line: String, seconds: Int) {
    var words = line.split(separator: " ").map(String.init)
    let seconds = Int(words[4]) ?? -1
    words[4] = "T"
    return (words.joined(separator: " "), seconds)
  }

  @Test(arguments: names)
  func tableIsTheKernels(_ name: String) throws {
    var output = ConntrackOutput()
    output.extended = true
    let writer = ConnectionWriter(output)
    let ours = try Self.run(name).table.map { Self.split(writer.line($0)) }
      .sorted { $0.line < $1.line }
    let kernels = try Self.text("Examples/\(name)/kernel.txt").split(separator: "\n")
      .map { Self.split(String($0)) }.sorted { $0.line < $1.line }
    #expect(ours.map(\.line) == kernels.map(\.line))
    for (mine, kernel) in zip(ours, kernels) where mine.line == kernel.line {
      #expect(abs(mine.seconds - kernel.seconds) <= 1, "\(mine) and \(kernel)")
    }
  }

  @Test(arguments: names)
  func rulesCountAsTheKernels(_ name: String) throws {
    let ours = try Self.run(name).counters
    let kernels =
      try Self.countLines(Self.text("Examples/\(name)/kernel-counters.v4"))
      + Self.countLines(Self.text("Examples/\(name)/kernel-counters.v6"))
    #expect(ours == kernels)
  }

  @Test(arguments: names)
  func everyForwardedPacketIsSeenLeaving(_ name: String) throws {
    let summary = try Self.run(name).summary
    #expect(summary.seenLeaving > 0)
    #expect(summary.unexplained == 0)
    #expect(summary.notSeenLeaving == 0)
  }
}
