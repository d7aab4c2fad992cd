// Timeouts: many flows of every protocol in every state, short timeouts, and waits in which some of them
// end; then more packets of the same flows. A second of waiting is used by all flows of a case together.

import Conntrack
import Wire

enum TimeoutsGenerator {
  private static let names = [
    "tcp_timeout_close", "tcp_timeout_close_wait", "tcp_timeout_established",
    "tcp_timeout_fin_wait", "tcp_timeout_last_ack", "tcp_timeout_max_retrans",
    "tcp_timeout_syn_recv", "tcp_timeout_syn_sent", "tcp_timeout_time_wait",
    "tcp_timeout_unacknowledged", "sctp_timeout_closed", "sctp_timeout_cookie_echoed",
    "sctp_timeout_cookie_wait", "sctp_timeout_established", "sctp_timeout_heartbeat_sent",
    "sctp_timeout_shutdown_ack_sent", "sctp_timeout_shutdown_recd", "sctp_timeout_shutdown_sent",
    "udp_timeout", "udp_timeout_stream", "icmp_timeout", "icmpv6_timeout", "generic_timeout",
    "gre_timeout", "gre_timeout_stream",
  ]

  /// Timeouts of protocols whose setting's name begins so, none of which ends during a case: which of
  /// them a packet chooses shows all the same.
  static func long(_ chooser: inout Chooser, _ protocols: String) -> [ConformanceCase.Sysctl] {
    guard chooser.chance(35) else { return [] }
    return names.filter { $0.hasPrefix(protocols) && chooser.chance(70) }.map {
      // Where it is below 120 seconds, whether an end out of the window shortens a timeout of just
      // 120 seconds depends on the kernel's tick between two packets.
      let isFree = $0 != "tcp_timeout_unacknowledged"
      return .conntrack($0, chooser.of(isFree ? [20, 50, 100, 200, 500, 1000] : [200, 500]))
    }
  }

  /// Some packets of a flow, now or later.
  private static func steps(
    _ chooser: inout Chooser, _ flow: Int, _ flows: [Flow], _ probes: inout [Int: TCPProbe],
    _ associations: inout [Int: SCTPAssociation]
  ) -> [Step] {
    let count = chooser.number(2...5)
    switch flows[flow].kind {
    case .tcp:
      var probe = probes[flow] ?? TCPProbe(&chooser, flow: flow)
      defer { probes[flow] = probe }
      return Array(probe.make(&chooser).prefix(3 * count))
    case .sctp:
      var association = associations[flow] ?? SCTPAssociation(&chooser, flow: flow)
      defer { associations[flow] = association }
      return association.steps(&chooser, count: 2 * count, oddities: 20)
    case .udp: return (0..<count).map { _ in DatagramGenerator.udpStep(&chooser, flow: flow) }
    case .echo: return (0..<count).map { _ in DatagramGenerator.echoStep(&chooser, flow: flow) }
    case .lite: return (0..<count).map { _ in ProtocolsGenerator.liteStep(&chooser, flow: flow) }
    case .raw:
      let number: UInt8 = flow % 2 == 0 ? 47 : 50
      return (0..<count).map { _ in
        ProtocolsGenerator.rawStep(&chooser, number, flow: flow, flows)
      }
    }
  }

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    // Two waits end 2.5 and 5 seconds behind most packets, and what is between them takes a part of a
    // second: well away from every timeout.
    // Both are 120 seconds else: see `long`.
    let isSet: Set = ["tcp_timeout_fin_wait", "tcp_timeout_time_wait"]
    for name in names where isSet.contains(name) || chooser.chance(70) {
      test.sysctls.append(.conntrack(name, chooser.of([1, 1, 2, 7, 60])))
    }
    for sysctl in TCPGenerator.sysctls(&chooser)
    where !test.sysctls.contains(where: { $0.name == sysctl.name }) {
      test.sysctls.append(sysctl)
    }
    for number in 0..<16 {
      let kinds: [Flow.Kind] = [.tcp, .tcp, .tcp, .tcp, .sctp, .sctp, .udp, .echo, .lite, .raw]
      var flow = Flow.make(&chooser, chooser.of(kinds), family)
      // None of them meets another.
      flow.source.port = UInt16(2000 + number)
      test.flows.append(flow)
    }
    var probes: [Int: TCPProbe] = [:]
    var associations: [Int: SCTPAssociation] = [:]
    for round in 0..<3 {
      var lists: [[Step]] = []
      for flow in test.flows.indices where round == 0 || chooser.chance(60) {
        lists.append(steps(&chooser, flow, test.flows, &probes, &associations))
      }
      test.steps += merge(&chooser, lists)
      if round < 2 { test.steps.append(Step(kind: .wait(2500))) }
    }
    return test
  }
}
