// TCP state by state: a way to one of the states, then segments of any flags, in either direction, with
// numbers at the edges of what is known there, and a conversation that goes on behind them.

import Conntrack
import Wire

struct TCPProbe {
  private var conversation: TCPConversation
  /// Numbers that segments of each direction have named of late: their own, and those they acknowledged.
  private var named: [[UInt32]] = [[], []]
  private var steps: [Step] = []
  private var hasBegun = false

  init(_ chooser: inout Chooser, flow: Int) {
    conversation = TCPConversation(&chooser, flow: flow)
  }

  private mutating func add(_ step: Step) {
    steps.append(step)
    guard case .tcp(let tcp) = step.kind else { return }
    let length =
      UInt32(tcp.length) &+ (tcp.flags.contains(.syn) ? 1 : 0) &+ (tcp.flags.contains(.fin) ? 1 : 0)
    let mine = Int(step.direction.rawValue)
    named[mine] = [tcp.sequence, tcp.sequence &+ length] + named[mine].prefix(4)
    if tcp.flags.contains(.ack) {
      named[1 - mine] = [tcp.acknowledgement] + named[1 - mine].prefix(5)
    }
  }

  private mutating func add(_ steps: [Step]) { for step in steps { add(step) } }

  // MARK: Ways

  /// To one of the states, by one of the ways there.
  private mutating func way(_ chooser: inout Chooser) {
    let direction: Direction = chooser.chance(50) ? .original : .reply
    let opposite = direction.opposite
    switch chooser.number(0...21) {
    case 0: break
    case 1: add(conversation.open(.original, .syn))
    case 2:
      // TCP Fast Open: data in the SYN, and in what answers it.
      add(conversation.open(.original, .syn))
      withLast { $0.length = 100 }
      conversation.ends[0].next &+= chooser.of([0, 100])
      add(conversation.open(.reply, [.syn, .ack]))
      if chooser.chance(50) { add(conversation.data(.reply, 50)) }
      add(conversation.acknowledge(.original))
    case 3: add([conversation.open(.original, .syn), conversation.open(.reply, [.syn, .ack])])
    case 4: add([conversation.open(.original, .syn), conversation.open(.reply, .syn)])
    case 5:
      add([
        conversation.open(.original, .syn), conversation.open(.reply, .syn),
        conversation.open(direction, [.syn, .ack]),
      ])
    case 6:
      // A handshake in four: the answer comes as an ACK and a SYN.
      add(conversation.open(.original, .syn))
      add(conversation.segment(.reply, .ack))
      add(conversation.open(.reply, .syn))
      if chooser.chance(50) { add(conversation.acknowledge(.original)) }
      if chooser.chance(50) { add(conversation.open(.original, [.syn, .ack])) }
      if chooser.chance(50) { add(conversation.acknowledge(.reply)) }
    case 7:
      for at in 0..<2 { conversation.ends[at].next = conversation.ends[at].initial &+ 1 }
      let flags: [TCPFlags] = [.ack, [.psh, .ack], [.ack, .urg], [.fin, .ack]]
      add(conversation.segment(.original, chooser.of(flags), length: chooser.of([0, 100])))
    case 8:
      for at in 0..<2 { conversation.ends[at].next = conversation.ends[at].initial &+ 1 }
      add([conversation.acknowledge(.original), conversation.acknowledge(.reply)])
      if chooser.chance(50) { add(conversation.data(.original, 100)) }
    case 9...11:
      add(conversation.handshake())
      for _ in 0..<chooser.number(0...3) {
        let end: Direction = chooser.chance(50) ? .original : .reply
        add(conversation.data(end, chooser.of([1, 100, 1400])))
        if chooser.chance(50) { add(conversation.acknowledge(end.opposite)) }
      }
    case 12: add(conversation.handshake() + [conversation.finish(direction)])
    case 13:
      add(
        conversation.handshake() + [
          conversation.finish(direction), conversation.acknowledge(opposite),
        ])
    case 14:
      add(
        conversation.handshake() + [
          conversation.finish(direction), conversation.finish(opposite),
        ])
    case 15:
      add(
        conversation.handshake() + [
          conversation.finish(direction), conversation.acknowledge(opposite),
          conversation.finish(opposite),
        ])
    case 16: add(conversation.handshake() + conversation.close(direction))
    case 17: add(conversation.handshake() + [conversation.reset(direction)])
    case 18: add([conversation.open(.original, .syn), conversation.segment(.reply, [.rst, .ack])])
    case 19:
      // Behind a SYN that the kernel lets pass unbelieved.
      way(&chooser)
      add(conversation.reopen(&chooser).prefix(1) + [])
    case 20:
      add(conversation.open(.original, .syn))
      add(
        conversation.segment(
          .reply, .ack, sequence: chooser.number(0...UInt32.max),
          acknowledgement: chooser.of([conversation.ends[0].next, chooser.number(0...UInt32.max)])))
    default:
      add(conversation.handshake() + conversation.close(direction))
      add(conversation.reopen(&chooser))
    }
  }

  private mutating func withLast(_ change: (inout TCPStep) -> Void) {
    let step = steps.removeLast()
    add(conversation.changed(step, change))
  }

  // MARK: Probes

