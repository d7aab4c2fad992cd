// `make-capture PACKETS OUT.pcapng`: a capture of a busy gateway's inside port, for `make bench`. The
// same every time: connections of clients to servers, each a handshake, data both ways, and an end.

import Capture
import PacketForge
import Wire

@main
struct MakeCapture {
  static func main() throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 3, let count = Int(arguments[1]), count > 0 else {
      print("usage: make-capture PACKETS OUT.pcapng")
      return
    }
    var writer = try CaptureWriter(path: arguments[2])
    let lan = try writer.addInterface(name: "lan0", linkType: LinkType.ethernet)
    let wan = try writer.addInterface(name: "wan0", linkType: LinkType.ethernet)
    var traffic = Traffic()
    var time: Int64 = 1_700_000_000_000_000_000
    for _ in 0..<count {
      let (packet, isInside) = traffic.next()
      time += 10_000
      let frame = Traffic.frame(packet, isInside)
      try writer.write(
        frame.rawSpan, interface: isInside ? lan : wan, timeNanoseconds: time,
        direction: .inbound, originalLength: frame.count)
    }
    try writer.close()
  }
}

/// A thousand connections at a time, every one at another place in its life.
struct Traffic {
  private struct Connection {
    var client: Peer
    var server: Peer
    var step = 0
  }

  private var connections: [Connection] = []
  private var turn = 0
  private var begun = 0
  private static let steps = 24

  mutating func next() -> (packet: Packet, isInside: Bool) {
    if connections.count < 1000 { connections.append(begin()) }
    turn = turn + 1 < connections.count ? turn + 1 : 0
    let connection = connections[turn]
    let (client, server) = (connection.client, connection.server)
    connections[turn].step += 1
    switch connection.step {
    case 0: return (client.syn(options: [.mss(1460), .sackPermitted, .windowScale(7)]), true)
    case 1: return (server.synAck(options: [.mss(1460), .sackPermitted, .windowScale(7)]), false)
    case 2: return (client.ack(), true)
    case Traffic.steps - 3: return (client.fin(), true)
    case Traffic.steps - 2: return (server.fin(), false)
    case Traffic.steps - 1:
      connections[turn] = begin()
      return (client.ack(), true)
    default:
      let isInside = connection.step % 3 == 0
      return (isInside ? client.data(64) : server.data(512), isInside)
    }
  }

  private mutating func begin() -> Connection {
    begun += 1
    let client = Address("10.\(begun >> 16 & 255).\(begun >> 8 & 255).\(1 + (begun & 127))")
    let server = Address("203.0.113.\(1 + begun % 200)")
    let ends = tcp(
      client, UInt16(1024 + begun % 60000), server, 443, clientSequence: UInt32(begun) &* 77)
    return Connection(client: ends.client, server: ends.server)
  }

  static func frame(_ packet: Packet, _ isInside: Bool) -> [UInt8] {
    [2, 0, 0, 0, isInside ? 1 : 2, 1, 2, 0, 0, 0, 0, 9, 8, 0] + packet.bytes
  }
}
