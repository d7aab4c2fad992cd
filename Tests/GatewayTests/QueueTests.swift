// Weir as the firewall and NAT of a kernel that is the router itself, over NFQUEUE: what is special to that.
// What clients see is in `ClientTests`.

#if os(Linux)
  import Foundation
  import Testing

  @Suite(.serialized)
  struct QueueTests {
    private func fetches(_ lab: Laboratory) -> Bool {
      lab.client("curl -sS -m 2 http://203.0.113.10/").output == "hello, world"
    }

    /// The rules let nobody in from outside; IPv6 is not translated, so the way there is known.
    private func comesIn(_ lab: Laboratory) -> Bool {
      lab.server("ping -n -c 1 -W 1 fd00:1::5").status == 0
    }

    @Test(arguments: [false, true])
    func killed(hasBypass: Bool) throws {
      let feed =
        hasBypass
        ? Laboratory.iptablesFeed.replacingOccurrences(of: "0:3", with: "0:3 --queue-bypass")
        : Laboratory.iptablesFeed
      let lab = try Laboratory(.nfqueue, feed: feed)
      let state = lab.folder + "/state"
      lab.options = ["--state", state, "--set", "net.netfilter.nf_conntrack_tcp_loose=0"]
      lab.stop()
      try lab.start()
      try lab.serveWeb("s", megabytes: 1)
      #expect(fetches(lab) && !comesIn(lab))
      shell("head -c 24M /dev/zero > \(lab.folder)/www-s/slow")
      lab.start(
        "c", "curl -sS --limit-rate 4M http://203.0.113.10/slow | wc -c > \(lab.folder)/got")
      #expect(lab.until { lab.server("ss -Htn state established").output.contains(":80") })
      #expect(lab.until { FileManager.default.fileExists(atPath: state) })
      usleep(1_200_000)
      lab.signal(SIGKILL)
      lab.waitForEnd()
      // Nobody listens: the rule says whether everything passes, or nothing.
      #expect(comesIn(lab) == hasBypass)
      try lab.start()
      #expect(lab.log.contains("connections are known again"), "\(lab.log)")
      #expect(!comesIn(lab))
      if !hasBypass {
        let expected = "\(24 << 20)"
        #expect(
          lab.until(seconds: 20) {
            (try? String(contentsOfFile: lab.folder + "/got", encoding: .utf8))?
              .trimmingCharacters(in: .whitespacesAndNewlines) == expected
          }, "\(lab.log)")
      }
      #expect(fetches(lab))
      #expect(lab.stop() == 0)
    }

    /// While the queue is full, packets are dropped, or pass.
    @Test(arguments: [false, true])
    func full(failsOpen: Bool) throws {
      let lab = try Laboratory(.nfqueue, options: failsOpen ? ["--fail-open"] : [])
      lab.server("ip6tables -A INPUT -p udp --dport 7 -j DROP")
      try lab.write(
        "rules.v6", "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -j DROP\nCOMMIT\n")
      lab.signal(SIGHUP)
      #expect(lab.until { lab.count("the rules were loaded again") == 1 }, "\(lab.log)")
      // Neighbours are known before nobody answers for them.
      #expect(lab.until { lab.client("ping -n -c 1 -W 1 2001:db8:9::10").status == 0 })
      lab.signal(SIGSTOP)
      lab.client(
        "exec 3>/dev/udp/2001:db8:9::10/7; for ((i = 0; i < 40000; i++)); do echo x >&3; done")
      let arrived = lab.server("ip6tables -vnL INPUT | tail -1").output.split(separator: " ")
      #expect(
        (Int(arrived.first ?? "") ?? -1 > 0 || arrived.first?.hasSuffix("K") == true) == failsOpen)
      lab.signal(SIGCONT)
      #expect(
        lab.until { lab.client("ping -n -c 1 -W 1 2001:db8:9::10").status == 0 }, "\(lab.log)")
      #expect(lab.stop() == 0)
    }

    /// Not every kernel has nft's `queue` (CONFIG_NFT_QUEUE).
    static var nftHasQueues: Bool {
      let table =
        "nft add table inet x && nft add chain inet x y && nft add rule inet x y queue num 0"
      return shell("unshare -n bash -c '\(table)'").status == 0
    }

    @Test(
      .enabled(if: QueueTests.nftHasQueues, "this kernel has no queues for nft (CONFIG_NFT_QUEUE)"))
    func feedOfNFT() throws {
      let lab = try Laboratory(.nfqueue, feed: Laboratory.nftFeed)
      try lab.serveWeb("s", megabytes: 4)
      try lab.serveWeb("r", megabytes: 1)
      #expect(fetches(lab))
      #expect(!comesIn(lab))
      #expect(
        lab.client("curl -sS -m 9 http://203.0.113.10/large | md5sum").output
          == shell("md5sum < \(lab.folder)/www-s/large").output)
      #expect(lab.router("curl -sS -m 2 http://203.0.113.10/").output == "hello, world")
      #expect(lab.client("curl -sS -m 2 http://192.168.1.1/").output == "hello, world")
      #expect(lab.server("curl -sS -m 2 http://[2001:db8:9::2]/").output == "hello, world")
      #expect(lab.stop() == 0)
    }

    /// Fragments of both families, put together by Weir, or by the kernel before it sees them.
    @Test(arguments: [false, true])
    func fragments(kernelDefragments: Bool) throws {
      let defragment = """
        for t in iptables ip6tables; do
          $t -t raw -A PREROUTING -j CT --notrack
          $t -t raw -A OUTPUT -j CT --notrack
        done
        """
      let feed = Laboratory.iptablesFeed + (kernelDefragments ? "\n" + defragment : "")
      let lab = try Laboratory(.nfqueue, feed: feed)
      #expect(lab.until { lab.client("ping -n -c 1 -W 1 2001:db8:9::10").status == 0 })
      for to in ["203.0.113.10", "2001:db8:9::10", "192.168.1.1", "fd00:1::1"] {
        #expect(
          lab.client("ping -n -c 3 -i 0.1 -W 2 -M dont -s 9000 \(to)").output.contains(
            " 0% packet loss"),
          "\(to)")
      }
      for to in ["203.0.113.10", "2001:db8:9::10", "192.168.1.5"] {
        #expect(
          lab.router("ping -n -c 3 -i 0.1 -W 2 -M dont -s 9000 \(to)").output.contains(
            " 0% packet loss"),
          "\(to) from the router")
      }
      #expect(lab.stop() == 0)
    }

    /// Segments that are longer than the way out: what the kernel says of the translated ones reaches the
    /// client, which then sends shorter ones.
    @Test func pathMTUOfLongSegments() throws {
      let lab = try Laboratory(.nfqueue, mtu: 1400)
      // The server offers what the wire to it does not take.
      lab.server("ip link set eth0 mtu 1500")
      shell("head -c 8M /dev/urandom > \(lab.folder)/up")
      let sum = shell("md5sum < \(lab.folder)/up").output
      for (words, to) in [("", "203.0.113.10"), ("-6", "2001:db8:9::10")] {
        let got = "\(lab.folder)/got\(words)"
        lab.start("s", "nc \(words) -l -p 5000 | md5sum > \(got)")
        #expect(
          lab.until {
            lab.client("timeout 15 nc \(words) -N -w 5 \(to) 5000 < \(lab.folder)/up").status == 0
          })
        #expect(lab.until { (try? String(contentsOfFile: got, encoding: .utf8)) == sum }, "\(to)")
        #expect(lab.client("ip route get \(to)").output.contains("mtu 1400"), "\(to)")
      }
      #expect(lab.stop() == 0)
    }

    /// What Weir itself answers goes out by the kernel, from whomever the client spoke to.
    @Test func refusalsAndTranslatedIPv6() throws {
      let lab = try Laboratory(.nfqueue)
      try lab.serveWeb("s", megabytes: 1)
      let refusals = """
        *filter
        -A INPUT -p tcp --dport 9996 -j REJECT --reject-with tcp-reset
        -A FORWARD -p tcp --dport 9998 -j REJECT --reject-with tcp-reset
        -A FORWARD -p tcp --dport 9997 -j REJECT
        COMMIT

        """
      try lab.write("rules.v4", refusals + "*nat\n-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n")
      try lab.write("rules.v6", refusals + "*nat\n-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n")
      lab.signal(SIGHUP)
      #expect(lab.until { lab.count("the rules were loaded again") == 1 }, "\(lab.log)")
      // Without a way back only a translated source gets an answer.
      lab.server("ip -6 route del fd00:1::/64")
      let page = "curl -sS -m 2 http://[2001:db8:9::10]/"
      #expect(lab.until { lab.client(page).output == "hello, world" })
      #expect(lab.access.contains("2001:db8:9::2 "))
      for to in [
        "203.0.113.10:9998", "[2001:db8:9::10]:9998", "192.168.1.1:9996",
        "203.0.113.10:9997", "[2001:db8:9::10]:9997", "[fd00:1::1]:9996",
      ] {
        #expect(lab.client("curl -sS -m 3 http://\(to)/").status == 7, "\(to)")
      }
      #expect(lab.stop() == 0)
    }

    /// Rules that ask who sent a packet, and a machine whose addresses change.
    @Test func ownPacketsAndOtherAddresses() throws {
      let lab = try Laboratory(.nfqueue)
      try lab.serveWeb("s", megabytes: 1)
      try lab.write(
        "rules.v4",
        """
        *nat
        -A OUTPUT -d 192.0.2.80/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 203.0.113.10:80
        -A POSTROUTING -o wan -j MASQUERADE
        COMMIT
        *filter
        :INPUT DROP [0:0]
        :FORWARD DROP [0:0]
        -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
        -A INPUT -i lo -j ACCEPT
        -A FORWARD -j ACCEPT
        -A OUTPUT -m owner --uid-owner 65534 -j REJECT
        COMMIT

        """)
      lab.signal(SIGHUP)
      #expect(lab.until { lab.count("the rules were loaded again") == 1 }, "\(lab.log)")
      lab.router("ip route add default dev wan")
      let page = "curl -sS -m 2 http://192.0.2.80/"
      #expect(lab.until { lab.router(page).output == "hello, world" }, "\(lab.log)")
      #expect(lab.router("setpriv --reuid 65534 --clear-groups \(page)").status == 7)
      #expect(lab.client("ping -n -c 1 -W 1 192.168.1.1").status != 0)
      #expect(lab.router("ping -n -c 1 -W 1 192.168.1.5").status == 0)
      #expect(lab.router("ping -n -c 1 -W 1 192.168.1.1").status == 0)
      // Another address, and MASQUERADE takes it.
      lab.router("ip addr del 203.0.113.2/24 dev wan; ip addr add 203.0.113.3/24 dev wan")
      #expect(lab.until { fetches(lab) && lab.access.contains("203.0.113.3") }, "\(lab.log)")
      #expect(lab.stop() == 0)
    }

    /// The kernel has to let the machine's own sources in, which translated packets have: Weir does not.
    @Test(arguments: [false, true]) func ownSourcesFromOutside(hasSnapshot: Bool) throws {
      let lab = try Laboratory(.nfqueue)
      if hasSnapshot {
        lab.stop()
        lab.router("\(lab.weir) snapshot --without-connections \(lab.folder)/host")
        shell("rm -f \(lab.folder)/host/rules.* \(lab.folder)/host/ruleset.nft")
        lab.options = ["--host", lab.folder + "/host"]
        try lab.start()
      }
      lab.server("ip addr add 192.168.1.1/32 dev eth0; ip addr add 192.168.7.7/32 dev eth0")
      func entries(_ source: String) -> String {
        lab.server("ping -n -c 1 -W 1 -I \(source) 203.0.113.2")
        return shell(
          "\(lab.weir) conntrack --control \(lab.folder)/control.sock -L -p icmp -s \(source) 2>&1"
        ).output
      }
      let foreign = entries("192.168.7.7")
      #expect(foreign.contains("1 flow entries"), "\(foreign)")
      let own = entries("192.168.1.1")
      #expect(own.contains("0 flow entries"), "\(own)")
      #expect(lab.stop() == 0)
    }

    /// A queue that another program has, and a rule at a hook that Weir does not serve.
    @Test func misuse() throws {
      let lab = try Laboratory(.nfqueue)
      let second = lab.router(
        "\(lab.weir) run --control \(lab.folder)/other.sock --port nfqueue:2", timeout: 5)
      #expect(second.status == 1)
      #expect(
        second.output.contains("nfqueue:2 (another program may have it): "), "\(second.output)")
      for words in [
        "--port nfqueue:3-1", "--port nfqueue:x", "--port lan=nfqueue:0",
        "--port nfqueue:0 --port lan=packet:lan", "--port nfqueue:0 --address lan=192.0.2.1/24",
        "--port lan=packet:lan --fail-open",
      ] {
        let refused = lab.router("\(lab.weir) run --control /dev/null/x \(words)", timeout: 5)
        #expect(refused.status == 2, "\(words): \(refused.output)")
      }
      #expect(lab.client("ping -n -c 1 -W 2 203.0.113.10").status == 0)
      lab.router("iptables -A FORWARD -j NFQUEUE --queue-num 1")
      #expect(lab.client("ping -n -c 1 -W 1 203.0.113.10").status != 0)
      #expect(lab.stop() == 0)
    }
  }
#endif
