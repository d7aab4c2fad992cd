// Which way a captured frame went, seen from the host: the rules of contracts/host-snapshot.md as one
// pure function, for replay.

/// Which way a frame went.
@frozen
public enum FrameWay: UInt8, Hashable, Sendable, BitwiseCopyable {
  /// Came in, for this host to take or to forward.
  case inbound
  /// Left the host.
  case outbound
  /// Came in, but to another machine's unicast address on the link: it goes no further.
  case forAnotherHost
}

/// What is known of a frame that says which way it went. Everything is optional.
@frozen
public struct FrameEvidence: Hashable, Sendable, BitwiseCopyable {
  /// What the capture itself says (pcapng `epb_flags`): inbound or outbound.
  public var captureSays: FrameWay?
  /// The packet type of a Linux cooked header: 0 to us, 1 broadcast, 2 multicast, 3 to another
  /// host, 4 sent by us.
  public var cookedPacketType: UInt16?
  /// The link-layer addresses of the frame, the low 48 bits.
  public var sourceMAC: UInt64?
  public var destinationMAC: UInt64?
  /// The interface's own.
  public var interfaceMAC: UInt64?
  /// The frame was seen on the loopback, where only the host's own packets are. A capture shows each of
  /// them once, and calls it inbound if anything.
  public var isOnLoopback = false
  /// Whether the source address of the packet inside is the host's own.
  public var sourceIsLocal: Bool

  @inlinable
  public init(
    captureSays: FrameWay? = nil, cookedPacketType: UInt16? = nil, sourceMAC: UInt64? = nil,
    destinationMAC: UInt64? = nil, interfaceMAC: UInt64? = nil, isOnLoopback: Bool = false,
    sourceIsLocal: Bool = false
  ) {
    self.captureSays = captureSays
    self.cookedPacketType = cookedPacketType
    self.sourceMAC = sourceMAC
    self.destinationMAC = destinationMAC
    self.interfaceMAC = interfaceMAC
    self.isOnLoopback = isOnLoopback
    self.sourceIsLocal = sourceIsLocal
  }
}

extension FrameWay {
  /// The group bit of a link-layer address: set for multicast and broadcast.
  private static let groupBit: UInt64 = 1 << 40

  /// Decides by the first evidence that speaks: the capture's own word, the cooked header's, the
  /// link-layer addresses; and without those, the IP source address.
  public init(_ evidence: FrameEvidence) {
    if evidence.isOnLoopback || evidence.captureSays == .outbound || evidence.cookedPacketType == 4
    {
      self = .outbound
      return
    }
    let saidInbound = evidence.captureSays == .inbound || evidence.cookedPacketType != nil
    if evidence.cookedPacketType == 3 {
      self = .forAnotherHost
      return
    }
    guard let interfaceMAC = evidence.interfaceMAC, let sourceMAC = evidence.sourceMAC else {
      self = !saidInbound && evidence.sourceIsLocal ? .outbound : .inbound
      return
    }
    if !saidInbound && sourceMAC == interfaceMAC {
      self = .outbound
      return
    }
    if let destinationMAC = evidence.destinationMAC, destinationMAC != interfaceMAC,
      destinationMAC & FrameWay.groupBit == 0
    {
      self = .forAnotherHost
      return
    }
    self = .inbound
  }
}
