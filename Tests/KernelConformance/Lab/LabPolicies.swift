// The timeout policies that every router of the laboratory has, for `CT --timeout` in rules.

import Conntrack
import Wire

enum LabPolicies {
  static let all: [TimeoutPolicy] = AddressFamily.allCases.flatMap { family in
    [
      make(
        "t", family, IPProtocolNumber.tcp,
        [
          "SYN_SENT": 77, "SYN_RECV": 44, "ESTABLISHED": 1000, "CLOSE": 5, "SYN_SENT2": 66,
          "UNACKNOWLEDGED": 222,
        ]),
      make(
        "tl", family, IPProtocolNumber.tcp,
        [
          "ESTABLISHED": 100_000, "FIN_WAIT": 1111, "CLOSE_WAIT": 2222, "LAST_ACK": 333,
          "TIME_WAIT": 4444, "RETRANS": 99,
        ]),
      make("u", family, IPProtocolNumber.udp, ["UNREPLIED": 7, "REPLIED": 70]),
      make("uh", family, IPProtocolNumber.udp, ["REPLIED": 900]),
      make("s", family, IPProtocolNumber.sctp, ["CLOSED": 20, "ESTABLISHED": 500]),
      make("g", family, IPProtocolNumber.gre, ["UNREPLIED": 15, "REPLIED": 150]),
      make(
        "e", family, family == .ipv4 ? IPProtocolNumber.icmp : IPProtocolNumber.icmpv6,
        [
          "TIMEOUT": 12
        ]),
      make("o", family, TimeoutPolicy.generic, ["TIMEOUT": 450]),
    ].compactMap { $0 }
  }

  /// The policy of a short name for a family. The kernel shows no more than four characters of it.
  static func name(_ short: String, _ family: AddressFamily) -> String {
    short + (family == .ipv4 ? "4" : "6")
  }

  private static func make(
    _ short: String, _ family: AddressFamily, _ number: UInt8, _ seconds: [String: Int64]
  ) -> TimeoutPolicy? {
    var policy = TimeoutPolicy(
      name: name(short, family), family: family, protocolNumber: number)
    for (state, time) in seconds {
      guard policy?.set(state, nanoseconds: time * 1_000_000_000) == true else { return nil }
    }
    policy?.complete(from: ConntrackSettings())
    return policy
  }
}
