// Sysctls: both ways to write a name, what is refused, what `--set` overrides, and how `conf.all` and an
// interface's own values combine.

import Testing

@testable import Firewall
@testable import HostSnapshot

@Suite struct SysctlTests {
  private func settings(_ lines: String, interface: String = "eth0") throws -> InterfaceSettings {
    var host = HostConfiguration(
      interfaces: [], ipv4Routes: nil, ipv6Routes: nil,
      sysctls: try SysctlFile.parse(snapshotFile(lines)))
    let added = host.addInterface(named: interface)
    return host.interfaces[added].settings
  }

  @Test(arguments: [
    ("net.ipv4.ip_forward", "net.ipv4.ip_forward"),
    ("net/ipv4/ip_forward", "net.ipv4.ip_forward"),
    ("net.ipv4.conf.eth0/100.rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
    ("net/ipv4/conf/eth0.100/rp_filter", "net.ipv4.conf.eth0/100.rp_filter"),
    ("", ""), ("a", "a"),
  ])
  func names(written: String, kept: String) {
    #expect(Sysctls.normalised(written) == kept)
  }

  @Test func file() throws {
    let sysctls = try SysctlFile.parse(
      snapshotFile(
        """
        # a comment
        ; another
        net.netfilter.nf_conntrack_tcp_loose = 0

        -net/netfilter/nf_conntrack_tcp_timeout_established=7200\t\r
        net.ipv4.ip_local_port_range = 32768\t60999
        net.ipv4.ip_local_reserved_ports =
        sysctl: permission denied on key 'fs.protected_fifos'
        kernel.something.nobody.knows = = yes
        """))
    #expect(sysctls.integer("net.netfilter.nf_conntrack_tcp_loose") == 0)
    #expect(!sysctls.flag("net.netfilter.nf_conntrack_tcp_loose", default: true))
    #expect(
      sysctls.secondsAsNanoseconds("net.netfilter.nf_conntrack_tcp_timeout_established")
        == 7_200_000_000_000)
    #expect(sysctls.text("net.ipv4.ip_local_port_range") == "32768\t60999")
    #expect(sysctls.text("net.ipv4.ip_local_reserved_ports")?.isEmpty == true)
    #expect(sysctls.text("kernel.something.nobody.knows") == "= yes")
    #expect(sysctls.values.count == 5)
  }

  @Test(arguments: [
    (
      "net.netfilter.nf_conntrack_tcp_loose = 2",
      "f:1: `net.netfilter.nf_conntrack_tcp_loose` cannot be `2`; expected 0 or 1"
    ),
    (
      "\n\nnet.netfilter.nf_conntrack_udp_timeout = soon",
      "f:3: `net.netfilter.nf_conntrack_udp_timeout` cannot be `soon`; "
        + "expected a number from 0 to 21474836"
    ),
    (
      "net.netfilter.nf_conntrack_log_invalid = 256",
      "f:1: `net.netfilter.nf_conntrack_log_invalid` cannot be `256`; "
        + "expected a number from 0 to 255"
    ),
    (
      "net/ipv4/conf/eth0.1/rp_filter = x",
      "f:1: `net.ipv4.conf.eth0/1.rp_filter` cannot be `x`; "
        + "expected a number from -2147483648 to 2147483647"
    ),
    (
      "ip_forward",
      "f:1: `ip_forward` is no setting; expected `name = value`, as `sysctl -a` prints"
    ),
    ("= 1", "f:1: `= 1` is no setting; expected `name = value`, as `sysctl -a` prints"),
  ])
  func refused(text: String, message: String) {
    do throws(HostSnapshotError) {
      _ = try SysctlFile.parse(snapshotFile(text))
      Issue.record("taken: \(text)")
    } catch {
      #expect(error.description == message)
    }
  }

