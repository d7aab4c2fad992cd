// The packets: connections by number, each end's sequence numbers, and the bytes of the next packet. Made
// outside of what is timed.

import Conntrack
import Wire

/// Many connections, and what their ends would send next.
struct Traffic {
  let transport: BenchOptions.Transport
  let family: AddressFamily
  let nat: BenchOptions.NAT
  private let sharesPorts: Bool
  private var next: [(client: UInt32, server: UInt32)]
  /// What the server sees a client as, where NAT changed that.
  private var seenAs: [(address: UInt32, port: UInt16)]
  private let template: [UInt8]
  private let transportOffset: Int
  private static let payload = 6

  static let servers = 200

  init(_ options: BenchOptions) {
    transport = options.transport
    family = options.family
    nat = options.nat
    sharesPorts = options.sharesPorts
    next = Array(repeating: (1000, 2000), count: options.connections)
    seenAs = Array(
      repeating: (0, 0),
      count: options.nat == .snat || options.nat == .masquerade
        ? options.connections : 0)
    let ends = (
      Endpoint(Traffic.address(0, isServer: false, options.family), options.family, port: 1),
      Endpoint(Traffic.address(0, isServer: true, options.family), options.family, port: 2)
    )
    let payload = [UInt8](repeating: 0x55, count: Traffic.payload)
    template =
      options.transport == .tcp
      ? PacketBuilder.tcp(from: ends.0, to: ends.1, flags: [.psh, .ack], payload: payload)
      : PacketBuilder.udp(from: ends.0, to: ends.1, payload: payload + payload + payload)
    transportOffset = options.family == .ipv4 ? 20 : 40
  }

  var packetLength: Int { template.count }

  private static func address(
    _ connection: Int, isServer: Bool, _ family: AddressFamily
  ) -> IPAddress {
    let host =
      isServer
      ? 0xcb00_7101 + UInt32(connection % servers)
      : 0x0a00_0100 + UInt32(connection & 0xffff)
    return family == .ipv4
      ? IPAddress(ipv4: host)
      : IPAddress(high: isServer ? 0x2001_0db8_0009_0002 : 0xfd00_0001_0000_0000, low: UInt64(host))
  }

  /// Each client counts its ports up from one of its own, or all of them from the same: then nearly every
  /// connection's port is taken already where they share an address.
  private func clientPort(_ connection: Int) -> UInt16 {
    let client = UInt64(connection & 0xffff)
    let first = sharesPorts ? 0 : Int((client &* 0x9E37_79B9_7F4A_7C15) >> 40)
    return UInt16(1024 + (first + (connection >> 16)) % (65_536 - 1024))
  }

  enum Kind { case syn, synAck, ack, data }

  /// Writes a packet of a connection over `bytes`, which has `packetLength` of them.
  mutating func write(
    _ kind: Kind, _ connection: Int, fromClient: Bool, into bytes: inout PacketBuffer
  ) {
    let server = Traffic.address(nat == .dnat ? 0 : connection, isServer: true, family)
    let client = Traffic.address(connection, isServer: false, family)
    let source = fromClient ? client : server
    var destination = fromClient ? server : client
    let sourcePort = fromClient ? clientPort(connection) : 443
    var destinationPort = fromClient ? 443 : clientPort(connection)
    if nat == .dnat {
      // Clients speak to the router's own address; its connections differ by their clients.
      if fromClient { destination = Traffic.routerAddress(family) }
    } else if nat != .none && !fromClient {
      let seen = seenAs[connection]
      destination =
        family == .ipv4
        ? IPAddress(ipv4: seen.address)
        : IPAddress(high: Traffic.routerAddress(.ipv6).high, low: UInt64(seen.address))
      destinationPort = seen.port
    }
    bytes.copy(template.rawSpan, at: 0)
    if family == .ipv4 {
      bytes.store32(source.ipv4, at: IPv4Field.source)
      bytes.store32(destination.ipv4, at: IPv4Field.destination)
      bytes.store16(0, at: IPv4Field.checksum)
      let sum = InternetChecksum.sum(bytes.bytes, from: 0, to: 20)
      bytes.store16(InternetChecksum.checksum(sum), at: IPv4Field.checksum)
    } else {
      bytes.store64(source.high, at: IPv6Field.source)
      bytes.store64(source.low, at: IPv6Field.source + 8)
      bytes.store64(destination.high, at: IPv6Field.destination)
      bytes.store64(destination.low, at: IPv6Field.destination + 8)
    }
    let at = transportOffset
    bytes.store16(sourcePort, at: at)
    bytes.store16(destinationPort, at: at + 2)
    let field: Int
    if transport == .tcp {
      writeTCP(kind, connection, fromClient, &bytes, at)
      field = at + TCPField.checksum
    } else {
      field = at + UDPField.checksum
    }
    bytes.store16(0, at: field)
    let sum = InternetChecksum.sum(
      bytes.bytes, from: at, to: template.count,
      initial: InternetChecksum.pseudoHeader(
        source: source, destination: destination,
        transportProtocol: template.protocolNumber(family),
        length: template.count - transportOffset))
    bytes.store16(InternetChecksum.udp(InternetChecksum.checksum(sum)), at: field)
  }

  private mutating func writeTCP(
    _ kind: Kind, _ connection: Int, _ fromClient: Bool, _ bytes: inout PacketBuffer, _ at: Int
  ) {
    let state = next[connection]
    // A SYN counts one and here carries data too (it is the same packet otherwise).
    let (flags, length): (TCPFlags, UInt32) =
      switch kind {
      case .syn: (.syn, UInt32(1 + Traffic.payload))
      case .synAck: ([.syn, .ack], UInt32(1 + Traffic.payload))
      case .ack, .data: ([.psh, .ack], UInt32(Traffic.payload))
      }
    bytes.store32(fromClient ? state.client : state.server, at: at + TCPField.sequence)
    bytes.store32(
      kind == .syn ? 0 : fromClient ? state.server : state.client,
      at: at + TCPField.acknowledgement)
    bytes.store8(flags.rawValue, at: at + TCPField.flags)
    if fromClient {
      next[connection].client = state.client &+ length
    } else {
      next[connection].server = state.server &+ length
    }
  }

  /// Takes note of how a client's first packet left.
  mutating func note(_ connection: Int, left bytes: RawSpan) {
    if seenAs.isEmpty { return }
    seenAs[connection] =
      family == .ipv4
      ? (bytes.uint32(at: IPv4Field.source), bytes.uint16(at: transportOffset))
      : (bytes.uint32(at: IPv6Field.source + 12), bytes.uint16(at: transportOffset))
  }

  static func routerAddress(_ family: AddressFamily) -> IPAddress {
    family == .ipv4
      ? IPAddress(ipv4: 0xc633_6401) : IPAddress(high: 0x2001_0db8_0009_0001, low: 1)
  }
}

extension [UInt8] {
  fileprivate func protocolNumber(_ family: AddressFamily) -> UInt8 {
    self[family == .ipv4 ? IPv4Field.transportProtocol : IPv6Field.nextHeader]
  }
}
