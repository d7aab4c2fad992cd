// PPTP control connections (RFC 2637), their calls, and GRE of all kinds between the same hosts.

import Conntrack
import Wire

enum PPTPCases {
  static func add(to test: inout ConformanceCase, _ chooser: inout Chooser) {
    var lists: [[Step]] = []
    for _ in 0..<chooser.of([1, 1, 2]) {
      var session = PPTPSession(&chooser, &test)
      lists.append(session.steps(&chooser, &test))
    }
    test.steps += merge(&chooser, lists)
  }
}

private struct PPTPSession {
  private var talk: TCPTalk
  private let isFromLAN: Bool
  private let client: IPAddress
  private let server: IPAddress
  /// The server's own address, where it is known by another.
  private let serverItself: IPAddress
  private let port: UInt16
  /// The GRE flow from the client, and the one from the server.
  private let flows: (Int, Int)
  private var clientNumber: UInt16 = 1
  private var serverNumber: UInt16 = 0x22
  /// As the server knows the client's call.
  private var knownNumber: UInt16 = 1

  init(_ chooser: inout Chooser, _ test: inout ConformanceCase) {
    isFromLAN = chooser.chance(75)
    let inside = Network.host(chooser.number(2...3), .lan, .ipv4)
    let outside = Network.host(2, .wan, .ipv4)
    client = isFromLAN ? inside : outside
    let toRouter = !isFromLAN && test.rules.contains { $0.contains("-j DNAT") }
    serverItself = isFromLAN ? outside : Network.host(3, .lan, .ipv4)
    server = toRouter ? Network.router(.wan, .ipv4) : serverItself
    let control = test.flows.count
    port = chooser.of([4000 + UInt16(control), 4000, 0x11])
    test.flows.append(
      Flow(
        kind: .tcp, port: isFromLAN ? .lan : .wan, source: Endpoint(client, .ipv4, port: port),
        destination: Endpoint(server, .ipv4, port: chooser.chance(95) ? 1723 : 21)))
    talk = TCPTalk(&chooser, flow: control)
    // Where the server finds the client.
    let known =
      test.translates && isFromLAN
      ? chooser.of([
        Network.router(.wan, .ipv4), Network.host(Network.spare[0], .wan, .ipv4), client,
      ]) : client
    flows = (control + 1, control + 2)
    test.flows.append(
      Flow(
        kind: .raw, port: isFromLAN ? .lan : .wan, source: Endpoint(client, .ipv4),
        destination: Endpoint(server, .ipv4)))
    test.flows.append(
      Flow(
        kind: .raw, port: isFromLAN ? .wan : .lan, source: Endpoint(serverItself, .ipv4),
        destination: Endpoint(known, .ipv4)))
  }

  mutating func steps(_ chooser: inout Chooser, _ test: inout ConformanceCase) -> [Step] {
    var steps = talk.handshake()
    let isShort = chooser.chance(8)
    if isShort {
      test.sysctls.append(ConformanceCase.Sysctl.conntrack("gre_timeout", chooser.of([1, 2])))
    }
    if chooser.chance(92) {
      steps.append(say(&chooser, 1, .original))
      steps.append(say(&chooser, 2, .reply))
    }
    for _ in 0..<chooser.of([2, 4, 6]) {
      switch chooser.number(0...9) {
      case 0...3: steps += outgoing(&chooser, test)
      case 4: steps += incoming(&chooser)
      case 5: steps += ending(&chooser)
      case 6:
        steps.append(say(&chooser, chooser.number(0...16), chooser.of([.original, .reply])))
      default: break
      }
      for _ in 0..<chooser.of([0, 1, 2, 4]) { steps.append(gre(&chooser)) }
      if chooser.chance(6) {
        steps.append(
          DatagramGenerator.errorStep(&chooser, flow: chooser.of([flows.0, flows.1]), .ipv4))
      }
      if isShort && chooser.chance(30) { steps.append(Step(kind: .wait(1_300))) }
      if chooser.chance(6), let last = steps.last(where: { $0.flow == talk.flow }) {
        // Sent again.
        steps.append(last)
      }
    }
    steps += talk.farewell(&chooser)
    if chooser.chance(15) {
      // The same ports anew: the old connection goes, with all that hung on it.
      steps.append(talk.segment(.syn, .original, sequence: talk.next[0] &+ 1_000_000))
    }
    for _ in 0..<chooser.of([0, 1, 2]) { steps.append(gre(&chooser)) }
    return steps
  }

  // MARK: Control messages

  private mutating func outgoing(_ chooser: inout Chooser, _ test: ConformanceCase) -> [Step] {
    renumber(&chooser, isTranslated: test.translates)
    var steps = [say(&chooser, 7, .original)]
    if chooser.chance(90) { steps.append(say(&chooser, 8, .reply)) }
    return steps
  }

