// Where the index will be asked for a new connection's reply tuple, guessed while its first packet has
// most of its way before it, so that the memory is there when NAT and confirm look. A wrong guess costs
// a fetch.

import Wire

/// What NAT made of sources last: mostly it makes the same of the next.
struct BindingGuess: BitwiseCopyable {
  var address = IPAddress.any
  /// Nil: no source has been translated yet.
  var family: AddressFamily?
}

extension ConnectionTracker {
  /// NAT has translated a source to this address.
  public mutating func guessBinding(_ address: IPAddress, _ family: AddressFamily) {
    bindingGuess.address = address
    bindingGuess.family = family
  }

  /// Asks, while the rest of its burst is looked at, for the lines of the index that a connection will
  /// need which this packet probably begins.
  @inline(never)
  mutating func fetchBeginning(_ packet: PlainPacket) {
    let destination = packet.addresses << 32
    let ports = packet.ports << 16 | packet.ports >> 16
    table.index.prefetch(
      table.hash(
        ipv4: destination | packet.addresses >> 32, ports: ports,
        protocolNumber: packet.protocolNumber, zone: 0))
    guard bindingGuess.family == .ipv4 else { return }
    table.sources.prefetch(
      table.hash(
        ipv4: (packet.addresses >> 32) << 32, ports: (packet.ports >> 16) << 16,
        protocolNumber: packet.protocolNumber, zone: 0))
    table.index.prefetch(
      table.hash(
        ipv4: destination | bindingGuess.address.low, ports: ports,
        protocolNumber: packet.protocolNumber, zone: 0))
  }

  /// Asks for the lines of the index that a new connection's reply tuple will probably need.
  @inline(__always)
  mutating func fetchReply(_ tuple: Tuple, _ reply: Tuple, _ zone: TrackingZone) {
    // Before a source is translated, a binding that changes nothing is looked for.
    table.index.prefetch(table.hash(reply, zone: zone[.reply]))
    if bindingGuess.family == tuple.family { fetchTranslated(tuple, reply, zone) }
  }

  @inline(never)
  private mutating func fetchTranslated(_ tuple: Tuple, _ reply: Tuple, _ zone: TrackingZone) {
    table.sources.prefetchFirst(sourceHash(tuple, zone: zone))
    // With the port it has, and with the one to be tried next (`Binding`, port classes).
    var translated = reply
    translated.destination = bindingGuess.address
    table.index.prefetch(table.hash(translated, zone: zone[.reply]))
    guard tuple.sourcePort >= 1024 else { return }
    var ahead = generator
    translated.destinationPort = UInt16(
      truncatingIfNeeded: 1024 &+ (ahead.next() & 0xffff) % (65_536 - 1024))
    table.index.prefetch(table.hash(translated, zone: zone[.reply]))
  }
}
