// Which sysctls Weir uses, and which values the kernel takes for each: found by writing them to a
// running 6.x kernel. One line a name; `Sysctls` checks against it.

/// The numbers one sysctl takes.
struct SysctlRule {
  let range: ClosedRange<Int>

  /// Refuses what the kernel refuses; names not in the tables below take anything.
  static func check(_ name: String, _ value: String) throws(SysctlError) {
    guard let range = range(of: name) else { return }
    guard let number = Int(value), range.contains(number) else {
      throw SysctlError(
        name: name, value: value,
        expected: range == 0...1
          ? "0 or 1" : "a number from \(range.lowerBound) to \(range.upperBound)")
    }
  }

  private static func range(of name: String) -> ClosedRange<Int>? {
    if let range = single[name] { return range }
    for (start, family) in [("net.ipv4.conf.", ipv4Interface), ("net.ipv6.conf.", ipv6Interface)]
    where name.hasPrefix(start) {
      let parts = name.dropFirst(start.count).split(separator: ".")
      guard parts.count == 2 else { return nil }
      return family[String(parts[1])]
    }
    let conntrack = "net.netfilter.nf_conntrack_"
    guard name.hasPrefix(conntrack) else { return nil }
    let rest = name.dropFirst(conntrack.count)
    if let range = conntrackNumbers[String(rest)] { return range }
    return rest.contains("timeout") ? seconds : nil
  }

  private static let flag = 0...1
  private static let byte = 0...255
  private static let count = 0...Int(Int32.max)
  private static let anyInteger = Int(Int32.min)...Int(Int32.max)
  /// Kept in ticks of at least a hundredth of a second, in 31 bits.
  private static let seconds = 0...Int(Int32.max) / 100

  private static let conntrackNumbers: [String: ClosedRange<Int>] = [
    "acct": flag, "buckets": count, "checksum": flag, "count": count, "dccp_loose": flag,
    "events": 0...2, "expect_max": count, "helper": flag, "log_invalid": byte, "max": count,
    "frag6_high_thresh": 0...Int.max, "frag6_low_thresh": 0...Int.max,
    "tcp_be_liberal": flag, "tcp_ignore_invalid_rst": flag, "tcp_loose": flag,
    "tcp_max_retrans": byte, "timestamp": flag,
  ]

  private static let single: [String: ClosedRange<Int>] = [
    "net.ipv4.ip_forward": anyInteger,
    "net.ipv4.ip_default_ttl": 1...255,
    "net.ipv4.icmp_echo_ignore_all": byte,
    "net.ipv4.icmp_echo_ignore_broadcasts": byte,
    "net.ipv4.icmp_errors_use_inbound_ifaddr": byte,
    "net.ipv4.icmp_ratelimit": anyInteger,
    "net.ipv4.icmp_ratemask": anyInteger,
    "net.ipv4.icmp_msgs_per_sec": count,
    "net.ipv4.icmp_msgs_burst": count,
    "net.ipv4.ipfrag_time": seconds,
    "net.ipv4.ipfrag_max_dist": count,
    "net.ipv4.ipfrag_high_thresh": 0...Int.max,
    "net.ipv4.ipfrag_low_thresh": 0...Int.max,
    "net.ipv6.ip6frag_time": seconds,
    "net.ipv6.ip6frag_high_thresh": 0...Int.max,
    "net.ipv6.ip6frag_low_thresh": 0...Int.max,
    "net.ipv6.icmp.echo_ignore_all": byte,
    "net.ipv6.icmp.echo_ignore_anycast": byte,
    "net.ipv6.icmp.echo_ignore_multicast": byte,
    "net.ipv6.icmp.error_anycast_as_unicast": byte,
    "net.ipv6.icmp.ratelimit": 0...Int(Int32.max),
  ]

  private static let ipv4Interface: [String: ClosedRange<Int>] = [
    "accept_local": anyInteger, "accept_source_route": anyInteger, "bc_forwarding": anyInteger,
    "forwarding": anyInteger, "log_martians": anyInteger, "route_localnet": anyInteger,
    "rp_filter": anyInteger, "send_redirects": anyInteger, "src_valid_mark": anyInteger,
  ]

  private static let ipv6Interface: [String: ClosedRange<Int>] = [
    "accept_source_route": anyInteger, "disable_ipv6": anyInteger,
    "force_forwarding": anyInteger, "forwarding": anyInteger, "hop_limit": anyInteger,
    "use_tempaddr": anyInteger,
  ]
}
