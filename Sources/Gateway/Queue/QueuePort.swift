// `nfqueue:N-M`: the kernel is the router and hands its packets over, once each, where they come in and
// where its own programs send; Weir runs their whole way and gives back a verdict, and what NAT made of them.

#if os(Linux)
  import CLinux
  import Conntrack
  import Firewall
  import Glibc
  import Ruleset
  import Wire

  /// The queues of one gateway.
  struct QueuePort: ~Copyable {
    let sockets: [QueueSocket]
    let raw: RawSender
    /// Messages as they were read, one behind the other.
    private var messages = MessageRoom()
    private var slots = InlineArray<32, Slot>(repeating: Slot())
    private var count = 0
    private var burst = PacketBurst()
    /// Which slot each packet of the burst is.
    private var burstSlots = InlineArray<32, UInt8>(repeating: 0)
    private var single = PacketBuffer()
    private var sink = QueueSink()
    private var verdicts = NetlinkWriter(capacity: 4 << 20)
    /// Of consecutive packets with the same plain verdict: the last, and whether they pass.
    private var run: (packet: UInt32, passes: Bool)?
    /// What became of the packets of the last round.
    private(set) var outcomes = InlineArray<32, PacketOutcome>(repeating: PacketOutcome())
    private var interfaces: [InterfaceID] = []
    private var devices: [Int32] = []

    private static let mostDevices = 65_536

    /// What came, and where its bytes lie among the messages.
    private struct Slot: BitwiseCopyable {
      var packet: UInt32 = 0
      var offset = 0
      var length = 0
      var arrival = Arrival(interface: .none, family: .ipv4, timeNanoseconds: 0)
      var isOwn = false
      var isUnusable = false
    }

    private init(_ sockets: [QueueSocket], _ raw: RawSender) {
      self.sockets = sockets
      self.raw = raw
    }

    static func open(_ numbers: QueueNumbers, failsOpen: Bool) throws(SystemError) -> QueuePort {
      let raw = try RawSender()
      var sockets: [QueueSocket] = []
      for number in numbers.first...numbers.last {
        sockets.append(try QueueSocket(number, failsOpen: failsOpen))
      }
      return QueuePort(sockets, raw)
    }

    mutating func hostChanged(_ host: HostConfiguration) {
      interfaces = []
      devices = host.interfaces.map { Int32($0.kernelIndex) }
      for (place, interface) in host.interfaces.enumerated() {
        let index = interface.kernelIndex
        guard index > 0, index < QueuePort.mostDevices else { continue }
        while interfaces.count <= index { interfaces.append(.none) }
        interfaces[index] = InterfaceID(rawValue: Int32(place))
      }
    }

    private func interface(_ device: Int32) -> InterfaceID {
      device > 0 && device < interfaces.count ? interfaces[Int(device)] : .none
    }

    private func device(_ interface: InterfaceID) -> Int32 {
      interface != .none && Int(interface.rawValue) < devices.count
        ? devices[Int(interface.rawValue)] : 0
    }

    /// Takes one round of packets of a queue through the firewall.
    /// - Returns: how many there were; what became of them is in `outcomes`.
    mutating func process(
      _ queue: Int, _ firewall: inout Firewall, _ observer: inout SilentObserver, at time: Int64
    ) -> Int {
      read(sockets[queue], at: time, firewall.host)
      if count == 0 { return 0 }
      for place in 0..<count {
        let slot = slots[place]
        if slot.isUnusable { continue }
        if !slot.isOwn && slot.length <= PacketBurst.longestPacket {
          burstSlots[burst.count] = UInt8(place)
          messages.append(slot.offset, slot.length, slot.arrival, to: &burst)
          continue
        }
        runBurst(&firewall, &observer)
        sink.begin(slot.arrival)
        messages.copy(slot.offset, slot.length, to: &single)
        outcomes[place] =
          slot.isOwn
          ? firewall.send(&single, slot.arrival, to: &sink, observer: &observer)
          : firewall.receive(&single, slot.arrival, to: &sink, observer: &observer)
      }
      runBurst(&firewall, &observer)
      for place in 0..<count { decide(place, sockets[queue]) }
      endRun(sockets[queue])
      sockets[queue].flush(&verdicts)
      sendAnswers()
      sink.removeAll()
      return count
    }

    /// What comes of time alone: answers about fragments.
    mutating func advance(
      _ firewall: inout Firewall, _ observer: inout SilentObserver, to time: Int64
    ) {
      for _ in 0..<64 { firewall.advance(to: time, to: &sink, observer: &observer) }
      sendAnswers()
      sink.removeAll()
    }

    private mutating func runBurst(_ firewall: inout Firewall, _ observer: inout SilentObserver) {
      if burst.count == 0 { return }
      firewall.receive(&burst, to: &sink, observer: &observer)
      for index in 0..<burst.count { outcomes[Int(burstSlots[index])] = burst.outcome(index) }
      burst.removeAll()
    }

    private mutating func sendAnswers() {
      for index in 0..<sink.answers.count {
        let entry = sink.answers.entry(index)
        raw.send(sink.answers, entry, device: device(entry.interface))
      }
    }

    // MARK: Packets

    private mutating func read(_ socket: QueueSocket, at time: Int64, _ host: HostConfiguration) {
      var used = 0
      count = 0
      while count < QueueSink.most, used + MessageRoom.longest <= MessageRoom.size {
        let got = unsafe messages.fill(used) { room in
          // Into the room, of which it is told the length.
          unsafe socket.receive(into: room)
        }
        if got == 0 { return }
        guard let packet = QueuedPacket(messages.bytes(used, got)) else {
          socket.ignored()
          continue
        }
        take(packet, at: used, socket, time, host)
        used = (used + got + 63) & ~63
      }
    }

    private mutating func take(
      _ packet: QueuedPacket, at start: Int, _ socket: QueueSocket, _ time: Int64,
      _ host: HostConfiguration
    ) {
      socket.received(packet)
      var slot = Slot()
      slot.packet = packet.number
      slot.offset = start + packet.offset
      slot.length = packet.length
      slot.isOwn = Int32(packet.hook) == Int32(NF_INET_LOCAL_OUT.rawValue)
      let isKnownHook = slot.isOwn || Int32(packet.hook) == Int32(NF_INET_PRE_ROUTING.rawValue)
      slot.isUnusable =
        !isKnownHook || packet.isCut || packet.length < IPv4Field.minimumLength
        || (packet.isIPv6 && packet.length < IPv6Field.length)
      if slot.isUnusable {
        socket.ignored()
        outcomes[count] = PacketOutcome()
      } else {
        slot.arrival = Arrival(
          interface: interface(slot.isOwn ? packet.outDevice : packet.inDevice),
          family: packet.isIPv6 ? .ipv6 : .ipv4, sourceMAC: packet.sourceMAC,
          timeNanoseconds: time)
        slot.arrival.number = Int32(count)
        slot.arrival.socketUserID = packet.userID
        slot.arrival.socketGroupID = packet.groupID
        if !slot.isOwn { slot.arrival.packetType = packetType(slot, packet.isIPv6, host) }
        // Of segments that are longer than their way takes the kernel tells the sender.
        if packet.isSegmented { slot.arrival.longestSegment = 1 }
        if packet.lacksChecksum { complete(slot, packet.isIPv6) }
      }
      slots[count] = slot
      count += 1
    }

    /// The kernel does not say how the frame was addressed: the packet's own destination tells.
    private func packetType(
      _ slot: Slot, _ isIPv6: Bool, _ host: HostConfiguration
    ) -> PacketType {
      let packet = messages.bytes(slot.offset, slot.length)
      if isIPv6 {
        return packet.uint8(at: IPv6Field.destination) == 0xff ? .multicast : .unicast
      }
      let to = packet.uint32(at: IPv4Field.destination)
      if to >> 28 == 0xe { return .multicast }
      return host.isBroadcast(IPAddress(ipv4: to)) ? .broadcast : .unicast
    }

    /// Fills in a checksum that was left to a network card.
    private mutating func complete(_ slot: Slot, _ isIPv6: Bool) {
      let packet = messages.bytes(slot.offset, slot.length)
      var headers = PacketHeaders()
      guard
        PacketHeaders.decodeAgain(packet, family: isIPv6 ? .ipv6 : .ipv4, into: &headers) == nil,
        headers.fragmentOffset == 0
      else { return }
      let at = headers.transportOffset
      let room = headers.end - at
      let field: Int
      switch headers.transportProtocol {
      case IPProtocolNumber.tcp where at >= 0 && room >= TCPField.minimumLength:
        field = at + TCPField.checksum
      case IPProtocolNumber.udp where at >= 0 && room >= UDPField.headerLength:
        field = at + UDPField.checksum
      case IPProtocolNumber.sctp where at >= 0 && room >= SCTPField.headerLength:
        let sum = CRC32c.sctp(packet, at: at, end: headers.end)
        return messages.store32(sum.byteSwapped, at: slot.offset + at + SCTPField.checksum)
      default: return
      }
      var sum = InternetChecksum.pseudoHeader(
        source: headers.source, destination: headers.destination,
        transportProtocol: headers.transportProtocol, length: room)
      // The field itself counts as zero.
      sum = InternetChecksum.sum(packet.slice(at..<field), initial: sum)
      sum = InternetChecksum.sum(packet.slice((field + 2)..<headers.end), initial: sum)
      let checksum = InternetChecksum.udp(InternetChecksum.checksum(sum))
      messages.store16(checksum, at: slot.offset + field)
    }

    // MARK: Verdicts

    private mutating func decide(_ place: Int, _ socket: QueueSocket) {
      let slot = slots[place]
      let passed = sink.passed[place]
      let isPassed = !slot.isUnusable && outcomes[place].verdict == .accept
      if isPassed && passed.emitted > 1 {
        // In pieces it does not fit into one verdict.
        for index in 0..<Int(passed.emitted) {
          let entry = sink.packets.entry(Int(passed.firstEmitted) + index)
          raw.send(sink.packets, entry, device: device(entry.interface))
        }
        return add(slot.packet, passes: false, socket)
      }
      guard isPassed, passed.emitted + passed.delivered > 0 else {
        return add(slot.packet, passes: false, socket)
      }
      let entry = sink.packets.entry(
        Int(passed.emitted > 0 ? passed.firstEmitted : passed.firstDelivered))
      if passed.emitted > 0 && !slot.isOwn { restoreTimeToLive(entry) }
      socket.passed(Int(entry.length))
      if messages.isSame(slot.offset, slot.length, as: sink.packets, entry) {
        return add(slot.packet, passes: true, socket)
      }
      endRun(socket)
      if verdicts.room < Int(entry.length) + 256 { socket.flush(&verdicts) }
      socket.verdict(slot.packet, replacing: sink.packets, entry, &verdicts)
    }

    /// The kernel takes one off when it forwards the packet: this gives it back.
    private mutating func restoreTimeToLive(_ entry: TransmitQueue.Entry) {
      var packet = sink.packets.mutableBytes(Int(entry.offset), Int(entry.length))
      guard packet.bytes.uint8(at: 0) >> 4 == 4 else {
        let limit = packet.bytes.uint8(at: IPv6Field.hopLimit)
        return packet.store8(limit == 255 ? 255 : limit + 1, at: IPv6Field.hopLimit)
      }
      let old = packet.bytes.uint16(at: IPv4Field.timeToLive)
      guard old >> 8 < 255 else { return }
      let new = old + 0x100
      packet.store16(new, at: IPv4Field.timeToLive)
      packet.store16(
        InternetChecksum.updated(packet.bytes.uint16(at: IPv4Field.checksum), from: old, to: new),
        at: IPv4Field.checksum)
    }

    /// A verdict without other bytes: one message says it of all packets up to this one.
    private mutating func add(_ packet: UInt32, passes: Bool, _ socket: QueueSocket) {
      if let run, run.passes != passes { endRun(socket) }
      run = (packet, passes)
    }

    private mutating func endRun(_ socket: QueueSocket) {
      guard let last = run else { return }
      socket.verdict(upTo: last.packet, passes: last.passes, &verdicts)
      run = nil
    }
  }
#endif
