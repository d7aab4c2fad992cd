// Matches, targets and protocols that iptables knows and Weir does not do yet, so that the answer is
// "not supported" and not "unknown" (iptables-extensions(8)).

enum Unsupported {
  static let matches: Set<String> = [
    "ah", "bpf", "cgroup", "cluster", "connbytes", "connlabel", "connlimit", "cpu", "dccp",
    "devgroup", "dscp", "dst", "ecn", "esp", "eui64", "frag", "hashlimit", "hbh",
    "ipcomp", "ipv6header", "ipvs", "mh", "nfacct", "osf", "physdev", "policy", "quota", "rateest",
    "realm", "recent", "rpfilter", "rt", "sctp", "set", "socket", "srh", "string", "time", "tos",
    "u32", "udplite",
  ]

  static let targets: Set<String> = [
    "AUDIT", "CLASSIFY", "CLUSTERIP", "CONNSECMARK", "DNPT", "DSCP", "ECN", "HL", "HMARK",
    "IDLETIMER", "LED", "NFLOG", "QUEUE", "RATEEST", "SECMARK", "SET", "SNPT",
    "SYNPROXY", "TCPOPTSTRIP", "TEE", "TOS", "TPROXY", "TRACE", "TTL", "ULOG",
  ]
}
