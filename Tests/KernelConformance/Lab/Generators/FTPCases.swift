// FTP control connections and the data connections they announce.

import Conntrack
import Wire

enum FTPCases {
  static func add(
    to test: inout ConformanceCase, _ chooser: inout Chooser, _ family: AddressFamily
  ) {
    var lists: [[Step]] = []
    for _ in 0..<chooser.of([1, 1, 2, 3]) {
      var session = FTPSession(&chooser, &test, family)
      lists.append(session.steps(&chooser, &test))
    }
    test.steps += merge(&chooser, lists)
  }
}

private struct FTPSession {
  private let family: AddressFamily
  private let control: Int
  private let isFromLAN: Bool
  private let client: IPAddress
  private let server: IPAddress
  private var talk: TCPTalk
  /// The ports announced are few, so that they are taken sometimes.
  private var port: UInt16 = 1025

  init(
    _ chooser: inout Chooser, _ test: inout ConformanceCase, _ family: AddressFamily
  ) {
    self.family = family
    isFromLAN = chooser.chance(75)
    let inside = Network.host(chooser.number(2...3), .lan, family)
    let outside = Network.host(2, .wan, family)
    client = isFromLAN ? inside : outside
    // Who comes from outside finds the server by the router's address where that is translated.
    let toRouter = !isFromLAN && test.rules.contains { $0.contains("-j DNAT") }
    server =
      isFromLAN ? outside : toRouter ? Network.router(.wan, family) : Network.host(3, .lan, family)
    control = test.flows.count
    test.flows.append(
      Flow(
        kind: .tcp, port: isFromLAN ? .lan : .wan,
        source: Endpoint(client, family, port: 4000 + UInt16(control)),
        destination: Endpoint(server, family, port: chooser.chance(90) ? 21 : 2121)))
    talk = TCPTalk(&chooser, flow: control)
  }

  mutating func steps(_ chooser: inout Chooser, _ test: inout ConformanceCase) -> [Step] {
    var steps = talk.handshake()
    if chooser.chance(90) { steps.append(talk.say("USER a\r\n", .original)) }
    if chooser.chance(90) { steps.append(talk.say("220 hi\r\n", .reply)) }
    for _ in 0..<chooser.of([2, 4, 7]) {
      steps += turn(&chooser, &test)
      if chooser.chance(12) { steps += oddity(&chooser, steps) }
      if chooser.chance(8) {
        steps.append(DatagramGenerator.errorStep(&chooser, flow: control, family))
      }
    }
    steps += talk.farewell(&chooser)
    return steps
  }

  private mutating func turn(
    _ chooser: inout Chooser, _ test: inout ConformanceCase
  ) -> [Step] {
    port = chooser.of([1025, 1025, 1026, 20, 40_000, 65_000, port + 1, 0])
    let isActive = chooser.chance(55)
    let direction: Direction = chooser.chance(95) ? (isActive ? .original : .reply) : .original
    let owner = isActive ? client : announcingServer(test)
    let line = words(&chooser, isActive, owner)
    var steps: [Step] = []
    switch chooser.number(0...19) {
    case 0:
      // In two parts.
      let at = chooser.number(1...max(1, line.count - 1))
      steps.append(talk.say(Array(line[..<at]), direction))
      if at < line.count { steps.append(talk.say(Array(line[at...]), direction)) }
    case 1: steps.append(talk.say(Array("NOOP\r\n".utf8) + line, direction))
    case 2: steps.append(talk.say(line + Array("NOOP\r\n".utf8), direction))
    case 3: steps += [talk.say("NOOP\r\n", direction), talk.say(line, direction)]
    case 4: steps += [talk.say("NO", direction), talk.say(line, direction)]
    case 5: steps += [talk.say(line, direction), talk.say(line, direction)]
    case 6:
      // Sent again, whether or not it arrived.
      let before = talk.next[Int(direction.rawValue)]
      steps.append(talk.say(line, direction))
      if chooser.chance(50) { steps.append(talk.say("NOOP\r\n", direction)) }
      steps.append(talk.segment([.psh, .ack], direction, line, sequence: before))
    default: steps.append(talk.say(line, direction))
    }
    if chooser.chance(60) { steps.append(talk.segment(.ack, direction.opposite)) }
    if chooser.chance(40) { steps.append(talk.say("200 ok\r\n", .reply)) }
    if chooser.chance(70) { steps += data(&chooser, &test, isActive) }
    return steps
  }

  /// The address the server knows as its own.
  private func announcingServer(_ test: ConformanceCase) -> IPAddress {
    server == Network.router(.wan, family) ? Network.host(3, .lan, family) : server
  }

  // MARK: Words

