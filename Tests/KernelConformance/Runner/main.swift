// `weir-conformance`: sends packets to the running kernel and to Weir in lockstep, and tells where they
// differ. See docs/conformance.md.

#if os(Linux)
  import Conformance
  import Foundation

  func number<Number: FixedWidthInteger>(_ name: String) -> Number? {
    ProcessInfo.processInfo.environment[name].flatMap { Number($0) }
  }

  if let obstacle = Conformance.obstacle {
    print("cannot run: \(obstacle)")
    exit(2)
  }
  do {
    let laboratory = try Conformance()
    // Files named are cases to run; without any, cases are made.
    let files = CommandLine.arguments.dropFirst()
    var failed = false
    for path in files {
      let text = try String(contentsOfFile: path, encoding: .utf8)
      if ProcessInfo.processInfo.environment["SHOW"] != nil {
        print(try laboratory.script(name: path, text: text))
        continue
      }
      let difference = try laboratory.runFile(name: path, text: text)
      print(difference ?? "\(path): no difference")
      if difference != nil { failed = true }
    }
    if files.isEmpty {
      var options = ConformanceOptions()
      if let seed: UInt64 = number("SEED") { options.seed = seed }
      if let packets: Int = number("PACKETS") { options.packets = packets }
      if let most: Int = number("DIFFERENCES") { options.mostDifferences = most }
      if let only = ProcessInfo.processInfo.environment["ONLY"] {
        options.only = only.split { ", ".contains($0) }.map(String.init)
        let known = Conformance.generators.map(\.name)
        for name in options.only where !known.contains(name) {
          print(
            "ONLY: no generator is called `\(name)`; there are \(known.joined(separator: ", "))")
          exit(2)
        }
      }
      let report = try laboratory.run(options) { print($0) }
      print(report.text)
      failed = !report.differences.isEmpty
    }
    exit(failed ? 1 : 0)
  } catch {
    print("error: \(error)")
    exit(2)
  }
#else
  print("cannot run: the Linux kernel is what Weir is compared with here")
#endif
