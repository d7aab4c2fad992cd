// Changing what a packet carries: bytes put in the place of others, lengths and checksums following.

import Conntrack
import Wire

enum PayloadRewriter {
  /// Puts `words` in the place of `length` bytes of the payload of a TCP or UDP packet, and notes how
  /// far that moves the sequence numbers behind them.
  /// - Returns: false, with nothing changed, where the packet would become longer than IP allows.
  static func replace(
    _ packet: inout PacketBuffer, _ headers: inout PacketHeaders, at offset: Int, _ length: Int,
    with words: Words, _ tracker: inout ConnectionTracker, _ tracking: Tracking
  ) -> Bool {
    let change = words.count - length
    let end = headers.end + change
    guard offset >= 0, offset + length <= headers.end, headers.end == packet.count,
      end <= min(65_535, packet.capacity)
    else { return false }
    if change > 0 { packet.resize(to: end) }
    packet.move((offset + length)..<headers.end, to: offset + words.count)
    if change < 0 { packet.resize(to: end) }
    for index in 0..<words.count { packet.store8(words.bytes[index], at: offset + index) }
    headers.end = end
    setLength(&packet, headers)
    renewChecksum(&packet, headers)
    if headers.transportProtocol == IPProtocolNumber.tcp {
      tracker.shiftSequence(
        tracking.connection, tracking.direction,
        at: packet.uint32(at: headers.transportOffset + TCPField.sequence), by: change)
    }
    return true
  }

  private static func setLength(_ packet: inout PacketBuffer, _ headers: PacketHeaders) {
    if headers.family == .ipv4 {
      let old = packet.uint16(at: IPv4Field.totalLength)
      let new = UInt16(truncatingIfNeeded: headers.end)
      packet.store16(new, at: IPv4Field.totalLength)
      packet.store16(
        InternetChecksum.updated(
          packet.uint16(at: IPv4Field.checksum), from: old, to: new),
        at: IPv4Field.checksum)
    } else {
      packet.store16(
        UInt16(truncatingIfNeeded: headers.end - IPv6Field.length), at: IPv6Field.payloadLength)
    }
    if headers.transportProtocol == IPProtocolNumber.udp {
      packet.store16(
        UInt16(truncatingIfNeeded: headers.end - headers.transportOffset),
        at: headers.transportOffset + UDPField.length)
    }
  }

  /// Computes the transport checksum from the packet as it is now.
  static func renewChecksum(_ packet: inout PacketBuffer, _ headers: PacketHeaders) {
    let isUDP = headers.transportProtocol == IPProtocolNumber.udp
    let field = headers.transportOffset + (isUDP ? UDPField.checksum : TCPField.checksum)
    // UDP without a checksum stays without one.
    if isUDP && packet.uint16(at: field) == 0 { return }
    packet.store16(0, at: field)
    let pseudo = InternetChecksum.pseudoHeader(
      source: headers.source, destination: headers.destination,
      transportProtocol: headers.transportProtocol, length: headers.end - headers.transportOffset)
    let checksum = InternetChecksum.checksum(
      InternetChecksum.sum(
        packet.bytes, from: headers.transportOffset, to: headers.end, initial: pseudo))
    packet.store16(isUDP ? InternetChecksum.udp(checksum) : checksum, at: field)
  }
}
