// The instrument as a whole: cases from the generators and from files, through both sides, differences
// shrunk and kept. For `make conformance` and for the tests.

#if os(Linux)
  import Foundation

  package struct ConformanceOptions: Sendable {
    package var seed: UInt64 = 1
    /// Altogether, over all generators.
    package var packets = 10_000
    /// Names of generators; empty: all.
    package var only: [String] = []
    /// Stop after so many seconds, whatever has been sent.
    package var seconds: Int?
    /// Stop after so many differences.
    package var mostDifferences = 10
    /// Where differences are saved.
    package var folder = ".build/conformance"

    package init() {}
  }

  package struct ConformanceReport: Sendable {
    package var cases = 0
    package var packets = 0
    /// Each as it is printed, and where it was saved.
    package var differences: [String] = []
    /// Cases that differed once and not again.
    package var unrepeatable: [String] = []
    package var text = ""
  }

  package final class Conformance {
    private let kernels: KernelSides
    private var tally = Tally()

    /// Builds the router. Its namespaces end with this object, or with the process.
    package init() throws { kernels = KernelSides(try Router()) }

    /// Why it cannot run here; nil where it can.
    package static var obstacle: String? {
      if !System.isRoot { return "it takes root to make network namespaces" }
      let programs = [
        "ip", "ethtool", "nft", "sysctl", "iptables-restore", "ip6tables-restore", "iptables-save",
        "ip6tables-save",
      ]
      let missing = programs.filter { !Command.exists($0) }
      if !missing.isEmpty {
        return "these programs are missing: \(missing.joined(separator: ", "))"
      }
      if (try? System.newNetworkNamespace()) == nil { return "the kernel refuses a new namespace" }
      return nil
    }

    package static var generators: [(name: String, about: String)] {
      CaseGenerator.all.map { ($0.name, $0.about) }
    }

    package var kernelVersion: String { kernels.usual.router.kernelVersion }

    // MARK: Cases of files

    /// One case as a script, with what the two sides said, whether they differ or not.
    package func script(name: String, text: String) throws -> String {
      let test = try ConformanceCase(name: name, text: text)
      let run = try Lockstep(kernels, seed: 1).run(test)
      return Script.text(test, run, run.difference)
    }

    /// Whether a case cannot run here, since it sets limits that are the whole machine's and this process
    /// may not.
    package static func isOutOfReach(name: String, text: String) throws -> Bool {
      try ConformanceCase(name: name, text: text).sysctls.contains(where: RootLimits.isOne)
        && !RootLimits.areSettable
    }

    /// Runs one case. Returns nil where both sides agree, else the difference in words.
    package func runFile(name: String, text: String) throws -> String? {
      let test = try ConformanceCase(name: name, text: text)
      let run = try Lockstep(kernels, seed: 1).run(test)
      return run.difference.map { Script.text(test, run, $0) }
    }

    // MARK: Generated cases

    /// Runs cases of each generator in turn until the packets are sent or the time is over.
    package func run(_ options: ConformanceOptions, log: (String) -> Void) throws
      -> ConformanceReport
    {
      var report = ConformanceReport()
      let lockstep = Lockstep(kernels, seed: options.seed)
      let mayLimit = RootLimits.areSettable
      let generators = CaseGenerator.all.filter {
        let isAsked = options.only.isEmpty || options.only.contains($0.name)
        if isAsked && $0.setsLimits && !mayLimit {
          log("\($0.name) is skipped: only the first network namespace sets nf_conntrack_max")
        }
        return isAsked && (mayLimit || !$0.setsLimits)
      }
      let start = System.now()
      let end = options.seconds.map { start + Int64($0) * 1_000_000_000 } ?? .max
      var sent: [String: Int] = [:]
      var numbers: [String: Int] = [:]
      while report.packets < options.packets && System.now() < end
        && report.differences.count < options.mostDifferences
      {
        // The one that has sent the least is next, so that all get the same share.
        guard
          let generator = generators.min(by: {
            sent[$0.name, default: 0] < sent[$1.name, default: 0]
          }
          )
        else { break }
        let number = numbers[generator.name, default: 0]
        numbers[generator.name] = number + 1
        let test = generator.make(seed: options.seed, number: number)
        let run = try lockstep.run(test)
        report.cases += 1
        report.packets += run.exchanges.count
        sent[generator.name, default: 0] += max(1, run.exchanges.count)
        tally.add(test, run)
        guard let difference = run.difference else { continue }
        if let text = try examine(test, difference, lockstep, options) {
          report.differences.append(text)
          log(text)
        } else {
          report.unrepeatable.append(test.name)
          try save(Script.text(test, run, difference), "\(test.name).once", options)
        }
      }
      let seconds = Double(System.now() - start) / 1e9
      report.text = summary(report, options, seconds)
      return report
    }

    /// Runs a case that differed once more, and shrinks it. Nil where it does not differ again.
    private func examine(
      _ test: ConformanceCase, _ difference: Difference, _ lockstep: Lockstep,
      _ options: ConformanceOptions
    ) throws -> String? {
      guard let again = try lockstep.run(test).difference,
        !again.kinds.isDisjoint(with: difference.kinds)
      else { return nil }
      let shrinker = Shrinker(
        lockstep: lockstep, kinds: again.kinds, deadline: System.now() + 30_000_000_000)
      let smallest = try shrinker.shrink(test, again)
      let run = try lockstep.run(smallest)
      guard let last = run.difference else { return nil }
      let text = Script.text(smallest, run, last)
      let path = try save(text, "\(test.name).case", options)
      return text + "# saved as \(path)\n"
    }

    @discardableResult
    private func save(
      _ text: String, _ name: String, _ options: ConformanceOptions
    ) throws -> String {
      try FileManager.default.createDirectory(
        atPath: options.folder, withIntermediateDirectories: true)
      let path = "\(options.folder)/\(name)"
      try text.write(toFile: path, atomically: false, encoding: .utf8)
      return path
    }

    private func summary(
      _ report: ConformanceReport, _ options: ConformanceOptions, _ seconds: Double
    ) -> String {
      let rate = Int(Double(report.packets) / max(seconds, 0.001))
      var lines = [
        "kernel \(kernelVersion), seed \(options.seed): \(report.packets) packets in "
          + "\(report.cases) cases, \(report.differences.count) differences "
          + "(\(Int(seconds)) s, \(rate) packets/s)"
      ]
      if !report.unrepeatable.isEmpty {
        lines.append(
          "differed once and not again (late, or chosen at random): "
            + report.unrepeatable.joined(separator: ", "))
      }
      return (lines + [tally.text]).joined(separator: "\n")
    }
  }
#endif
