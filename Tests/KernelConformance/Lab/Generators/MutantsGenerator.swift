// Mutants: what two sound ends say to each other, as a script, and then a few mutations of it: a packet
// twice, late, lost, from the other end, cut short, or one of its fields one off. Most packets are right
// with regard to each other, so that what is odd is met deep in a conversation.

import Conntrack
import Wire

/// Writes what two TCP ends say, with sequence numbers, windows and timestamps that fit.
private struct TCPScript {
  private struct End {
    var next: UInt32
    /// What it has of the other end's.
    var acknowledged: UInt32 = 0
    var window: UInt16
    var scale: UInt8?
    var clock: UInt32
  }

  let flow: Int
  private var ends: [End]
  private let hasTimestamps: Bool
  private let hasSACK: Bool
  var steps: [Step] = []

  init(_ chooser: inout Chooser, flow: Int) {
    self.flow = flow
    // Numbers that pass 2^31 or 2^32 soon, mostly.
    let near: [UInt32] = [0, 1 << 31, 0 &- 1, (1 << 31) - 1]
    ends = (0..<2).map { _ in
      End(
        next: chooser.chance(70)
          ? chooser.of(near) &- UInt32(chooser.number(0...3000)) : chooser.number(0...UInt32.max),
        window: chooser.of([0, 1, 10, 100, 1460, 29_200, 65_535]),
        scale: chooser.of([nil, nil, 0, 1, 7, 14, 15, 255]),
        clock: chooser.number(0...UInt32.max))
    }
    hasTimestamps = chooser.chance(50)
    hasSACK = chooser.chance(50)
  }

  private static func bytes(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
  }

  private mutating func timestamps(_ at: Int) -> [UInt8] {
    ends[at].clock &+= 7
    return [1, 1, 8, 10] + TCPScript.bytes(ends[at].clock) + TCPScript.bytes(ends[1 - at].clock)
  }

  /// A segment that takes part in the conversation.
  mutating func say(
    _ at: Int, _ flags: TCPFlags, _ length: Int = 0, back: UInt32 = 0, holes: [UInt32] = []
  ) {
    var options: [UInt8] = []
    if flags.contains(.syn) {
      options = [2, 4, 5, 0xb4]
      if hasSACK { options += [1, 1, 4, 2] }
      if let scale = ends[at].scale { options += [1, 3, 3, scale] }
    }
    if hasTimestamps { options += timestamps(at) }
    if !holes.isEmpty {
      options += [1, 1, 5, UInt8(2 + 4 * holes.count)] + holes.flatMap(TCPScript.bytes)
    }
    let tcp = TCPStep(
      flags: flags, sequence: ends[at].next &- back,
      acknowledgement: flags.contains(.ack) ? ends[at].acknowledged : 0,
      window: ends[at].window, options: options, length: length)
    steps.append(
      Step(kind: .tcp(tcp), flow: flow, direction: at == 0 ? .original : .reply))
    var end = UInt32(length)
    if flags.contains(.syn) { end &+= 1 }
    if flags.contains(.fin) { end &+= 1 }
    if end > back { ends[at].next &+= end &- back }
  }

  /// The other end gets all that was said.
  mutating func hear(_ at: Int) { ends[at].acknowledged = ends[1 - at].next }

  mutating func open(_ chooser: inout Chooser) {
    switch chooser.number(0...9) {
    case 0:
      // Both at once; they answer each other's SYN with the same number once more.
      say(0, .syn)
      say(1, .syn)
      for at in 0...1 {
        hear(at)
        say(at, [.syn, .ack], 0, back: 1)
      }
    case 1:
      // TCP Fast Open: data in both openings.
      say(0, .syn, chooser.of([1, 100, 1400]))
      hear(1)
      say(1, [.syn, .ack], chooser.of([0, 50]))
      hear(0)
      say(0, .ack)
    case 2:
      // A split handshake: the answer is an ACK, then a SYN of its own.
      say(0, .syn)
      hear(1)
      if chooser.chance(50) { say(1, .ack) }
      say(1, .syn)
      hear(0)
      say(0, chooser.of([[.syn, .ack], .ack]), 0, back: 0)
    case 3:
      // Nobody saw the beginning.
      for at in 0...1 { hear(at) }
      say(chooser.number(0...1), [.psh, .ack], chooser.of([0, 1, 100]))
    default:
      say(0, .syn)
      hear(1)
      say(1, [.syn, .ack])
      hear(0)
      say(0, .ack)
    }
  }

