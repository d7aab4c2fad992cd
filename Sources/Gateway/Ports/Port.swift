// A port: where packets come from and go to. Every kind has the same shape, and is asked once a burst, so
// that nothing is looked up by kind for a packet.

#if os(Linux)
  import Firewall
  import Ruleset
  import Wire

  /// What went through a port since it was opened.
  public struct PortStatistics: Sendable, Hashable {
    public var receivedPackets: UInt64 = 0
    /// Layer 3.
    public var receivedBytes: UInt64 = 0
    public var sentPackets: UInt64 = 0
    public var sentBytes: UInt64 = 0
    /// Came faster than they were read, and were lost in the kernel.
    public var receiveOverruns: UInt64 = 0
    /// Frames without an IP packet for this gateway.
    public var ignoredFrames: UInt64 = 0
    /// The system would not take them: its queue is full, or the link is down.
    public var sendFailures: UInt64 = 0
    /// Nobody answered for the next hop.
    public var unreachableNextHops: UInt64 = 0
    public init() {}
  }

  /// A packet that does not go into a burst, being too long or still to be cut into segments.
  package struct LongPacket: ~Copyable {
    package var buffer = PacketBuffer()
    package var arrival: Arrival?
    /// Payload bytes of each segment; 0: it is one packet.
    package var segmentSize: UInt16 = 0

    package init() {}

    mutating func take(_ packet: RawSpan, _ arrival: Arrival, _ header: OffloadHeader) {
      guard buffer.assign(packet) else { return }
      self.arrival = arrival
      segmentSize = header.isSegmented ? header.segmentSize : 0
      if segmentSize > 0 {
        self.arrival?.longestSegment = OffloadHeader.longestSegment(
          packet, segmentSize: segmentSize)
      }
    }
  }

  /// One port of whichever kind.
  ///
  /// The kinds have the same members:
  /// - `receive(into:_:at:)` takes packets until the burst is full, nothing is there, or a long packet
  ///   has come, which it leaves in `long`; it never waits.
  /// - `transmit(_:at:)` sends a queue's packets and empties it; what the system does not take is lost, and
  ///   counted.
  /// - `descriptor` is readable when something has come; -1 while the interface is gone.
  /// - `checkLink` finds out what is wrong when the descriptor reports an error.
  /// - `reopen` tries to get back an interface that was gone.
  enum Port {
    case tun(TunPort)
    case packet(PacketPort)
    case xdp(XDPPort)

    var name: String {
      switch self {
      case .tun(let port): port.name
      case .packet(let port): port.name
      case .xdp(let port): port.name
      }
    }

    var interface: InterfaceID {
      switch self {
      case .tun(let port): port.interface
      case .packet(let port): port.interface
      case .xdp(let port): port.interface
      }
    }

    var descriptor: Int32 {
      switch self {
      case .tun(let port): port.descriptor
      case .packet(let port): port.descriptor
      case .xdp(let port): port.descriptor
      }
    }

    var statistics: PortStatistics {
      switch self {
      case .tun(let port): port.statistics
      case .packet(let port): port.statistics
      case .xdp(let port): port.statistics
      }
    }

    func receive(into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64) {
      switch self {
      case .tun(let port): port.receive(into: &burst, &long, at: time)
      case .packet(let port): port.receive(into: &burst, &long, at: time)
      case .xdp(let port): port.receive(into: &burst, &long, at: time)
      }
    }

    func transmit(_ queue: inout TransmitQueue, at time: Int64) {
      switch self {
      case .tun(let port): port.transmit(&queue)
      case .packet(let port): port.transmit(&queue, at: time)
      case .xdp(let port): port.transmit(&queue, at: time)
      }
    }

    /// The host's addresses and routes are these from now on.
    func hostChanged(_ host: HostConfiguration) {
      switch self {
      case .tun: break
      case .packet(let port): port.hostChanged(host)
      case .xdp(let port): port.hostChanged(host)
      }
    }

    var isGone: Bool { descriptor < 0 }

    /// Poll has reported an error on the descriptor.
    func checkLink() {
      switch self {
      case .tun(let port): port.checkLink()
      case .packet(let port): port.checkLink()
      case .xdp(let port): port.checkLink()
      }
    }

    func reopen() throws(SystemError) {
      switch self {
      case .tun(let port): try port.reopen()
      case .packet(let port): try port.reopen()
      case .xdp(let port): try port.reopen()
      }
    }

    /// Every 100 ms or so: what has to be done though no packet comes.
    func tick(at time: Int64) {
      switch self {
      case .tun: break
      case .packet(let port): port.tick(at: time)
      case .xdp(let port): port.tick(at: time)
      }
    }

    /// Packets whose next hop did not answer.
    func takeUnreachable() -> [WaitingPacket] {
      switch self {
      case .tun: []
      case .packet(let port): port.takeUnreachable()
      case .xdp(let port): port.takeUnreachable()
      }
    }
  }
#endif
