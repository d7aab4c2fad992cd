// `weir doctor --kernel` on a table of the kernel's own, in a network namespace: what it says of a source that
// nobody answers, and of a table without fault. Needs root, Linux and conntrack 1.4.7.

import Conformance
import Foundation
import Testing

@Suite(.serialized) struct DoctorCommandTests {
  @Test(.enabled(if: ConntrackCommandTests.obstacle == nil, ConntrackCommandTests.skipText))
  func namesTheSourceThatNobodyAnswers() throws {
    let weir = try #require(ConntrackCommandTests.command)
    let namespace = try ConntrackCommandTests.Namespace("weirdoctor")
    let quiet = try namespace.run([weir, "doctor", "--kernel"])
    #expect(quiet.status == 0, "\(quiet)")

    let file = FileManager.default.temporaryDirectory
      .appending(path: "weir-doctor-\(ProcessInfo.processInfo.processIdentifier).load")
    defer { try? FileManager.default.removeItem(at: file) }
    let lines = (0..<300).map {
      "-I -s 192.0.2.66 -d 198.51.100.1 -p tcp --sport \(2000 + $0) --dport 22 --state SYN_SENT -t 100\n"
    }
    try lines.joined().write(to: file, atomically: true, encoding: .utf8)
    let loaded = try namespace.run(["/usr/sbin/conntrack", "-R", file.path])
    #expect(loaded.status == 0, "\(loaded)")

    let found = try namespace.run([weir, "doctor", "--kernel", "--json"])
    #expect(found.status == 1, "\(found)")
    let line = try #require(found.output.first)
    let report = try JSONDecoder().decode(Report.self, from: Data(line.utf8))
    #expect(report.entries == 300)
    #expect(report.findings.map(\.kind) == ["unreplied"])
    #expect(report.findings.first?.summary.hasPrefix("192.0.2.66 ") == true)
    #expect(report.findings.first?.evidence.contains("300 of them to tcp port 22") == true)

    let text = try namespace.run([weir, "doctor", "--kernel"])
    #expect(text.status == 1)
    #expect(text.output.contains { $0.hasPrefix("warning: 192.0.2.66 has many entries") })
  }

  private struct Report: Decodable {
    struct Finding: Decodable {
      var kind: String
      var summary: String
      var evidence: [String]
    }

    var entries: Int
    var findings: [Finding]
  }
}
