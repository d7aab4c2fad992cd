// A difference as a file that a person reads from top to bottom, and that is at the same time the case:
// what is not the case is in comments.

#if os(Linux)
  enum Script {
    static func text(_ test: ConformanceCase, _ run: Run, _ difference: Difference?) -> String {
      var lines = ["# \(test.name)"]
      lines += [
        "# The router: lan0 10.0.1.1/24 fd00:1::1/64, wan0 198.51.100.1/24 2001:db8:9::1/64"
      ]
      var bare = test
      bare.steps = []
      lines += bare.text.split(separator: "\n").map(String.init)
      for (number, step) in test.steps.enumerated() {
        lines.append(step.text(test.family))
        guard let exchange = run.exchanges.first(where: { $0.step == number }) else { continue }
        lines.append(
          "#   in  \(exchange.sent.port.rawValue) \(PacketWords.line(exchange.sent.bytes))")
        let isLast = number == difference?.step
        for emission in exchange.kernel.emissions where !isLast {
          lines.append("#   out \(emission.port.rawValue) \(PacketWords.line(emission.bytes))")
        }
        if exchange.kernel.emissions.isEmpty && !isLast { lines.append("#   out nothing") }
        lines.append("#   ctstate \(exchange.kernel.ctState)")
        if !isLast { lines += exchange.table.map { "#   \(Comparison.line($0))" } }
      }
      guard let difference else { return lines.joined(separator: "\n") + "\n# no difference\n" }
      let kinds = difference.kinds.sorted().map(\.rawValue).joined(separator: ", ")
      let place =
        difference.step < test.steps.count ? "at the last packet" : "at the end, behind all packets"
      lines.append("# DIFFERENCE \(place): \(kinds)")
      lines += difference.findings.flatMap(\.lines).map { "#   \($0)" }
      if let last = run.exchanges.last(where: { $0.step == difference.step }) {
        lines.append("#   Weir's reason: \(last.engine.reason)")
      }
      return lines.joined(separator: "\n") + "\n"
    }
  }
#endif
