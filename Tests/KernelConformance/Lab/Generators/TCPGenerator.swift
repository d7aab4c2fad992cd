// TCP conversations: proper ones, and everything that windows, flags and resets allow at their edges.

import Conntrack
import Wire

/// One conversation under construction. Sequence numbers wrap, as they do on the wire.
struct TCPConversation {
  struct End {
    var initial: UInt32
    var next: UInt32
    var window: UInt16
    var scale: UInt8?
  }

  let flow: Int
  var ends: [End]
  private var hasTimestamps: Bool
  private var hasSACK: Bool

  init(_ chooser: inout Chooser, flow: Int) {
    self.flow = flow
    let first: [UInt32] = [
      chooser.of([100, 4_294_967_000, chooser.number(0...UInt32.max)]),
      chooser.of([5000, 4_294_960_000, chooser.number(0...UInt32.max)]),
    ]
    let windows: [[UInt16]] = [[64_240, 1000, 0, 512, 65_535], [65_535, 64_240, 2000, 0]]
    let scales: [[UInt8?]] = [[nil, 0, 2, 7, 14], [nil, 0, 3, 7, 15]]
    ends = [0, 1].map {
      End(
        initial: first[$0], next: first[$0], window: chooser.of(windows[$0]),
        scale: chooser.of(scales[$0]))
    }
    hasTimestamps = chooser.chance(40)
    hasSACK = chooser.chance(60)
  }

  // MARK: Proper segments

  func segment(
    _ direction: Direction, _ flags: TCPFlags, sequence: UInt32? = nil,
    acknowledgement: UInt32? = nil, length: Int = 0, options: [UInt8] = []
  ) -> Step {
    let mine = ends[Int(direction.rawValue)]
    let other = ends[Int(direction.opposite.rawValue)]
    let hasACK = flags.contains(.ack) || acknowledgement != nil
    let tcp = TCPStep(
      flags: flags, sequence: sequence ?? mine.next,
      acknowledgement: hasACK ? acknowledgement ?? other.next : 0, window: mine.window,
      options: options, length: length)
    return Step(kind: .tcp(tcp), flow: flow, direction: direction)
  }

  func openingOptions(_ direction: Direction) -> [UInt8] {
    var options: [UInt8] = [2, 4, 0x05, 0xb4]
    if hasSACK { options += [4, 2] }
    if hasTimestamps { options += [8, 10, 0, 0, 0, 1, 0, 0, 0, 0] }
    if let scale = ends[Int(direction.rawValue)].scale { options += [3, 3, scale] }
    while options.count % 4 != 0 { options.append(1) }
    return options
  }

  mutating func open(_ direction: Direction, _ flags: TCPFlags) -> Step {
    let index = Int(direction.rawValue)
    ends[index].next = ends[index].initial &+ 1
    return segment(
      direction, flags, sequence: ends[index].initial, options: openingOptions(direction))
  }

  mutating func handshake() -> [Step] {
    [open(.original, .syn), open(.reply, [.syn, .ack]), acknowledge(.original)]
  }

  func acknowledge(_ direction: Direction) -> Step { segment(direction, .ack) }

  mutating func data(_ direction: Direction, _ length: Int) -> Step {
    let step = segment(direction, [.psh, .ack], length: length)
    ends[Int(direction.rawValue)].next &+= UInt32(length)
    return step
  }

  mutating func finish(_ direction: Direction) -> Step {
    let step = segment(direction, [.fin, .ack])
    ends[Int(direction.rawValue)].next &+= 1
    return step
  }

  func reset(_ direction: Direction) -> Step { segment(direction, .rst) }

  mutating func close(_ direction: Direction) -> [Step] {
    [
      finish(direction), acknowledge(direction.opposite), finish(direction.opposite),
      acknowledge(direction),
    ]
  }

  /// The same ports once more, with other numbers.
  mutating func reopen(_ chooser: inout Chooser) -> [Step] {
    for index in ends.indices {
      ends[index].initial =
        ends[index].next &+ chooser.of([1, 1000, 100_000, 0 &- 100_000, 1 << 30])
      ends[index].next = ends[index].initial
    }
    return Array(handshake().prefix(chooser.number(1...3)))
  }

