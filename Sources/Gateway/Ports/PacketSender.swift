// A packet socket that frames are sent through, many at a time, each with its offload header: the kernel cuts
// long segments on their way out (packet(7)). For the ports that have frames.

#if os(Linux)
  import CLinux
  import Firewall
  import Glibc
  import Wire

  // Safe to wrap: the vectors are made for each call.
  @safe
  final class PacketSender {
    private static let mostMessages = 64

    private let socket: Descriptor
    private let messages = unsafe FlatArray<weir_message>(count: mostMessages)
    private let vectors = unsafe FlatArray<iovec>(count: mostMessages)

    /// - Parameters:
    ///   - index: the interface's number.
    ///   - what: the port, for errors.
    init(_ index: Int32, _ what: String) throws(SystemError) {
      let kind = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      socket = try Descriptor(
        Glibc.socket(AF_PACKET, kind | Int32(SOCK_NONBLOCK.rawValue), 0), what)
      for option in [PACKET_VNET_HDR, PACKET_QDISC_BYPASS] {
        try socket.setOption(SOL_PACKET, option, Int32(1), "\(what): option \(option)")
      }
      try socket.setOption(SOL_SOCKET, SO_SNDBUFFORCE, Int32(8 << 20), what)
      try PacketSender.bind(socket, index, 0, what)
    }

    /// Ties a packet socket to an interface; 0: it hears nothing.
    static func bind(
      _ socket: borrowing Descriptor, _ index: Int32, _ protocolNumber: UInt16, _ what: String
    ) throws(SystemError) {
      var address = sockaddr_ll()
      address.sll_family = UInt16(AF_PACKET)
      address.sll_protocol = protocolNumber.bigEndian
      address.sll_ifindex = index
      let number = socket.number
      // The kernel reads the local, which is the structure it expects of this family.
      let result = unsafe withUnsafeBytes(of: &address) { bytes in
        unsafe Glibc.bind(
          number, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self),
          socklen_t(bytes.count))
      }
      guard result == 0 else { throw SystemError("\(what): bind") }
    }

    /// Sends frames that lie in a queue's memory, each with its offload header before it.
    /// - Parameters:
    ///   - range: which of them.
    ///   - place: where they begin, and how long they are.
    /// - Returns: how many the system took.
    func send(
      _ range: Range<Int>, from queue: borrowing TransmitQueue,
      _ place: (Int) -> (start: Int, length: Int)
    ) -> Int {
      var done = range.lowerBound
      while done < range.upperBound {
        let batch = min(range.upperBound - done, PacketSender.mostMessages)
        for slot in 0..<batch {
          let (start, length) = place(done + slot)
          precondition(start >= 0 && start + length <= queue.memory.count)
          // The kernel reads bytes of the queue's memory, within its bounds.
          unsafe vectors[slot] = iovec(iov_base: queue.memory.pointer(start), iov_len: length)
          var message = unsafe weir_message()
          // One vector each, which lives as long as the ring.
          unsafe message.header.msg_iov = vectors.pointer(slot)
          unsafe message.header.msg_iovlen = 1
          unsafe messages[slot] = message
        }
        // The kernel reads the messages made above.
        let sent = unsafe weir_sendmmsg(
          socket.number, messages.pointer(0), UInt32(batch), Int32(MSG_DONTWAIT))
        if sent < 0 && errno == EINTR { continue }
        if sent <= 0 { break }
        done += Int(sent)
      }
      return done - range.lowerBound
    }

    /// Sends one frame, for what is not traffic: neighbour discovery.
    func send(_ frame: [UInt8]) {
      let whole = [UInt8](repeating: 0, count: OffloadHeader.length) + frame
      // The kernel only reads the array, for the time of the call.
      _ = unsafe whole.withUnsafeBytes { bytes in
        unsafe Glibc.send(
          socket.number, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT))
      }
    }
  }
#endif
