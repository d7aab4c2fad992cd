// A table that is full or nearly so: flows of every protocol, more than there is room for, in states that
// let them give way and in others; packets that begin nothing at a full table; rules, NAT and zones.

import Conntrack
import Wire

enum FullTableGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    let limit = chooser.of([1, 2, 4, 8, 8, 12, 20, 30])
    // The kernel takes no fewer than 512 buckets, so that eight are a 64th of the table.
    test.sysctls = [.conntrack("buckets", 512), .conntrack("max", limit)]
    if chooser.chance(30) { test.sysctls.append(.conntrack("acct", 1)) }
    for sysctl in TCPGenerator.sysctls(&chooser)
    where !test.sysctls.contains(where: { $0.name == sysctl.name }) {
      test.sysctls.append(sysctl)
    }
    switch chooser.number(0...5) {
    case 0: test.rules = NATGenerator.rules(&chooser, family)
    case 1:
      test.rules = [
        "-t raw -A PREROUTING -p udp -j CT --zone \(chooser.number(1...3))",
        "-t raw -A PREROUTING -p tcp -j CT --zone-\(chooser.of(["orig", "reply"])) 2",
      ]
    case 2:
      test.rules = [
        "-t raw -A PREROUTING -p udp --dport 53 -j CT --notrack",
        "-t filter -A FORWARD -m conntrack --ctstate INVALID,UNTRACKED -j ACCEPT",
        "-t filter -A FORWARD -p tcp --dport 80 -j REJECT",
      ]
    default: break
    }
    var lists: [[Step]] = []
    for index in 0..<limit + chooser.of([1, 4, 10, 20]) {
      let kinds: [Flow.Kind] = [.tcp, .tcp, .tcp, .udp, .udp, .echo, .sctp, .lite, .raw]
      var flow = Flow.make(&chooser, chooser.of(kinds), family)
      flow.source.port = UInt16(2000 + index)
      test.flows.append(flow)
      lists.append(steps(&chooser, index, flow, test.flows, family))
    }
    // Some one after the other, so that those assured fill the table; some mixed.
    let mixed = chooser.number(0...lists.count)
    test.steps = lists.prefix(lists.count - mixed).flatMap { $0 }
    test.steps += merge(&chooser, Array(lists.suffix(mixed)))
    return test
  }

  private static func steps(
    _ chooser: inout Chooser, _ index: Int, _ flow: Flow, _ flows: [Flow], _ family: AddressFamily
  ) -> [Step] {
    var steps: [Step] = []
    switch flow.kind {
    case .tcp where chooser.chance(60):
      var conversation = TCPConversation(&chooser, flow: index)
      steps = conversation.handshake()
      switch chooser.number(0...5) {
      case 0: steps += conversation.close(.original)
      case 1: steps.append(conversation.finish(.reply))
      case 2: steps.append(conversation.reset(.original))
      case 3:
        steps += conversation.close(.original)
        steps += conversation.reopen(&chooser)
      default: break
      }
    case .tcp:
      var probe = TCPProbe(&chooser, flow: index)
      steps = Array(probe.make(&chooser).prefix(chooser.number(1...6)))
    case .udp:
      steps = (0..<chooser.number(1...3)).map { _ in
        DatagramGenerator.udpStep(&chooser, flow: index)
      }
    case .echo:
      steps = (0..<chooser.number(1...2)).map { _ in
        DatagramGenerator.echoStep(&chooser, flow: index)
      }
    case .lite:
      steps = [ProtocolsGenerator.liteStep(&chooser, flow: index)]
    case .sctp:
      var association = SCTPAssociation(&chooser, flow: index)
      steps = association.steps(&chooser, count: chooser.of([1, 4, 8]), oddities: 10)
    case .raw:
      let number: UInt8 = chooser.of([33, 47, 47, 50, 51, 94, 253])
      steps = (0..<chooser.number(1...2)).map { _ in
        ProtocolsGenerator.rawStep(&chooser, number, flow: index, flows)
      }
    }
    if chooser.chance(15) {
      steps.append(DatagramGenerator.errorStep(&chooser, flow: index, family))
    }
    for at in steps.indices where chooser.chance(5) {
      // What is too short to begin anything, and what is too short to have ports.
      steps[at].kept = chooser.number(0...12)
    }
    for at in steps.indices where chooser.chance(3) { steps[at].hopLimit = 1 }
    return steps
  }
}
