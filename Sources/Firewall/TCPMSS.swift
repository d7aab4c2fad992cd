// What a TCPMSS rule asks for, done to the packet (iptables-extensions(8), TCPMSS): the MSS that a SYN
// announces is lowered, or announced where it was not. For `evaluate`, between two rules.

import Ruleset
import Wire

extension Firewall {
  /// Limits the packet's MSS as a rule said.
  ///
  /// - Parameter asked: 65535: to what the path's MTU allows.
  /// - Returns: false if the packet must be dropped: its TCP header makes no sense, or the path's MTU
  ///   leaves no room for data.
  mutating func limitMSS(
    _ asked: UInt16, _ packet: inout PacketBuffer, _ passage: inout Passage
  ) -> Bool {
    var limit = asked
    let headers = passage.headers
    guard headers.transportProtocol == IPProtocolNumber.tcp, headers.fragmentOffset == 0 else {
      return true
    }
    // The kernel makes the packet contiguous, and no longer knows what fragments it came in.
    if passage.isReassembled { reassembled.sizes.forget() }
    if asked == .max {
      guard let mtu = pathMTU(passage) else { return true }
      let least = (headers.family == .ipv4 ? IPv4Field.minimumLength : IPv6Field.length) + 20
      guard mtu > least else { return false }
      limit = UInt16(clamping: mtu - least)
    }

    let at = headers.transportOffset
    let available = headers.end - at
    guard at >= 0, available >= TCPField.minimumLength else { return false }
    let length = Int(packet.uint8(at: at + TCPField.dataOffset) >> 4) * 4
    guard length >= TCPField.minimumLength, length <= available else { return false }
    if let option = mssOption(packet, from: at + TCPField.minimumLength, to: at + length) {
      let announced = packet.uint16(at: option + 2)
      guard announced > limit else { return true }
      if !option.isMultiple(of: 2) {
        passage.hadRightChecksum =
          passage.hadRightChecksum
          || InternetChecksum.transportIsValid(packet.bytes, headers: headers)
      }
      packet.store16(limit, at: option + 2)
      // As the kernel does, also where the option stands at an odd place and the sum comes out wrong.
      updateChecksum(&packet, at + TCPField.checksum, from: announced, to: limit)
      return true
    }
    // Data would have to move, and might no longer fit.
    guard length == available, length < 60, packet.count + 4 <= packet.capacity else { return true }
    // Without the option, 536 and 1220 were what could be assumed (RFC 9293 3.7.1).
    insertMSS(min(limit, headers.family == .ipv4 ? 536 : 1220), &packet, &passage)
    return true
  }

  /// Where the option starts; the walk goes on behind an end-of-list option.
  private func mssOption(_ packet: borrowing PacketBuffer, from start: Int, to end: Int) -> Int? {
    var at = start
    while at + 4 <= end {
      let kind = packet.uint8(at: at)
      let length = packet.uint8(at: at + 1)
      if kind == 2 && length == 4 { return at }
      at += kind < 2 || length == 0 ? 1 : Int(length)
    }
    return nil
  }

  /// Puts the option in front of all others. Lengths and checksums follow.
  private func insertMSS(
    _ value: UInt16, _ packet: inout PacketBuffer, _ passage: inout Passage
  ) {
    let at = passage.headers.transportOffset
    let end = passage.headers.end
    let first = at + TCPField.minimumLength
    packet.resize(to: end + 4)
    packet.move(first..<end, to: first + 4)
    packet.store16(0x0204, at: first)
    packet.store16(value, at: first + 2)
    let word = packet.uint16(at: at + TCPField.dataOffset)
    packet.store16(word + 0x1000, at: at + TCPField.dataOffset)
    let checksum = at + TCPField.checksum
    updateChecksum(&packet, checksum, from: UInt16(end - at), to: UInt16(end - at + 4))
    updateChecksum(&packet, checksum, from: word, to: word + 0x1000)
    updateChecksum(&packet, checksum, from: 0, to: 0x0204)
    updateChecksum(&packet, checksum, from: 0, to: value)

    if passage.headers.family == .ipv4 {
      let total = packet.uint16(at: IPv4Field.totalLength)
      packet.store16(total + 4, at: IPv4Field.totalLength)
      updateChecksum(&packet, IPv4Field.checksum, from: total, to: total + 4)
    } else {
      packet.store16(
        packet.uint16(at: IPv6Field.payloadLength) + 4, at: IPv6Field.payloadLength)
    }
    passage.headers.grow(by: 4)
    passage.context.length += 4
    passage.context.transportAvailable += 4
  }

  private func updateChecksum(
    _ packet: inout PacketBuffer, _ field: Int, from old: UInt16, to new: UInt16
  ) {
    packet.store16(
      InternetChecksum.updated(packet.uint16(at: field), from: old, to: new), at: field)
  }

  /// The lower of the MTU of the way on and that of the way back; nil where neither is known.
  private func pathMTU(_ passage: borrowing Passage) -> Int? {
    let back = host.routing.lookup(passage.headers.source, passage.headers.family)
    let onward = routeMTU(passage.route)
    guard let back, let backward = routeMTU(back) else { return onward }
    return onward.map { min($0, backward) } ?? backward
  }

  private func routeMTU(_ route: RouteResult) -> Int? {
    guard route.type == .unicast, let interface = route.interface else { return nil }
    let device = host.interfaces[interface].mtu
    return route.mtu.map { min($0, device) } ?? device
  }
}
