// `tun:NAME`: a layer 3 interface whose other end is this machine's own network stack. Long TCP segments
// pass through whole, as the kernel gives them, and are cut by whoever sends them on.

#if os(Linux)
  import CLinux
  import Firewall
  import Glibc
  import Ruleset
  import Wire

  /// A TUN interface, created if there is none of that name.
  ///
  /// Used by one worker at a time.
  final class TunPort: @unchecked Sendable {
    let name: String
    /// The system's name of the interface.
    private(set) var device: String
    let interface: InterfaceID
    /// Nil while the interface is gone.
    private var file: Descriptor?
    private let isShared: Bool
    /// The other end is the gateway's own machine, with the gateway's addresses.
    private let isLocal: Bool
    private var buffer = PacketBuffer(capacity: OffloadHeader.length + 65_664)
    private(set) var statistics = PortStatistics()

    var descriptor: Int32 { file?.number ?? -1 }

    /// Opens the interface and sets it up. Needs CAP_NET_ADMIN, or an interface that this user owns.
    /// - Parameters:
    ///   - isShared: several queues share the interface, one a worker.
    ///   - isLocal: the other end has the gateway's own addresses.
    init(
      _ name: String, device: String, interface: InterfaceID, isShared: Bool = false,
      isLocal: Bool = false
    ) throws(SystemError) {
      self.name = name
      self.interface = interface
      self.device = device
      self.isShared = isShared
      self.isLocal = isLocal
      try reopen()
    }

    /// Opens the interface, made anew if need be, and sets it up.
    func reopen() throws(SystemError) {
      guard var request = InterfaceRequest(device) else {
        throw SystemError("tun:\(device)", ENAMETOOLONG)
      }
      // The path is passed as a C string for the time of the call.
      let file = try Descriptor(
        unsafe open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun")
      request.uint16 = UInt16(
        IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (isShared ? IFF_MULTI_QUEUE : 0))
      guard request.ask(file.number, UInt(weir_TUNSETIFF)) == 0 else {
        throw SystemError("tun:\(device)")
      }
      device = request.name
      // Checksums and TCP segments may be left for later.
      let offloads = UInt(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
      guard weir_ioctl(file.number, weir_TUNSETOFFLOAD, offloads) == 0 else {
        throw SystemError("tun:\(device): offloads")
      }
      if isLocal { acceptOwnSources() }
      try LinkInfo.bringUp(device)
      self.file = file
    }

    /// What the gateway itself says to its own programs comes from their own address, which the kernel
    /// refuses to hear from outside unless it is told (`accept_local` in the kernel's ip-sysctl). Where this
    /// fails, ICMP errors of the gateway's do not reach them, and nothing else is amiss.
    private func acceptOwnSources() {
      for (name, value) in [("accept_local", "1"), ("rp_filter", "0")] {
        let path = "/proc/sys/net/ipv4/conf/\(device)/\(name)"
        // The path is passed as a C string for the time of the call.
        guard let file = try? Descriptor(unsafe open(path, O_WRONLY | O_CLOEXEC), path) else {
          continue
        }
        // The kernel reads one byte of the text.
        _ = unsafe write(file.number, value, 1)
      }
    }

    /// The descriptor says that something is wrong: the interface was deleted.
    func checkLink() { file = nil }

    func receive(into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64) {
      guard let file else { return }
      while burst.count < PacketBurst.capacity, long.arrival == nil {
        let got = unsafe buffer.fill { room in
          // The kernel writes at most as many bytes as there is room.
          unsafe read(file.number, room.baseAddress, room.count)
        }
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { return }
        take(&buffer, into: &burst, &long, at: time)
      }
    }

    /// Takes one packet, with its offload header before it.
    private func take(
      _ buffer: inout PacketBuffer, into burst: inout PacketBurst, _ long: inout LongPacket,
      at time: Int64
    ) {
      guard buffer.count > OffloadHeader.length else { return }
      let header = OffloadHeader(buffer.bytes, at: 0)
      let version = buffer.uint8(at: OffloadHeader.length) >> 4
      guard version == 4 || version == 6, header.complete(&buffer, base: -OffloadHeader.length)
      else {
        statistics.ignoredFrames += 1
        return
      }
      let packet = buffer.bytes.slice(OffloadHeader.length..<buffer.count)
      statistics.receivedPackets += 1
      statistics.receivedBytes += UInt64(packet.byteCount)
      let arrival = Arrival(
        interface: interface, family: version == 4 ? .ipv4 : .ipv6, timeNanoseconds: time)
      if header.isSegmented || !burst.append(packet, arrival) { long.take(packet, arrival, header) }
    }

    func transmit(_ queue: inout TransmitQueue) {
      guard let file else {
        statistics.sendFailures += UInt64(queue.count)
        return queue.removeAll()
      }
      for index in 0..<queue.count {
        let entry = queue.entry(index)
        queue.writeOffload(entry, base: 0)
        // The offload header lies right before the packet, in the queue's headroom.
        let length = OffloadHeader.length + Int(entry.length)
        let start = Int(entry.offset) - OffloadHeader.length
        // The kernel reads `length` bytes, which lie in the queue's memory.
        var sent = unsafe write(file.number, queue.memory.pointer(start), length)
        if sent < 0 && errno == EINTR {
          // As above.
          sent = unsafe write(file.number, queue.memory.pointer(start), length)
        }
        if sent == length {
          statistics.sentPackets += 1
          statistics.sentBytes += UInt64(entry.length)
        } else {
          statistics.sendFailures += 1
        }
      }
      queue.removeAll()
    }
  }
#endif
