// From sysctls to settings: names to fields, and `conf.all` combined with an interface's own value the
// way the kernel combines each (Documentation/networking/ip-sysctl).

import Wire

extension InterfaceSettings {
  /// The settings of the interface `name` under `sysctls`.
  init(_ sysctls: Sysctls, interface name: String) {
    func own(_ setting: String, _ fallback: Int) -> Int {
      sysctls.interfaceInteger("ipv4", name, setting) ?? fallback
    }
    func all(_ setting: String, _ fallback: Int) -> Int {
      sysctls.allInteger("ipv4", setting) ?? fallback
    }
    func either(_ setting: String, _ fallback: Int = 0) -> Bool {
      own(setting, fallback) != 0 || all(setting, fallback) != 0
    }
    func both(_ setting: String, own ownFallback: Int, all allFallback: Int) -> Bool {
      own(setting, ownFallback) != 0 && all(setting, allFallback) != 0
    }
    forwardsIPv4 = InterfaceSettings.forwards(sysctls, "ipv4", name)
    forwardsIPv6 = InterfaceSettings.forwardsIPv6(sysctls, name)
    isIPv6Router = InterfaceSettings.forwards(sysctls, "ipv6", name)
    reversePathFilter =
      switch max(own("rp_filter", 0), all("rp_filter", 0)) {
      case ...0: .off
      case 1: .strict
      default: .loose
      }
    acceptsSourceRoute = both("accept_source_route", own: 1, all: 0)
    sendsRedirects = either("send_redirects", 1)
    logsMartians = either("log_martians")
    routesLocalnet = either("route_localnet")
    acceptsLocal = either("accept_local")
    forwardsBroadcasts = both("bc_forwarding", own: 0, all: 0)
    isIPv6Disabled =
      (sysctls.interfaceInteger("ipv6", name, "disable_ipv6")
        ?? sysctls.allInteger("ipv6", "disable_ipv6") ?? 0) != 0
    ipv6MTU = sysctls.interfaceInteger("ipv6", name, "mtu")
    hopLimit = UInt8(
      clamping: sysctls.interfaceInteger("ipv6", name, "hop_limit") ?? Int(hopLimit))
    useTemporaryAddresses = sysctls.interfaceInteger("ipv6", name, "use_tempaddr") ?? 0
  }

  /// Each interface has a value of its own; writing `conf.all` or `ip_forward` writes them all.
  private static func forwards(_ sysctls: Sysctls, _ family: String, _ name: String) -> Bool {
    let part = String(name.map { $0 == "." ? "/" : $0 })
    let value =
      sysctls.integer("net.\(family).conf.\(part).forwarding")
      ?? sysctls.integer("net.\(family).ip_forward") ?? sysctls.allInteger(family, "forwarding")
      ?? sysctls.integer("net.\(family).conf.default.forwarding")
    return value.map { $0 != 0 } ?? true
  }

  /// `conf.all` alone decides, unless the interface is told to forward in spite of it.
  private static func forwardsIPv6(_ sysctls: Sysctls, _ name: String) -> Bool {
    if let forced = sysctls.interfaceInteger("ipv6", name, "force_forwarding"), forced != 0 {
      return true
    }
    return sysctls.allInteger("ipv6", "forwarding").map { $0 != 0 } ?? true
  }
}

extension HostSettings {
  /// The host's settings under `sysctls`.
  init(_ sysctls: Sysctls) {
    func number<Value: FixedWidthInteger>(_ name: String, _ field: inout Value) {
      if let value = sysctls.integer(name) { field = Value(truncatingIfNeeded: value) }
    }
    func flag(_ name: String, _ field: inout Bool) {
      field = sysctls.flag(name, default: field)
    }
    func milliseconds(_ name: String, _ field: inout Int64) {
      if let value = sysctls.integer(name) { field = Int64(max(0, value)) * 1_000_000 }
    }
    func seconds(_ name: String, _ field: inout Int64) {
      field = sysctls.secondsAsNanoseconds(name) ?? field
    }
    number("net.ipv4.ip_default_ttl", &defaultTTL)
    milliseconds("net.ipv4.icmp_ratelimit", &icmpRateLimitNanoseconds)
    number("net.ipv4.icmp_ratemask", &icmpRateMask)
    number("net.ipv4.icmp_msgs_per_sec", &icmpMessagesPerSecond)
    number("net.ipv4.icmp_msgs_burst", &icmpMessagesBurst)
    flag("net.ipv4.icmp_echo_ignore_all", &icmpEchoIgnoreAll)
    flag("net.ipv4.icmp_echo_ignore_broadcasts", &icmpEchoIgnoreBroadcasts)
    flag("net.ipv4.icmp_errors_use_inbound_ifaddr", &icmpErrorsUseInboundAddress)
    flag("net.ipv4.fwmark_reflect", &reflectsMarkIPv4)
    flag("net.ipv6.fwmark_reflect", &reflectsMarkIPv6)
    milliseconds("net.ipv6.icmp.ratelimit", &icmpv6RateLimitNanoseconds)
    if let text = sysctls.text("net.ipv6.icmp.ratemask"), let set = ICMPv6TypeSet(text) {
      icmpv6RateMask = set
    }
    flag("net.ipv6.icmp.echo_ignore_all", &icmpv6EchoIgnoreAll)
    flag("net.ipv6.icmp.echo_ignore_multicast", &icmpv6EchoIgnoreMulticast)
    flag("net.ipv6.icmp.echo_ignore_anycast", &icmpv6EchoIgnoreAnycast)
    seconds("net.ipv4.ipfrag_time", &ipv4FragmentTimeoutNanoseconds)
    seconds("net.ipv6.ip6frag_time", &ipv6FragmentTimeoutNanoseconds)
    number("net.ipv4.ipfrag_max_dist", &ipv4FragmentMaxDistance)
    number("net.ipv4.ipfrag_high_thresh", &ipv4FragmentHighThreshold)
  }
}

extension ICMPv6TypeSet {
  /// From the kernel's notation for bitmaps: `0-1,3-127`. Nil for anything else.
  init?(_ text: String) {
    self.init(low: 0, high: 0)
    for part in text.split(separator: ",") {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard ends.count <= 2, let first = ends[0], let last = ends[ends.count - 1],
        first >= 0, first <= last, last <= 255
      else { return nil }
      for type in first...last {
        if type < 64 { low |= 1 << UInt64(type) }
        if (64..<128).contains(type) { high |= 1 << UInt64(type - 64) }
      }
    }
  }
}
