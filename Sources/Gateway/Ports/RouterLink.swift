// What makes a wire of Ethernet a router's: it answers for its addresses, finds its next hops, and lets packets
// wait for them. For the ports that have frames, whichever way they come.

#if os(Linux)
  import CLinux
  import Firewall
  import Ruleset
  import Wire

  /// What a port says of a frame besides its bytes.
  package struct FrameNote {
    var offload = OffloadHeader()
    var packetType: PacketType

    package init(offload: OffloadHeader, packetType: PacketType) {
      self.offload = offload
      self.packetType = packetType
    }
  }

  /// The router's part of a port on an Ethernet interface. Used by one worker at a time.
  package struct RouterLink: ~Copyable {
    let interface: InterfaceID
    /// The interface's own address.
    package var mac: UInt64 = 0
    package var counts = PortStatistics()
    private var neighbours = NeighbourTable()
    /// Addresses of this port, which it answers for.
    private var addresses: [InterfaceAddress] = []
    private var routing = RoutingTable()
    /// Destinations sent to last and the address they went to, by a hash of the destination.
    private let recent = FlatArray<Recent>(count: 4096)
    /// Frames to be sent that are not traffic: neighbour discovery.
    private var frames: [[UInt8]] = []
    private let starts = FlatArray<Int32>(count: 2048)
    private let lengths = FlatArray<Int32>(count: 2048)

    // Not private: compiler 6.3 cannot lay out the router elsewhere if it is.
    struct Recent: BitwiseCopyable {
      var destination = IPAddress.any
      var mac: UInt64 = 0
      var generation: UInt32 = 0
      var family: UInt8 = 0
      /// Until when it may be used without asking the table.
      var until: Int64 = 0
    }

    /// How long an address is used without asking the table: so seldom ages are looked at.
    private static let recentTime: Int64 = 1_000_000_000

    package init(_ interface: InterfaceID) { self.interface = interface }

    /// The host's addresses and routes are these from now on.
    package mutating func hostChanged(_ host: HostConfiguration) {
      let place = Int(interface.rawValue)
      addresses = host.interfaces.indices.contains(place) ? host.interfaces[place].addresses : []
      routing = host.routing
      // Whoever knew this address under another link-layer address hears of it (RFC 5227 3).
      neighbours.removeAll()
    }

    /// The link has gone: who is on it is not known any more.
    package mutating func linkChanged() { neighbours.removeAll() }

    // MARK: Receiving

    /// Takes one frame.
    /// - Parameter revived: packets that waited for an address that the frame tells.
    package mutating func take(
      _ frame: RawSpan, _ note: FrameNote, into burst: inout PacketBurst,
      _ long: inout LongPacket, revived: inout TransmitQueue, at time: Int64
    ) {
      guard frame.byteCount > Ethernet.headerLength else {
        counts.ignoredFrames += 1
        return
      }
      let packet = frame.slice(Ethernet.headerLength..<frame.byteCount)
      let sender = Ethernet.address(frame, at: 6)
      let family: AddressFamily
      switch frame.uint16(at: 12) {
      case Ethernet.ipv4: family = .ipv4
      case Ethernet.ipv6:
        family = .ipv6
        if let message = NeighbourDiscovery.read(packet) {
          return hear(message, from: sender, revived: &revived, at: time)
        }
      case Ethernet.arp:
        if let message = ARP.read(packet) {
          hear(message, from: sender, revived: &revived, at: time)
        }
        return
      default:
        counts.ignoredFrames += 1
        return
      }
      counts.receivedPackets += 1
      counts.receivedBytes += UInt64(packet.byteCount)
      let offload = note.offload
      let arrival = Arrival(
        interface: interface, family: family, packetType: note.packetType, sourceMAC: sender,
        timeNanoseconds: time)
      if !offload.isSegmented {
        if !offload.needsChecksum, burst.append(packet, arrival) { return }
        // Written where it can be completed.
        long.take(packet, arrival, offload)
        if !offload.complete(&long.buffer, base: Ethernet.headerLength) { return }
        if burst.append(long.buffer.bytes, arrival) { long.arrival = nil }
        return
      }
      long.take(packet, arrival, offload)
      _ = offload.complete(&long.buffer, base: Ethernet.headerLength)
    }

    // MARK: Neighbours

    private mutating func hear(
      _ message: NeighbourMessage, from frameSource: UInt64, revived: inout TransmitQueue,
      at time: Int64
    ) {
      let family = message.sender.family
      let isOurs = addresses.contains { $0.family == family && $0.address == message.target }
      if message.isQuestion {
        let questioner = message.mac ?? frameSource
        // Who asks for us will be sent to soon.
        if message.sender.address != .any, let mac = message.mac {
          learn(
            message.sender, mac, isAnswer: false, mayAdd: isOurs, revived: &revived, at: time)
        }
        guard isOurs else { return }
        frames.append(
          family == .ipv4
            ? ARP.answer(message, questioner, from: mac)
            : NeighbourDiscovery.answer(message, questioner, from: mac))
        return
      }
      let key = NeighbourKey(address: message.target, family: family)
      learn(
        key, message.mac ?? frameSource, isAnswer: message.isSolicited, mayAdd: false,
        revived: &revived, at: time)
    }

    private mutating func learn(
      _ key: NeighbourKey, _ mac: UInt64, isAnswer: Bool, mayAdd: Bool,
      revived: inout TransmitQueue, at time: Int64
    ) {
      // A group is nobody's address.
      guard mac & 1 << 40 == 0, mac != 0 else { return }
      for packet in neighbours.learn(key, mac, isAnswer: isAnswer, mayAdd: mayAdd, at: time) {
        revived.append(packet.bytes.rawSpan, segmentSize: packet.segmentSize)
      }
    }

    /// Asks again, gives up: every now and then.
    package mutating func tick(at time: Int64) {
      neighbours.tick(at: time)
      ask()
    }

    private mutating func ask() {
      if neighbours.solicitations.isEmpty { return }
      for question in neighbours.takeSolicitations() {
        let target = question.key.address
        let family = question.key.family
        let own = addresses.filter { $0.family == family }
        // From an address of the same network; in IPv6 from the link's own.
        let best =
          own.first { family == .ipv4 ? $0.network.contains(target) : $0.scope == .link }
          ?? own.first
        guard let source = best?.address else { continue }
        frames.append(
          family == .ipv4
            ? ARP.question(target, from: mac, source, to: question.known)
            : NeighbourDiscovery.question(target, from: mac, source, to: question.known))
      }
    }

    /// Questions and answers about neighbours, whole frames, that are to be sent now.
    package mutating func takeFrames() -> [[UInt8]] {
      if frames.isEmpty { return [] }
      defer { frames.removeAll() }
      return frames
    }

    /// Packets whose next hop did not answer, for their senders to be told.
    package mutating func takeUnreachable() -> [WaitingPacket] {
      let packets = neighbours.takeUnreachable()
      counts.unreachableNextHops += UInt64(packets.count)
      return packets
    }

    // MARK: Sending

    /// Writes the Ethernet headers of a queue's packets before them, and before those the offload headers.
    /// - Returns: how many have a next hop that is known; `place` says where they are. The others are
    ///   taken care of.
    package mutating func address(_ queue: borrowing TransmitQueue, at time: Int64) -> Int {
      var ready = 0
      for index in 0..<queue.count {
        let entry = queue.entry(index)
        let version = queue.bytes(entry).uint8(at: 0) >> 4
        let family: AddressFamily = version == 4 ? .ipv4 : .ipv6
        guard let to = address(queue.bytes(entry), family, entry.segmentSize, at: time) else {
          continue
        }
        let base = Ethernet.headerLength
        var header = queue.mutableBytes(Int(entry.offset) - base, base)
        Ethernet.write(
          &header, to: to, from: mac, family == .ipv4 ? Ethernet.ipv4 : Ethernet.ipv6)
        queue.writeOffload(entry, base: base)
        starts[ready] = entry.offset - Int32(base + OffloadHeader.length)
        lengths[ready] = entry.length + Int32(base + OffloadHeader.length)
        ready += 1
      }
      ask()
      return ready
    }

    /// Where in the queue's memory the offload header of a packet begins whose next hop is known, and how
    /// long it, the Ethernet header and the packet are together.
    @inline(__always)
    package func place(_ index: Int) -> (start: Int, length: Int) {
      (Int(starts[index]), Int(lengths[index]))
    }

    /// Counts what became of the packets that `address` made ready.
    mutating func count(sent: Int, of ready: Int) {
      counts.sentPackets += UInt64(sent)
      for index in 0..<sent {
        counts.sentBytes += UInt64(
          Int(lengths[index]) - Ethernet.headerLength - OffloadHeader.length)
      }
      counts.sendFailures += UInt64(ready - sent)
    }

    /// The link-layer address a packet goes to; nil where that is not known yet, or nobody has it: the
    /// packet is taken care of.
    private mutating func address(
      _ packet: RawSpan, _ family: AddressFamily, _ segmentSize: UInt16, at time: Int64
    ) -> UInt64? {
      let destination =
        family == .ipv4
        ? IPAddress(ipv4: packet.uint32(at: 16))
        : IPAddress(high: packet.uint64(at: 24), low: packet.uint64(at: 32))
      let hash = (destination.high ^ destination.low) &* 0x9E37_79B9_7F4A_7C15
      let slot = Int(truncatingIfNeeded: hash >> 52)
      if recent[slot].destination == destination, recent[slot].family == family.rawValue,
        recent[slot].generation == neighbours.generation, time < recent[slot].until
      {
        return recent[slot].mac
      }
      if let group = Ethernet.group(destination, family) { return group }
      let route = routing.lookup(destination, family)
      if family == .ipv4, destination.ipv4 == .max || route?.type == .broadcast {
        return Ethernet.broadcast
      }
      var key = NeighbourKey(address: destination, family: family)
      if let route, route.interface == Int(interface.rawValue), let gateway = route.gateway {
        key = NeighbourKey(address: gateway, family: route.gatewayFamily)
      }
      switch neighbours.find(key, at: time) {
      case .address(let mac):
        recent[slot] = Recent(
          destination: destination, mac: mac, generation: neighbours.generation,
          family: family.rawValue, until: time + RouterLink.recentTime)
        return mac
      case .unknown:
        let kept = neighbours.wait(
          key, WaitingPacket(bytes: packet.array, segmentSize: segmentSize))
        if !kept { counts.sendFailures += 1 }
        return nil
      case .failed:
        neighbours.refuse(WaitingPacket(bytes: packet.array, segmentSize: segmentSize))
        return nil
      }
    }
  }
#endif
