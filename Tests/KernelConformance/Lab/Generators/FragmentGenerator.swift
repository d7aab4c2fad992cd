// Packets in pieces: in and out of order, with gaps and overlaps, too long, contradicting each other,
// interleaved; over smaller links on the way out, through NAT, and never whole.

import Conntrack
import Wire

enum FragmentGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    test.setup = IPLayerGenerator.setup(&chooser, family)
    if chooser.chance(30) { test.rules = NATGenerator.rules(&chooser, family) }
    if chooser.chance(10) {
      IPLayerGenerator.set(&test, "net.ipv4.ipfrag_max_dist", "\(chooser.of([0, 1, 3]))")
    }
    let expires = chooser.chance(4)
    if expires {
      IPLayerGenerator.set(&test, "net.ipv4.ipfrag_time", "1")
      IPLayerGenerator.set(&test, "net.netfilter.nf_conntrack_frag6_timeout", "1")
    }
    test.flows = IPLayerGenerator.flows(&chooser, family, toRouter: 15)
    var packets: [[Step]] = []
    for number in 1...chooser.of([1, 2, 3, 5]) {
      // Now and then two packets of one number.
      let id = UInt16(chooser.chance(8) ? 1 : number)
      packets.append(packet(&chooser, test, family, id: id))
    }
    test.steps = merge(&chooser, packets)
    if chooser.chance(20) { test.steps.shuffle(using: &chooser.random) }
    if expires, test.steps.count > 1 {
      let wait = Step(kind: .wait(1500))
      test.steps.insert(wait, at: chooser.number(1...test.steps.count))
    }
    return test
  }

  /// The pieces of one packet, somewhat wrong.
  private static func packet(
    _ chooser: inout Chooser, _ test: ConformanceCase, _ family: AddressFamily, id: UInt16
  ) -> [Step] {
    var step = IPLayerGenerator.step(
      &chooser, test, flow: chooser.number(0...test.flows.count - 1),
      lengths: [0, 8, 40, 100, 600, 1400, 2000, 3000, chooser.number(0...4000)])
    // Replies of a flow that began in pieces, and flows that never were, are both of interest.
    if chooser.chance(20) { return [step] }
    step.ip.identification = id
    step.ip.trafficClass = chooser.chance(10) ? chooser.number(0...255) : 0
    step.ip.dontFragment = chooser.chance(15)
    if family == .ipv6 && chooser.chance(15) {
      step.ip.extensions = HeaderGenerator.chain(&chooser, most: 3)
      if chooser.chance(50) {
        let marker = IPLayer.Extension(number: IPProtocolNumber.fragment)
        let place = chooser.number(0...step.ip.extensions.count)
        step.ip.extensions.insert(marker, at: place)
      }
    }
    if family == .ipv4 && chooser.chance(10) {
      step.ip.options = HeaderGenerator.options(&chooser)
    }
    if chooser.chance(5) { step.hopLimit = 1 }
    let length = dataLength(step)
    return pieces(&chooser, length).map { piece in
      var one = step
      one.ip.piece = piece
      if chooser.chance(3) { one.ip.trafficClass = chooser.number(0...3) }
      if chooser.chance(5) { one.ip.dontFragment.toggle() }
      if chooser.chance(3) { one.ip.options = family == .ipv4 ? [1, 1, 1, 0] : [] }
      if chooser.chance(3) { one.hopLimit = chooser.of([1, 2, 63, 255]) }
      if chooser.chance(2) { one.ip.cut = chooser.number(1...80) }
      if chooser.chance(2) { one.ip.trailing = chooser.number(1...10) }
      if chooser.chance(1) { one.ip.frame = .broadcast }
      if chooser.chance(2) { one.ip.port = chooser.of([.lan, .wan]) }
      return one
    }
  }

  private static func dataLength(_ step: Step) -> Int {
    switch step.kind {
    case .tcp(let tcp): 20 + tcp.length
    case .udp(let udp): 8 + udp.length
    case .echo(let echo): 8 + echo.length
    default: 100
    }
  }

  private static func pieces(_ chooser: inout Chooser, _ length: Int) -> [IPLayer.Piece] {
    var pieces: [IPLayer.Piece] = []
    // As senders cut: by one size; else anywhere, often within the transport header.
    let size = chooser.of([8, 16, 24, 64, 504, 576, 1000, 1232, 1400])
    let isEven = chooser.chance(50)
    var at = 0
    while at < length && pieces.count < 12 {
      let wanted = isEven ? size : 8 * chooser.number(1...chooser.of([2, 5, 60, 170]))
      let step = pieces.count == 11 ? min(1400, (length - at + 7) / 8 * 8) : wanted
      let end = min(length, at + step)
      pieces.append(IPLayer.Piece(start: at, end: end))
      at = end
    }
    if pieces.isEmpty { pieces = [IPLayer.Piece(start: 0, end: 0)] }
    for _ in 0..<chooser.of([0, 0, 1, 2]) { spoil(&chooser, &pieces, length) }
    if chooser.chance(40) { pieces.shuffle(using: &chooser.random) }
    if chooser.chance(15) { pieces.reverse() }
    return pieces
  }

  private static func spoil(
    _ chooser: inout Chooser, _ pieces: inout [IPLayer.Piece], _ length: Int
  ) {
    let index = chooser.number(0...pieces.count - 1)
    var piece = pieces[index]
    func add(_ new: IPLayer.Piece) { pieces.insert(new, at: chooser.number(0...pieces.count)) }
    switch chooser.number(0...13) {
    case 0: add(piece)
    case 1, 2: if pieces.count > 1 { pieces.remove(at: index) }
    case 3:
      piece.start = max(0, piece.start - 8)
      add(piece)
    case 4:
      piece.end += 8
      add(piece)
    case 5:
      piece.start += 8
      if piece.start < piece.end { add(piece) }
    case 6:
      piece.end -= 8
      if piece.start < piece.end { add(piece) }
    case 7: pieces[index].end += chooser.number(1...7)
    case 8: pieces[index].end = max(piece.start, piece.end - chooser.number(1...7))
    case 9: pieces[index].more = chooser.of([true, false])
    case 10: pieces[index].end = piece.start
    case 11:
      let start = chooser.of([65_512, 65_528, 65_496, 64_800])
      add(IPLayer.Piece(start: start, end: start + chooser.of([7, 8, 16, 700]), more: nil))
    case 12:
      add(IPLayer.Piece(start: 0, end: min(1400, max(8, length)), more: chooser.of([true, false])))
    default:
      let start = 8 * chooser.number(0...max(0, length / 8))
      add(
        IPLayer.Piece(
          start: start, end: start + 8 * chooser.number(1...20), more: chooser.of([nil, true])))
    }
  }
}
