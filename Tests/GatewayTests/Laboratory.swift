// A client, a router and a server in network namespaces of their own, joined by wires: the router is Weir or
// the kernel's own, with the same rules, and the programs at both ends are Debian's.

#if os(Linux)
  import Foundation
  import Testing

  /// What a command printed, both outputs, and how it ended.
  struct CommandResult {
    var status: Int32
    var output: String
  }

  /// Runs a line of shell.
  @discardableResult
  func shell(_ line: String, timeout: Int = 20) -> CommandResult {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = ["-k", "1", "\(timeout)", "bash", "-c", line]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    process.standardInput = FileHandle.nullDevice
    do { try process.run() } catch { return CommandResult(status: -1, output: "\(error)") }
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return CommandResult(
      status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
  }

  enum RouterKind: String, CaseIterable {
    case kernel
    case packet
    case xdp
    case xdpGeneric = "xdp-generic"
    case tun
    case nfqueue

    /// Weir has the frames of the wires.
    var hasFrames: Bool { [.packet, .xdp, .xdpGeneric].contains(self) }
  }

  final class Laboratory {
    static let rules = """
      *nat
      :PREROUTING ACCEPT [0:0]
      :POSTROUTING ACCEPT [0:0]
      -A PREROUTING -d 203.0.113.2/32 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 192.168.1.5:80
      -A POSTROUTING -o wan -j MASQUERADE
      COMMIT
      *filter
      :INPUT ACCEPT [0:0]
      :FORWARD DROP [0:0]
      -A INPUT -i wan -p tcp -m tcp --dport 23 -j DROP
      -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      -A FORWARD -m conntrack --ctstate INVALID -j DROP
      -A FORWARD -i lan -o wan -p tcp -m tcp --dport 9999 -j REJECT --reject-with icmp-port-unreachable
      -A FORWARD -i lan -o wan -j ACCEPT
      -A FORWARD -i wan -o lan -p tcp -m tcp --dport 80 -m conntrack --ctstate DNAT -j ACCEPT
      COMMIT

      """
    static let rules6 = """
      *filter
      :FORWARD DROP [0:0]
      -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
      -A FORWARD -i lan -o wan -j ACCEPT
      COMMIT

      """

    let kind: RouterKind
    let folder: String
    private let prefix: String
    private var gateway: Process?
    let weir: String
    /// More words for `weir run`.
    var options: [String]
    private let mtu: Int
    /// How the kernel's packets get to Weir's queues.
    private let feed: String

    /// As docs/gateway.md has it, for iptables.
    static let iptablesFeed = """
      for t in iptables ip6tables; do
        $t -t mangle -A PREROUTING ! -i lo -j NFQUEUE --queue-balance 0:3
        $t -t mangle -A OUTPUT -m mark ! --mark 0x57656972 -j NFQUEUE --queue-balance 0:3
      done
      """

    /// The same for nft.
    static let nftFeed = """
      nft add table inet weir
      nft add chain inet weir in "{ type filter hook prerouting priority mangle; }"
      nft add chain inet weir out "{ type filter hook output priority mangle; }"
      nft add rule inet weir in iifname != lo queue num 0-3
      nft add rule inet weir out meta mark != 0x57656972 queue num 0-3
      """

    /// What else the kernel needs to be told.
    static let kernelSettings = """
      sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
      sysctl -qw net.ipv4.conf.all.accept_local=1
      for i in all lan wan; do
        sysctl -qw net.ipv4.conf.$i.rp_filter=0 net.ipv4.conf.$i.send_redirects=0
      done
      """

    /// - Parameter mtu: of the wire to the server.
    init(
      _ kind: RouterKind, mtu: Int = 1500, options: [String] = [],
      feed: String = Laboratory.iptablesFeed
    ) throws {
      self.feed = feed
      self.kind = kind
      self.mtu = mtu
      self.options = options
      prefix = "weir-\(getpid())-\(Int.random(in: 0..<100_000))"
      folder = NSTemporaryDirectory() + prefix
      weir =
        URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path + "/weir"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      try write("rules.v4", Laboratory.rules)
      try write("rules.v6", Laboratory.rules6)
      for place in ["c", "r", "s"] {
        shell("ip netns add \(prefix)\(place) && ip -n \(prefix)\(place) link set lo up")
      }
      try wire()
      try start()
      if kind == .tun { moveTunnels() }
    }

    deinit {
      stop()
      for place in ["c", "r", "s"] {
        shell(
          "ip netns pids \(prefix)\(place) | xargs -r kill -9; ip netns del \(prefix)\(place)")
      }
      try? FileManager.default.removeItem(atPath: folder)
    }

    func write(_ name: String, _ text: String) throws {
      try text.write(toFile: folder + "/" + name, atomically: true, encoding: .utf8)
    }

    // MARK: Commands

    @discardableResult
    func client(_ line: String, timeout: Int = 20) -> CommandResult {
      shell("exec ip netns exec \(prefix)c bash -c '\(line)'", timeout: timeout)
    }

    @discardableResult
    func server(_ line: String, timeout: Int = 20) -> CommandResult {
      shell("exec ip netns exec \(prefix)s bash -c '\(line)'", timeout: timeout)
    }

    @discardableResult
    func router(_ line: String, timeout: Int = 20) -> CommandResult {
      shell("exec ip netns exec \(prefix)r bash -c '\(line)'", timeout: timeout)
    }

    /// Starts a program that stays, at one of the places `c`, `r`, `s`.
    func start(_ place: String, _ line: String) {
      let log = folder + "/" + place + ".log"
      // Foundation waits for the end of everybody who holds its descriptors: those are closed.
      let apart = "for n in $(ls /proc/self/fd); do [ $n -gt 2 ] && eval \"exec $n>&-\"; done; "
      shell(
        "ip netns exec \(prefix)\(place) setsid bash -c '\(apart) \(line)' "
          + ">>\(log) 2>&1 </dev/null &")
    }

    // MARK: Wires

    private func ip(_ place: String, _ words: String...) {
      for words in words {
        let result = shell("ip -n \(prefix)\(place) \(words)")
        if result.status != 0 { Issue.record("ip \(words): \(result.output)") }
      }
    }

    private func wire() throws {
      if kind != .tun {
        shell(
          "ip link add lan netns \(prefix)r type veth peer name eth0 netns \(prefix)c; "
            + "ip link add wan mtu \(mtu) netns \(prefix)r type veth "
            + "peer name eth0 mtu \(mtu) netns \(prefix)s")
        ends()
        cutSegments()
        if kind.hasFrames {
          router(
            "sysctl -qw net.ipv6.conf.lan.disable_ipv6=1 net.ipv6.conf.wan.disable_ipv6=1")
        }
        ip("r", "link set lan up", "link set wan up")
        if kind == .nfqueue {
          address()
          router("\(Laboratory.kernelSettings)\n\(feed)")
        }
      }
    }

    /// The kernel's own addresses on the router.
    private func address() {
      ip(
        "r", "addr add 192.168.1.1/24 dev lan", "addr add 203.0.113.2/24 dev wan",
        "addr add fd00:1::1/64 dev lan nodad", "addr add 2001:db8:9::2/64 dev wan nodad")
    }

    /// The client's and the server's addresses and routes.
    private func ends() {
      let isWire = kind != .tun
      ip(
        "c", "addr add 192.168.1.5/24 dev eth0", "addr add fd00:1::5/64 dev eth0 nodad",
        "link set eth0 up",
        "route add default \(isWire ? "via 192.168.1.1" : "dev eth0")",
        "-6 route add default \(isWire ? "via fd00:1::1" : "dev eth0")")
      ip(
        "s", "addr add 203.0.113.10/24 dev eth0", "addr add 2001:db8:9::10/64 dev eth0 nodad",
        "link set eth0 up",
        "-6 route add fd00:1::/64 \(isWire ? "via 2001:db8:9::2" : "dev eth0")")
    }

    /// Segments that a sender leaves uncut do not come through before the stack (docs/gateway.md).
    private func cutSegments() {
      if kind != .xdpGeneric { return }
      client("ethtool -K eth0 tso off gso off")
      server("ethtool -K eth0 tso off gso off")
    }

    /// The client's wire, anew after it was cut.
    func rewireClient() {
      shell(
        "ip link add lan netns \(prefix)r type veth peer name eth0 netns \(prefix)c")
      router("sysctl -qw net.ipv6.conf.lan.disable_ipv6=1")
      ip(
        "c", "addr add 192.168.1.5/24 dev eth0", "link set eth0 up",
        "route add default via 192.168.1.1")
      ip("r", "link set lan up")
    }

    private func moveTunnels() {
      // Before it goes where the gateway cannot see it.
      ip("r", "link set wan mtu \(mtu)")
      if mtu != 1500 {
        #expect(until { self.count("wan: its MTU is \(mtu)") > 0 }, "\(self.log)")
      }
      ip("r", "link set lan name eth0 netns \(prefix)c", "link set wan name eth0 netns \(prefix)s")
      ends()
    }

    // MARK: The router

    func start() throws {
      if kind == .kernel { return startKernel() }
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/sbin/ip")
      let ports =
        kind == .nfqueue
        ? ["--port", "nfqueue:0-3"]
        : [
          "--port", "lan=\(kind.rawValue):lan", "--port", "wan=\(kind.rawValue):wan", "--address",
          "lan=192.168.1.1/24", "--address", "wan=203.0.113.2/24", "--address",
          "lan=fd00:1::1/64", "--address", "wan=2001:db8:9::2/64",
        ]
      process.arguments =
        [
          "netns", "exec", "\(prefix)r", weir, "run", "--rules", folder + "/rules.v4",
          "--rules6", folder + "/rules.v6", "--control", folder + "/control.sock",
        ] + ports + options
      let log = folder + "/weir.log"
      if !FileManager.default.fileExists(atPath: log) {
        _ = FileManager.default.createFile(atPath: log, contents: nil)
      }
      let handle = try #require(FileHandle(forWritingAtPath: log))
      handle.seekToEndOfFile()
      process.standardError = handle
      process.standardOutput = handle
      let before = count("commands are heard")
      try process.run()
      gateway = process
      try #require(until { self.count("commands are heard") > before }, "\(self.log)")
    }

    private func startKernel() {
      address()
      router("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
      router("iptables-restore < \(folder)/rules.v4 && ip6tables-restore < \(folder)/rules.v6")
    }

    var log: String { (try? String(contentsOfFile: folder + "/weir.log", encoding: .utf8)) ?? "" }

    func count(_ text: String) -> Int { log.components(separatedBy: text).count - 1 }

    /// The process of the gateway itself, which `ip netns exec` has become.
    var processID: Int32 { gateway?.processIdentifier ?? 0 }

    func signal(_ number: Int32) { if let gateway { kill(gateway.processIdentifier, number) } }

    /// Waits for the gateway's end.
    @discardableResult
    func waitForEnd() -> Int32 {
      gateway?.waitUntilExit()
      defer { gateway = nil }
      return gateway?.terminationStatus ?? -1
    }

    @discardableResult
    func stop() -> Int32 {
      guard gateway != nil else { return 0 }
      signal(SIGTERM)
      return waitForEnd()
    }

    /// Whether something becomes true within a time.
    func until(seconds: Double = 8, _ condition: () -> Bool) -> Bool {
      let end = Date().addingTimeInterval(seconds)
      while !condition() {
        if Date() > end { return false }
        usleep(50_000)
      }
      return true
    }

    // MARK: Programs

    /// A web server at `c` or `s`, with files of 12 bytes and of `megabytes`.
    func serveWeb(_ place: String, megabytes: Int = 8) throws {
      let root = folder + "/www-\(place)"
      try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
      try "hello, world".write(toFile: root + "/index.html", atomically: true, encoding: .utf8)
      shell("head -c \(megabytes)M /dev/urandom > \(root)/large; chmod -R a+rX \(folder)")
      try write(
        "nginx-\(place).conf",
        """
        daemon off;
        user root;
        pid \(root)/pid;
        error_log \(root)/error.log;
        events {}
        http {
          access_log \(root)/access.log;
          server { listen 80; listen [::]:80; root \(root); }
        }

        """)
      start(place, "exec nginx -c \(folder)/nginx-\(place).conf")
      try #require(
        until {
          FileManager.default.fileExists(atPath: root + "/pid")
        }, "\(shell("cat \(folder)/\(place).log").output)")
    }

    var access: String {
      (try? String(contentsOfFile: folder + "/www-s/access.log", encoding: .utf8)) ?? ""
    }
  }
#endif
