// The running kernel against Weir: kept cases first, then a bounded run of made ones. Needs root and
// Linux; elsewhere the tests are skipped and say what was not run.

import Conformance
import Foundation
import Testing

@Suite(.serialized) struct ConformanceTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Cases")

  static var files: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".case") }.sorted()
  }

  #if os(Linux)
    static let obstacle = Conformance.obstacle
  #else
    static let obstacle: String? = "it needs the Linux kernel"
  #endif

  static var skipText: Comment {
    "\(files.count) kept cases and all made ones are skipped: \(obstacle ?? "")"
  }

  #if os(Linux)
    @Test(.enabled(if: obstacle == nil, skipText))
    func keptCases() throws {
      let laboratory = try Conformance()
      for name in Self.files {
        let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
        if try Conformance.isOutOfReach(name: name, text: text) {
          print("\(name) is skipped: only the first network namespace sets its limits")
          continue
        }
        let difference = try laboratory.runFile(name: name, text: text)
        if name.hasPrefix("known-") {
          // Where Weir is known to be wrong. When this fails, it is no longer: rename the file.
          let agrees = difference == nil
          withKnownIssue("\(name)") { #expect(agrees) }
        } else {
          #expect(difference == nil, "\(difference ?? "")")
        }
      }
    }

    @Test(.enabled(if: obstacle == nil, skipText))
    func madeCases() throws {
      let laboratory = try Conformance()
      var options = ConformanceOptions()
      // Always the same cases, so that what is tested does not depend on the machine's speed; the time is
      // a bound for slow ones. `make conformance` is for others.
      options.seed = 71
      options.packets = 5000
      options.seconds = 75
      options.mostDifferences = 3
      let report = try laboratory.run(options) { print($0) }
      print(report.text)
      #expect(report.differences.isEmpty)
      #expect(report.packets > 0)
    }
  #else
    @Test(.enabled(if: false, skipText)) func keptCases() {}
  #endif
}
