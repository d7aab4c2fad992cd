// Timeout policies in the kernel under test, as `nfct add timeout` makes them.

#if os(Linux)
  import Conntrack
  import Wire

  enum KernelPolicies {
    /// Adds policies in the namespace the thread is in.
    static func add(_ policies: [TimeoutPolicy]) throws {
      let socket = try System.socket(System.socketNetlink, 12)
      try System.bind(socket, [16, 0] + [UInt8](repeating: 0, count: 10))
      var buffer = [UInt8](repeating: 0, count: 4096)
      for policy in policies {
        // linux/netfilter/nfnetlink_cttimeout.h: name, layer 3 and 4 protocol, times by state.
        var attributes = NetlinkBuilder()
        attributes.add(1, Array(policy.name.utf8) + [0])
        attributes.add(2, [0, policy.family == .ipv4 ? 2 : 10])
        attributes.add(3, [policy.protocolNumber])
        attributes.nest(4) { times in
          for (number, state) in policy.stateNames.enumerated() {
            guard let time = policy.timeouts[state] else { continue }
            let seconds = UInt32(time / 1_000_000_000)
            times.add(
              UInt16(number + 1),
              [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: seconds >> UInt32($0)) })
          }
        }
        // NFNL_SUBSYS_CTNETLINK_TIMEOUT, IPCTNL_MSG_TIMEOUT_NEW; to be created, and acknowledged.
        try System.send(socket, NetlinkBuilder.message(0x800, flags: 0x605, attributes.bytes))
        guard System.wait([socket], milliseconds: 2000),
          let bytes = try System.receive(socket, &buffer),
          let answer = NetlinkMessage.split(bytes).first, answer.errorNumber == 0
        else {
          throw CommandError(
            command: "timeout policy \(policy.name)", output: "the kernel refused it")
        }
      }
    }
  }
#endif
