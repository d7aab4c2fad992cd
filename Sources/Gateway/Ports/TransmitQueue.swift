// What leaves by one port during one burst, and the sink that the firewall fills such queues through: bytes
// are copied once, with room before them for what the link puts there, and sent together.

#if os(Linux)
  import Firewall
  import Ruleset
  import Wire

  /// Packets on their way to one port, or to the gateway itself.
  package struct TransmitQueue: ~Copyable {
    package struct Entry: BitwiseCopyable {
      /// Where the packet lies in the queue's memory, bytes.
      var offset: Int32 = 0
      /// Its length, bytes of layer 3.
      var length: Int32 = 0
      /// Payload bytes of each segment it is to be cut into; 0: it is one packet.
      var segmentSize: UInt16 = 0
      /// Where it came in, of packets for the gateway itself.
      var interface = InterfaceID.none
    }

    /// Free bytes before each packet: an offload header of ten and an Ethernet header with a VLAN tag.
    static let headroom = 32
    private static let mostPackets = 2048
    /// A whole burst of the longest packets there are fits.
    private static let mostBytes = PacketBurst.capacity * (65_536 + 64) + 65_536

    let memory = FlatArray<UInt8>(count: mostBytes)
    private let entries = FlatArray<Entry>(count: mostPackets)
    package private(set) var count = 0
    private var used = 0
    /// Packets there was no room for.
    private(set) var overflowed: UInt64 = 0

    package init() {}

    package var isEmpty: Bool { count == 0 }
    /// Another burst might not fit.
    var isCrowded: Bool { count > 1024 || used > 65_536 * 4 }

    @inline(__always)
    package mutating func append(
      _ bytes: RawSpan, segmentSize: UInt16 = 0, interface: InterfaceID = .none
    ) {
      let length = bytes.byteCount
      let offset = used + TransmitQueue.headroom
      guard count < TransmitQueue.mostPackets, offset + length <= TransmitQueue.mostBytes,
        length > 0
      else {
        overflowed += 1
        return
      }
      // `length` bytes from `offset` on lie in the memory, by the guard.
      unsafe bytes.withUnsafeBytes { source in
        if let base = source.baseAddress {
          // As above.
          unsafe UnsafeMutableRawPointer(memory.pointer(offset)).copyMemory(
            from: base, byteCount: length)
        }
      }
      entries[count] = Entry(
        offset: Int32(offset), length: Int32(length), segmentSize: segmentSize,
        interface: interface)
      count += 1
      // The next begins at a cache line.
      used = (offset + length + 63) & ~63
    }

    @inline(__always)
    func entry(_ index: Int) -> Entry {
      precondition(index < count)
      return entries[index]
    }

    /// A packet's bytes.
    @_lifetime(borrow self)
    func bytes(_ entry: Entry) -> RawSpan {
      // Entries are made by `append`, which checks their bounds.
      let span = unsafe RawSpan(
        _unsafeStart: memory.pointer(Int(entry.offset)), byteCount: Int(entry.length))
      // Ties the span to the queue, which owns the memory.
      return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// `length` bytes of the queue's memory from `offset` on: a packet and what was put before it.
    @_lifetime(borrow self)
    package func bytes(_ offset: Int, _ length: Int) -> RawSpan {
      precondition(offset >= 0 && length > 0 && offset + length <= memory.count)
      // In bounds by the precondition.
      let span = unsafe RawSpan(_unsafeStart: memory.pointer(offset), byteCount: length)
      // Ties the span to the queue, which owns the memory.
      return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// `length` bytes of the queue's memory from `offset` on, to be changed in place.
    @_lifetime(borrow self)
    func mutableBytes(_ offset: Int, _ length: Int) -> MutableRawSpan {
      precondition(offset >= 0 && length > 0 && offset + length <= memory.count)
      // In bounds by the precondition; nobody else holds the memory.
      let span = unsafe MutableRawSpan(_unsafeStart: memory.pointer(offset), byteCount: length)
      // Ties the span to the queue, which owns the memory.
      return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// Writes a packet's offload header before its frame.
    /// - Parameter base: bytes of link layer before the packet.
    func writeOffload(_ entry: Entry, base: Int) {
      var header = mutableBytes(
        Int(entry.offset) - base - OffloadHeader.length, OffloadHeader.length)
      var packet = mutableBytes(Int(entry.offset), Int(entry.length))
      _ = OffloadHeader.write(
        &header, for: &packet, segmentSize: entry.segmentSize, base: base)
    }

    package mutating func removeAll() {
      count = 0
      used = 0
    }
  }

  /// Takes what the firewall lets out to the queues of its ports.
  struct PortSink: PacketSink, ~Copyable {
    static let mostPorts = 16

    var queues = InlineArray<16, TransmitQueue> { _ in TransmitQueue() }
    /// Packets for the gateway itself.
    private var delivered: TransmitQueue? = TransmitQueue()
    /// By interface number: the port's place plus one; 0: none.
    private let ports = FlatArray<UInt8>(count: HostConfiguration.mostInterfaces)
    /// Of the packet that is under way: what it is to be cut into at the end.
    var segmentSize: UInt16 = 0
    /// Packets for interfaces that have no port.
    private(set) var withoutPort: UInt64 = 0

    func connect(_ interface: InterfaceID, to port: Int) {
      ports[Int(interface.rawValue)] = UInt8(port + 1)
    }

    @inline(__always)
    mutating func emit(_ bytes: RawSpan, through interface: InterfaceID, isAnswer: Bool) {
      let number = Int(interface.rawValue)
      let port = number >= 0 ? Int(ports[number]) : 0
      guard port > 0 else {
        withoutPort += 1
        return
      }
      queues[port - 1].append(bytes, segmentSize: isAnswer ? 0 : segmentSize)
    }

    mutating func deliver(_ bytes: RawSpan, from interface: InterfaceID, isAnswer: Bool) {
      delivered?.append(
        bytes, segmentSize: isAnswer ? 0 : segmentSize, interface: interface)
      hasDeliveries = true
    }

    /// There are packets for the gateway itself.
    private(set) var hasDeliveries = false

    /// The packets for the gateway itself so far. Until they are given back, no more are taken.
    mutating func takeDeliveries() -> TransmitQueue {
      guard let queue = delivered.take() else {
        preconditionFailure("deliveries are given back before they are taken again")
      }
      return queue
    }

    mutating func giveBack(_ queue: consuming TransmitQueue) {
      delivered = consume queue
      hasDeliveries = false
    }
  }
#endif
