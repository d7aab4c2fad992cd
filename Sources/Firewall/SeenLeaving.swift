// A capture shows the host's own packets as they left, after NAT. Before they can be sent through the
// hooks again, what NAT did is taken back.

import Conntrack
import NAT
import Wire

extension Firewall {
  /// Turns a packet seen leaving into the one the host had sent: where the connection it belongs to
  /// is translated and begins or ends at the host, its addresses and ports are those from before NAT.
  ///
  /// - Returns: whether the packet is the host's own: its source, translation taken back, is one of
  ///   the host's addresses.
  public mutating func takeBackTranslation(
    _ packet: inout PacketBuffer, _ headers: PacketHeaders, at time: Int64
  ) -> Bool {
    advance(to: time)
    guard hasTable(.nat, headers.family),
      let before = tracker.tupleBeforeTranslation(packet.bytes, headers),
      host.isLocal(before.source, headers.family)
    else { return host.isLocal(headers.source, headers.family) }
    var headers = headers
    return NATRewriter.rewrite(&packet, &headers, toward: before)
  }
}
