// `weir top` on a running gateway and on the kernel's table: what it says of known traffic, and that it gives
// the terminal back as it was, however it ends.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct TopTests {
    private struct Report: Decodable {
      struct Holder: Decodable, Equatable {
        var name: String
        var entries: Int
      }
      struct Flow: Decodable {
        var source: String
        var destination: String
        var translatedFrom: String?
        var packetsPerSecond: Double
      }
      struct Ports: Decodable {
        var address: String
        var used: Int
      }
      struct Drop: Decodable {
        var reason: String
        var packets: UInt64
      }
      var entries: Int
      var isCounted: Bool
      var acceptedPerSecond: Double?
      var byPackets: [Flow]
      var services: [Holder]
      var rules: [Holder]?
      var ports: [Ports]
      var drops: [Drop]
    }

    /// Traffic of every kind, and what `weir top` says of it meanwhile.
    private func report(_ lab: Laboratory, _ words: String) throws -> Report {
      lab.start("c", "exec ping -q -n -i 0.02 203.0.113.10")
      #expect(lab.until { lab.client("ping -n -c 1 -W 1 203.0.113.10").status == 0 })
      for _ in 0..<3 { lab.client("curl -sS -m 2 http://203.0.113.10:9999/") }
      lab.client("curl -sS -m 2 http://203.0.113.10/")
      lab.server("curl -sS -m 1 http://203.0.113.2:23/")
      let result = lab.router("\(lab.weir) top \(words) --once --interval 1 --json")
      #expect(result.status == 0, "\(result.output)")
      return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    @Test func saysWhatIsGoingOn() throws {
      let lab = try Laboratory(
        .packet, options: ["--set", "net.netfilter.nf_conntrack_acct=1"])
      try lab.serveWeb("s", megabytes: 1)
      let control = lab.folder + "/control.sock"
      let report = try report(lab, "--control \(control)")
      #expect(report.isCounted)
      #expect(report.acceptedPerSecond ?? 0 > 20)
      let fastest = try #require(report.byPackets.first)
      #expect(fastest.source == "192.168.1.5" && fastest.destination == "203.0.113.10")
      #expect(fastest.translatedFrom == "203.0.113.2" && fastest.packetsPerSecond > 20)
      #expect(report.services.contains(Report.Holder(name: "tcp port 80", entries: 1)))
      #expect(report.ports.map(\.address) == ["203.0.113.2"])
      // Whatever is in the table, one rule let it in.
      #expect(report.rules?.count == 1 && report.rules?[0].entries == report.entries)
      #expect(report.rules?[0].name.hasSuffix("-A FORWARD -i lan -o wan -j ACCEPT") == true)
      let rejected = report.drops.first { $0.reason.hasPrefix("rejected by rule 3 of filter") }
      #expect(rejected?.packets == 3)
      let dropped = report.drops.first { $0.reason.hasPrefix("dropped by rule 1 of filter INPUT") }
      #expect(dropped?.packets ?? 0 >= 1)

      // Other rules: what was let in by the old ones is said to be.
      try lab.write(
        "rules.v4", Laboratory.rules.replacingOccurrences(of: "--dport 9999", with: "--dport 9998"))
      lab.router("\(lab.weir) reload --control \(control)")
      let text = lab.router("\(lab.weir) top --control \(control) --once --interval 0.1").output
      #expect(text.contains("rules that were replaced"), "\(text)")
      #expect(text.contains("dropped by rules that were replaced"), "\(text)")
      #expect(text.hasPrefix("weir top  \(control)  "))
    }

    @Test func ofTheKernel() throws {
      let lab = try Laboratory(.kernel)
      lab.router("sysctl -qw net.netfilter.nf_conntrack_acct=1")
      try lab.serveWeb("s", megabytes: 1)
      let report = try report(lab, "--kernel")
      #expect(report.isCounted && report.entries >= 2)
      #expect(report.byPackets.first?.translatedFrom == "203.0.113.2")
      #expect(report.services.contains(Report.Holder(name: "tcp port 80", entries: 1)))
    }

    /// `weir top` on a terminal of its own: what it wrote and how it ended.
    private func onTerminal(
      _ lab: Laboratory, keys: String, _ words: String
    ) throws -> CommandResult {
      try? FileManager.default.removeItem(atPath: lab.folder + "/pid")
      try lab.write(
        "top.sh",
        """
        cd \(lab.folder)
        stty rows 30 cols 120
        stty -a > before
        (echo $BASHPID > pid; exec \(lab.weir) top \(words))
        echo ended with $?
        stty -a > after
        cmp before after && echo the same

        """)
      return lab.router("(\(keys)) | script -qec \"bash \(lab.folder)/top.sh\" /dev/null")
    }

    @Test func givesTheTerminalBack() throws {
      let lab = try Laboratory(.packet)
      let words = "--control \(lab.folder)/control.sock --interval 0.3"
      let quit = try onTerminal(
        lab,
        keys: "sleep 1; printf s; sleep 0.5; printf f; sleep 0.5; printf p; sleep 0.5; printf q",
        words)
      #expect(quit.output.contains("by bytes a second"))
      #expect(quit.output.contains("by packets a second"))
      #expect(quit.output.contains(", IPv4 only"))
      #expect(quit.output.contains(", paused"))
      // The other screen is left, the cursor shown again.
      #expect(quit.output.contains("\u{1B}[?25h\u{1B}[?1049l"))
      #expect(quit.output.contains("ended with 0"), "\(quit.output)")
      #expect(quit.output.contains("the same"), "\(quit.output)")

      for (signal, status) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        lab.start(
          "r", "sleep 1.5; kill -\(signal) $(cat \(lab.folder)/pid)")
        let ended = try onTerminal(lab, keys: "sleep 4", words)
        #expect(ended.output.contains("ended with \(status)"), "\(signal): \(ended.output)")
        #expect(ended.output.contains("the same"), "\(signal): \(ended.output)")
      }
      // The gateway goes meanwhile.
      lab.start("r", "sleep 1.5; kill -9 \(lab.processID)")
      let failed = try onTerminal(lab, keys: "sleep 4", words)
      lab.waitForEnd()
      #expect(failed.output.contains("weir top: the gateway has closed the connection"))
      #expect(failed.output.contains("ended with 1"), "\(failed.output)")
      #expect(failed.output.contains("the same"), "\(failed.output)")
      // No terminal.
      let none = lab.router("\(lab.weir) top --kernel")
      #expect(none.status == 2 && none.output.contains("--once"), "\(none.output)")
    }
  }
#endif
