// Programs on the gateway's own machine, over `--local tun:NAME`: what they reach and who reaches them is as
// on a machine whose router is the kernel's own.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct LocalTests {
    static let rules = """
      *nat
      -A PREROUTING -i wan -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80
      -A OUTPUT -d 192.0.2.80/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 203.0.113.10:80
      -A POSTROUTING -o wan -j MASQUERADE
      COMMIT
      *filter
      :INPUT DROP [0:0]
      :FORWARD DROP [0:0]
      :OUTPUT ACCEPT [0:0]
      -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      -A INPUT -i lo -j ACCEPT
      -A INPUT -i lan -p tcp -m tcp --dport 82 -j REJECT --reject-with icmp-admin-prohibited
      -A INPUT -i lan -j ACCEPT
      -A INPUT -i wan -p tcp -m conntrack --ctstate DNAT -j ACCEPT
      -A OUTPUT -p tcp -m tcp --dport 9999 -j REJECT --reject-with icmp-port-unreachable
      COMMIT

      """

    /// A router on which a web server and a name server run; on Weir's, the lines of docs/gateway.md.
    private func lab(_ kind: RouterKind) throws -> Laboratory {
      let lab = try Laboratory(kind, mtu: 1400)
      try lab.write("rules.v4", LocalTests.rules)
      if kind == .kernel {
        lab.router("iptables-restore < \(lab.folder)/rules.v4; ip route add default dev wan")
      } else {
        lab.options = ["--local", "tun:own", "--route", "0.0.0.0/0=@wan"]
        lab.stop()
        try lab.start()
        lab.router(
          """
          nft add table netdev weir
          nft "add chain netdev weir in {
                 type filter hook ingress devices = { lan, wan } priority 0; policy drop; }"
          ip addr add 192.168.1.1/24 dev own
          ip addr add 203.0.113.2/24 dev own
          ip addr add fd00:1::1/64 dev own nodad
          ip addr add 2001:db8:9::2/64 dev own nodad
          ip route add default dev own src 203.0.113.2
          """)
      }
      try lab.serveWeb("r", megabytes: 4)
      try lab.serveWeb("s", megabytes: 4)
      for place in ["r", "s"] {
        lab.start(
          place,
          "exec dnsmasq -k -C /dev/null --no-resolv --address=/x.test/192.0.2.7 --user=root -x "
            + "\(lab.folder)/\(place).pid")
      }
      #expect(
        lab.until { lab.router("dig +short +tries=1 +time=1 @203.0.113.10 x.test").status == 0 })
      #expect(
        lab.until { lab.client("dig +short +tries=1 +time=1 @192.168.1.1 x.test").status == 0 })
      return lab
    }

    private func transcript(_ kind: RouterKind) throws -> [String] {
      let lab = try lab(kind)
      var lines: [String] = []
      let times = "sed -E \"s/time=[0-9.]+ ms//; s/[0-9.]+ ms//g; s/after.*ms//\""
      func note(_ what: String, _ run: (String, Int) -> CommandResult, _ line: String) {
        let result = run("\(line) 2>&1 | \(times) | grep -vE \"rtt|statistics|received|^$\"", 20)
        let text = result.output.replacingOccurrences(of: "\n", with: " | ")
        lines.append("\(what): \(text)")
      }
      let client = { lab.client($0, timeout: $1) }
      let router = { lab.router($0, timeout: $1) }
      let server = { lab.server($0, timeout: $1) }
      let sums = ["r", "s"].map { shell("md5sum < \(lab.folder)/www-\($0)/large").output }

      // From outside.
      note("page", client, "curl -sS -m 5 http://192.168.1.1/")
      note("page over IPv6", client, "curl -sS -m 5 http://[fd00:1::1]/")
      #expect(lab.client("curl -sS -m 9 http://192.168.1.1/large | md5sum").output == sums[0])
      note("name", client, "dig +short +tries=1 +time=2 @192.168.1.1 x.test")
      note("closed", client, "curl -sS -m 3 http://192.168.1.1:81/")
      note("rejected", client, "curl -sS -m 3 http://192.168.1.1:82/")
      note("closed to UDP", client, "nc -u -v -w 1 192.168.1.1 7 < /etc/hostname")
      note("hop", client, "traceroute -n -q 1 -w 2 -m 2 192.168.1.1")
      note("dropped", server, "curl -sS -m 1 http://203.0.113.2/ 2>&1 | cut -d: -f1")
      note("redirected", server, "curl -sS -m 3 http://203.0.113.2:8080/")
      // And to there.
      note("out", router, "curl -sS -m 5 http://203.0.113.10/")
      note("out over IPv6", router, "curl -sS -m 5 http://[2001:db8:9::10]/")
      #expect(lab.router("curl -sS -m 9 http://203.0.113.10/large | md5sum").output == sums[1])
      note("by OUTPUT's DNAT", router, "curl -sS -m 5 http://192.0.2.80/")
      note("masqueraded", router, "curl -sS -m 5 --interface 192.168.1.1 http://203.0.113.10/")
      note("who came", router, "cut -d\" \" -f1 \(lab.folder)/www-s/access.log | sort | uniq -c")
      note("ask", router, "dig +short +tries=1 +time=2 @203.0.113.10 x.test")
      note("ping", router, "ping -n -c 1 -W 2 203.0.113.10")
      note("ping in pieces", router, "ping -n -c 1 -W 2 -s 3000 203.0.113.10")
      note("ping over IPv6", router, "ping -n -c 1 -W 2 2001:db8:9::10")
      note("to the client", router, "ping -n -c 1 -W 2 192.168.1.5")
      note("refused out", router, "curl -sS -m 3 http://203.0.113.10:9999/")
      note("closed there", router, "curl -sS -m 3 http://203.0.113.10:81/")
      note("no neighbour", router, "ping -n -c 1 -W 5 203.0.113.77")
      if kind == .packet {
        // What a socket of the kernel's own is told in the call comes as ICMP.
        let long = lab.router("ping -n -c 1 -W 2 -M do -s 1380 203.0.113.10").output
        #expect(long.contains("Frag needed and DF set (mtu = 1400)"), "\(long)")
        let long6 = lab.router("ping -n -c 1 -W 2 -M do -s 1380 2001:db8:9::10").output
        #expect(long6.contains("Packet too big: mtu=1400"), "\(long6)")
        #expect(lab.stop() == 0, "\(lab.log)")
      }
      return lines
    }

    @Test func sameAsOnTheKernelsRouter() throws {
      let kernel = try transcript(.kernel)
      #expect(kernel[0].hasPrefix("page: hello, world"), "\(kernel)")
      let packet = try transcript(.packet)
      for (kernel, packet) in zip(kernel, packet) { #expect(packet == kernel) }
      #expect(packet.count == kernel.count)
    }

    /// Without its interface the gateway answers for its programs, and takes them up again with it.
    @Test func interfaceGone() throws {
      let lab = try lab(.packet)
      func page() -> String { lab.client("curl -sS -m 2 http://192.168.1.1/ 2>&1").output }
      #expect(page() == "hello, world")
      lab.router("ip link del own")
      // It is made anew at once, without its addresses.
      #expect(lab.until { lab.router("ip addr add 192.168.1.1/24 dev own").status == 0 })
      #expect(lab.until { page() == "hello, world" }, "\(lab.log)")
    }
  }
#endif
