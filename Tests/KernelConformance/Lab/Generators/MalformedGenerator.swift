// Packets whose IP header lies, is cut short or has addresses that cannot be, and frames addressed to
// everyone.

import Conntrack
import Wire

enum MalformedGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    if chooser.chance(15) { test.rules = NATGenerator.rules(&chooser, family) }
    if chooser.chance(10) { test.rules += IPLayerGenerator.rejection(&chooser) }
    if family == .ipv6, chooser.chance(50) {
      test.setup = ["addr add fe80::1/64 dev lan0 nodad", "addr add fe80::1/64 dev wan0 nodad"]
    }
    let mayBeForAnyone = chooser.chance(60)
    if mayBeForAnyone { test.setup += IPLayerGenerator.withoutNeighbours }
    settings(&chooser, &test, family)
    test.flows = IPLayerGenerator.flows(&chooser, family, toRouter: 25)
    for _ in 0..<chooser.of([8, 25]) {
      var step = IPLayerGenerator.step(
        &chooser, test, flow: chooser.number(0...test.flows.count - 1),
        lengths: [0, 1, 8, 33, 100])
      for _ in 0..<chooser.of([1, 1, 1, 2]) { spoil(&chooser, &step, family) }
      // Addresses of the router's links that are nobody's.
      let addresses = family == .ipv4 ? 12..<20 : 8..<40
      if !mayBeForAnyone {
        // Where neighbours are asked for, their groups are joined.
        if family == .ipv6, chooser.chance(5) {
          step.ip.destination = IPAddress.parse("ff02::1:ff00:1")?.address
        }
        step.ip.edits.removeAll { addresses.overlaps($0.offset..<$0.offset + $0.bytes.count) }
      }
      test.steps.append(step)
    }
    return test
  }

  private static func settings(
    _ chooser: inout Chooser, _ test: inout ConformanceCase, _ family: AddressFamily
  ) {
    guard family == .ipv4 else { return }
    let names = ["rp_filter", "accept_local", "route_localnet", "bc_forwarding", "log_martians"]
    for name in names where chooser.chance(15) {
      let port = chooser.of(["all", "lan0", "wan0"])
      let value = name == "rp_filter" ? chooser.of(["1", "2"]) : "1"
      IPLayerGenerator.set(&test, "net.ipv4.conf.\(port).\(name)", value)
    }
  }

  private static func spoil(_ chooser: inout Chooser, _ step: inout Step, _ family: AddressFamily) {
    func edit(_ offset: Int, _ bytes: [UInt8]) {
      step.ip.edits.append(IPLayer.Edit(offset: offset, bytes: bytes))
    }
    let byte: UInt8 = chooser.number(0...255)
    switch chooser.number(0...19) {
    case 0: step.ip.cut = chooser.number(1...70)
    case 1: step.ip.trailing = chooser.number(1...20)
    case 2: step.hopLimit = chooser.of([0, 1, 2, 255])
    case 3, 4, 5: step.ip.source = IPLayerGenerator.oddAddress(&chooser, family)
    case 6, 7, 8, 9: step.ip.destination = IPLayerGenerator.oddAddress(&chooser, family)
    case 10: step.ip.frame = chooser.of([.broadcast, .multicast, .other])
    case 11: edit(0, [chooser.of([byte, 0x44, 0x46, 0x4f, 0x65, 0x60, 0x45, 0x55, 0x05])])
    case 12:
      let length: UInt16 = chooser.of([0, 1, 19, 20, 21, 27, 28, 29, 40, 60, 500, 65_535])
      edit(family == .ipv4 ? 2 : 4, [UInt8(length >> 8), UInt8(truncatingIfNeeded: length)])
    case 13: step.ip.hasBadChecksum = true
    case 14:
      edit(family == .ipv4 ? 9 : 6, [chooser.of([2, 0, 41, 4, 255, 59, 103, 50, 51, 89, 200])])
    case 15: edit(6, [family == .ipv4 ? chooser.of([0x80, 0x40, 0xc0, 0xa0]) : byte])
    case 16: edit(chooser.number(0...70), [byte])
    case 17: edit(chooser.number(0...39), [byte, chooser.number(0...255)])
    case 18: step.ip.trafficClass = byte
    default: step.ip.flowLabel = chooser.number(0...0xf_ffff)
    }
  }
}
