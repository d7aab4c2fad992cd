// What a client sees through Weir is what it sees through the kernel's own router with the same rules.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct ClientTests {
    /// Each line a question and what its programs said, without what differs from run to run.
    private func transcript(_ kind: RouterKind) throws -> [String] {
      let lab = try Laboratory(kind, mtu: 1400)
      try lab.serveWeb("s")
      try lab.serveWeb("c", megabytes: 1)
      lab.start(
        "s", "exec dnsmasq -k -C /dev/null --no-resolv --address=/x.test/192.0.2.7 --user=root")
      // IPv6's addresses are not usable at once.
      #expect(lab.until { lab.client("ping -n -c 1 -W 1 2001:db8:9::10").status == 0 })
      var lines: [String] = []
      func note(_ what: String, _ result: CommandResult) {
        let text = result.output.split(separator: "\n").map {
          $0.trimmingCharacters(in: .whitespaces)
        }.filter { !$0.isEmpty }
        lines.append("\(what): [\(result.status)] " + text.joined(separator: " | "))
      }
      let times = "sed -E \"s/time=[0-9.]+ ms//; s/[0-9.]+ ms//g; /rtt|statistics|received/d\""

      note("page", lab.client("curl -sS -m 5 http://203.0.113.10/"))
      note("page over IPv6", lab.client("curl -sS -m 5 http://[2001:db8:9::10]/"))
      note("large", lab.client("curl -sS -m 10 http://203.0.113.10/large | md5sum"))
      lines[lines.count - 1] = lines[lines.count - 1].replacingOccurrences(
        of: shell("md5sum < \(lab.folder)/www-s/large").output.prefix(32), with: "the same")
      note(
        "who came", shell("cut -d\" \" -f1 \(lab.folder)/www-s/access.log | sort | uniq -c"))
      note("ping", lab.client("ping -n -c 2 -i 0.1 -W 2 203.0.113.10 | \(times)"))
      note("ping over IPv6", lab.client("ping -n -c 2 -i 0.1 -W 2 2001:db8:9::10 | \(times)"))
      note("router", lab.client("ping -n -c 1 -W 2 192.168.1.1 | \(times)"))
      note("router over IPv6", lab.client("ping -n -c 1 -W 2 fd00:1::1 | \(times)"))
      note("traceroute", lab.client("traceroute -n -q 1 -w 2 203.0.113.10 | \(times)"))
      note(
        "traceroute over IPv6", lab.client("traceroute -6 -n -q 1 -w 2 2001:db8:9::10 | \(times)"))
      note("too long", lab.client("ping -n -c 1 -W 2 -M do -s 1422 203.0.113.10 | \(times)"))
      note("then", lab.client("ping -n -c 1 -W 2 -M do -s 1400 203.0.113.10 2>&1 | \(times)"))
      note("fragments", lab.client("ping -n -c 1 -W 2 -M dont -s 3000 203.0.113.10 | \(times)"))
      note(
        "path MTU over IPv6",
        lab.client("ping -n -c 1 -W 2 -M do -s 1400 2001:db8:9::10 | \(times)"))
      note("dig", lab.client("dig +short +tries=1 +time=2 @203.0.113.10 x.test"))
      note("dig over TCP", lab.client("dig +tcp +short +tries=1 +time=2 @203.0.113.10 x.test"))
      note(
        "closed", lab.client("curl -sS -m 5 http://203.0.113.10:81/ 2>&1 | sed \"s/after.*ms//\""))
      note(
        "rejected",
        lab.client("curl -sS -m 5 http://203.0.113.10:9999/ 2>&1 | sed \"s/after.*ms//\""))
      note(
        "router's port",
        lab.client("curl -sS -m 5 http://192.168.1.1/ 2>&1 | sed \"s/after.*ms//\""))
      note("in by DNAT", lab.server("curl -sS -m 5 http://203.0.113.2:8081/"))
      note(
        "in without", lab.server("curl -sS -m 1 http://192.168.1.5/ 2>&1 | sed \"s/after.*//\""))
      note(
        "scan", lab.server("nmap -n -Pn -sS -p 23,80,8081 203.0.113.2 | grep -E ^[0-9]+/tcp"))
      note("nobody there", lab.client("ping -n -c 1 -W 4 203.0.113.77 | \(times)"))
      if kind != .kernel { #expect(lab.stop() == 0, "\(lab.log)") }
      return lines
    }

    @Test func sameAsThroughTheKernel() throws {
      let kernel = try transcript(.kernel)
      #expect(kernel[0].hasSuffix("hello, world"), "\(kernel)")
      #expect(kernel.contains { $0.hasPrefix("who came: [0] ") && $0.contains("203.0.113.2") })
      for kind in [RouterKind.packet, .xdp, .xdpGeneric] {
        let weir = try transcript(kind)
        for (kernel, weir) in zip(kernel, weir) { #expect(weir == kernel, "\(kind)") }
        #expect(weir.count == kernel.count)
      }
      let nfqueue = try transcript(.nfqueue)
      for (kernel, nfqueue) in zip(kernel, nfqueue) { #expect(nfqueue == kernel) }
      #expect(nfqueue.count == kernel.count)
      let tun = try transcript(.tun)
      for (kernel, tun) in zip(kernel, tun) {
        // On a TUN interface there are no neighbours to be missing.
        if kernel.hasPrefix("nobody there") { continue }
        #expect(tun == kernel)
      }
    }
  }
#endif
