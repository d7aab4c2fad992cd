// Packets that Weir itself makes where the kernel is the router: they go out by the kernel's routes, with a
// mark by which the rules that feed the queues know them.

#if os(Linux)
  import CLinux
  import Glibc
  import Wire

  /// Sockets that send whole packets, one a family.
  final class RawSender: @unchecked Sendable {
    /// `Weir`: the mark of every packet sent.
    static let mark: UInt32 = 0x5765_6972

    private let ipv4: Descriptor
    /// Nil on a machine without IPv6.
    private let ipv6: Descriptor?
    private(set) var statistics = PortStatistics()

    init() throws(SystemError) {
      ipv4 = try RawSender.open(AF_INET)
      ipv6 = try? RawSender.open(AF_INET6)
    }

    private static func open(_ family: Int32) throws(SystemError) -> Descriptor {
      let kind =
        Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        | Int32(SOCK_NONBLOCK.rawValue)
      let socket = try Descriptor(Glibc.socket(family, kind, Int32(IPPROTO_RAW)), "raw socket")
      try socket.setOption(SOL_SOCKET, SO_MARK, mark, "raw socket: mark")
      try socket.setOption(SOL_SOCKET, SO_BROADCAST, Int32(1), "raw socket: broadcast")
      return socket
    }

    /// - Parameter device: the way out of a packet to a link-local address; the system's number.
    func send(
      _ queue: borrowing TransmitQueue, _ entry: TransmitQueue.Entry, device: Int32
    ) {
      let packet = queue.bytes(entry)
      guard packet.byteCount >= IPv4Field.minimumLength else { return }
      let sent = packet.uint8(at: 0) >> 4 == 4 ? sendIPv4(packet) : sendIPv6(packet, device)
      guard sent else {
        statistics.sendFailures += 1
        return
      }
      statistics.sentPackets += 1
      statistics.sentBytes += UInt64(packet.byteCount)
    }

    /// `struct sockaddr_in`: family, port, address.
    private func sendIPv4(_ packet: RawSpan) -> Bool {
      var address = InlineArray<16, UInt8>(repeating: 0)
      let family = NetlinkField.native(UInt16(AF_INET))
      address[0] = UInt8(family >> 8)
      address[1] = UInt8(family & 0xff)
      for place in 0..<4 { address[4 + place] = packet.uint8(at: IPv4Field.destination + place) }
      return RawSender.send(packet, ipv4, address)
    }

    /// `struct sockaddr_in6`: family, port, flow, address, scope.
    private func sendIPv6(_ packet: RawSpan, _ device: Int32) -> Bool {
      guard let ipv6, packet.byteCount >= IPv6Field.length else { return false }
      var address = InlineArray<28, UInt8>(repeating: 0)
      let family = NetlinkField.native(UInt16(AF_INET6))
      address[0] = UInt8(family >> 8)
      address[1] = UInt8(family & 0xff)
      let to = IPv6Field.destination
      for place in 0..<16 { address[8 + place] = packet.uint8(at: to + place) }
      if packet.uint16(at: to) & 0xffc0 == 0xfe80 || packet.uint8(at: to) == 0xff {
        // Means something on its link only.
        let scope = NetlinkField.native(UInt32(bitPattern: device))
        for place in 0..<4 {
          address[24 + place] = UInt8(truncatingIfNeeded: scope >> (24 - 8 * UInt32(place)))
        }
      }
      return RawSender.send(packet, ipv6, address)
    }

    private static func send<let count: Int>(
      _ packet: RawSpan, _ socket: Descriptor, _ address: InlineArray<count, UInt8>
    ) -> Bool {
      let sent = unsafe packet.withUnsafeBytes { bytes in
        unsafe withUnsafeBytes(of: address) { address in
          // The kernel reads the packet and the address for the time of the call.
          unsafe weir_sendto(
            socket.number, bytes.baseAddress!, bytes.count, address.baseAddress!,
            UInt32(address.count))
        }
      }
      return sent == packet.byteCount
    }
  }
#endif
