// SCTP associations: proper ones, and every chunk, verification tag and length in every state.

import Conntrack
import Wire

/// One association under construction: what each end has told the other.
struct SCTPAssociation {
  let flow: Int
  /// What packets of each direction must carry: the tag that the other end chose.
  private var tags: [UInt32]
  private var number: UInt32 = 1

  init(_ chooser: inout Chooser, flow: Int) {
    self.flow = flow
    tags = (0..<2).map { _ in chooser.of([7, 9, UInt32.max, chooser.number(1...UInt32.max)]) }
  }

  private func tag(_ direction: Direction) -> UInt32 { tags[Int(direction.rawValue)] }

  private static func word(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
  }

  // MARK: Chunks

  /// The usual body of a chunk that `direction`'s sender sends.
  private func chunk(_ type: UInt8, _ direction: Direction, flags: UInt8 = 0) -> SCTPStep.Chunk {
    let body: [UInt8]
    switch type {
    case SCTPChunkType.initiation, SCTPChunkType.initiationAck:
      // What the other end is to send.
      body =
        SCTPAssociation.word(tag(direction.opposite))
        + [0, 1, 0, 0, 0, 10, 0, 10] + SCTPAssociation.word(number)
    case SCTPChunkType.data: body = SCTPAssociation.word(number) + [0, 1, 0, 2, 0, 0, 0, 0, 9, 9]
    case SCTPChunkType.selectiveAck:
      body = SCTPAssociation.word(number) + [0, 1, 0, 0, 0, 0, 0, 0]
    case SCTPChunkType.heartbeat, SCTPChunkType.heartbeatAck: body = [0, 1, 0, 8, 1, 2, 3, 4]
    case SCTPChunkType.shutdown: body = SCTPAssociation.word(number)
    case SCTPChunkType.error: body = [0, 3, 0, 8, 0, 0, 0, 1]
    case SCTPChunkType.cookieEcho: body = [1, 2, 3, 4, 5, 6]
    case SCTPChunkType.abort, SCTPChunkType.cookieAck, SCTPChunkType.shutdownAck,
      SCTPChunkType.shutdownComplete:
      body = []
    default: body = [0, 0, 0, 1]
    }
    return SCTPStep.Chunk(type: type, flags: flags, body: body)
  }

  private func packet(
    _ direction: Direction, _ types: [UInt8], tag: UInt32? = nil, flags: UInt8 = 0
  ) -> Step {
    let usual = types.first == SCTPChunkType.initiation ? 0 : self.tag(direction)
    let chunks = types.map { chunk($0, direction, flags: flags) }
    return Step(
      kind: .sctp(SCTPStep(tag: tag ?? usual, chunks: chunks)), flow: flow, direction: direction)
  }

  // MARK: Proper packets

  func handshake(_ direction: Direction = .original) -> [Step] {
    [
      packet(direction, [SCTPChunkType.initiation]),
      packet(direction.opposite, [SCTPChunkType.initiationAck]),
      packet(direction, [SCTPChunkType.cookieEcho]),
      packet(direction.opposite, [SCTPChunkType.cookieAck]),
    ]
  }

  func shutdown(_ direction: Direction) -> [Step] {
    [
      packet(direction, [SCTPChunkType.shutdown]),
      packet(direction.opposite, [SCTPChunkType.shutdownAck]),
      packet(direction, [SCTPChunkType.shutdownComplete]),
    ]
  }

  /// Both ends begin at once.
  private func collision() -> [Step] {
    [
      packet(.original, [SCTPChunkType.initiation]), packet(.reply, [SCTPChunkType.initiation]),
      packet(.original, [SCTPChunkType.initiationAck]),
      packet(.reply, [SCTPChunkType.initiationAck]), packet(.original, [SCTPChunkType.cookieEcho]),
      packet(.reply, [SCTPChunkType.cookieEcho]), packet(.original, [SCTPChunkType.cookieAck]),
      packet(.reply, [SCTPChunkType.cookieAck]),
    ]
  }

  private func heartbeats(_ direction: Direction) -> [Step] {
    [
      packet(direction, [SCTPChunkType.heartbeat]),
      packet(direction.opposite, [SCTPChunkType.heartbeatAck]),
    ]
  }

  /// The next packet that makes sense in an open association.
  private mutating func traffic(_ chooser: inout Chooser) -> [Step] {
    let direction: Direction = chooser.chance(50) ? .original : .reply
    number &+= 1
    switch chooser.number(0...9) {
    case 0...3: return [packet(direction, [SCTPChunkType.data])]
    case 4: return [packet(direction, [SCTPChunkType.selectiveAck])]
    case 5: return [packet(direction, [SCTPChunkType.selectiveAck, SCTPChunkType.data])]
    case 6...7: return heartbeats(direction)
    case 8: return shutdown(direction)
    default:
      let step = packet(direction, [SCTPChunkType.abort])
      return [step]
    }
  }

