// `packet:IFACE`: a wire of Ethernet on which the gateway is a router of its own. Answers for its addresses,
// finds its next hops, and lets long TCP segments through whole, as the kernel gives them.

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
    let interface: InterfaceID
    private var ring: PacketRing?
    private var mac: UInt64 = 0
    private var counts = PortStatistics()
    private var neighbours = NeighbourTable()
    /// Addresses of this port, which it answers for.
    private var addresses: [InterfaceAddress] = []
    private var routing = RoutingTable()
    /// Destinations sent to last and the address they went to, by a hash of the destination.
    private let recent = FlatArray<Recent>(count: 4096)
    private var buffer = PacketBuffer(capacity: PacketBurst.longestPacket + 64)
    /// Packets that waited for an address that is known by now.
    private var revived = TransmitQueue()
    private let starts = FlatArray<Int32>(count: 2048)
    private let lengths = FlatArray<Int32>(count: 2048)

    private struct Recent: BitwiseCopyable {
      var destination = IPAddress.any
      var mac: UInt64 = 0
      var generation: UInt32 = 0
      var family: UInt8 = 0
      /// Until when it may be used without asking the table.
      var until: Int64 = 0
    }

    /// How long an address is used without asking the table: so seldom ages are looked at.
    private static let recentTime: Int64 = 1_000_000_000

    init(_ name: String, device: String, interface: InterfaceID) throws(SystemError) {
      self.name = name
      self.device = device
      self.interface = interface
      try reopen()
    }

    /// Opens the interface and sets it up.
    func reopen() throws(SystemError) {
      guard let link = LinkInfo(device) else { throw SystemError("packet:\(device)", ENODEV) }
      guard let mac = link.macAddress else {
        throw SystemError("packet:\(device) is no Ethernet interface", EINVAL)
      }
      self.mac = mac
      ring = try PacketRing(device, isPromiscuous: false)
      if !link.flags.contains(.up) { try LinkInfo.bringUp(device) }
    }

    var descriptor: Int32 { ring?.receiver.number ?? -1 }

    var statistics: PortStatistics {
      if let lost = ring?.takeOverruns() { counts.receiveOverruns += lost }
      return counts
    }

    /// The descriptor says that something is wrong: the link is down, or the interface gone.
    func checkLink() {
      guard let ring else { return }
      ring.clearError()
      if LinkInfo(device)?.index != ring.index { self.ring = nil }
      neighbours.removeAll()
    }

    /// The host's addresses and routes are these from now on.
    func hostChanged(_ host: HostConfiguration) {
      let place = Int(interface.rawValue)
      addresses = host.interfaces.indices.contains(place) ? host.interfaces[place].addresses : []
      routing = host.routing
      // Whoever knew this address under another link-layer address hears of it (RFC 5227 3).
      neighbours.removeAll()
    }

    // MARK: Receiving

    func receive(into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64) {
      guard let ring else { return }
      while burst.count < PacketBurst.capacity, long.arrival == nil, let frame = ring.peek() {
        if frame.isCut {
          let isInQueue = ring.isInQueue
          ring.release()
          if isInQueue, ring.readWhole() {
            takeWhole(&ring.whole, frame, into: &burst, &long, at: time)
          } else {
            counts.receiveOverruns += 1
          }
          continue
        }
        take(ring.bytes(frame), ring.offload(frame), frame, into: &burst, &long, at: time)
        ring.release()
      }
    }

    private func takeWhole(
      _ whole: inout PacketBuffer, _ frame: RingFrame, into burst: inout PacketBurst,
      _ long: inout LongPacket, at time: Int64
    ) {
      take(
        whole.bytes.slice(OffloadHeader.length..<whole.count), OffloadHeader(whole.bytes, at: 0),
        frame, into: &burst, &long, at: time)
    }

    /// Takes one frame.
    private func take(
      _ frame: RawSpan, _ offload: OffloadHeader, _ place: RingFrame,
      into burst: inout PacketBurst, _ long: inout LongPacket, at time: Int64
    ) {
      guard place.packetType <= UInt8(PACKET_MULTICAST), place.vlanTag == nil,
        frame.byteCount > Ethernet.headerLength
      else {
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
          return hear(message, from: sender, at: time)
        }
      case Ethernet.arp:
        if let message = ARP.read(packet) { hear(message, from: sender, at: time) }
        return
      default:
        counts.ignoredFrames += 1
        return
      }
      counts.receivedPackets += 1
      counts.receivedBytes += UInt64(packet.byteCount)
      let packetType: PacketType =
        place.packetType == UInt8(PACKET_HOST)
        ? .unicast : place.packetType == UInt8(PACKET_BROADCAST) ? .broadcast : .multicast
      let arrival = Arrival(
        interface: interface, family: family, packetType: packetType, sourceMAC: sender,
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

    private func hear(_ message: NeighbourMessage, from frameSource: UInt64, at time: Int64) {
      let family = message.sender.family
      let isOurs = addresses.contains { $0.family == family && $0.address == message.target }
      if message.isQuestion {
        let questioner = message.mac ?? frameSource
        // Who asks for us will be sent to soon.
        if message.sender.address != .any, let mac = message.mac {
          learn(message.sender, mac, isAnswer: false, mayAdd: isOurs, at: time)
        }
        guard isOurs else { return }
        ring?.send(
          family == .ipv4
            ? ARP.answer(message, questioner, from: mac)
            : NeighbourDiscovery.answer(message, questioner, from: mac))
        return
      }
      let key = NeighbourKey(address: message.target, family: family)
      learn(key, message.mac ?? frameSource, isAnswer: message.isSolicited, mayAdd: false, at: time)
    }

    private func learn(
      _ key: NeighbourKey, _ mac: UInt64, isAnswer: Bool, mayAdd: Bool, at time: Int64
    ) {
      // A group is nobody's address.
      guard mac & 1 << 40 == 0, mac != 0 else { return }
      for packet in neighbours.learn(key, mac, isAnswer: isAnswer, mayAdd: mayAdd, at: time) {
        revived.append(packet.bytes.rawSpan, segmentSize: packet.segmentSize)
      }
      if !revived.isEmpty { transmit(&revived, at: time) }
    }

    /// Asks again, gives up: every now and then.
    func tick(at time: Int64) {
      neighbours.tick(at: time)
      ask(at: time)
    }

    private func ask(at time: Int64) {
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
        ring?.send(
          family == .ipv4
            ? ARP.question(target, from: mac, source, to: question.known)
            : NeighbourDiscovery.question(target, from: mac, source, to: question.known))
      }
    }

    /// Packets whose next hop did not answer, for their senders to be told.
    func takeUnreachable() -> [WaitingPacket] {
      let packets = neighbours.takeUnreachable()
      counts.unreachableNextHops += UInt64(packets.count)
      return packets
    }

    // MARK: Sending

    func transmit(_ queue: inout TransmitQueue, at time: Int64) {
      var ready = 0
      var bytes = 0
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
        bytes += Int(entry.length)
      }
      ask(at: time)
      let sent =
        ring?.send(ready, from: queue) { (start: Int(starts[$0]), length: Int(lengths[$0])) } ?? 0
      counts.sentPackets += UInt64(sent)
      counts.sentBytes += UInt64(bytes)
      counts.sendFailures += UInt64(ready - sent)
      queue.removeAll()
    }

    /// The link-layer address a packet goes to; nil where that is not known yet, or nobody has it: the
    /// packet is taken care of.
    private func address(
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
          family: family.rawValue, until: time + PacketPort.recentTime)
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
