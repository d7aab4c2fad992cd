// Probes in the kernel under test: nft rules that log each packet's ctstate behind conntrack in
// PREROUTING and OUTPUT, and each packet that INPUT lets through, read from NFLOG.

#if os(Linux)
  /// What a probe told.
  struct ProbeRecord {
    /// `NEW/o`, `INVALID`, ... at the first probe; `INPUT` at the other.
    var text: String
    var inInterface: UInt32
    /// The packet, layer 3, as it was there.
    var packet: [UInt8]
  }

  final class KernelLog {
    static let group: UInt16 = 5
    let socket: Descriptor
    private var buffer = [UInt8](repeating: 0, count: 262_144)

    /// Of the namespace the thread is in.
    init() throws {
      socket = try System.socket(System.socketNetlink, 12)
      try System.bind(socket, [16, 0] + [UInt8](repeating: 0, count: 10))
      try System.setOption(socket, 1, 33, 4 << 20)
      // linux/netfilter/nfnetlink_log.h: bind to the group; copy whole packets, each at once.
      try configure { $0.add(1, [1]) }
      try configure {
        $0.add(2, [0, 0, 0xff, 0xff, 2, 0])
        $0.add(5, [0, 0, 0, 1])
        $0.add(3, [0, 2, 0, 0])
      }
    }

    private func configure(_ fill: (inout NetlinkBuilder) -> Void) throws {
      var attributes = NetlinkBuilder()
      fill(&attributes)
      try System.send(
        socket,
        NetlinkBuilder.message(0x401, flags: 5, resource: KernelLog.group, attributes.bytes))
      guard System.wait([socket], milliseconds: 2000),
        let bytes = try System.receive(socket, &buffer),
        let answer = NetlinkMessage.split(bytes).first, answer.errorNumber == 0
      else { throw CommandError(command: "nflog", output: "the kernel refused the group") }
    }

    /// What has come since the last call.
    func read() throws -> [ProbeRecord] {
      var records: [ProbeRecord] = []
      while let bytes = try System.receive(socket, &buffer) {
        for message in NetlinkMessage.split(bytes) where message.type == 0x400 {
          let attributes = message.attributes
          records.append(
            ProbeRecord(
              text: attributes.text(10) ?? "",
              inInterface: UInt32(attributes.number(4) ?? 0), packet: Array(attributes[9] ?? [])))
        }
      }
      return records
    }

    /// The probes. What the router's own sockets would answer (they have none) is stopped before
    /// conntrack sees it: a packet that INPUT let through is marked last of all, and the mark is
    /// carried over to its answer (`fwmark_reflect`). Neighbour discovery and multicast reports too.
    static var rules: String {
      var text = "table inet probe {\n"
      for hook in ["prerouting", "output"] {
        text += "chain state_\(hook) { type filter hook \(hook) priority -199;\n\(states)}\n"
      }
      text += "chain in { type filter hook input priority 2147483646;\n"
      text += "log prefix \"INPUT\" group \(group)\nmeta mark set 0xdead\n"
      // A smaller MTU of the way, that errors tell of, the router would remember for later cases.
      text += "icmp type 3 icmp code 4 icmp code set 255\nicmpv6 type 2 icmpv6 type set 1\n}\n"
      text += "chain out { type filter hook output priority -450;\nmeta mark 0xdead drop\n"
      text += "icmpv6 type { 130, 131, 132, 133, 134, 135, 136, 137, 143 } drop\n}\n}\n"
      return text
    }

    /// Rules that log the ctstate.
    private static var states: String {
      var text = ""
      for state in ["new", "established", "related"] {
        for (direction, letter) in [("original", "o"), ("reply", "r")] {
          text +=
            "ct state \(state) ct direction \(direction) "
            + "log prefix \"\(state.uppercased())/\(letter)\" group \(group)\n"
        }
      }
      for state in ["invalid", "untracked"] {
        text += "ct state \(state) log prefix \"\(state.uppercased())\" group \(group)\n"
      }
      return text
    }
  }
#endif
