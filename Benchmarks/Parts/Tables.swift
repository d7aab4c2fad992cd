// The connection table: the hash of addresses, finding a tuple, and an established TCP connection's
// packet through the tracker.

import Benchmark
import Conntrack
import PacketForge
import Wire

/// Connections of TCP, all established, and their packets in a random order.
final class Connections {
  var tracker: ConnectionTracker
  let tuples: [Tuple]
  /// The last connection made, in whose place a lookup asks.
  private(set) var last = ConnectionNumber.none
  /// A data segment of each connection.
  let packets: [[UInt8]]
  let headers: [PacketHeaders]

  init(count: Int) {
    var settings = ConntrackSettings()
    settings.max = Int64(max(4096, count * 2))
    settings.buckets = settings.max
    tracker = ConnectionTracker(settings: settings, seed: 1)
    tracker.advance(to: 1_700_000_000_000_000_000)
    var tuples: [Tuple] = []
    var packets: [[UInt8]] = []
    var all: [PacketHeaders] = []
    for number in 0..<count {
      let address = UInt32(0x0A00_0000 + number / 16)
      let port = UInt16(1024 + number % 16)
      let (client, server) = tcp(
        Address(IPAddress(ipv4: address).text(.ipv4)), port, Address("198.51.100.7"), 443)
      for packet in [client.syn(), server.synAck(), client.ack()] {
        let headers = Connections.decode(packet.bytes)
        let tracking = tracker.track(packet.bytes.span.bytes, headers, hook: .prerouting)
        _ = tracker.finish(tracking, passed: true)
        last = tracking.connection
      }
      let data = client.ack().bytes
      packets.append(data)
      all.append(Connections.decode(data))
      tuples.append(
        Tuple(
          source: IPAddress(ipv4: address), destination: IPAddress(ipv4: 0xC633_6407),
          sourcePort: port, destinationPort: 443, protocolNumber: 6, family: .ipv4))
    }
    self.tuples = tuples
    self.packets = packets
    headers = all
    guard tracker.count == count else { fatalError("\(tracker.count) connections of \(count)") }
  }

  static func decode(_ bytes: [UInt8]) -> PacketHeaders {
    var headers = PacketHeaders()
    guard PacketHeaders.decode(bytes.span.bytes, family: .ipv4, into: &headers) == nil else {
      fatalError("a packet that is none")
    }
    return headers
  }

  /// A connection far from the one of the call before.
  @inline(__always)
  func place(_ call: Int) -> Int { (call &* 40_503) & (tuples.count &- 1) }
}

func tableBenchmarks() {
  Benchmark.part("hash of two addresses") {
    Connections(count: 1)
  } _: { connections, call in
    blackHole(
      connections.tracker.pairHash(
        IPAddress(ipv4: UInt32(truncatingIfNeeded: call)), IPAddress(ipv4: 0xC633_6407)))
  }
  for count in isBrief ? [32] : [32, 65_536] {
    Benchmark.part("index lookup, \(count) connections") {
      Connections(count: count)
    } _: { connections, call in
      blackHole(
        connections.tracker.isTaken(
          connections.tuples[connections.place(call)], except: connections.last))
    }
    Benchmark.part("tracker, established TCP, \(count) connections") {
      Connections(count: count)
    } _: { connections, call in
      let place = connections.place(call)
      let packet = connections.packets[place]
      let bytes = packet.span.bytes
      let tracking = connections.tracker.track(
        bytes, connections.headers[place], hook: .prerouting)
      blackHole(tracking)
    }
  }
}
