// IPv4 source routes (RFC 791 3.1, RFC 1812 5.2.4.1): a packet for the host that is to go on from here to
// the next hop its option names, and the way an ICMP answer takes back along the hops recorded.

import Wire

extension IPv4Options {
  private enum Field {
    static let length = 1
    /// From 1: where in the option the next hop is.
    static let pointer = 2
    static let firstHop = 4
  }

  /// The place of the next hop's address in the option, from 1, and the option's length.
  private func nextHop(_ packet: borrowing PacketBuffer) -> (pointer: Int, length: Int) {
    (
      Int(packet.uint8(at: sourceRoute + Field.pointer)) + passedHops * 4,
      Int(packet.uint8(at: sourceRoute + Field.length))
    )
  }

  /// Whether a source route has hops left.
  func sourceRouteGoesOn(_ packet: borrowing PacketBuffer) -> Bool {
    let (pointer, length) = nextHop(packet)
    return pointer <= length
  }

  /// The address of the next hop; nil where the option has no room for one.
  func sourceRouteHop(_ packet: borrowing PacketBuffer) -> IPAddress? {
    let (pointer, length) = nextHop(packet)
    guard pointer + 3 <= length else { return nil }
    return IPAddress(ipv4: packet.uint32(at: sourceRoute + pointer - 1))
  }

  /// The byte of the packet that says where the next hop is.
  var sourceRoutePointerOffset: Int { sourceRoute + Field.pointer }

  /// Sends the packet to the next hop: that becomes its destination, and `address`, the host's own
  /// on the way out, takes its place in the route.
  mutating func followSourceRoute(_ packet: inout PacketBuffer, recording address: IPAddress?) {
    guard isSourceRouted, let hop = sourceRouteHop(packet) else { return }
    let (pointer, _) = nextHop(packet)
    packet.store32(hop.ipv4, at: IPv4Field.destination)
    if let address { packet.store32(address.ipv4, at: sourceRoute + pointer - 1) }
    packet.store8(UInt8(truncatingIfNeeded: pointer + 4), at: sourceRoute + Field.pointer)
    if let address, let place = ownPlaceInTimestamp(packet) {
      packet.store32(address.ipv4, at: place)
    }
    hasStaleChecksum = true
  }

  /// How many hops the packet has passed, by its route; 0 without one.
  private func recordedHops(_ packet: borrowing PacketBuffer) -> Int {
    guard sourceRoute != 0 else { return 0 }
    let pointer = Int(packet.uint8(at: sourceRoute + Field.pointer))
    let length = Int(packet.uint8(at: sourceRoute + Field.length))
    return (min(pointer, length + 1) - Field.firstHop) / 4
  }

  /// Whom an answer to the packet goes to first: the last hop passed, where it has a source route, else
  /// its sender.
  func firstHopBack(_ packet: borrowing PacketBuffer, source: IPAddress) -> IPAddress {
    let hops = recordedHops(packet)
    guard hops > 0 else { return source }
    return IPAddress(ipv4: packet.uint32(at: sourceRoute + Field.firstHop * hops - 1))
  }

  /// Writes the way back into an answer: the hops passed before the last, in reverse, then the sender.
  ///
  /// - Returns: the option's length, 0 where there is no way to go back.
  func echoSourceRoute(
    _ packet: borrowing PacketBuffer, into answer: inout PacketBuffer, at end: Int
  ) -> Int {
    var hops = recordedHops(packet)
    guard hops > 0 else { return 0 }
    // The first hop was the sender itself: it need not stand there twice.
    let source = packet.uint32(at: IPv4Field.source)
    let isSenderFirst = packet.uint32(at: sourceRoute + Field.firstHop - 1) == source
    if isSenderFirst && hops == 1 { return 0 }
    let last = hops
    if isSenderFirst { hops -= 1 }
    answer.store8(packet.uint8(at: sourceRoute), at: end)
    answer.store8(UInt8(3 + 4 * hops), at: end + Field.length)
    answer.store8(UInt8(Field.firstHop), at: end + Field.pointer)
    var at = end + 3
    for hop in stride(from: last - 1, to: 0, by: -1) {
      answer.store32(packet.uint32(at: sourceRoute + Field.firstHop * hop - 1), at: at)
      at += 4
    }
    if !isSenderFirst { answer.store32(source, at: at) }
    return 3 + 4 * hops
  }
}

extension Firewall {
  /// A packet for one of the host's addresses whose source route goes on: where to.
  ///
  /// - Parameter problem: set to the offending byte where the option makes no sense.
  /// - Returns: the way; nil where the packet is dropped.
  func followSourceRoute(
    _ packet: inout PacketBuffer, _ passage: inout Passage, problem: inout Int?
  ) -> InputRoute? {
    guard passage.arrival.packetType == .unicast else { return nil }
    while passage.options.sourceRouteGoesOn(packet) {
      guard let hop = passage.options.sourceRouteHop(packet) else {
        problem = passage.options.sourceRoutePointerOffset
        return nil
      }
      let way = host.routeInput(
        source: passage.headers.source, destination: hop, family: .ipv4,
        interface: index(passage.arrival.interface))
      switch way {
      case .deliver(.local):
        // Itself again: the route goes on from there.
        packet.store32(hop.ipv4, at: IPv4Field.destination)
        passage.headers.destination = hop
        passage.context.destination = hop
        passage.options.passHop()
      case .forward:
        passage.options.isSourceRouted = true
        return way
      case .deliver, .drop:
        return nil
      }
    }
    return .deliver(.local)
  }
}
