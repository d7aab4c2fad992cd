// `xdp:IFACE`: what `packet:IFACE` is, with frames that come and go through AF_XDP, past the kernel's stack.
// What its queues cannot carry, segments still to be cut, leaves through a packet socket.

#if os(Linux)
  import CLinux
  import Firewall
  import Glibc
  import Ruleset
  import Wire

  /// A router's port on all queues of an Ethernet interface. Used by one worker at a time.
  final class XDPPort: @unchecked Sendable {
    let name: String
    let device: String
    private let what: String
    private let isGeneric: Bool
    private let program: XDPProgram
    private var router: RouterLink
    private var open: Link?
    /// Packets that waited for an address that is known by now.
    private var revived = TransmitQueue()

    /// What belongs to an interface that is there.
    private struct Link {
      var index: Int32
      var isUp: Bool
      var chunkBytes: Int
      var queues: [XDPQueue]
      var sender: PacketSender
      /// Readable when one of the queues is.
      var readiness: Descriptor
      /// Keeps the program where it is.
      var attachment: Descriptor
      /// The queues' losses that are counted already.
      var lost: UInt64 = 0
    }

    /// The map of libxdp's program has a place for so many.
    private static let mostQueues = 64

    var interface: InterfaceID { router.interface }

    /// - Parameter isGeneric: the program stands before the kernel's stack, even where the driver could do it.
    init(
      _ name: String, device: String, interface: InterfaceID, isGeneric: Bool,
      _ program: XDPProgram
    ) throws(SystemError) {
      self.name = name
      self.device = device
      self.isGeneric = isGeneric
      self.program = program
      what = "xdp:\(device)"
      router = RouterLink(interface)
      try reopen()
    }

    /// Opens the interface and sets it up.
    func reopen() throws(SystemError) {
      let link = try LinkInfo.ethernet(device, what)
      let frame = link.mtu + Ethernet.headerLength + 4
      let chunk = frame <= XDPQueue.longestFrame(chunkBytes: 2048) ? 2048 : 4096
      guard frame <= XDPQueue.longestFrame(chunkBytes: chunk) else {
        throw SystemError(
          "\(what): its MTU is \(link.mtu), and AF_XDP's frames are of a page", EMSGSIZE)
      }
      router.mac = link.macAddress
      if !link.isUp { try LinkInfo.bringUp(device) }
      let attachment = try attach(link.index)
      let readiness = try Descriptor(weir_epoll(), what)
      var queues: [XDPQueue] = []
      while queues.count < XDPPort.mostQueues {
        do throws(SystemError) {
          let queue = try XDPQueue(device, queues.count, chunkBytes: chunk, program, what)
          guard weir_epoll_add(readiness.number, queue.descriptor) == 0 else {
            throw SystemError(what)
          }
          queues.append(queue)
        } catch {
          // There is no such queue.
          if error.number == EINVAL, !queues.isEmpty { break }
          throw error
        }
      }
      open = Link(
        index: link.index, isUp: true, chunkBytes: chunk, queues: queues,
        sender: try PacketSender(link.index, what), readiness: readiness, attachment: attachment)
    }

    /// Puts the program into the driver, or where that cannot, before the stack.
    private func attach(_ index: Int32) throws(SystemError) -> Descriptor {
      if !isGeneric {
        do throws(SystemError) {
          return try program.attach(to: index, isGeneric: false, what)
        } catch {
          // Another program is there, which is nobody's to take away.
          if error.number == EBUSY || error.number == EEXIST { throw error }
        }
      }
      return try program.attach(to: index, isGeneric: true, what)
    }

    var descriptor: Int32 { open?.readiness.number ?? -1 }

    var statistics: PortStatistics {
      countLost()
      return router.counts
    }

    private func countLost() {
      guard let link = open else { return }
      let lost = link.queues.reduce(0) { $0 + $1.lost }
      router.counts.receiveOverruns += lost - link.lost
      open?.lost = lost
    }

    /// Looks whether the interface is there and up, which no descriptor tells.
    func checkLink() {
      guard let link = open else { return }
      let now = LinkInfo(device)
      let isUp = now?.flags.contains(.up) ?? false
      if now?.index != link.index {
        countLost()
        open = nil
      }
      if isUp == link.isUp && open != nil { return }
      open?.isUp = isUp
      router.linkChanged()
    }

    /// The host's addresses and routes are these from now on.
    func hostChanged(_ host: HostConfiguration) { router.hostChanged(host) }

    // MARK: Receiving

    func receive(into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64) {
      guard let link = open else { return }
      for queue in link.queues {
        // A frame at a time could be one too long for the burst: such go one by one.
        while burst.count < PacketBurst.capacity, long.arrival == nil {
          let room = isLong(link) ? 1 : PacketBurst.capacity - burst.count
          let hasCome = queue.receive(room) { frame in
            take(frame, into: &burst, &long, at: time)
          }
          if !hasCome { break }
        }
      }
      settle(at: time)
    }

    /// Whether there may be frames that do not fit into a burst.
    private func isLong(_ link: Link) -> Bool {
      XDPQueue.longestFrame(chunkBytes: link.chunkBytes)
        > PacketBurst.longestPacket + Ethernet.headerLength
    }

    private func take(
      _ frame: RawSpan, into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64
    ) {
      guard frame.byteCount > Ethernet.headerLength, let packetType = packetType(frame) else {
        router.counts.ignoredFrames += 1
        return
      }
      router.take(
        frame, FrameNote(offload: OffloadHeader(unfinished: frame), packetType: packetType),
        into: &burst, &long, revived: &revived, at: time)
    }

    /// To whom the frame is; nil for another's.
    private func packetType(_ frame: RawSpan) -> PacketType? {
      let destination = Ethernet.address(frame, at: 0)
      if destination == router.mac { return .unicast }
      if destination == Ethernet.broadcast { return .broadcast }
      return destination & 1 << 40 != 0 ? .multicast : nil
    }

    /// Asks again, gives up: every now and then.
    func tick(at time: Int64) {
      checkLink()
      router.tick(at: time)
      settle(at: time)
    }

    /// Packets whose next hop did not answer, for their senders to be told.
    func takeUnreachable() -> [WaitingPacket] { router.takeUnreachable() }

    // MARK: Sending

    func transmit(_ queue: inout TransmitQueue, at time: Int64) {
      let ready = router.address(queue, at: time)
      sendFrames()
      router.count(sent: send(ready, queue), of: ready)
      queue.removeAll()
    }

    private func send(_ count: Int, _ packets: borrowing TransmitQueue) -> Int {
      guard let link = open, link.isUp, let queue = link.queues.first else { return 0 }
      let longest = XDPQueue.longestFrame(chunkBytes: link.chunkBytes)
      var sent = 0
      var next = 0
      // In order: a run of frames this way, a run that way.
      while next < count {
        let first = next
        var isPut = false
        while next < count, let frame = short(next, packets, longest) {
          if queue.put(packets.bytes(frame.start, frame.length)) { sent += 1 }
          isPut = true
          next += 1
        }
        if isPut { queue.kick() }
        let start = next
        while next < count, short(next, packets, longest) == nil { next += 1 }
        if next > start {
          sent += link.sender.send(start..<next, from: packets) { router.place($0) }
        }
        precondition(next > first)
      }
      return sent
    }

    /// Where a frame lies that a chunk has room for and that needs nothing done to it.
    private func short(
      _ index: Int, _ packets: borrowing TransmitQueue, _ longest: Int
    ) -> (start: Int, length: Int)? {
      let (start, length) = router.place(index)
      let frame = length - OffloadHeader.length
      let header = OffloadHeader(packets.bytes(start, OffloadHeader.length), at: 0)
      guard frame <= longest, !header.needsChecksum else { return nil }
      return (start + OffloadHeader.length, frame)
    }

    /// What came of frames that were heard.
    private func settle(at time: Int64) {
      if !revived.isEmpty { transmit(&revived, at: time) }
      sendFrames()
    }

    private func sendFrames() {
      for frame in router.takeFrames() { open?.sender.send(frame) }
    }
  }
#endif
