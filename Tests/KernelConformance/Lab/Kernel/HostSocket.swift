// Packets of the router itself: raw sockets inside its namespace send what the generator made, header
// and all, and a packet socket on its loopback shows what it sends itself.

#if os(Linux)
  import Wire

  final class HostSocket {
    private let senders: [AddressFamily: Descriptor]
    private let loopback: Descriptor

    /// Of the namespace the thread is in.
    init() throws {
      // IPPROTO_RAW: the header is included (raw(7)); such a socket receives nothing. Of an IPv4
      // header the kernel fills in total length and checksum, and the identification where it is 0.
      senders = [
        .ipv4: try System.socket(System.internet, System.rawProtocol),
        .ipv6: try System.socket(System.internet6, System.rawProtocol),
      ]
      for sender in senders.values {
        // SO_BROADCAST: to broadcast addresses too.
        try System.setOption(sender, 1, 6, 1)
      }
      loopback = try System.packetSocket(try System.interfaceIndex(Port.lo.interface))
    }

    /// Sends a packet as one of the router's programs would. What the kernel refuses to send, or drops
    /// on the way, is no error: that nothing comes out says it.
    func send(_ packet: [UInt8], _ family: AddressFamily) throws {
      let isIPv4 = family == .ipv4
      guard packet.count >= (isIPv4 ? 20 : 40) else { return }
      // struct sockaddr_in: family, port, address, padding; sockaddr_in6: family, port, flow, address,
      // scope. The families in the machine's byte order.
      let address =
        isIPv4
        ? [UInt8(System.internet), 0, 0, 0] + packet[16..<20] + [UInt8](repeating: 0, count: 8)
        : [UInt8(System.internet6), 0, 0, 0, 0, 0, 0, 0] + packet[24..<40] + [0, 0, 0, 0]
      guard let sender = senders[family] else { return }
      System.send(sender, packet, to: address)
    }

    /// What has gone over the loopback since the last call.
    func receive(_ buffer: inout [UInt8]) throws -> [Emission] {
      var emissions: [Emission] = []
      while let frame = try System.receive(loopback, &buffer) {
        guard frame.count > 14 else { continue }
        emissions.append(Emission(port: .lo, bytes: Array(frame.dropFirst(14))))
      }
      return emissions
    }
  }

  extension System {
    static let internet: Int32 = 2
    static let internet6: Int32 = 10
    static let rawProtocol: Int32 = 255

    /// A packet socket for all that comes in by an interface, and for nothing that leaves.
    static func packetSocket(_ interface: UInt32) throws -> Descriptor {
      let socket = try System.socket(System.socketPacket, 0x0300)
      // struct sockaddr_ll: family, protocol ETH_P_ALL (big endian), interface, the rest empty.
      let address =
        [17, 0, 0, 3] + (0..<4).map { UInt8(truncatingIfNeeded: interface >> (8 * UInt32($0))) }
        + [UInt8](repeating: 0, count: 12)
      try System.bind(socket, address)
      // PACKET_IGNORE_OUTGOING; SO_RCVBUFFORCE.
      try System.setOption(socket, 263, 23, 1)
      try System.setOption(socket, 1, 33, 4 << 20)
      return socket
    }
  }
#endif
