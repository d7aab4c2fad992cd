// IPv4 options and IPv6 extension headers of every kind, in every order, right and wrong.

import Conntrack
import Wire

enum HeaderGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(12) { test.rules = NATGenerator.rules(&chooser, family) }
    if chooser.chance(25) { test.setup = IPLayerGenerator.setup(&chooser, family) }
    test.setup += IPLayerGenerator.withoutNeighbours
    if family == .ipv4, chooser.chance(40) {
      IPLayerGenerator.set(&test, "net.ipv4.conf.all.accept_source_route", "1")
    }
    if family == .ipv4, chooser.chance(20) {
      IPLayerGenerator.set(&test, "net.ipv4.conf.all.send_redirects", "1")
    }
    test.flows = IPLayerGenerator.flows(&chooser, family, toRouter: 25)
    for _ in 0..<chooser.of([8, 20]) {
      var step = IPLayerGenerator.step(
        &chooser, test, flow: chooser.number(0...test.flows.count - 1),
        lengths: [0, 8, 100, 1200])
      if family == .ipv4 {
        step.ip.options = options(&chooser)
        step.ip.dontFragment = chooser.chance(30)
      } else {
        step.ip.extensions = chain(&chooser, most: 5)
        step.ip.flowLabel = chooser.chance(10) ? chooser.number(0...0xf_ffff) : 0
      }
      step.ip.trafficClass = chooser.chance(10) ? chooser.number(0...255) : 0
      if chooser.chance(10) { step.hopLimit = chooser.of([0, 1, 2, 255]) }
      if chooser.chance(6) {
        step.ip.destination = IPLayerGenerator.oddAddress(&chooser, family)
      }
      if chooser.chance(4) { step.ip.source = IPLayerGenerator.oddAddress(&chooser, family) }
      if chooser.chance(8) { step.ip.cut = chooser.number(20...120) }
      if chooser.chance(4) { step.ip.trailing = chooser.number(1...12) }
      if chooser.chance(6) {
        let bytes: [UInt8] = [chooser.number(0...255)]
        step.ip.edits = [IPLayer.Edit(offset: chooser.number(20...100), bytes: bytes)]
      }
      test.steps.append(step)
    }
    return test
  }

  // MARK: IPv4

  static func options(_ chooser: inout Chooser) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<chooser.of([1, 1, 1, 2, 3]) {
      bytes += option(&chooser)
      if bytes.count > 40 { break }
    }
    if chooser.chance(20), bytes.count > 2 {
      bytes[chooser.number(0...bytes.count - 1)] = chooser.number(0...255)
    }
    return Array(bytes.prefix(40))
  }

  private static func option(_ chooser: inout Chooser) -> [UInt8] {
    let zeros = { (count: Int) in [UInt8](repeating: 0, count: count) }
    let router: [UInt8] = chooser.of([[10, 0, 1, 1], [198, 51, 100, 1], [10, 0, 1, 9]])
    let far: [UInt8] = chooser.of([
      [198, 51, 100, 9], [198, 51, 100, 1], [203, 0, 113, 2], [10, 0, 1, 5], [10, 0, 1, 1],
      [192, 0, 2, 1], [127, 0, 0, 1], [224, 0, 0, 1], [255, 255, 255, 255],
    ])
    switch chooser.number(0...13) {
    case 0: return [1]
    case 1: return [0]
    case 2, 3:
      let slots = chooser.number(1...3)
      return [7, UInt8(3 + 4 * slots), chooser.of([4, 4, 8, 12, 0, 3, 5, 16])]
        + zeros(4 * slots)
    case 4, 5:
      let slots = chooser.number(1...4)
      let flag: UInt8 = chooser.of([0, 1, 3, 2, 0xf0, 0xf1, 0x10])
      let pair = chooser.of([router, far]) + zeros(4)
      let data = chooser.chance(60) ? pair + pair : zeros(4 * slots)
      return [68, UInt8(4 + data.count), chooser.of([5, 5, 5, 9, 13, 4, 6, 21]), flag] + data
    case 6, 7:
      let hops = chooser.number(1...3)
      return [
        chooser.of([131, 137]), UInt8(3 + 4 * hops), chooser.of([4, 4, 4, 8, 12, 16, 3, 5]),
      ]
        + (0..<hops).flatMap { _ in far }
    case 8: return chooser.of([[148, 4, 0, 0], [148, 4, 0, 1], [148, 3, 0], [148, 5, 0, 0, 0]])
    case 9: return [134, 10, 0, 0, 0, 1, 1, 4, 0, 1]
    case 10: return [130, 11] + zeros(9)
    case 11:
      let length: UInt8 = chooser.number(2...8)
      return [chooser.of([25, 94, 158, 200, 30, 82, 136]), length] + zeros(Int(length) - 2)
    case 12: return [chooser.of([7, 68, 131, 148, 200]), chooser.of([0, 1, 2, 3, 41, 255])]
    default:
      let kind: UInt8 = chooser.number(0...255)
      return [kind, chooser.number(0...12)] + zeros(chooser.number(0...6))
    }
  }

  // MARK: IPv6

  static func chain(_ chooser: inout Chooser, most: Int) -> [IPLayer.Extension] {
    (0..<chooser.number(1...most)).map { index in
      // Hop-by-hop options in their place, or anywhere.
      if index == 0 && chooser.chance(35) { return header(&chooser, IPProtocolNumber.hopByHop) }
      return header(
        &chooser,
        chooser.of([60, 60, 60, 43, 43, 51, 44, 44, 0, 135, 139, 140, 50, 59, 253, 200, 58, 17]))
    }
  }

  private static func header(_ chooser: inout Chooser, _ number: UInt8) -> IPLayer.Extension {
    var header = IPLayer.Extension(number: number)
    switch number {
    case IPProtocolNumber.hopByHop, IPProtocolNumber.destinationOptions:
      for _ in 0..<chooser.of([0, 1, 1, 2, 3, 9]) where header.body.count < 200 {
        header.body += tlv(&chooser)
      }
      // Padding to the end, as senders do; else zeros, each a Pad1.
      if chooser.chance(60) {
        let short = (8 - (header.body.count + 2) % 8) % 8
        if short > 1 {
          header.body += [1, UInt8(short - 2)] + [UInt8](repeating: 0, count: short - 2)
        }
      }
    case IPProtocolNumber.routing:
      let type: UInt8 = chooser.of([0, 0, 1, 2, 3, 4, 4, 253, 5])
      let left: UInt8 = chooser.of([0, 0, 1, 2, 255])
      let next: [UInt8] = [0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]
      header.body = [type, left, chooser.of([0, 0, 1]), 0, 0, 0]
      for _ in 0..<chooser.of([0, 1, 1, 2]) { header.body += next }
    case IPProtocolNumber.ah:
      header.body = [UInt8](repeating: 0, count: chooser.of([10, 22, 22, 14, 6, 2]))
    case IPProtocolNumber.fragment:
      // Atomic, mostly.
      header.body = [0, chooser.of([0, 0, 0, 0, 1, 2, 8, 9]), 0, 0, 0, chooser.number(1...9)]
    case 59: header.body = []
    default: header.body = [UInt8](repeating: 0, count: chooser.of([6, 14]))
    }
    if chooser.chance(5) { header.length = chooser.of([0, 1, 2, 3, 10, 255]) }
    return header
  }

  private static func tlv(_ chooser: inout Chooser) -> [UInt8] {
    let data = { (count: Int) in (0..<count).map { UInt8($0) } }
    switch chooser.number(0...15) {
    case 0: return [0]
    case 1:
      let count = chooser.of([0, 1, 2, 4, 5, 6, 9])
      return [1, UInt8(count)] + [UInt8](repeating: 0, count: count)
    case 2: return [1, 2, 0, 1]
    case 3, 4: return [5, 2, 0, chooser.of([0, 1, 2])]
    case 5: return chooser.of([[5, 1, 0], [5, 3, 0, 0, 0], [5, 0]])
    case 6: return [0xc2, 4, 0, chooser.of([0, 1]), 0, chooser.number(0...255)]
    case 7: return [0xc2, chooser.of([3, 4, 5]), 0, 0, 0, 0]
    case 8: return [7, 8] + data(8)
    case 9: return chooser.of([[0x31, 2, 0, 0], [0x31, 10] + data(10), [0x23, 4, 0, 0, 0, 0]])
    case 10: return [0xc9, 16] + data(16)
    case 11: return [0x04, 1, 0]
    default:
      let action: UInt8 = chooser.of([0, 0, 0x40, 0x80, 0xc0])
      let count = chooser.of([0, 1, 2, 4, 4, 6, 12])
      return [action | chooser.of([0x1e, 0x3e, 0x0b, 0x22]), UInt8(count)] + data(count)
    }
  }
}