  mutating func talk(_ chooser: inout Chooser) {
    let at = chooser.number(0...1)
    switch chooser.number(0...13) {
    case 0...4: say(at, [.psh, .ack], chooser.of([1, 10, 536, 1400]))
    case 5...7:
      hear(at)
      say(at, .ack)
    case 8: say(at, .ack, chooser.of([0, 1]), back: 1)
    case 9: ends[at].window = chooser.of([0, 0, 1, 500, 65_535])
    case 10:
      // A hole: what came behind it is acknowledged selectively.
      let left = ends[1 - at].next
      say(1 - at, [.psh, .ack], 100)
      say(1 - at, [.psh, .ack], 100)
      say(at, .ack, 0, holes: [left &+ 100, left &+ chooser.of([200, 100, 201, 70_000])])
    case 11: for _ in 0..<chooser.number(1...5) { say(at, [.psh, .ack], 10, back: 10) }
    case 12:
      // A SYN that an end of this connection answers with what it has acknowledged.
      say(at, .syn, 0, back: chooser.of([1, 1000, 0 &- 100_000]))
      say(1 - at, .ack)
    default:
      say(at, [.fin, .ack])
      if chooser.chance(60) {
        hear(1 - at)
        say(1 - at, .ack)
      }
    }
  }

  mutating func end(_ chooser: inout Chooser) {
    let at = chooser.number(0...1)
    switch chooser.number(0...4) {
    case 0: say(at, chooser.of([.rst, [.rst, .ack]]), 0, back: chooser.of([0, 0, 1, 0 &- 1]))
    case 1, 2:
      say(at, [.fin, .ack])
      hear(1 - at)
      say(1 - at, [.fin, .ack])
      hear(at)
      say(at, .ack)
    default: return
    }
    if chooser.chance(50) {
      // The next connection of the same ports.
      for index in 0...1 { ends[index].next &+= chooser.of([1, 5, 100_000, 1 << 31, 0 &- 5000]) }
      open(&chooser)
      if chooser.chance(50) { talk(&chooser) }
    }
  }
}