  // MARK: Odd segments

  /// The window an end has announced, scaled where both agreed to.
  func window(_ direction: Direction) -> UInt32 {
    let end = ends[Int(direction.rawValue)]
    let scale = ends.allSatisfy { $0.scale != nil } ? min(end.scale ?? 0, 14) : 0
    return max(1, UInt32(end.window)) << UInt32(scale)
  }

  private func odd(_ chooser: inout Chooser, _ list: [UInt32]) -> UInt32 {
    let nearby: [Int32] = [-2, -1, 0, 1, 2, 500]
    let edge = chooser.of(list)
    let signed = chooser.chance(50) ? edge : 0 &- edge
    return signed &+ UInt32(bitPattern: chooser.of(nearby))
  }

  mutating func oddity(_ chooser: inout Chooser) -> Step {
    let direction: Direction = chooser.chance(50) ? .original : .reply
    let mine = ends[Int(direction.rawValue)]
    let other = ends[Int(direction.opposite.rawValue)]
    switch chooser.number(0...99) {
    case ..<16:
      // Around the edges of the peer's window.
      let edges = [
        window(direction.opposite), 66_000, 65_535, max(window(direction), 66_000),
        2 &* window(direction.opposite),
      ]
      let flags: [TCPFlags] = [
        .ack, [.psh, .ack], .ack, [.fin, .ack], .rst, [.rst, .ack],
      ]
      return segment(
        direction, chooser.of(flags), sequence: mine.next &+ odd(&chooser, edges),
        length: chooser.of([0, 0, 1, 100]))
    case ..<28:
      let edges: [UInt32] = [0, 66_000, window(direction), 65_535, 1 << 31]
      return segment(
        direction, .ack, acknowledgement: other.next &+ odd(&chooser, edges),
        length: chooser.of([0, 10]))
    case ..<36:
      // Once more what was sent.
      let length = chooser.of([1, 100, 1400])
      return segment(
        direction, [.psh, .ack], sequence: mine.next &- UInt32(length), length: length)
    case ..<42:
      let distances: [UInt32] = [0, 0, 0, 1, 0 &- 1, 100, 70_000, 0 &- 70_000]
      return segment(
        direction, chooser.of([.rst, [.rst, .ack]]),
        sequence: mine.next &+ chooser.of(distances), acknowledgement: chooser.chance(60) ? nil : 0)
    case ..<48:
      return segment(
        direction, .syn,
        sequence: chooser.of([
          mine.initial, mine.next, mine.next &+ 1000, mine.next &+ 100_000, mine.initial &- 5,
        ]), options: openingOptions(direction))
    case ..<54:
      return segment(
        direction, [.syn, .ack],
        sequence: chooser.of([mine.initial, mine.next, chooser.number(0...UInt32.max)]),
        acknowledgement: chooser.of([
          other.next, other.initial &+ 1, other.initial, chooser.number(0...UInt32.max),
        ]), options: openingOptions(direction))
    case ..<58:
      return segment(
        direction, chooser.of([.ack, .ack, [.psh, .ack]]), sequence: mine.next &- 1,
        length: chooser.of([0, 1]))
    case ..<66:
      ends[Int(direction.rawValue)].window = chooser.of([0, 1, 100, 1000, 65_535, 64_240])
      return acknowledge(direction)
    case ..<72 where hasSACK: return selective(&chooser, direction, other.next)
    case ..<76:
      let flags: [TCPFlags] = [.fin, [.fin, .ack], [.fin, .psh, .ack]]
      return segment(
        direction, chooser.of(flags), sequence: mine.next &+ chooser.of([0, 1, 0 &- 1]))
    case ..<81:
      let flags = TCPFlags(rawValue: chooser.number(0...255) & chooser.number(0...255))
      return segment(direction, flags, sequence: mine.next &+ chooser.of([0, 0, 1]))
    case ..<84: return changed(segment(direction, .ack)) { $0.hasBadChecksum = true }
    case ..<87:
      let offset: UInt8 = chooser.of([4, 6, 7, 15])
      return changed(segment(direction, [.psh, .ack], length: chooser.of([0, 10]))) {
        $0.dataOffset = offset
      }
    case ..<93: return data(direction, chooser.of([1, 10, 100, 512, 1400]))
    default: return acknowledge(direction)
    }
  }

