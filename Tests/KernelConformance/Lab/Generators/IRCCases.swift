// IRC connections, what their clients invite others to by DCC, and those who come.

import Conntrack
import Wire

enum IRCCases {
  static func add(to test: inout ConformanceCase, _ chooser: inout Chooser) {
    var lists: [[Step]] = []
    for _ in 0..<chooser.of([1, 1, 2]) { lists.append(session(&chooser, &test)) }
    test.steps += merge(&chooser, lists)
  }

  private static func session(
    _ chooser: inout Chooser, _ test: inout ConformanceCase
  ) -> [Step] {
    let isFromLAN = chooser.chance(80)
    let inside = Network.host(chooser.number(2...3), .lan, .ipv4)
    let outside = Network.host(2, .wan, .ipv4)
    let client = isFromLAN ? inside : outside
    let toRouter = !isFromLAN && test.rules.contains { $0.contains("-j DNAT") }
    let server =
      isFromLAN
      ? outside : toRouter ? Network.router(.wan, .ipv4) : Network.host(3, .lan, .ipv4)
    let control = test.flows.count
    test.flows.append(
      Flow(
        kind: .tcp, port: isFromLAN ? .lan : .wan,
        source: Endpoint(client, .ipv4, port: 5000 + UInt16(control)),
        destination: Endpoint(server, .ipv4, port: 6667)))
    var talk = TCPTalk(&chooser, flow: control)
    var steps = talk.handshake()
    if chooser.chance(60) { steps.append(talk.say("NICK a\r\n", .original)) }
    for _ in 0..<chooser.of([1, 2, 4, 12]) {
      let port: UInt32 =
        chooser.of([1025, 1025, 1026, 20, 40_000, 65_535, 65_536, 7, 0])
        &+ (chooser.chance(30) ? chooser.number(0...12) : 0)
      let address = chooser.chance(88) ? client : chooser.of([server, Network.router(.wan, .ipv4)])
      let line = words(&chooser, address.ipv4, port)
      steps.append(talk.say(line, chooser.chance(93) ? .original : .reply))
      if chooser.chance(15) { steps.append(talk.say("PING b\r\n", .reply)) }
      if chooser.chance(15), let last = steps.last { steps.append(last) }
      if chooser.chance(50) {
        steps += visitor(&chooser, &test, control, client, UInt16(truncatingIfNeeded: port))
      }
    }
    return steps + talk.farewell(&chooser)
  }

  private static func words(
    _ chooser: inout Chooser, _ address: UInt32, _ port: UInt32
  ) -> [UInt8] {
    let lead = chooser.chance(80) ? "" : chooser.of([" ", "\r\n", "\t", ":x ", "PING x\r\n"])
    let command = chooser.chance(90) ? "PRIVMSG" : chooser.of(["privmsg", "NOTICE", "PRIVMSG "])
    let nick = chooser.of(["b", "b", "b", "bcdef", "#c d", "", " b", "b :x"])
    let offer =
      chooser.chance(80)
      ? "SEND" : chooser.of(["CHAT", "MOVE", "TSEND", "SCHAT", "ACCEPT", "send", "SENDX"])
    let name = chooser.of(["f", "f", "f", "file.txt", "", "a b", "\n"])
    let space = chooser.chance(95) ? " " : chooser.of(["  ", "\t", ""])
    let number = chooser.chance(96) ? "\(address)" : "0\(address)"
    let tail = chooser.of([
      "\u{1}\r\n", "\u{1}\r\n", "\u{1}\r\n", "\u{1}\n", "\n", "\r\n", "", "\u{1}",
      " 12345\u{1}\r\n", "x\n",
    ])
    var bytes = [UInt8](
      "\(lead)\(command) \(nick) :\u{1}DCC \(offer) \(name) \(number)\(space)\(port)\(tail)".utf8)
    switch chooser.number(0...24) {
    case 0: bytes[chooser.number(0...bytes.count - 1)] ^= chooser.of([1, 2, 0x20, 0x80])
    case 1: bytes.removeLast(chooser.number(1...bytes.count))
    case 2: bytes += bytes
    default: break
    }
    return bytes
  }

  /// Somebody who comes to where the client waits.
  private static func visitor(
    _ chooser: inout Chooser, _ test: inout ConformanceCase, _ control: Int, _ client: IPAddress,
    _ port: UInt16
  ) -> [Step] {
    let isOnLAN = test.flows[control].port != .lan
    let side: Port = isOnLAN ? .lan : .wan
    let flow = test.flows.count
    test.flows.append(
      Flow(
        kind: .tcp, port: side,
        source: Endpoint(
          Network.host(chooser.of([2, 4]), side, .ipv4), .ipv4, port: 6000 + UInt16(flow)),
        destination: Endpoint(client, .ipv4, port: port), announcedBy: control))
    var talk = TCPTalk(&chooser, flow: flow)
    let greeting = talk.handshake()
    return chooser.chance(70) ? greeting : Array(greeting.prefix(1))
  }
}
