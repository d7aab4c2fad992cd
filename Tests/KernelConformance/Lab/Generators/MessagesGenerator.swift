// ICMP and ICMPv6 messages of every type: queries and answers that fit and do not, types that are not
// tracked, and messages cut short.

import Conntrack
import Wire

enum MessagesGenerator {
  private static let queries: [(request: UInt8, answer: UInt8)] = [
    (8, 0), (13, 14), (15, 16), (17, 18),
  ]
  private static let queriesIPv6: [(request: UInt8, answer: UInt8)] = [(128, 129), (139, 140)]

  static func step(
    _ chooser: inout Chooser, flow: Int, _ flows: [Flow], _ family: AddressFamily
  ) -> Step {
    let direction: Direction = chooser.of([.original, .original, .reply])
    var message = MessageStep(type: 0)
    message.rest =
      UInt32(flows[flow].source.port) << 16 | UInt32(chooser.number(0...3) as UInt16)
    message.length = chooser.of([0, 8, 12, 100])
    if chooser.chance(75) {
      let pair = chooser.of(family == .ipv4 ? queries : queriesIPv6)
      let isRequest = (direction == .original) != chooser.chance(10)
      message.type = isRequest ? pair.request : pair.answer
      if chooser.chance(10) { message.code = chooser.of([1, 2, 255]) }
    } else {
      let ipv4: [UInt8] =
        Array(0...20) + [30, 31, 33, 37, 40, 42, 43, 127, 128, 255, chooser.number(0...255)]
      let ipv6: [UInt8] =
        [0, 1, 2, 3, 4, 5, 100, 101, 127] + Array(128...162) + [
          200, 201, 255, chooser.number(0...255),
        ]
      message.type = chooser.of(family == .ipv4 ? ipv4 : ipv6)
      message.code = chooser.of([0, 0, 0, 1, 4, 255])
    }
    if chooser.chance(8) { message.rest = chooser.number(0...UInt32.max) }
    message.hasBadChecksum = chooser.chance(4)
    var step = Step(kind: .message(message), flow: flow, direction: direction)
    if chooser.chance(6) { step.kept = chooser.number(0...9) }
    return step
  }

  /// An ICMPv6 redirect about a flow, right in all or wrong in one thing.
  private static func redirect(_ chooser: inout Chooser, flow: Int) -> Step {
    var error = ErrorStep(type: ICMPv6Type.redirect, code: 0)
    error.source = IPAddress(high: 0xfe80 << 48, low: 2)
    var step = Step(kind: .error(error), flow: flow, direction: chooser.of([.original, .reply]))
    step.hopLimit = 255
    switch chooser.number(0...8) {
    case 0: step.hopLimit = chooser.of([64, 254])
    case 1: error.code = chooser.of([1, 255])
    case 2:
      error.source = IPAddress(high: chooser.of([0xfe90, 0xfebf, 0xfec0, 0x2001]) << 48, low: 2)
    case 3:
      error.flippedOffset = chooser.number(30...42)
      error.flippedBits = chooser.number(1...255)
    case 4: step.kept = chooser.number(30...100)
    case 5: error.quoted = chooser.number(0...48)
    case 6: error.hasBadChecksum = true
    default: break
    }
    step.kind = .error(error)
    return step
  }

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(25) { test.rules = NATGenerator.rules(&chooser, family) }
    if chooser.chance(20) {
      test.sysctls.append(.conntrack(family == .ipv4 ? "icmp_timeout" : "icmpv6_timeout", 5))
    }
    for (name, value) in [("acct", 1), ("checksum", 0)] where chooser.chance(10) {
      test.sysctls.append(.conntrack(name, value))
    }
    for _ in 0..<chooser.number(1...3) {
      let kind: Flow.Kind = chooser.of([.echo, .echo, .echo, .udp])
      test.flows.append(Flow.make(&chooser, kind, family))
    }
    for _ in 0..<chooser.of([8, 20]) {
      let flow = chooser.number(0...test.flows.count - 1)
      if test.flows[flow].kind == .udp {
        test.steps.append(DatagramGenerator.udpStep(&chooser, flow: flow))
        if chooser.chance(50) { continue }
      }
      if family == .ipv6 && chooser.chance(20) {
        var step = redirect(&chooser, flow: flow)
        // What NAT made the router's own the router would have to complain of itself.
        if !test.rules.isEmpty { step.direction = .original }
        test.steps.append(step)
        continue
      }
      if test.flows[flow].kind == .udp { continue }
      test.steps.append(
        chooser.chance(15)
          ? DatagramGenerator.errorStep(&chooser, flow: flow, family)
          : step(&chooser, flow: flow, test.flows, family))
    }
    return test
  }
}