  private mutating func incoming(_ chooser: inout Chooser) -> [Step] {
    renumber(&chooser, isTranslated: false)
    var steps = [say(&chooser, 9, .reply)]
    if chooser.chance(90) { steps.append(say(&chooser, 10, .original)) }
    if chooser.chance(90) { steps.append(say(&chooser, 11, .reply)) }
    return steps
  }

  private mutating func ending(_ chooser: inout Chooser) -> [Step] {
    switch chooser.number(0...3) {
    case 0: return [say(&chooser, 12, .original), say(&chooser, 13, .reply)]
    case 1: return [say(&chooser, 13, .reply)]
    case 2: return [say(&chooser, 3, .original), say(&chooser, 4, .reply)]
    default: return [say(&chooser, chooser.of([14, 15]), .reply)]
    }
  }

  private mutating func renumber(_ chooser: inout Chooser, isTranslated: Bool) {
    clientNumber = chooser.of([clientNumber, 1, 2, port, 0x22, 0])
    serverNumber = chooser.of([serverNumber, 0x22, 0x23, port, 1, 0])
    knownNumber = isTranslated ? chooser.of([port, port, 7777, clientNumber]) : clientNumber
  }

  private static let lengths = [
    12, 156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24, 16,
  ]

  /// A message of a type: mostly whole, with the numbers that its receiver expects.
  private mutating func say(
    _ chooser: inout Chooser, _ type: Int, _ direction: Direction
  ) -> Step {
    var bytes = [UInt8](repeating: 0, count: PPTPSession.lengths[type])
    func store(_ value: UInt16, at offset: Int) {
      if offset + 2 <= bytes.count { bytes.store16(value, at: offset) }
    }
    store(UInt16(bytes.count), at: 0)
    store(1, at: 2)
    store(0x1a2b, at: 4)
    store(0x3c4d, at: 6)
    store(UInt16(type), at: 8)
    let isOdd = chooser.chance(6)
    let odd = chooser.of([clientNumber, serverNumber, port, 77, 0])
    let result = chooser.chance(94) ? 1 : chooser.of([0, 2, 5, 255]) as UInt8
    switch type {
    case 1: store(0x100, at: 12)
    case 2:
      store(0x100, at: 12)
      bytes[14] = result
    case 3, 4: bytes[12] = 1
    case 7, 12: store(isOdd ? odd : clientNumber, at: 12)
    case 8:
      store(serverNumber, at: 12)
      store(isOdd ? odd : knownNumber, at: 14)
      bytes[16] = result
    case 9, 13: store(isOdd ? odd : serverNumber, at: 12)
    case 10:
      store(clientNumber, at: 12)
      store(isOdd ? odd : serverNumber, at: 14)
      bytes[16] = result
    case 11, 14, 15:
      store(isOdd ? odd : direction == .reply ? knownNumber : serverNumber, at: 12)
    default: break
    }
    switch chooser.number(0...39) {
    case 0: bytes.removeLast(chooser.number(1...bytes.count))
    case 1: bytes.removeLast(chooser.number(1...4))
    case 2: bytes[chooser.number(0...min(19, bytes.count - 1))] ^= chooser.of([1, 2, 0x80, 0xff])
    case 3: bytes += bytes
    case 4: bytes.insert(0, at: 0)
    default: break
    }
    return talk.say(bytes, direction)
  }

  // MARK: GRE

  private func gre(_ chooser: inout Chooser) -> Step {
    let isClients = chooser.chance(50)
    // The answers to either flow go where it came from.
    let direction: Direction = chooser.chance(70) ? .original : .reply
    let toServer = isClients == (direction == .original)
    var key = toServer ? serverNumber : knownNumber
    if chooser.chance(15) { key = chooser.of([clientNumber, serverNumber, port, 1, 2, 0x22, 0]) }
    var bytes: [UInt8] = [0x30, 1, 0x88, 0x0b, 0, 4, UInt8(key >> 8), UInt8(key & 255)]
    bytes += [0, 0, 0, 1, 0x61, 0x62, 0x63, 0x64]
    switch chooser.number(0...29) {
    case 0: bytes = [0x20, 0, 0x65, 0x58, 0, 0, 0, 1, 0x61, 0x62]
    case 1: bytes[1] = chooser.of([0, 2, 7, 0x81])
    case 2: bytes[3] = 0
    case 3: bytes.removeLast(chooser.number(1...bytes.count))
    default: break
    }
    return Step(
      kind: .raw(RawStep(number: IPProtocolNumber.gre, bytes: bytes)),
      flow: isClients ? flows.0 : flows.1, direction: direction)
  }
}
