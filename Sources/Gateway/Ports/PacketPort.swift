// `packet:IFACE`: a wire of Ethernet on which the gateway is a router of its own, through a packet socket. Long
// TCP segments go through whole, as the kernel gives them.

#if os(Linux)
  import CLinux
  import Firewall
  import Glibc
  import Ruleset
  import Wire

  /// A router's port on an Ethernet interface. Used by one worker at a time.
  final class PacketPort: @unchecked Sendable {
    let name: String
    let device: String
    private var router: RouterLink
    private var ring: PacketRing?
    /// Packets that waited for an address that is known by now.
    private var revived = TransmitQueue()

    var interface: InterfaceID { router.interface }

    init(_ name: String, device: String, interface: InterfaceID) throws(SystemError) {
      self.name = name
      self.device = device
      router = RouterLink(interface)
      try reopen()
    }

    /// Opens the interface and sets it up.
    func reopen() throws(SystemError) {
      let link = try LinkInfo.ethernet(device, "packet:\(device)")
      router.mac = link.macAddress
      ring = try PacketRing(device, isPromiscuous: false)
      if !link.isUp { try LinkInfo.bringUp(device) }
    }

    var descriptor: Int32 { ring?.receiver.number ?? -1 }

    var statistics: PortStatistics {
      if let lost = ring?.takeOverruns() { router.counts.receiveOverruns += lost }
      return router.counts
    }

    /// The descriptor says that something is wrong: the link is down, or the interface gone.
    func checkLink() {
      guard let ring else { return }
      ring.clearError()
      if LinkInfo(device)?.index != ring.index { self.ring = nil }
      router.linkChanged()
    }

    /// The host's addresses and routes are these from now on.
    func hostChanged(_ host: HostConfiguration) { router.hostChanged(host) }

    func receive(into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64) {
      guard let ring else { return }
      while burst.count < PacketBurst.capacity, long.arrival == nil, let frame = ring.peek() {
        if frame.isCut {
          let isInQueue = ring.isInQueue
          ring.release()
          if isInQueue, ring.readWhole() {
            takeWhole(&ring.whole, frame, into: &burst, &long, at: time)
          } else {
            router.counts.receiveOverruns += 1
          }
          continue
        }
        take(ring.bytes(frame), ring.offload(frame), frame, into: &burst, &long, at: time)
        ring.release()
      }
      settle(at: time)
    }

    private func takeWhole(
      _ whole: inout PacketBuffer, _ frame: RingFrame, into burst: inout PacketBurst,
      _ long: inout LongPacket, at time: Int64
    ) {
      take(
        whole.bytes.slice(OffloadHeader.length..<whole.count), OffloadHeader(whole.bytes, at: 0),
        frame, into: &burst, &long, at: time)
    }

    private func take(
      _ bytes: RawSpan, _ offload: OffloadHeader, _ place: RingFrame,
      into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64
    ) {
      guard place.vlanTag == nil, let packetType = PacketPort.packetType(place) else {
        router.counts.ignoredFrames += 1
        return
      }
      router.take(
        bytes, FrameNote(offload: offload, packetType: packetType), into: &burst, &long,
        revived: &revived, at: time)
    }

    /// To whom the frame was; nil for another's.
    private static func packetType(_ place: RingFrame) -> PacketType? {
      switch Int32(place.packetType) {
      case Int32(PACKET_HOST): .unicast
      case Int32(PACKET_BROADCAST): .broadcast
      case Int32(PACKET_MULTICAST): .multicast
      default: nil
      }
    }

    /// Asks again, gives up: every now and then.
    func tick(at time: Int64) {
      router.tick(at: time)
      settle(at: time)
    }

    /// Packets whose next hop did not answer, for their senders to be told.
    func takeUnreachable() -> [WaitingPacket] { router.takeUnreachable() }

    func transmit(_ queue: inout TransmitQueue, at time: Int64) {
      let ready = router.address(queue, at: time)
      // Questions first: packets that nobody waits for may fill the system's queue.
      sendFrames()
      router.count(sent: send(ready, queue), of: ready)
      queue.removeAll()
    }

    private func send(_ count: Int, _ queue: borrowing TransmitQueue) -> Int {
      ring?.sender.send(0..<count, from: queue) { router.place($0) } ?? 0
    }

    /// What came of frames that were heard.
    private func settle(at time: Int64) {
      if !revived.isEmpty { transmit(&revived, at: time) }
      sendFrames()
    }

    private func sendFrames() {
      for frame in router.takeFrames() { ring?.sender.send(frame) }
    }
  }
#endif
