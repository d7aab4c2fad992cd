// A router made of the running kernel: a network namespace with two ports, whose other ends are held
// as packet sockets. It lives as long as this process holds it and no longer, and sends nothing beyond.

#if os(Linux)
  import Firewall
  import Foundation
  import HostSnapshot
  import Wire

  final class Router {
    private let inside: Descriptor
    private let outside: Descriptor
    private let sockets: [Port: Descriptor]
    private let hostSocket: HostSocket
    private let interfaceIndexes: [Port: UInt32]
    private var buffer = [UInt8](repeating: 0, count: 65_536)
    let table: KernelTable
    let log: KernelLog
    let events: KernelEvents
    private var hosts: [[String]: HostConfiguration] = [:]
    let kernelVersion: String

    /// What differs from a fresh namespace: a router without limits on ICMP errors and without
    /// redirects, whose own IPv6 packets have no flow label.
    private static let sysctls: [(name: String, value: String)] = [
      ("net.ipv4.ip_forward", "1"), ("net.ipv6.conf.all.forwarding", "1"),
      ("net.ipv4.icmp_ratemask", "0"), ("net.ipv4.icmp_msgs_per_sec", "100000"),
      ("net.ipv4.icmp_msgs_burst", "100000"), ("net.ipv6.icmp.ratelimit", "0"),
      ("net.ipv6.auto_flowlabels", "0"), ("net.ipv4.fwmark_reflect", "1"),
      ("net.ipv6.fwmark_reflect", "1"),
    ]
    private static let portSysctls: [(name: String, value: String)] = [
      ("net.ipv4.conf.PORT.accept_redirects", "0"), ("net.ipv6.conf.PORT.accept_redirects", "0"),
      ("net.ipv4.conf.PORT.rp_filter", "0"), ("net.ipv4.conf.PORT.send_redirects", "0"),
      ("net.ipv6.conf.PORT.accept_dad", "0"), ("net.ipv6.conf.PORT.accept_ra", "0"),
      ("net.ipv6.conf.PORT.router_solicitations", "0"),
      ("net.ipv6.conf.PORT.addr_gen_mode", "1"),
    ]

    /// - Parameter setup: lines for `ip -batch`, after the usual ones.
    init(setup: [String] = []) throws {
      inside = try System.newNetworkNamespace()
      outside = try System.newNetworkNamespace()
      // `ip` finds the namespaces by the descriptors this process holds.
      let place = "/proc/\(System.processID)/fd/\(outside.number)"
      let links = [Port.lan, .wan].map { port in
        "link add \(port.interface) address \(Network.macText(port.routerMAC)) type veth peer name "
          + "\(port.farInterface) netns \(place) "
          + "address \(Network.macText(port.farMAC))\n"
      }.joined()
      try System.inside(inside) { _ = try Command.run(["ip", "-batch", "-"], input: links) }
      sockets = try System.inside(outside, Router.openFarEnds)
      let router = try System.inside(inside) { try Router.setUpInside(setup) }
      table = router.table
      log = router.log
      events = router.events
      interfaceIndexes = router.indexes
      hostSocket = try System.inside(inside, HostSocket.init)
      kernelVersion = try Command.run(["uname", "-r"]).trimmingCharacters(in: .newlines)
      System.sleep(milliseconds: 100)
      _ = try receive()
    }

    private static func set(_ name: String, _ value: String) throws {
      try System.write(value, to: "/proc/sys/" + name.replacingOccurrences(of: ".", with: "/"))
    }

    private static func withoutOffloads(_ name: String) throws {
      let switches = ["rx", "tx", "gro", "gso", "tso"].flatMap { [$0, "off"] }
      try Command.run(["ethtool", "-K", name] + switches)
    }

    private static func openFarEnds() throws -> [Port: Descriptor] {
      var sockets: [Port: Descriptor] = [:]
      for name in ["all", "default"] { try set("net.ipv6.conf.\(name).disable_ipv6", "1") }
      for port in [Port.lan, .wan] {
        let name = port.farInterface
        try set("net.ipv6.conf.\(name).disable_ipv6", "1")
        try withoutOffloads(name)
        try Command.run(["ip", "link", "set", name, "arp", "off", "up"])
        sockets[port] = try System.packetSocket(try System.interfaceIndex(name))
      }
      return sockets
    }

    private static func setUpInside(_ setup: [String]) throws -> (
      table: KernelTable, log: KernelLog, events: KernelEvents, indexes: [Port: UInt32]
    ) {
      for (name, value) in portSysctls {
        for port in ["all", "default", "lan0", "wan0"] {
          try set(name.replacingOccurrences(of: "PORT", with: port), value)
        }
      }
      for (name, value) in sysctls { try set(name, value) }
      for port in [Port.lan, .wan] { try withoutOffloads(port.interface) }
      try Command.run(["ip", "-batch", "-"], input: Network.setUp())
      let lines = setup.filter { $0 != "fresh" }
      if !lines.isEmpty {
        try Command.run(["ip", "-batch", "-"], input: lines.joined(separator: "\n") + "\n")
      }
      try KernelPolicies.add(LabPolicies.all)
      let log = try KernelLog()
      try Command.run(["nft", "-f", "-"], input: KernelLog.rules)
      let indexes = try Dictionary(
        uniqueKeysWithValues: [Port.lan, .wan].map {
          ($0, try System.interfaceIndex($0.interface))
        })
      return (try KernelTable(), log, try KernelEvents(), indexes)
    }

    /// The commands of docs/host-snapshot.md; rules are read case by case.
    private static func takeSnapshot() throws -> HostConfiguration {
      let folder = FileManager.default.temporaryDirectory
        .appending(path: "weir-conformance-\(System.processID)-\(System.now())")
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
      defer { try? FileManager.default.removeItem(at: folder) }
      for (name, command) in [
        ("addresses.json", "ip -j addr show"),
        ("routes.json", "ip -j route show table all"),
        ("routes6.json", "ip -j -6 route show table all"),
        ("sysctl.conf", "sysctl -a -r ^net[.](ipv4|ipv6|netfilter)[.]"),
      ] {
        let words = command.split(separator: " ").map(String.init)
        try Command.run(words, mayFail: name == "sysctl.conf").write(
          to: folder.appending(path: name), atomically: false, encoding: .utf8)
      }
      var host = try HostSnapshot(folder: folder.path).configuration
      host.timeoutPolicies = LabPolicies.all
      return host
    }

    // MARK: Settings and rules

    /// The machine as its snapshot tells it, with the settings a case has made.
    func host(_ settings: [String]) throws -> HostConfiguration {
      if let known = hosts[settings] { return known }
      var host = try System.inside(inside, Router.takeSnapshot)
      // The kernel may take a moment until it has made the routes of its addresses.
      for _ in 0..<20 where !Router.isSettled(host) {
        System.sleep(milliseconds: 50)
        host = try System.inside(inside, Router.takeSnapshot)
      }
      hosts[settings] = host
      return host
    }

    private static func isSettled(_ host: HostConfiguration) -> Bool {
      host.interfaces.indices.allSatisfy { index in
        host.interfaces[index].addresses.allSatisfy {
          host.routing.lookup($0.address, $0.family, through: index)?.type == .local
            && !$0.isTentative
        }
      }
    }

    /// The machine as it is now.
    func snapshot() throws -> HostConfiguration { try System.inside(inside, Router.takeSnapshot) }

    /// Changes it, by arguments of `ip`; what a link that was down has forgotten of its neighbours is
    /// told again.
    func change(_ words: String) throws {
      try System.inside(inside) {
        try Command.run(["ip"] + words.split(separator: " ").map(String.init))
        try Command.run(
          ["ip", "-force", "-batch", "-"], input: Network.neighbours, mayFail: true)
      }
    }

    func sysctl(_ name: String) throws -> String {
      let path = "/proc/sys/" + name.replacingOccurrences(of: ".", with: "/")
      return try System.inside(inside) {
        try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .newlines)
      }
    }

    func setSysctl(_ name: String, _ value: String) throws {
      try System.inside(inside) { try Router.set(name, value) }
    }

    /// Replaces all rules but the probes.
    func setRules(_ text: String, _ family: AddressFamily, removingOld: Bool) throws {
      var removal = ""
      for family in ["ip", "ip6"] {
        for name in ["raw", "mangle", "nat", "filter", "security"] {
          removal += "table \(family) \(name)\ndelete table \(family) \(name)\n"
        }
      }
      try System.inside(inside) {
        if removingOld { try Command.run(["nft", "-f", "-"], input: removal) }
        if text.isEmpty { return }
        try Command.run([family == .ipv4 ? "iptables-restore" : "ip6tables-restore"], input: text)
      }
    }

    /// `iptables-save -c`.
    func rules(_ family: AddressFamily) throws -> String {
      try System.inside(inside) {
        try Command.run([family == .ipv4 ? "iptables-save" : "ip6tables-save", "-c"])
      }
    }

    // MARK: Packets

    /// Puts a packet on the cable. On return the router has dealt with it, as a rule: the kernel takes
    /// it all the way before the call that sends it ends.
    /// At `.host` the router itself sends it.
    ///
    /// - Returns: false where the cable does not carry it, since it is too long for the router's port.
    func send(_ packet: MadePacket, _ family: AddressFamily) throws -> Bool {
      if packet.port == .host {
        try hostSocket.send(packet.bytes, family)
        return true
      }
      guard let socket = sockets[packet.port] else { return false }
      let destination: UInt64 =
        switch packet.frame {
        case .unicast: packet.port.routerMAC
        case .broadcast: 0xffff_ffff_ffff
        case .multicast: 0x0100_5e00_0001
        case .other: packet.port.routerMAC ^ 0xff
        }
      var frame = PacketBuilder.ethernet(from: packet.port.farMAC, to: destination, packet.bytes)
      // The packet's version may lie.
      frame.store16(family == .ipv6 ? 0x86dd : 0x0800, at: 12)
      do {
        try System.send(socket, frame)
      } catch let error as SystemError where error.isForLackOfSpace {
        return false
      }
      return true
    }

    /// What has come out since the last call.
    func receive() throws -> [Emission] {
      var emissions: [Emission] = []
      for port in [Port.lan, .wan] {
        guard let socket = sockets[port] else { continue }
        while let frame = try System.receive(socket, &buffer) {
          guard frame.count > 14 else { continue }
          let type = UInt16(frame[12]) << 8 | UInt16(frame[13])
          // IPv4 and IPv6; nothing else is compared.
          guard type == 0x0800 || type == 0x86dd else { continue }
          emissions.append(Emission(port: port, bytes: Array(frame.dropFirst(14))))
        }
      }
      return emissions + (try hostSocket.receive(&buffer))
    }

    /// 0 for the router itself, whose packets come in by none.
    func index(_ port: Port) -> UInt32 { interfaceIndexes[port] ?? 0 }

    func wait(milliseconds: Int32) {
      _ = System.wait([log.socket] + sockets.values, milliseconds: milliseconds)
    }
  }
#endif