  func changed(_ step: Step, _ change: (inout TCPStep) -> Void) -> Step {
    guard case .tcp(var tcp) = step.kind else { return step }
    change(&tcp)
    var step = step
    step.kind = .tcp(tcp)
    return step
  }

  /// An acknowledgement with SACK blocks, sensible or not.
  private func selective(_ chooser: inout Chooser, _ direction: Direction, _ next: UInt32) -> Step {
    let blocks = chooser.number(1...3)
    let first = next &- chooser.of([0, 10, 500, 70_000])
    var options: [UInt8] = [1, 1, 5, UInt8(2 + 8 * blocks)]
    for block in 0..<blocks {
      let left = first &+ UInt32(100 * block)
      let right = left &+ chooser.of([1, 50, 100_000])
      for value in [left, right] {
        options += (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
      }
    }
    return segment(
      direction, .ack, acknowledgement: next &- chooser.of([0, 100, 1000]), options: options)
  }

  // MARK: Whole conversations

  /// - Parameter oddities: per cent of the packets.
  mutating func steps(_ chooser: inout Chooser, count: Int, oddities: Int) -> [Step] {
    var steps: [Step] = []
    switch chooser.number(0...99) {
    case ..<60: steps += handshake()
    case ..<70: steps += [open(.original, .syn), open(.reply, [.syn, .ack])]
    case ..<80:
      // Both at once.
      steps += [
        open(.original, .syn), open(.reply, .syn), open(.original, [.syn, .ack]),
        open(.reply, [.syn, .ack]),
      ]
    case ..<88:
      // From the middle.
      for index in ends.indices { ends[index].next = ends[index].initial &+ 1 }
      steps.append(acknowledge(chooser.chance(50) ? .original : .reply))
    default: steps.append(open(.original, .syn))
    }
    while steps.count < count {
      if chooser.chance(oddities) {
        steps.append(oddity(&chooser))
        continue
      }
      let direction: Direction = chooser.chance(50) ? .original : .reply
      switch chooser.number(0...99) {
      case ..<45: steps.append(data(direction, chooser.of([1, 10, 100, 512, 1400])))
      case ..<70: steps.append(acknowledge(direction))
      case ..<78: steps.append(finish(direction))
      case ..<88: steps += close(direction)
      case ..<94: steps += reopen(&chooser)
      default: steps.append(reset(direction))
      }
    }
    return steps
  }
}

enum TCPGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    var lists: [[Step]] = []
    for index in 0..<chooser.of([1, 1, 2]) {
      test.flows.append(Flow.make(&chooser, .tcp, family))
      var conversation = TCPConversation(&chooser, flow: index)
      lists.append(
        conversation.steps(
          &chooser, count: chooser.of([10, 25, 40]), oddities: chooser.of([10, 35, 60])))
    }
    test.sysctls = sysctls(&chooser)
    test.steps = merge(&chooser, lists)
    return test
  }

  static func sysctls(_ chooser: inout Chooser) -> [ConformanceCase.Sysctl] {
    let choices: [(name: String, percent: Int, values: [Int])] = [
      ("tcp_loose", 35, [0]), ("tcp_be_liberal", 20, [1]), ("tcp_ignore_invalid_rst", 20, [1]),
      ("tcp_max_retrans", 15, [0, 1, 2]), ("tcp_timeout_established", 10, [1000]),
      ("checksum", 10, [0]), ("acct", 10, [1]),
    ]
    return choices.compactMap { choice in
      let value = chooser.of(choice.values)
      guard chooser.chance(choice.percent) else { return nil }
      return ConformanceCase.Sysctl(
        name: "net.netfilter.nf_conntrack_\(choice.name)", value: "\(value)")
    }
  }
}