  private func number(_ chooser: inout Chooser, _ direction: Direction) -> UInt32 {
    let mine = conversation.ends[Int(direction.rawValue)]
    let nearby: [Int32] = [0, 0, 0, 0, 1, -1, 2, -2]
    let near = UInt32(bitPattern: chooser.of(nearby))
    switch chooser.number(0...99) {
    case ..<35: return mine.next &+ near
    case ..<65:
      let known = named[Int(direction.rawValue)]
      return known.isEmpty ? mine.initial : chooser.of(known) &+ near
    case ..<72: return mine.initial &+ near
    case ..<92:
      let windows = [
        conversation.window(direction.opposite), conversation.window(direction), 66_000, 65_535,
        UInt32(conversation.ends[Int(direction.opposite.rawValue)].window),
        2 &* conversation.window(direction.opposite),
      ]
      let edge = chooser.of(windows)
      return mine.next &+ (chooser.chance(50) ? edge : 0 &- edge) &+ near
    case ..<95: return near
    case ..<97: return mine.next &+ (1 << 31) &+ near
    default: return chooser.number(0...UInt32.max)
    }
  }

  private func options(_ chooser: inout Chooser, _ direction: Direction) -> [UInt8] {
    let timestamps: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1]
    switch chooser.number(0...9) {
    case 0...2: return []
    case 3...5: return conversation.openingOptions(direction)
    case 6: return timestamps
    case 7:
      return chooser.of([
        [3, 3, 7, 0], [3, 3, 255, 1], [3, 2, 7, 1], [3, 3, 2, 3, 3, 9, 1, 1], [4, 2, 1, 1],
        [4, 3, 0, 1], [2, 0, 0, 0], [5, 1, 0, 0], [0, 3, 3, 7], [1, 1, 1, 3], [8, 10, 0, 0],
        [5, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1], [4, 2, 3, 3, 14, 0, 0, 0],
        [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1], [254, 4, 0xf9, 0x89],
      ])
    default:
      var options: [UInt8] = [1, 1, 5, 18]
      let base = number(&chooser, direction.opposite)
      for value in [
        base, base &+ chooser.of([1, 1000, 0, 0 &- 5]), base &+ 2000,
        base &+ chooser.of([2100, 90_000, 1 << 31]),
      ] as [UInt32] {
        options += (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
      }
      if chooser.chance(20) { options[3] = chooser.of([10, 17, 19, 26]) }
      return options
    }
  }

  private static let usual: [TCPFlags] = [
    .syn, [.syn, .ack], .ack, [.psh, .ack], [.fin, .ack], .rst, [.rst, .ack], .fin, [.ack, .urg],
    [.syn, .ece, .cwr], [.syn, .ack, .ece], [.syn, .fin], [.syn, .rst],
    [.rst, .psh, .ack], [.fin, .psh, .urg], [],
  ]

  private mutating func probe(_ chooser: inout Chooser) {
    let direction: Direction = chooser.chance(50) ? .original : .reply
    let flags =
      chooser.chance(80)
      ? chooser.of(TCPProbe.usual.prefix(chooser.of([7, 16])) + [])
      : TCPFlags(rawValue: chooser.number(0...255))
    var step = conversation.segment(
      direction, flags, sequence: number(&chooser, direction), length: chooser.of([0, 0, 1, 100]))
    guard case .tcp(var tcp) = step.kind else { return }
    if flags.contains(.ack) || chooser.chance(20) {
      tcp.acknowledgement =
        chooser.chance(15)
        ? 0 : chooser.chance(50) ? tcp.acknowledgement : number(&chooser, direction.opposite)
    }
    if chooser.chance(40) { tcp.options = options(&chooser, direction) }
    if chooser.chance(25) { tcp.window = chooser.of([0, 0, 1, 1000, 65_535]) }
    if chooser.chance(3) { tcp.dataOffset = chooser.number(0...15) }
    tcp.hasBadChecksum = chooser.chance(2)
    step.kind = .tcp(tcp)
    if chooser.chance(2) { step.kept = chooser.of([0, 3, 4, 7, 8, 12, 19, 20, 21, 24, 30]) }
    add(step)
    // The end may have meant it, and go on from there.
    if chooser.chance(20) {
      conversation.ends[Int(direction.rawValue)].next = tcp.sequence &+ UInt32(tcp.length)
    }
    // Again and again.
    if chooser.chance(8) {
      for _ in 0..<chooser.number(1...5) { add(step) }
    }
  }

  /// The next packets; called again, those that come later.
  mutating func make(_ chooser: inout Chooser) -> [Step] {
    steps = []
    if !hasBegun || chooser.chance(30) { way(&chooser) }
    hasBegun = true
    for _ in 0..<chooser.number(1...4) {
      for _ in 0..<chooser.number(1...4) { probe(&chooser) }
      let direction: Direction = chooser.chance(50) ? .original : .reply
      switch chooser.number(0...9) {
      case 0...2: add(conversation.data(direction, chooser.of([1, 100])))
      case 3...4: add(conversation.acknowledge(direction))
      case 5: add(conversation.finish(direction))
      case 6: add(conversation.reset(direction))
      case 7: add(conversation.reopen(&chooser))
      case 8: add(conversation.close(direction))
      default: break
      }
    }
    return steps
  }
}

enum TCPStatesGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    test.flows.append(Flow.make(&chooser, .tcp, family))
    var probe = TCPProbe(&chooser, flow: 0)
    test.steps = probe.make(&chooser)
    test.sysctls = TCPGenerator.sysctls(&chooser)
    test.sysctls += TimeoutsGenerator.long(&chooser, "tcp_").filter { sysctl in
      !test.sysctls.contains { $0.name == sysctl.name }
    }
    return test
  }
}
