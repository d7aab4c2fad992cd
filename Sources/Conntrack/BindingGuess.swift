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

/// A binding that another table chose, for NAT to choose the same from the same set.
package struct ForeseenBinding {
  /// Nil: whichever connection begins.
  package var original: Tuple?
  package var reply: Tuple

  package init(original: Tuple?, reply: Tuple) {
    self.original = original
    self.reply = reply
  }
}

extension ConnectionTracker {
  /// The tuple as it is to be when translated, where that is known for a connection.
  package func foreseenTuple(_ number: ConnectionNumber) -> Tuple? {
    guard let foreseenBinding else { return nil }
    if let original = foreseenBinding.original,
      table.tuple(number.index, .original) != original
    {
      return nil
    }
    return foreseenBinding.reply.inverted
  }

  /// The port that a helper's NAT is to draw next, if it is one of these; it counts once.
  package mutating func takeForeseenPort(in ports: Range<UInt16>) -> UInt16? {
    let port = foreseenExpectationPort
    foreseenExpectationPort = nil
    return port.flatMap { ports.contains($0) ? $0 : nil }
  }
}
