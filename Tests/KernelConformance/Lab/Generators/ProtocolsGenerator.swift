// Every other protocol there is over IP: UDP-Lite, GRE, DCCP, ESP, AH, IGMP, tunnels, and numbers nobody
// has given out; and headers of the known ones that are cut short.

import Conntrack
import Wire

enum ProtocolsGenerator {
  static func liteStep(_ chooser: inout Chooser, flow: Int) -> Step {
    var lite = UDPLiteStep(length: chooser.of([0, 1, 20, 500]))
    let whole = UInt16(8 + lite.length)
    lite.coverage = chooser.of([
      0, 0, 8, whole, whole, 1, 7, whole + 1, whole - 1, 65_535, chooser.number(0...whole),
    ])
    lite.checksum = chooser.of([.right, .right, .right, .right, .rfc, .bad, .absent])
    var step = Step(
      kind: .lite(lite), flow: flow, direction: chooser.of([.original, .original, .reply]))
    if chooser.chance(5) { step.kept = chooser.number(0...9) }
    return step
  }

  private static func word(_ value: UInt16) -> [UInt8] {
    [UInt8(value >> 8), UInt8(truncatingIfNeeded: value)]
  }

  /// GRE (RFC 2784, 2890) and PPTP's version of it (RFC 2637), with what is odd about them.
  private static func gre(_ chooser: inout Chooser) -> [UInt8] {
    if chooser.chance(50) {
      let bits: UInt16 = chooser.of([0, 0x2000, 0x8000, 0xb000, 0x0002, 0x0007])
      return word(bits) + word(chooser.of([0x0800, 0x6558, 0x880b]))
        + (bits & 0x2000 != 0 ? [0, 0, 0, chooser.number(1...3)] : [])
        + [UInt8](repeating: 9, count: chooser.of([0, 4, 20]))
    }
    let bits: UInt16 = chooser.of([0x2001, 0x3001, 0x3081, 0x0001, 0x2081])
    return word(bits) + word(chooser.chance(80) ? 0x880b : 0x0800) + word(chooser.of([0, 4, 100]))
      + word(chooser.number(0...2)) + [UInt8](repeating: 1, count: chooser.of([0, 4, 8, 12]))
  }

  /// DCCP's generic header (RFC 4340): types 0 to 15.
  private static func dccp(_ chooser: inout Chooser, _ flow: Flow, _ direction: Direction)
    -> [UInt8]
  {
    let ends =
      direction == .original ? (flow.source, flow.destination) : (flow.destination, flow.source)
    let type = UInt8(chooser.number(0...15))
    return word(ends.0.port) + word(ends.1.port) + [4, 0, 0, 0, type << 1 | 1, 0, 0, 0, 0, 0, 0, 1]
      + [UInt8](repeating: 0, count: chooser.of([0, 4, 8, 12]))
  }

  private static func numbers(_ family: AddressFamily) -> [UInt8] {
    // In IPv6 some of these are extension headers, which are not for here.
    let odd: [UInt8] = family == .ipv4 ? [0, 1, 43, 44, 58, 58, 59, 60] : [1, 1, 2, 59]
    return odd + [
      2, 4, 6, 17, 33, 33, 41, 46, 47, 47, 47, 47, 50, 50, 51, 89, 94, 97, 103, 108, 112, 115, 132,
      135, 136, 137, 139, 140, 253, 254, 255,
    ]
  }

  static func rawStep(
    _ chooser: inout Chooser, _ number: UInt8, flow: Int, _ flows: [Flow]
  ) -> Step {
    let direction: Direction = chooser.of([.original, .original, .reply])
    let bytes: [UInt8]
    switch number {
    case IPProtocolNumber.gre: bytes = gre(&chooser)
    case IPProtocolNumber.dccp where chooser.chance(80):
      bytes = dccp(&chooser, flows[flow], direction)
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.sctp,
      IPProtocolNumber.udpLite:
      bytes = word(1000) + word(80) + [UInt8](repeating: 0, count: chooser.number(0...20))
    default:
      let length = chooser.of([0, 1, 4, 8, 20, 60])
      bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0) }
    }
    var step = Step(
      kind: .raw(RawStep(number: number, bytes: bytes)), flow: flow, direction: direction)
    if chooser.chance(10) { step.kept = chooser.number(0...9) }
    return step
  }

  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    for (name, values) in [
      ("generic_timeout", [5, 1000]), ("gre_timeout", [5]), ("gre_timeout_stream", [50]),
      ("udp_timeout", [5]), ("udp_timeout_stream", [50]), ("acct", [1]), ("checksum", [0]),
    ] where chooser.chance(12) {
      test.sysctls.append(.conntrack(name, chooser.of(values)))
    }
    var numbers: [UInt8] = []
    for _ in 0..<chooser.number(1...3) {
      let number =
        family == .ipv4 && chooser.chance(15)
        ? chooser.number(0...255) : chooser.of(ProtocolsGenerator.numbers(family))
      numbers.append(chooser.chance(25) ? IPProtocolNumber.udpLite : number)
      var flow = Flow.make(&chooser, .raw, family)
      if numbers.last == IPProtocolNumber.udpLite { flow.kind = .lite }
      test.flows.append(flow)
    }
    for _ in 0..<chooser.of([6, 15, 25]) {
      let flow = chooser.number(0...test.flows.count - 1)
      if chooser.chance(15) {
        test.steps.append(DatagramGenerator.errorStep(&chooser, flow: flow, family))
      } else if test.flows[flow].kind == .lite {
        test.steps.append(liteStep(&chooser, flow: flow))
      } else {
        test.steps.append(rawStep(&chooser, numbers[flow], flow: flow, test.flows))
      }
    }
    return test
  }
}