  /// The same ports once more, with other tags or the same.
  private mutating func reopen(_ chooser: inout Chooser) -> [Step] {
    if chooser.chance(70) { tags = tags.map { $0 &+ chooser.of([1, 1000]) } }
    let direction: Direction = chooser.chance(70) ? .original : .reply
    return Array(handshake(direction).prefix(chooser.number(1...4)))
  }

  // MARK: Odd packets

  private static let types: [UInt8] =
    Array(0...14) + [
      SCTPChunkType.data, SCTPChunkType.initiation, 15, 64, 128, 130, 132, 192, 193, 255,
    ]

  /// Any chunks, with a tag that may be right.
  mutating func oddity(_ chooser: inout Chooser) -> Step {
    let direction: Direction = chooser.chance(50) ? .original : .reply
    let count = chooser.of([1, 1, 1, 1, 2, 2, 3, 0])
    var types: [UInt8] = []
    for _ in 0..<count { types.append(chooser.of(SCTPAssociation.types)) }
    let tag: UInt32? = chooser.of([
      nil, nil, nil, self.tag(direction), self.tag(direction.opposite), 0,
      self.tag(direction) ^ 1, chooser.number(0...UInt32.max),
    ])
    var step = packet(direction, types, tag: tag, flags: chooser.of([0, 0, 1, 255]))
    guard case .sctp(var sctp) = step.kind else { return step }
    for at in sctp.chunks.indices {
      if chooser.chance(6) {
        sctp.chunks[at].lengthField = chooser.of([0, 1, 3, 4, 5, 8, 19, 20, 24, 200, 65_535])
      }
      if chooser.chance(6) {
        sctp.chunks[at].body = Array(sctp.chunks[at].body.prefix(chooser.number(0...18)))
      }
      let isInitiation =
        types[at] == SCTPChunkType.initiation || types[at] == SCTPChunkType.initiationAck
      // Another tag than before, or none.
      if isInitiation && chooser.chance(30) && sctp.chunks[at].body.count >= 4 {
        let tag = chooser.of([0, self.tag(direction), chooser.number(0...UInt32.max)])
        sctp.chunks[at].body.replaceSubrange(0..<4, with: SCTPAssociation.word(tag))
      }
    }
    sctp.hasBadChecksum = chooser.chance(3)
    step.kind = .sctp(sctp)
    if chooser.chance(4) {
      step.kept = chooser.of([0, 3, 4, 7, 8, 11, 12, 13, 15, 16, 20, 28, 31, 32])
    }
    return step
  }

  /// Packets that lead to one of the states, and no further.
  private mutating func way(_ chooser: inout Chooser) -> [Step] {
    let direction: Direction = chooser.chance(50) ? .original : .reply
    switch chooser.number(0...11) {
    case 0: return []
    case 1...4: return Array(handshake().prefix(chooser.number(1...4)))
    case 5: return handshake() + shutdown(direction).prefix(chooser.number(1...3))
    case 6: return Array(collision().prefix(chooser.number(2...8)))
    case 7: return heartbeats(.original).dropLast(chooser.number(0...1))
    case 8: return handshake() + shutdown(direction) + handshake(direction).prefix(1)
    case 9:
      let step = packet(direction, [SCTPChunkType.abort])
      return handshake() + [step]
    case 10: return [packet(.original, [SCTPChunkType.shutdownAck])]
    default: return handshake() + shutdown(.original).prefix(1) + shutdown(.reply).prefix(2)
    }
  }

  // MARK: Whole associations

  /// - Parameter oddities: per cent of the packets.
  mutating func steps(_ chooser: inout Chooser, count: Int, oddities: Int) -> [Step] {
    var steps = way(&chooser)
    while steps.count < count {
      if chooser.chance(oddities) {
        steps.append(oddity(&chooser))
      } else if chooser.chance(20) {
        steps += reopen(&chooser)
      } else if chooser.chance(10) {
        steps += way(&chooser)
      } else {
        steps += traffic(&chooser)
      }
      // Once more what was sent.
      if chooser.chance(8), let last = steps.last { steps.append(last) }
    }
    return steps
  }
}

enum SCTPGenerator {
  static func make(_ chooser: inout Chooser, _ family: AddressFamily) -> ConformanceCase {
    var test = ConformanceCase()
    var lists: [[Step]] = []
    for index in 0..<chooser.of([1, 1, 2]) {
      test.flows.append(Flow.make(&chooser, .sctp, family))
      var association = SCTPAssociation(&chooser, flow: index)
      lists.append(
        association.steps(
          &chooser, count: chooser.of([5, 12, 25]), oddities: chooser.of([10, 40, 80])))
    }
    for name in ["acct", "checksum"] where chooser.chance(10) {
      test.sysctls.append(.conntrack(name, name == "acct" ? 1 : 0))
    }
    test.sysctls += TimeoutsGenerator.long(&chooser, "sctp_")
    test.steps = merge(&chooser, lists)
    return test
  }
}
