// What goes wrong around a gateway, and what comes of it: rules loaded again, restarts, kills, links and
// interfaces that go and come.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct FaultTests {
    /// Fetches a large file slowly in the background; its checksum ends up in a file.
    private func startTransfer(_ lab: Laboratory, seconds: Int) {
      let rate = 4 << 20
      let size = rate * seconds
      shell("head -c \(size) /dev/zero > \(lab.folder)/www-s/slow")
      lab.start(
        "c",
        "curl -sS --limit-rate \(rate) http://203.0.113.10/slow | wc -c > \(lab.folder)/got")
      #expect(lab.until { lab.server("ss -Htn state established").output.contains(":80") })
    }

    private func transferred(_ lab: Laboratory, seconds: Int) -> Bool {
      lab.until(seconds: 15) {
        let text = (try? String(contentsOfFile: lab.folder + "/got", encoding: .utf8)) ?? ""
        return text.trimmingCharacters(in: .whitespacesAndNewlines) == "\((4 << 20) * seconds)"
      }
    }

    private func fetches(_ lab: Laboratory) -> Bool {
      lab.client("curl -sS -m 2 http://203.0.113.10/").output == "hello, world"
    }

    @Test(arguments: [RouterKind.packet, .xdp, .tun])
    func reloadDuringTransfer(_ kind: RouterKind) throws {
      let lab = try Laboratory(kind)
      try lab.serveWeb("s", megabytes: 1)
      startTransfer(lab, seconds: 3)
      // A slip of the pen changes nothing, and is named.
      try lab.write("rules.v4", Laboratory.rules + "*filter\n-A FORWARD -j ACEPT\nCOMMIT\n")
      lab.signal(SIGHUP)
      #expect(lab.until { lab.count("the old rules stay in force") == 1 }, "\(lab.log)")
      let line = Laboratory.rules.split(separator: "\n").count + 2
      #expect(lab.log.contains("rules.v4:\(line):"), "\(lab.log)")
      #expect(fetches(lab))
      // New connections are refused by the new rules, the one under way is not.
      try lab.write(
        "rules.v4",
        Laboratory.rules.replacingOccurrences(
          of: "-A FORWARD -i lan -o wan -j ACCEPT",
          with: "-A FORWARD -i lan -o wan -j REJECT --reject-with icmp-port-unreachable"))
      lab.signal(SIGHUP)
      #expect(lab.until { lab.count("the rules were loaded again") == 1 }, "\(lab.log)")
      #expect(!fetches(lab))
      #expect(transferred(lab, seconds: 3))
      #expect(lab.stop() == 0)
    }

    /// A connection goes on through a restart and through a kill, though rules let nothing begin in the
    /// middle.
    @Test(arguments: [RouterKind.packet, .xdp])
    func restart(_ kind: RouterKind) throws {
      let lab = try Laboratory(kind)
      let state = lab.folder + "/state"
      lab.options = ["--state", state, "--set", "net.netfilter.nf_conntrack_tcp_loose=0"]
      lab.stop()
      try lab.start()
      try lab.serveWeb("s", megabytes: 1)
      startTransfer(lab, seconds: 6)
      #expect(lab.stop() == 0, "\(lab.log)")
      try lab.start()
      #expect(lab.log.contains("connections are known again"), "\(lab.log)")
      let mode = try FileManager.default.attributesOfItem(atPath: state)[.posixPermissions] as? Int
      #expect(mode == 0o600)
      // Written once a second: what is older than that outlives a kill.
      let before = try Data(contentsOf: URL(fileURLWithPath: state))
      #expect(lab.until { (try? Data(contentsOf: URL(fileURLWithPath: state))) != before })
      lab.signal(SIGKILL)
      lab.waitForEnd()
      #expect(!lab.router("ip link show lan").output.contains("xdp"))
      try lab.start()
      #expect(lab.router("ip link show lan").output.contains("xdp") == (kind == .xdp))
      #expect(transferred(lab, seconds: 6), "\(lab.log)")
      // Nobody is fooled by a damaged file.
      lab.stop()
      try Data(before.dropLast(3)).write(to: URL(fileURLWithPath: state))
      try lab.start()
      #expect(lab.log.contains("state: is damaged; the table begins empty"), "\(lab.log)")
      #expect(fetches(lab))
    }

    @Test(arguments: [RouterKind.packet, .xdp, .xdpGeneric])
    func linkDownAndInterfaceGone(_ kind: RouterKind) throws {
      let lab = try Laboratory(kind)
      try lab.serveWeb("s", megabytes: 1)
      #expect(fetches(lab))
      lab.router("ip link set wan down")
      #expect(lab.until { lab.log.contains("wan: the link is down") }, "\(lab.log)")
      #expect(!fetches(lab))
      lab.router("ip link set wan up")
      #expect(lab.until { lab.log.contains("wan: the link is up") }, "\(lab.log)")
      #expect(lab.until { fetches(lab) }, "\(lab.log)")

      lab.router("ip link del lan")
      #expect(lab.until { lab.log.contains("lan: the interface is gone") }, "\(lab.log)")
      lab.rewireClient()
      #expect(lab.until { lab.log.contains("lan: the interface is back") }, "\(lab.log)")
      #expect(lab.until { fetches(lab) }, "\(lab.log)")
      #expect(lab.stop() == 0)
    }

    /// A full table makes room for connections that are answered, and lives through a flood of SYNs.
    @Test func floodOfSYNs() throws {
      let lab = try Laboratory(.packet)
      lab.options = [
        "--set", "net.netfilter.nf_conntrack_max=2000", "--set",
        "net.netfilter.nf_conntrack_buckets=512",
      ]
      lab.stop()
      try lab.start()
      try lab.serveWeb("s", megabytes: 1)
      // Half open connections to an address behind the server that drops them.
      lab.server("iptables -A INPUT -p tcp --dport 1000:60000 -j DROP")
      lab.client("nmap -n -Pn -sS -T5 --max-retries 0 -p 1000-9000 203.0.113.10", timeout: 15)
      var good = 0
      for _ in 0..<10 where fetches(lab) { good += 1 }
      #expect(good >= 9, "\(good) of 10")
      #expect(lab.stop() == 0, "\(lab.log)")
    }

    /// After the start the gateway may do to the network what a port needs, and nothing else.
    @Test func privileges() throws {
      let lab = try Laboratory(.packet)
      // The thread that the process began with ends at once, and stays on show.
      let tasks = shell(
        "for t in /proc/\(lab.processID)/task/*; do grep -q \"^State:.*Z\" $t/status || "
          + "grep CapEff $t/status; done | sort -u"
      ).output
      // CAP_NET_ADMIN (12) and CAP_NET_RAW (13), in each of its threads.
      #expect(tasks == "CapEff:\t0000000000003000\n")
    }

    /// The socket is one gateway's: a second one touches nothing, and the first goes on.
    @Test func aSecondGatewayOnTheSameSocket() throws {
      let lab = try Laboratory(.packet)
      let second = lab.router(
        "\(lab.weir) run --control \(lab.folder)/control.sock --port lan=packet:lan", timeout: 5)
      #expect(second.status == 1)
      #expect(second.output.contains("another gateway already listens"), "\(second.output)")
      let conntrack = "\(lab.weir) conntrack --control \(lab.folder)/control.sock"
      #expect(lab.client("ping -n -c 1 -W 2 203.0.113.10").status == 0)
      let listed = shell("\(conntrack) -L -p icmp 2>&1").output
      #expect(listed.contains("dst=203.0.113.10 type=8"), "\(listed)")
      #expect(listed.contains("1 flow entries have been shown"))
      let deleted = shell("\(conntrack) -D -d 203.0.113.10 2>&1").output
      #expect(deleted.contains("1 flow entries have been deleted"), "\(deleted)")
      #expect(shell("\(lab.weir) reload --control \(lab.folder)/control.sock").status == 0)
      #expect(lab.client("ping -n -c 1 -W 2 203.0.113.10").status == 0)
    }

    @Test func refusesWhatCannotBe() throws {
      let lab = try Laboratory(.packet)
      func run(_ words: String) -> CommandResult {
        lab.router("\(lab.weir) run --control \(lab.folder)/other.sock \(words)", timeout: 5)
      }
      let cases = [
        ("--port lan=packet:nowhere", "packet:nowhere: No such device"),
        ("--port lan=xdp:nowhere", "xdp:nowhere: No such device"),
        ("--port lan=tin:x", "expected NAME=KIND:DEVICE"),
        ("--port lan=packet:lan --port lan=packet:wan", "there are two ports `lan`"),
        ("--port lan=packet:lan --address wan=10.0.0.1/8", "there is no port `wan`"),
        ("--port lan=packet:lan --route default=10.0.0.1", "expected NETWORK=GATEWAY@PORT"),
        ("--port lan=packet:lan --workers 2", "only 1 is possible"),
        ("--port lan=packet:lan --rules /nowhere", "/nowhere"),
      ]
      for (words, answer) in cases {
        let result = run(words)
        #expect(result.status != 0 && result.status != 124, "\(words)")
        #expect(result.output.contains(answer), "\(words): \(result.output)")
      }
    }
  }
#endif
