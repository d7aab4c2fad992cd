// Rewriting a packet's addresses and ports, checksums with them, as NAT does for each packet.

import Benchmark
import Conntrack
import NAT
import PacketForge
import Wire

/// A packet, and the two ends it goes between by turns.
private final class Rewriting {
  var packet = PacketBuffer()
  var headers = PacketHeaders()
  let ends: [Tuple]

  init(_ packet: Packet, _ family: AddressFamily, _ ends: [Tuple]) {
    self.ends = ends
    guard self.packet.assign(packet.bytes.span.bytes) else { fatalError("too long a packet") }
    var headers = PacketHeaders()
    let drop = PacketHeaders.decode(self.packet.bytes, family: family, into: &headers)
    guard drop == nil else { fatalError("a packet that is none") }
    self.headers = headers
  }

  static func tuple(_ source: String, _ destination: String, _ family: AddressFamily) -> Tuple {
    guard let source = IPAddress.parse(source, family),
      let destination = IPAddress.parse(destination, family)
    else { fatalError("an address that is none") }
    return Tuple(
      source: source, destination: destination, sourcePort: 1000, destinationPort: 80,
      protocolNumber: 6, family: family)
  }
}

func rewriteBenchmarks() {
  for (name, family, inside, outside, server) in [
    ("IPv4", AddressFamily.ipv4, "10.0.0.2", "203.0.113.1", "198.51.100.7"),
    ("IPv6", .ipv6, "fd00::2", "2001:db8:1::1", "2001:db8:9::7"),
  ] {
    Benchmark.part("rewrite of \(name) TCP") {
      Rewriting(
        tcp(Address(inside), 1000, Address(server), 80).0.syn(), family,
        [
          Rewriting.tuple(outside, server, family), Rewriting.tuple(inside, server, family),
        ])
    } _: { rewriting, call in
      blackHole(
        NATRewriter.rewrite(
          &rewriting.packet, &rewriting.headers, toward: rewriting.ends[call & 1]))
    }
  }
}