  private func words(_ chooser: inout Chooser, _ isActive: Bool, _ owner: IPAddress) -> [UInt8] {
    let other = chooser.chance(5)
    let address = other ? Network.host(7, .lan, family) : owner
    let isExtended = family == .ipv6 ? chooser.chance(95) : chooser.chance(35)
    var line: String
    if isActive {
      line = isExtended ? "EPRT \(extended(&chooser, address))" : "PORT \(numbers(address))"
      line =
        chooser.of([line, line, line, line.lowercased()])
        + chooser.of(["\r\n", "\r\n", "\r\n", "\n", "\r", "", " \r\n"])
    } else if isExtended {
      let bar = chooser.of(["|", "|", "|", "!", "~", "a", "1", " "])
      line = "229 Entering Extended Passive Mode (\(bar)\(bar)\(bar)\(port)\(bar))\r\n"
    } else {
      line = chooser.of([
        "227 Entering Passive Mode (\(numbers(address))).\r\n", "227 =\(numbers(address))\r\n",
        "227 \(numbers(address))\r\n", "227 Entering\r\n(\(numbers(address)))\r\n",
        "227 in 2 \(numbers(address))\r\n", "227 (\(numbers(address))",
      ])
    }
    var bytes = [UInt8](line.utf8)
    if chooser.chance(8), !bytes.isEmpty {
      let at = chooser.number(0...bytes.count - 1)
      bytes[at] = chooser.of([0, 32, 44, 48, 57, 10, 13, 124, 255, bytes[at] ^ 1])
    }
    if chooser.chance(4) { bytes = Array(bytes.prefix(chooser.number(0...bytes.count))) }
    return bytes
  }

  private func numbers(_ address: IPAddress) -> String {
    let a = family == .ipv4 ? address.ipv4 : 0x0a00_0102
    return [a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255].map { "\($0)" }.joined(separator: ",")
      + ",\(port >> 8),\(port & 255)"
  }

  private func extended(_ chooser: inout Chooser, _ address: IPAddress) -> String {
    let bar = chooser.of(["|", "|", "|", "|", "!", "b", ".", ":"])
    let number = family == .ipv4 ? "1" : "2"
    var text = address.text(family)
    if family == .ipv6 && chooser.chance(20) { text = text.uppercased() }
    if family == .ipv6 && chooser.chance(20) {
      text = text.replacingFirst("::", with: chooser.of([":0:0::", "::0:", ":::", "::0000:", ":"]))
    }
    return bar + chooser.of([number, number, number, number, number, "3"]) + bar + text + bar
      + "\(port)" + bar
  }

  // MARK: What comes of it

  private func data(
    _ chooser: inout Chooser, _ test: inout ConformanceCase, _ isActive: Bool
  ) -> [Step] {
    // The end that was told connects: the server as it is known on its own side.
    let own = isActive ? announcingServer(test) : client
    let isOnLAN = isActive ? !isFromLAN : isFromLAN
    let announced = Endpoint(isActive ? client : server, family, port: port)
    let flow = test.flows.count
    test.flows.append(
      Flow(
        kind: .tcp, port: isOnLAN ? .lan : .wan,
        source: Endpoint(own, family, port: chooser.of([20, 20, 5000 + UInt16(flow)])),
        destination: announced, announcedBy: control))
    func step(
      _ flags: TCPFlags, _ direction: Direction, _ sequence: UInt32, _ acknowledgement: UInt32
    ) -> Step {
      Step(
        kind: .tcp(
          TCPStep(flags: flags, sequence: sequence, acknowledgement: acknowledgement)),
        flow: flow, direction: direction)
    }
    var steps = [
      step(
        chooser.of([.syn, .syn, .syn, .syn, .syn, .syn, .ack, .rst, [.syn, .fin]]), .original, 7000,
        0)
    ]
    if chooser.chance(20) { steps.append(step(.syn, .original, 7000, 0)) }
    if chooser.chance(70) {
      steps.append(step([.syn, .ack], .reply, 9000, 7001))
      steps.append(step(.ack, .original, 7001, 9001))
    }
    if chooser.chance(30) { steps.append(step([.fin, .ack], .original, 7001, 9001)) }
    return steps
  }

  /// Acknowledgements of all kinds, selective ones too, and segments sent again.
  private func oddity(_ chooser: inout Chooser, _ steps: [Step]) -> [Step] {
    let direction: Direction = chooser.of([.original, .reply])
    let other = talk.next[Int(direction.opposite.rawValue)]
    let back = chooser.number(0...40) as UInt32
    switch chooser.number(0...3) {
    case 0: return [talk.segment(.ack, direction, acknowledgement: other &- back)]
    case 1:
      var options: [UInt8] = chooser.chance(70) ? [1, 1] : [1]
      let blocks = chooser.of([1, 2, 3])
      options += [5, UInt8(2 + 8 * blocks)]
      for _ in 0..<blocks {
        let low = other &- chooser.number(0...40)
        for value in [low, low &+ chooser.number(1...20)] {
          options += (0..<4).map { UInt8(truncatingIfNeeded: value >> UInt32(24 - 8 * $0)) }
        }
      }
      while options.count % 4 != 0 { options.append(1) }
      return [talk.segment(.ack, direction, acknowledgement: other &- back, options: options)]
    case 2:
      return steps.filter {
        if case .tcp(let tcp) = $0.kind { return tcp.payload != nil }
        return false
      }.suffix(1).map { $0 }
    default:
      return [talk.segment(.ack, direction, sequence: talk.next[Int(direction.rawValue)] &- back)]
    }
  }
}

extension String {
  fileprivate func replacingFirst(_ part: String, with other: String) -> String {
    guard let range = firstRange(of: part) else { return self }
    return replacingCharacters(in: range, other)
  }

  private func firstRange(of part: String) -> Range<String.Index>? {
    var at = startIndex
    while at < endIndex {
      if self[at...].hasPrefix(part) { return at..<index(at, offsetBy: part.count) }
      at = index(after: at)
    }
    return nil
  }

  private func replacingCharacters(in range: Range<String.Index>, _ other: String) -> String {
    String(self[..<range.lowerBound]) + other + String(self[range.upperBound...])
  }
}
