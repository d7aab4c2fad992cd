// What is said over one TCP connection under a helper: segments in order, each end's numbers kept.

import Conntrack
import Wire

struct TCPTalk {
  /// The flow's place in the case.
  let flow: Int
  let hasSACK: Bool
  /// The next sequence number of the client and of the server.
  var next: [UInt32]

  init(_ chooser: inout Chooser, flow: Int) {
    self.flow = flow
    next = [
      chooser.of([1000, 1000, 4_294_967_290, chooser.number(0...UInt32.max)]),
      chooser.of([5000, 5000, 4_294_967_280, chooser.number(0...UInt32.max)]),
    ]
    hasSACK = chooser.chance(60)
  }

  func segment(
    _ flags: TCPFlags, _ direction: Direction, _ payload: [UInt8]? = nil,
    sequence: UInt32? = nil, acknowledgement: UInt32? = nil, options: [UInt8] = []
  ) -> Step {
    let tcp = TCPStep(
      flags: flags, sequence: sequence ?? next[Int(direction.rawValue)],
      acknowledgement: flags.contains(.ack)
        ? acknowledgement ?? next[Int(direction.opposite.rawValue)] : 0, window: 64_240,
      options: options, payload: payload)
    return Step(kind: .tcp(tcp), flow: flow, direction: direction)
  }

  mutating func say(_ text: String, _ direction: Direction) -> Step {
    say([UInt8](text.utf8), direction)
  }

  mutating func say(_ payload: [UInt8], _ direction: Direction) -> Step {
    let step = segment([.psh, .ack], direction, payload)
    next[Int(direction.rawValue)] &+= UInt32(payload.count)
    return step
  }

  mutating func handshake() -> [Step] {
    let options: [UInt8] = [2, 4, 5, 0xb4] + (hasSACK ? [4, 2, 1, 1] : [])
    let syn = segment(.syn, .original, options: options)
    next[0] &+= 1
    let answer = segment([.syn, .ack], .reply, options: options)
    next[1] &+= 1
    return [syn, answer, segment(.ack, .original)]
  }

  /// How it may end: not at all, in order or by a reset.
  mutating func farewell(_ chooser: inout Chooser) -> [Step] {
    if chooser.chance(30) {
      let step = segment([.fin, .ack], .original)
      next[0] &+= 1
      return [step]
    }
    return chooser.chance(10) ? [segment(.rst, chooser.of([.original, .reply]))] : []
  }
}