  /// All of `sysctl -a` is taken, as a running kernel prints it.
  @Test func wholeKernel() throws {
    let file = try #require(
      try SnapshotFile.read("sysctl.conf", in: Fixtures.path("router")))
    let sysctls = try SysctlFile.parse(file)
    #expect(sysctls.values.count == 111)
    #expect(sysctls.integer("net.netfilter.nf_conntrack_max") == 262_144)
    // The kernel's own defaults are ours.
    var defaults = HostSettings(Sysctls())
    #expect(defaults == HostSettings(sysctls))
    defaults.defaultTTL = 1
    #expect(defaults != HostSettings(sysctls))
  }

  @Test func setOverridesTheSnapshot() throws {
    var sysctls = try SysctlFile.parse(
      snapshotFile(
        """
        net.ipv4.conf.eth0.forwarding = 1
        net.ipv4.conf.all.forwarding = 1
        net.ipv4.ip_forward = 1
        """))
    try SysctlFile.apply(["net/ipv4/ip_forward=0"], to: &sysctls)
    func forwards(_ sysctls: Sysctls, _ name: String) -> Bool {
      InterfaceSettings(sysctls, interface: name).forwardsIPv4
    }
    #expect(!forwards(sysctls, "eth0"))
    #expect(!forwards(sysctls, "eth1"))
    try SysctlFile.apply(["net.ipv4.conf.eth1.forwarding=1"], to: &sysctls)
    #expect(!forwards(sysctls, "eth0"))
    #expect(forwards(sysctls, "eth1"))
    do throws(HostSnapshotError) {
      try SysctlFile.apply(["net.ipv4.ip_default_ttl=0"], to: &sysctls)
      Issue.record("taken")
    } catch {
      #expect(
        error.description
          == "--set: `net.ipv4.ip_default_ttl` cannot be `0`; expected a number from 1 to 255")
    }
    do throws(HostSnapshotError) {
      try SysctlFile.apply(["net.ipv4.ip_default_ttl"], to: &sysctls)
      Issue.record("taken")
    } catch {
      #expect(
        error.description
          == "--set: `net.ipv4.ip_default_ttl` is no setting; expected NAME=VALUE")
    }
  }

  @Test(arguments: [
    ("", true), ("net.ipv4.ip_forward = 0", false), ("net.ipv4.conf.all.forwarding = 0", false),
    ("net.ipv4.ip_forward = 1\nnet.ipv4.conf.eth0.forwarding = 0", false),
    ("net.ipv4.conf.default.forwarding = 0", false),
    ("net.ipv4.conf.default.forwarding = 0\nnet.ipv4.ip_forward = 1", true),
  ])
  func forwarding(lines: String, isOn: Bool) throws {
    #expect(try settings(lines).forwardsIPv4 == isOn)
  }

  @Test(arguments: [
    ("", true, true), ("net.ipv6.conf.all.forwarding = 0", false, false),
    ("net.ipv6.conf.all.forwarding = 1\nnet.ipv6.conf.eth0.forwarding = 0", true, false),
    ("net.ipv6.conf.all.forwarding = 0\nnet.ipv6.conf.eth0.force_forwarding = 1", true, false),
  ])
  func forwardingIPv6(lines: String, forwards: Bool, isRouter: Bool) throws {
    #expect(try settings(lines).forwardsIPv6 == forwards)
    #expect(try settings(lines).isIPv6Router == isRouter)
  }

  @Test func combinations() throws {
    #expect(try settings("net.ipv4.conf.all.rp_filter = 2").reversePathFilter == .loose)
    #expect(
      try settings("net.ipv4.conf.all.rp_filter = 1\nnet.ipv4.conf.eth0.rp_filter = 2")
        .reversePathFilter == .loose)
    #expect(try settings("net.ipv4.conf.default.rp_filter = 1").reversePathFilter == .strict)
    // `conf.all` alone does not let source routes in; nor does the interface alone.
    #expect(try !settings("").acceptsSourceRoute)
    #expect(try settings("net.ipv4.conf.all.accept_source_route = 1").acceptsSourceRoute)
    #expect(try !settings("net.ipv4.conf.eth0.accept_source_route = 1").acceptsSourceRoute)
    // Either is enough for redirects.
    #expect(try settings("net.ipv4.conf.eth0.send_redirects = 0").sendsRedirects)
    #expect(
      try !settings(
        "net.ipv4.conf.eth0.send_redirects = 0\nnet.ipv4.conf.all.send_redirects = 0"
      ).sendsRedirects)
    #expect(
      try settings("net/ipv4/conf/eth0.100/log_martians = 1", interface: "eth0.100").logsMartians)
    #expect(
      try !settings("net/ipv4/conf/eth0.100/log_martians = 1", interface: "eth0").logsMartians)
  }

  @Test func icmpv6Mask() throws {
    let usual = try #require(ICMPv6TypeSet("0-1,3-127"))
    #expect(usual == HostSettings(Sysctls()).icmpv6RateMask)
    #expect(usual.contains(1) && !usual.contains(2) && usual.contains(127))
    #expect(!usual.contains(128) && !usual.contains(255))
    #expect(ICMPv6TypeSet("1-") == nil && ICMPv6TypeSet("300") == nil)
    #expect(ICMPv6TypeSet("-") == nil && ICMPv6TypeSet("5-3") == nil)
  }
}