enum MutantsGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    let kinds: [Flow.Kind] = [.tcp, .tcp, .tcp, .tcp, .sctp, .sctp, .udp, .raw]
    var lists: [[Step]] = []
    for index in 0..<chooser.of([1, 1, 2]) {
      let flow = Flow.make(&chooser, chooser.of(kinds), family)
      test.flows.append(flow)
      var steps = script(&chooser, index, flow, family)
      for _ in 0..<chooser.of([0, 1, 1, 2, 3, 6]) { mutate(&chooser, &steps, index, family) }
      lists.append(steps)
    }
    test.steps = merge(&chooser, lists)
    test.sysctls = TCPGenerator.sysctls(&chooser)
    let prefixes = ["tcp_", "sctp_", "udp_"]
    test.sysctls += prefixes.flatMap { TimeoutsGenerator.long(&chooser, $0) }.filter { sysctl in
      !test.sysctls.contains { $0.name == sysctl.name }
    }
    if chooser.chance(15) { test.rules = NATGenerator.rules(&chooser, family) }
    return test
  }

  private static func script(
    _ chooser: inout Chooser, _ index: Int, _ flow: Flow, _ family: AddressFamily
  ) -> [Step] {
    switch flow.kind {
    case .tcp:
      var script = TCPScript(&chooser, flow: index)
      script.open(&chooser)
      for _ in 0..<chooser.of([0, 2, 6, 15]) { script.talk(&chooser) }
      script.end(&chooser)
      return script.steps
    case .sctp:
      var association = SCTPAssociation(&chooser, flow: index)
      return association.steps(&chooser, count: chooser.of([6, 15]), oddities: 0)
    case .udp:
      return (0..<chooser.of([3, 8])).map { number in
        var udp = UDPStep(length: chooser.of([0, 1, 8, 100]))
        if chooser.chance(10) { udp.lengthField = UInt16(7 + udp.length + chooser.number(0...2)) }
        if chooser.chance(10) { udp.checksum = chooser.of([.absent, .bad]) }
        return Step(
          kind: .udp(udp), flow: index, direction: number % 2 == 0 ? .original : .reply)
      }
    default:
      // DCCP: each type of packet in turn, with numbers that go on.
      return (0..<8).map { number in
        let types: [UInt8] = [0, 1, 3, 2, 4, 5, 6, 7]
        let bytes: [UInt8] =
          [7, 208, 0, 80, 5, 0, 0, 0, types[number] << 1 | 1, 0, 0, 0]
          + [0, 0, 0, UInt8(number)] + [0, 0, 0, 0, 0, 0, 0, UInt8(number), 0, 0, 0, 0]
        return Step(
          kind: .raw(RawStep(number: 33, bytes: bytes)), flow: index,
          direction: number % 2 == 0 ? .original : .reply)
      }
    }
  }

  private static func mutate(
    _ chooser: inout Chooser, _ steps: inout [Step], _ flow: Int, _ family: AddressFamily
  ) {
    guard !steps.isEmpty else { return }
    let at = chooser.number(0...steps.count - 1)
    switch chooser.number(0...11) {
    case 0: steps.insert(steps[at], at: chooser.number(at...steps.count - 1))
    case 1:
      let late = steps.remove(at: at)
      steps.insert(late, at: min(steps.count, at + chooser.number(1...6)))
    case 2: steps.remove(at: at)
    case 3: steps[at].direction = steps[at].direction.opposite
    case 4: steps[at].kept = chooser.number(0...40)
    case 5: steps.insert(DatagramGenerator.errorStep(&chooser, flow: flow, family), at: at)
    case 6: steps[at].hopLimit = chooser.of([0, 1, 255])
    default: edit(&chooser, &steps[at])
    }
  }

  /// One field, one off or a bit flipped.
  private static func edit(_ chooser: inout Chooser, _ step: inout Step) {
    let one = chooser.of([1, 0 &- 1, 1 << 31, 1 << 16, 65_535] as [UInt32])
    switch step.kind {
    case .tcp(var tcp):
      switch chooser.number(0...7) {
      case 0...1: tcp.sequence &+= one
      case 2...3: tcp.acknowledgement &+= one
      case 4: tcp.window &+= UInt16(truncatingIfNeeded: one)
      case 5: tcp.flags = TCPFlags(rawValue: tcp.flags.rawValue ^ 1 << chooser.number(0...7))
      case 6 where !tcp.options.isEmpty:
        tcp.options[chooser.number(0...tcp.options.count - 1)] ^= 1 << chooser.number(0...7)
      default: tcp.length = max(0, tcp.length + chooser.of([-1, 1]))
      }
      step.kind = .tcp(tcp)
    case .sctp(var sctp):
      switch chooser.number(0...3) {
      case 0: sctp.tag &+= one
      case 1: sctp.hasBadChecksum.toggle()
      default:
        guard !sctp.chunks.isEmpty else { break }
        let at = chooser.number(0...sctp.chunks.count - 1)
        switch chooser.number(0...3) {
        case 0: sctp.chunks[at].type ^= 1 << chooser.number(0...7)
        case 1: sctp.chunks[at].flags ^= 1
        case 2: sctp.chunks[at].lengthField = UInt16(sctp.chunks[at].body.count + 3)
        default: sctp.chunks.append(sctp.chunks[at])
        }
      }
      step.kind = .sctp(sctp)
    case .udp(var udp):
      udp.lengthField = UInt16(truncatingIfNeeded: UInt32(udp.length + 8) &+ one)
      step.kind = .udp(udp)
    case .raw(var raw):
      guard !raw.bytes.isEmpty else { break }
      raw.bytes[chooser.number(0...raw.bytes.count - 1)] ^= 1 << chooser.number(0...7)
      step.kind = .raw(raw)
    default: break
    }
  }
}
