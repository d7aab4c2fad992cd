// The packet socket of a port: what comes in lies in memory shared with the kernel (packet(7), TPACKET_V2).
//
// The ring is of version 2, not 3: version 3 hands over whole blocks of frames, and keeps a slow link's
// frames back until a timer of a millisecond or more ends.

#if os(Linux)
  import CLinux
  import Firewall
  import Glibc
  import Wire

  /// A frame as the ring holds it.
  struct RingFrame: BitwiseCopyable {
    /// Where the frame lies in the ring's memory, and how much of it there is.
    var offset: Int
    var length: Int
    /// The frame is longer than a ring's slot: the whole is to be read from the socket.
    var isCut: Bool
    /// `sll_pkttype`.
    var packetType: UInt8
    /// Bytes before the frame hold what is left to be done to it.
    var offloadOffset: Int
    /// The tag that the kernel took off, priority and all; nil for an untagged frame.
    var vlanTag: UInt16?
  }

  // Safe to wrap: the mapping is reached through checked spans only.
  @safe
  final class PacketRing {
    private static let slotBytes = 2048
    private static let slots = 4096
    private static let blockBytes = 1 << 18

    let receiver: Descriptor
    let sender: PacketSender
    /// The interface's number.
    let index: Int32
    private let memory: UnsafeMutableRawPointer
    private var next = 0
    /// For frames longer than a slot.
    var whole = PacketBuffer(capacity: 66_560)

    /// - Parameter isPromiscuous: frames to anyone are taken, as a bridge must.
    init(_ device: String, isPromiscuous: Bool) throws(SystemError) {
      guard let info = LinkInfo(device) else { throw SystemError("packet:\(device)", ENODEV) }
      index = info.index
      let what = "packet:\(device)"
      let kind = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      let receiver = try Descriptor(
        socket(AF_PACKET, kind | Int32(SOCK_NONBLOCK.rawValue), 0), what)
      self.receiver = receiver
      sender = try PacketSender(info.index, what)
      func set(_ option: Int32, _ value: Int32) throws(SystemError) {
        try receiver.setOption(SOL_PACKET, option, value, "\(what): option \(option)")
      }
      try set(PACKET_VERSION, Int32(TPACKET_V2.rawValue))
      try set(PACKET_VNET_HDR, 1)
      try set(PACKET_COPY_THRESH, 1)
      try set(PACKET_IGNORE_OUTGOING, 1)
      // Long frames wait in the socket's own queue. What the system's limit allows is enough.
      try receiver.setOption(SOL_SOCKET, SO_RCVBUFFORCE, Int32(8 << 20), what)
      let blocks = PacketRing.slots * PacketRing.slotBytes / PacketRing.blockBytes
      try receiver.setOption(
        SOL_PACKET, PACKET_RX_RING,
        tpacket_req(
          tp_block_size: UInt32(PacketRing.blockBytes), tp_block_nr: UInt32(blocks),
          tp_frame_size: UInt32(PacketRing.slotBytes), tp_frame_nr: UInt32(PacketRing.slots)),
        "\(what): ring")
      let membership = packet_mreq(
        mr_ifindex: info.index,
        mr_type: UInt16(isPromiscuous ? PACKET_MR_PROMISC : PACKET_MR_ALLMULTI), mr_alen: 0,
        mr_address: (0, 0, 0, 0, 0, 0, 0, 0))
      try receiver.setOption(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership, "\(what): multicast")
      // The ring the kernel has just made, of this length; unmapped in `deinit`.
      let mapped = unsafe mmap(
        nil, PacketRing.slots * PacketRing.slotBytes, PROT_READ | PROT_WRITE, MAP_SHARED,
        receiver.number, 0)
      guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
        throw SystemError("\(what): mmap")
      }
      unsafe memory = mapped
      try PacketSender.bind(receiver, info.index, UInt16(ETH_P_ALL), what)
    }

    deinit { unsafe munmap(memory, PacketRing.slots * PacketRing.slotBytes) }

    // MARK: Receiving

    /// The bytes of the ring, in slots that the kernel has handed over.
    private var bytes: RawSpan {
      @_lifetime(borrow self)
      get {
        // Mapped in `init` with this length.
        let span = unsafe RawSpan(
          _unsafeStart: memory, byteCount: PacketRing.slots * PacketRing.slotBytes)
        // Ties the span to the ring, which owns the mapping.
        return unsafe _overrideLifetime(span, borrowing: self)
      }
    }

    @_lifetime(borrow self)
    func bytes(_ frame: RingFrame) -> RawSpan {
      bytes.slice(frame.offset..<frame.offset + frame.length)
    }

    func offload(_ frame: RingFrame) -> OffloadHeader {
      OffloadHeader(bytes, at: frame.offloadOffset)
    }

    private func statusWord(_ slot: Int) -> UnsafeMutablePointer<UInt32> {
      // Slots lie in the mapping; their first word is the status.
      unsafe (memory + slot * PacketRing.slotBytes).assumingMemoryBound(to: UInt32.self)
    }

    /// The next frame, if there is one; to be given back with `release`.
    func peek() -> RingFrame? {
      // What the kernel wrote before it handed the slot over is seen after this load.
      let status = unsafe weir_load_acquire(statusWord(next))
      guard status & UInt32(TP_STATUS_USER) != 0 else { return nil }
      let at = next * PacketRing.slotBytes
      // `struct tpacket2_hdr`: status, length, captured length, offsets of the link and network headers,
      // seconds, nanoseconds, tag. Then, aligned to 16, `struct sockaddr_ll`.
      let bytes = bytes
      func word(_ offset: Int) -> Int {
        Int(UInt32(bigEndian: bytes.uint32(at: at + offset).littleEndian))
      }
      func half(_ offset: Int) -> Int {
        Int(UInt16(bigEndian: bytes.uint16(at: at + offset).littleEndian))
      }
      let captured = word(8)
      let link = half(12)
      let hasTag = status & UInt32(TP_STATUS_VLAN_VALID) != 0
      return RingFrame(
        offset: at + link, length: min(captured, PacketRing.slotBytes - link),
        isCut: word(4) > captured || status & UInt32(TP_STATUS_COPY) != 0,
        packetType: bytes.uint8(at: at + 32 + 10),
        offloadOffset: at + link - OffloadHeader.length,
        vlanTag: hasTag ? UInt16(half(24)) : nil)
    }

    /// Gives the slot of the last `peek` back to the kernel. Where `wasCopied`, the whole frame waits in
    /// the socket's queue.
    func release() {
      unsafe weir_store_release(statusWord(next), UInt32(TP_STATUS_KERNEL))
      next = next + 1 == PacketRing.slots ? 0 : next + 1
    }

    /// Whether the frame of the last `peek` waits, whole, in the socket's queue.
    var isInQueue: Bool {
      unsafe weir_load_acquire(statusWord(next)) & UInt32(TP_STATUS_COPY) != 0
    }

    /// Reads a frame that did not fit its slot into `whole`, its offload header before it.
    func readWhole() -> Bool {
      let number = receiver.number
      let got = unsafe whole.fill { room in
        // The kernel writes at most as many bytes as there is room.
        unsafe recv(number, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
      }
      return got > OffloadHeader.length + Ethernet.headerLength
    }

    /// Frames that the kernel had no slot for since the last call.
    func takeOverruns() -> UInt64 {
      var statistics = tpacket_stats()
      var length = socklen_t(MemoryLayout<tpacket_stats>.size)
      // The kernel writes the local, of the length given.
      let result = unsafe getsockopt(
        receiver.number, SOL_PACKET, PACKET_STATISTICS, &statistics, &length)
      return result == 0 ? UInt64(statistics.tp_drops) : 0
    }

    /// Takes note of the socket's error, which would wake its reader for ever.
    func clearError() {
      var error: Int32 = 0
      var length = socklen_t(MemoryLayout<Int32>.size)
      // The kernel writes the local, of the length given.
      _ = unsafe getsockopt(receiver.number, SOL_SOCKET, SO_ERROR, &error, &length)
    }
  }
#endif
