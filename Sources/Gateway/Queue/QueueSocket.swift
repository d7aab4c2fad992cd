// One queue of the kernel's (`-j NFQUEUE --queue-num N`): bound, told what to hand over, read, and given its
// verdicts (linux/netfilter/nfnetlink_queue.h).

#if os(Linux)
  import CLinux
  import Glibc
  import Wire

  /// Queues a port listens to, `N` or `N-M`.
  public struct QueueNumbers: Sendable, Hashable {
    public var first: UInt16
    public var last: UInt16
    public static let most = 64

    public init?(_ text: Substring) {
      let parts = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      let numbers = parts.map { part in
        part.allSatisfy(\.isNumber) ? UInt16(part) : nil
      }
      guard let first = numbers[0], let last = numbers.last ?? nil, first <= last,
        Int(last) - Int(first) < QueueNumbers.most
      else { return nil }
      self.first = first
      self.last = last
    }
  }

  /// A netlink socket that is bound to one queue. Used by one worker.
  final class QueueSocket: @unchecked Sendable {
    private let socket: Descriptor
    let number: UInt16
    /// Came while the kernel's answer was waited for.
    private var early: [[UInt8]] = []
    private(set) var statistics = PortStatistics()

    /// Bytes the kernel keeps for us of packets we have not read yet.
    private static let receiveRoom: Int32 = 16 << 20
    private static let sendRoom: Int32 = 8 << 20
    /// Packets that wait for a verdict at most.
    private static let longestQueue: UInt32 = 16_384

    var descriptor: Int32 { socket.number }

    /// - Parameter failsOpen: packets that do not fit into the queue pass instead of being dropped.
    /// - Throws: the kernel will not: another program has the queue, say.
    init(_ number: UInt16, failsOpen: Bool) throws(SystemError) {
      self.number = number
      let kind =
        Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        | Int32(SOCK_NONBLOCK.rawValue)
      let what = "nfqueue:\(number)"
      socket = try Descriptor(Glibc.socket(AF_NETLINK, kind, NETLINK_NETFILTER), what)
      try socket.setOption(SOL_SOCKET, SO_RCVBUFFORCE, QueueSocket.receiveRoom, what)
      try socket.setOption(SOL_SOCKET, SO_SNDBUFFORCE, QueueSocket.sendRoom, what)
      var message = NetlinkWriter(capacity: 256)
      message.begin(
        QueueSocket.type(NFQNL_MSG_CONFIG), flags: UInt16(NLM_F_REQUEST | NLM_F_ACK),
        sequence: 1, resource: number)
      message.put(
        Int(NFQA_CFG_CMD.rawValue), [UInt8(NFQNL_CFG_CMD_BIND.rawValue), 0, 0, 0].rawSpan)
      message.put(
        Int(NFQA_CFG_PARAMS.rawValue),
        [0xff, 0xff, 0xff, 0xff, UInt8(NFQNL_COPY_PACKET.rawValue)].rawSpan)
      message.put(Int(NFQA_CFG_QUEUE_MAXLEN.rawValue), QueueSocket.longestQueue)
      let flags =
        UInt32(NFQA_CFG_F_GSO | NFQA_CFG_F_UID_GID)
        | (failsOpen ? UInt32(NFQA_CFG_F_FAIL_OPEN) : 0)
      message.put(Int(NFQA_CFG_FLAGS.rawValue), flags)
      message.put(
        Int(NFQA_CFG_MASK.rawValue),
        UInt32(NFQA_CFG_F_GSO | NFQA_CFG_F_UID_GID | NFQA_CFG_F_FAIL_OPEN))
      message.end()
      guard send(message.buffer.bytes) else { throw SystemError(what) }
      try awaitAnswer(what)
    }

    private static func type(_ message: nfqnl_msg_types) -> UInt16 {
      UInt16(NFNL_SUBSYS_QUEUE) << 8 | UInt16(message.rawValue)
    }

    private func awaitAnswer(_ what: String) throws(SystemError) {
      var room = PacketBuffer(capacity: 70_000)
      for _ in 0..<10_000 {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        // The kernel reads and writes the local.
        _ = unsafe poll(&wait, 1, 1000)
        let got = unsafe room.fill { room in
          // At most as many bytes as there is room.
          unsafe recv(descriptor, room.baseAddress, room.count, 0)
        }
        guard got > 0 else { continue }
        if NetlinkField.native(room.uint16(at: NetlinkField.type)) == UInt16(NLMSG_ERROR) {
          let error = Int32(bitPattern: NetlinkField.native(room.uint32(at: NetlinkField.error)))
          guard error == 0 else {
            // The kernel's word for a queue that is taken.
            let hint = -error == EPERM ? " (another program may have it)" : ""
            throw SystemError(what + hint, -error)
          }
          return
        }
        early.append((0..<got).map { room.uint8(at: $0) })
      }
      throw SystemError(what, ETIMEDOUT)
    }

    /// Reads one message into `room`.
    /// - Returns: its length; 0 where there is none.
    func receive(into room: UnsafeMutableRawBufferPointer) -> Int {
      if !early.isEmpty {
        let message = early.removeFirst()
        guard message.count <= room.count else { return 0 }
        unsafe room.copyBytes(from: message)
        return message.count
      }
      while true {
        // At most as many bytes as there is room.
        let got = unsafe recv(descriptor, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
        if got >= 0 { return got }
        switch errno {
        case EINTR: continue
        // The kernel had packets that did not fit into the socket's room, and dropped them.
        case ENOBUFS: statistics.receiveOverruns += 1
        default: return 0
        }
      }
    }

    func received(_ packet: QueuedPacket) {
      statistics.receivedPackets += 1
      statistics.receivedBytes += UInt64(packet.length)
    }

    func ignored() { statistics.ignoredFrames += 1 }

    func passed(_ bytes: Int) {
      statistics.sentPackets += 1
      statistics.sentBytes += UInt64(bytes)
    }

    /// One verdict: `NF_ACCEPT` with other bytes.
    func verdict(
      _ packet: UInt32, replacing queue: borrowing TransmitQueue, _ entry: TransmitQueue.Entry,
      _ writer: inout NetlinkWriter
    ) {
      writer.begin(
        QueueSocket.type(NFQNL_MSG_VERDICT), flags: UInt16(NLM_F_REQUEST), resource: number)
      writer.put(Int(NFQA_VERDICT_HDR.rawValue), UInt32(NF_ACCEPT), packet)
      writer.put(Int(NFQA_PAYLOAD.rawValue), queue.bytes(entry))
      writer.end()
    }

    /// The same verdict for all packets that wait, up to this one.
    func verdict(upTo packet: UInt32, passes: Bool, _ writer: inout NetlinkWriter) {
      writer.begin(
        QueueSocket.type(NFQNL_MSG_VERDICT_BATCH), flags: UInt16(NLM_F_REQUEST), resource: number)
      writer.put(
        Int(NFQA_VERDICT_HDR.rawValue), UInt32(passes ? NF_ACCEPT : NF_DROP), packet)
      writer.end()
    }

    func flush(_ writer: inout NetlinkWriter) {
      if writer.count == 0 { return }
      if !send(writer.buffer.bytes) { statistics.sendFailures += 1 }
      writer.removeAll()
    }

    private func send(_ bytes: RawSpan) -> Bool {
      while true {
        let sent = unsafe bytes.withUnsafeBytes { buffer in
          // The kernel reads the span's own bytes. A netlink socket that is not bound sends to the kernel.
          unsafe Glibc.send(descriptor, buffer.baseAddress, buffer.count, 0)
        }
        if sent < 0 && errno == EINTR { continue }
        return sent == bytes.byteCount
      }
    }
  }
#endif
