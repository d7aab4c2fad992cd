// UDP flows, echoes, and ICMP errors about everything.

import Conntrack
import Wire

enum DatagramGenerator {
  static func udpStep(_ chooser: inout Chooser, flow: Int) -> Step {
    var udp = UDPStep(length: chooser.of([0, 1, 20, 500]))
    if chooser.chance(8) { udp.checksum = chooser.of([.bad, .absent]) }
    if chooser.chance(6) {
      let whole = UInt16(8 + udp.length)
      udp.lengthField = chooser.of([0, 7, 8, whole, whole + 1, 65_535, max(8, whole - 1)])
    }
    return Step(kind: .udp(udp), flow: flow, direction: chooser.of([.original, .original, .reply]))
  }

  static func echoStep(_ chooser: inout Chooser, flow: Int) -> Step {
    var echo = EchoStep(sequence: chooser.number(1...3), length: chooser.of([0, 8, 100]))
    echo.hasBadChecksum = chooser.chance(5)
    echo.isSwapped = chooser.chance(7)
    return Step(
      kind: .echo(echo), flow: flow, direction: chooser.of([.original, .original, .reply]))
  }

  /// Types and codes of errors, the usual ones most.
  private static func errorType(
    _ chooser: inout Chooser, _ family: AddressFamily
  ) -> (type: UInt8, code: UInt8) {
    let ipv4: [(UInt8, UInt8)] = [
      (3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (4, 0), (11, 0), (11, 1), (12, 0), (5, 1),
    ]
    let ipv6: [(UInt8, UInt8)] = [
      (1, 0), (1, 1), (1, 3), (1, 4), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1),
    ]
    return chooser.of(family == .ipv4 ? ipv4 : ipv6)
  }

  static func errorStep(
    _ chooser: inout Chooser, flow: Int, _ family: AddressFamily
  ) -> Step {
    let (type, code) = errorType(&chooser, family)
    var error = ErrorStep(type: type, code: code, rest: chooser.of([0, 0, 1400, 0x1400_0000]))
    if chooser.chance(50) {
      error.source = chooser.of([
        Network.distant(chooser.number(1...3), family),
        Network.host(chooser.number(2...5), .wan, family),
        Network.host(chooser.number(2...5), .lan, family),
      ])
    }
    switch chooser.number(0...99) {
    case ..<25:
      error.quoted = chooser.of([0, 8, 19, 20, 24, 27, 28, 30, 40, 44, 48, 52, 60, 548])
    case ..<45:
      error.flippedOffset = chooser.number(0...63)
      error.flippedBits = chooser.number(1...255)
    case ..<52: error.hasBadChecksum = true
    case ..<60: error.isNested = true
    case ..<68:
      error.destination = chooser.of([
        Network.host(chooser.number(2...4), .wan, family),
        Network.host(chooser.number(2...4), .lan, family),
      ])
    default: break
    }
    return Step(
      kind: .error(error), flow: flow, direction: chooser.of([.original, .original, .reply]))
  }

  // MARK: Cases

  static func udp(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    func set(_ name: String, _ value: Int) {
      test.sysctls.append(
        ConformanceCase.Sysctl(name: "net.netfilter.nf_conntrack_\(name)", value: "\(value)"))
    }
    if chooser.chance(30) { set("udp_timeout", 1) }
    if chooser.chance(30) { set("udp_timeout_stream", chooser.of([1, 60])) }
    if chooser.chance(20) { set("acct", 1) }
    for _ in 0..<chooser.of([1, 2, 4]) { test.flows.append(Flow.make(&chooser, .udp, family)) }
    for _ in 0..<chooser.of([8, 20, 40]) {
      test.steps.append(udpStep(&chooser, flow: chooser.number(0...test.flows.count - 1)))
    }
    // Well away from whole seconds, where the two sides' clocks decide; seldom, since it takes long.
    if chooser.chance(8) {
      let step = Step(kind: .wait(chooser.of([300, 1500, 2500])))
      test.steps.insert(step, at: chooser.number(1...test.steps.count - 1))
    }
    return test
  }

  static func icmp(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(50) { test.rules = NATGenerator.rules(&chooser, family) }
    var conversations: [Int: TCPConversation] = [:]
    var associations: [Int: SCTPAssociation] = [:]
    let numbers: [UInt8] = [47, 47, 50, 51, 33, 4, 253]
    for index in 0..<chooser.number(1...3) {
      let kind = chooser.of([Flow.Kind.echo, .echo, .udp, .udp, .tcp, .tcp, .sctp, .lite, .raw])
      test.flows.append(Flow.make(&chooser, kind, family))
      if kind == .tcp { conversations[index] = TCPConversation(&chooser, flow: index) }
      if kind == .sctp { associations[index] = SCTPAssociation(&chooser, flow: index) }
    }
    for _ in 0..<chooser.of([10, 25]) {
      let flow = chooser.number(0...test.flows.count - 1)
      if chooser.chance(40) {
        test.steps.append(errorStep(&chooser, flow: flow, family))
        continue
      }
      switch test.flows[flow].kind {
      case .echo: test.steps.append(echoStep(&chooser, flow: flow))
      case .udp: test.steps.append(udpStep(&chooser, flow: flow))
      case .tcp:
        let step: Step? =
          switch chooser.number(0...4) {
          case 0: conversations[flow]?.open(.original, .syn)
          case 1: conversations[flow]?.open(.reply, [.syn, .ack])
          case 2: conversations[flow]?.acknowledge(.original)
          case 3: conversations[flow]?.data(.original, 100)
          default: conversations[flow]?.data(.reply, 100)
          }
        if let step { test.steps.append(step) }
      case .sctp:
        let steps = associations[flow]?.handshake() ?? []
        test.steps.append(chooser.of(steps))
      case .lite: test.steps.append(ProtocolsGenerator.liteStep(&chooser, flow: flow))
      case .raw:
        test.steps.append(
          ProtocolsGenerator.rawStep(
            &chooser, numbers[flow % numbers.count], flow: flow, test.flows))
      }
    }
    return test
  }
}
