// NAT with everything mixed: rules of all kinds, flows of many clients on few ports to few servers, the
// router's own addresses and those nobody has among them.

import Conntrack
import Wire

enum NATWideGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    let rules = NATRules(&chooser, family, chains: ["PREROUTING", "INPUT", "POSTROUTING"])
    test.rules = rules.lines
    if chooser.chance(8) {
      test.rules.append("-t raw -A PREROUTING -p udp -m udp --dport 53 -j CT --notrack")
    }
    if chooser.chance(12) {
      let ends = ["DROP", "REJECT", "ACCEPT"]
      test.rules.append(
        "-t filter -A FORWARD -p \(chooser.of(["udp", "udp", "tcp"])) -m conntrack --ctstate "
          + "\(chooser.of(["NEW", "ESTABLISHED", "DNAT", "SNAT"])) -j \(chooser.of(ends))")
    }
    for (name, values) in [
      ("acct", ["1"]), ("tcp_loose", ["0"]), ("tcp_be_liberal", ["1"]), ("udp_timeout", ["1"]),
    ] where chooser.chance(12) {
      test.sysctls.append(
        ConformanceCase.Sysctl(
          name: "net.netfilter.nf_conntrack_\(name)", value: chooser.of(values)))
    }
    var lists: [[Step]] = []
    for index in 0..<chooser.of([2, 4, 4, 8]) {
      let flow = flow(&chooser, family, rules)
      test.flows.append(flow)
      var steps = steps(&chooser, test.flows, index, family)
      if isGroup(flow.destination.address, family) {
        // A group answers nobody.
        for at in steps.indices { steps[at].direction = .original }
      }
      lists.append(steps)
    }
    test.steps = merge(&chooser, lists)
    return test
  }

  private static func isGroup(_ address: IPAddress, _ family: AddressFamily) -> Bool {
    family == .ipv4
      ? address.ipv4 >= 0xe000_0000 || address.ipv4 & 0xff == 0xff : address.high >> 56 == 0xff
  }

  private static func flow(
    _ chooser: inout Chooser, _ family: AddressFamily, _ rules: NATRules
  ) -> Flow {
    let kinds: [Flow.Kind] = [
      .tcp, .tcp, .udp, .udp, .udp, .echo, .echo, .lite, .sctp, .raw, .raw,
    ]
    var flow = Flow.make(&chooser, chooser.of(kinds), family)
    flow.destination.address = rules.destination(&chooser)
    if flow.kind == .echo {
      flow.source.port = chooser.of([1, 1, 2, 7, 100, chooser.number(0...65_535)])
    } else {
      flow.source.port = chooser.of([
        1000, 1000, 1000, 1001, 600, 520, 300, 40_000, 511, 512, 599, 1023, 1024, 2000, 5000,
        chooser.number(1...65_535),
      ])
      flow.destination.port = chooser.of([22, 53, 53, 80, 80, 443, 8080, 81, 100])
    }
    return flow
  }

  private static func steps(
    _ chooser: inout Chooser, _ flows: [Flow], _ index: Int, _ family: AddressFamily
  ) -> [Step] {
    var steps: [Step] = []
    switch flows[index].kind {
    case .tcp:
      var conversation = TCPConversation(&chooser, flow: index)
      steps = conversation.steps(&chooser, count: chooser.of([2, 6, 12]), oddities: 10)
    case .udp:
      for _ in 0..<chooser.of([1, 3, 6]) {
        steps.append(DatagramGenerator.udpStep(&chooser, flow: index))
      }
    case .echo:
      for _ in 0..<chooser.of([1, 3, 6]) {
        steps.append(DatagramGenerator.echoStep(&chooser, flow: index))
      }
    case .lite:
      for _ in 0..<chooser.of([1, 3]) {
        steps.append(ProtocolsGenerator.liteStep(&chooser, flow: index))
      }
    case .sctp:
      var association = SCTPAssociation(&chooser, flow: index)
      steps = association.steps(&chooser, count: chooser.of([2, 6]), oddities: 10)
    case .raw:
      let number: UInt8 = chooser.of([33, 47, 47, 50, 51, 94, 253])
      for _ in 0..<chooser.of([1, 3, 5]) {
        steps.append(ProtocolsGenerator.rawStep(&chooser, number, flow: index, flows))
      }
    }
    for _ in 0..<chooser.of([0, 0, 1, 3]) {
      var step = DatagramGenerator.errorStep(&chooser, flow: index, family)
      if case .error(var error) = step.kind, chooser.chance(30) {
        error.quoted = chooser.number(0...100)
        step.kind = .error(error)
      }
      steps.insert(step, at: chooser.number(1...steps.count))
    }
    for at in steps.indices where chooser.chance(4) {
      steps[at].hopLimit = chooser.of([1, 1, 2, 255])
    }
    return steps
  }

  /// Many clients of one server, through few ports: what is given out, and what is left when all is.
  static func crowd(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    let spare = Network.spare.map { Network.host($0, .wan, family).text(family) }
    let kind = chooser.of([Flow.Kind.udp, .udp, .tcp, .echo])
    let name = kind == .echo ? "icmp" : kind.rawValue
    let ports = chooser.of(["5000-5007", "5000-5031", "6000-6127", "7000", "1-16", "520-530"])
    let place = { (addresses: String) in
      // Each side has its own idea of who gets which address, so none may run short of ports.
      let ports = addresses.contains("-") ? "6000-6200" : ports
      return family == .ipv4 ? "\(addresses):\(ports)" : "[\(addresses)]:\(ports)"
    }
    let options = chooser.of(["", "", " --random", " --random-fully", " --persistent"])
    let masquerade = options.contains("persistent") ? "" : options
    var choices = [
      "-j MASQUERADE", "-j SNAT --to-source \(spare[0])",
      "-j SNAT --to-source \(spare[0])-\(spare[2])\(options)",
    ]
    if kind != .echo || family == .ipv4 {
      choices += [
        "-p \(name) -j MASQUERADE --to-ports \(ports)\(masquerade)",
        "-p \(name) -j SNAT --to-source \(place(spare[0]))\(options)",
        "-p \(name) -j SNAT --to-source \(place("\(spare[0])-\(spare[2])"))\(options)",
      ]
    }
    let exempt = Network.host(2, .lan, family).text(family)
    if chooser.chance(30) {
      test.rules.append("-t nat -A POSTROUTING -s \(exempt) -o wan0 -j RETURN")
    }
    test.rules.append("-t nat -A POSTROUTING -o wan0 \(chooser.of(choices))")
    let servers = chooser.number(1...2)
    let clientPorts: [UInt16] = chooser.of([
      [1000], [1000, 1001, 300, 600], [5000, 5001, 520, 7000],
    ])
    for _ in 0..<chooser.of([10, 40, 140]) {
      var flow = Flow.make(&chooser, kind, family, port: .lan)
      flow.source.address = Network.host(chooser.number(2...9), .lan, family)
      flow.source.port = chooser.chance(70) ? chooser.of(clientPorts) : chooser.number(1...2000)
      flow.destination.address = Network.host(chooser.number(2...1 + servers), .wan, family)
      flow.destination.port = kind == .echo ? 0 : 53
      test.flows.append(flow)
      let index = test.flows.count - 1
      let step: Step.Kind =
        switch kind {
        case .udp: .udp(UDPStep())
        case .tcp: .tcp(TCPStep(flags: .syn, sequence: 1000))
        default: .echo(EchoStep())
        }
      test.steps.append(Step(kind: step, flow: index))
      if kind == .tcp { test.steps += ending(&chooser, flow: index) }
      if chooser.chance(10) && kind != .tcp {
        test.steps.append(Step(kind: step, flow: index, direction: .reply))
      }
    }
    return test
  }

  /// What brings a connection whose SYN has been sent to where it may give way to another, or near it.
  private static func ending(_ chooser: inout Chooser, flow: Int) -> [Step] {
    func step(
      _ flags: TCPFlags, _ sequence: UInt32, _ acknowledgement: UInt32,
      _ direction: Direction = .original
    ) -> Step {
      Step(
        kind: .tcp(TCPStep(flags: flags, sequence: sequence, acknowledgement: acknowledgement)),
        flow: flow, direction: direction)
    }
    let answer = step([.syn, .ack], 5000, 1001, .reply)
    let close = [
      answer, step(.ack, 1001, 5001), step([.fin, .ack], 1001, 5001),
      step([.fin, .ack], 5001, 1002, .reply), step(.ack, 1002, 5002),
    ]
    switch chooser.number(0...9) {
    case 0...2: return []
    case 3...4: return [answer, step(.rst, 1001, 0)]
    case 5: return [step(.syn, 5000, 0, .reply)]
    case 6: return Array(close.prefix(chooser.number(1...4)))
    default: return close
    }
  }
}
