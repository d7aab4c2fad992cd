// IPv4 and IPv6 reassembly before connection tracking, as Linux's defragmentation hooks do it: what
// counts as duplicate, overlap or too long, when a packet is given up. For the firewall's hooks.

/// Puts fragments together. Fixed memory, taken at the start; no clock: time comes in.
///
/// IPv4 follows RFC 791 as Linux does since 5.x: an overlap drops the whole packet, a fragment that
/// lies within those that came is ignored. IPv6 follows RFC 8200 section 4.5 and RFC 5722.
public struct Reassembler: ~Copyable {
  private var ipv4: FragmentPool
  private var ipv6: FragmentPool
  private var sources: FragmentSources
  public let settings: ReassemblySettings

  public init(_ settings: ReassemblySettings = ReassemblySettings()) {
    self.settings = settings
    ipv4 = FragmentPool(
      highThreshold: settings.ipv4HighThreshold, queueCost: 200, seed: settings.seed)
    ipv6 = FragmentPool(
      highThreshold: settings.ipv6HighThreshold, queueCost: 184, seed: settings.seed)
    sources = FragmentSources(count: ipv4.capacity, seed: settings.seed)
  }

  /// How many packets wait for fragments.
  public var waitingCount: Int { ipv4.waitingCount + ipv6.waitingCount }

  /// The time at which the next waiting packet is given up, nil when none waits.
  public var nextExpiryNanoseconds: Int64? {
    switch (ipv4.nextExpiry, ipv6.nextExpiry) {
    case (let a?, let b?): min(a, b)
    case (let a, let b): a ?? b
    }
  }

  /// Takes a packet in. When it is the last fragment missing, `packet` then holds the whole.
  ///
  /// - Parameters:
  ///   - headers: of `packet`, just decoded.
  ///   - now: nanoseconds; never goes back.
  ///   - user: keeps apart what must not be put together: the hook it came by, the zone.
  ///   - interface: the index of the interface it came in by. Counts only for IPv6 packets to
  ///     multicast or link-local addresses.
  public mutating func add(
    _ packet: inout PacketBuffer, headers: PacketHeaders, now: Int64, user: UInt32,
    interface: UInt32 = 0
  ) -> ReassemblyResult {
    switch headers.family {
    case .ipv4:
      guard headers.isFragment else { return .unchanged }
      return addIPv4(&packet, headers, now, user)
    case .ipv6:
      guard headers.fragmentHeaderOffset >= 0 else { return .unchanged }
      return addIPv6(&packet, headers, now, user, interface)
    }
  }

  /// Gives up the waiting packet that has been due longest, if one is due: nil when none is. Call
  /// it until it returns nil, and before `add`, which forgets without a word what it meets overdue.
  ///
  /// - Parameter first: receives the first fragment, if it had come and fits.
  public mutating func expire(
    now: Int64, first: inout PacketBuffer
  ) -> ExpiredFragments? {
    first.removeAll()
    if let queue = ipv4.overdue(now) {
      let expired = ipv4.describe(queue, .ipv4, first: &first)
      dropIPv4(queue)
      return expired
    }
    if let queue = ipv6.overdue(now) {
      let expired = ipv6.describe(queue, .ipv6, first: &first)
      ipv6.remove(queue)
      return expired
    }
    return nil
  }

  // MARK: IPv4

  private mutating func addIPv4(
    _ packet: inout PacketBuffer, _ headers: PacketHeaders, _ now: Int64, _ user: UInt32
  ) -> ReassemblyResult {
    let key = FragmentKey(
      source: headers.source, destination: headers.destination,
      identification: headers.identification, transportProtocol: headers.transportProtocol,
      user: user, interface: 0)
    guard !ipv4.isOverThreshold else { return .dropped(.memoryLimit) }
    var queue = ipv4.find(key)
    if queue >= 0, ipv4.isOverdue(queue, now) {
      dropIPv4(queue)
      queue = FragmentPool.none
    }
    if queue < 0 {
      queue = ipv4.insert(key, deadline: now &+ settings.ipv4TimeoutNanoseconds)
      guard queue >= 0 else { return .dropped(.memoryLimit) }
      ipv4.queues[Int(queue)].source = sources.retain(headers.source)
    }
    countDistance(queue, now)

    let headerLength = headers.networkHeaderLength
    let start = headers.fragmentOffset
    var end = start + headers.end - headerLength
    if headers.moreFragments {
      // RFC 791: all but the last end at a multiple of 8. Linux cuts off what is beyond.
      end &= ~7
      if end > ipv4.queues[Int(queue)].length {
        guard !ipv4.queues[Int(queue)].hasLast else { return discardIPv4(queue, .endDiffers) }
        ipv4.queues[Int(queue)].length = end
      }
    } else {
      guard ipv4.queues[Int(queue)].acceptsEnd(end) else {
        return discardIPv4(queue, .endDiffers)
      }
      ipv4.queues[Int(queue)].hasLast = true
      ipv4.queues[Int(queue)].length = end
    }
    guard end > start else { return discardIPv4(queue, .empty) }

    switch ipv4.relation(queue, from: start, to: end) {
    case .contained: return .dropped(.duplicate)
    case .overlapping: return discardIPv4(queue, .overlap)
    case .apart: break
    }
    let headerBytes = start == 0 ? headerLength : 0
    let stored = ipv4.store(
      queue, packet.bytes, data: headerLength..<headerLength + end - start, at: start,
      header: headerBytes, packetLength: headers.end)
    guard stored else { return .dropped(.memoryLimit) }
    let size = end - start + headerLength
    ipv4.queues[Int(queue)].note(size: size, trafficClass: headers.trafficClass)
    if headers.dontFragment {
      ipv4.queues[Int(queue)].maximumDontFragmentSize = max(
        ipv4.queues[Int(queue)].maximumDontFragmentSize, size)
    }
    guard ipv4.queues[Int(queue)].isComplete else { return .held }
    let result = assembleIPv4(queue, &packet)
    dropIPv4(queue)
    return result
  }

  /// net.ipv4.ipfrag_max_dist: throws away what a queue holds when too many fragments of its source
  /// came since its last.
  private mutating func countDistance(_ queue: Int32, _ now: Int64) {
    guard settings.ipv4MaximumDistance > 0 else { return }
    let before = ipv4.queues[Int(queue)].sourceCounter
    let current = sources.increment(ipv4.queues[Int(queue)].source)
    ipv4.queues[Int(queue)].sourceCounter = current
    if ipv4.queues[Int(queue)].received > 0,
      current &- before > settings.ipv4MaximumDistance
    {
      ipv4.restart(queue, deadline: now &+ settings.ipv4TimeoutNanoseconds)
    }
  }

  private mutating func assembleIPv4(
    _ queue: Int32, _ packet: inout PacketBuffer
  ) -> ReassemblyResult {
    let state = ipv4.queues[Int(queue)]
    guard let marks = CongestionMarks.combined(state.congestionMarks) else {
      return .dropped(.congestionMarks)
    }
    let total = state.headerLength + state.length
    guard total <= 0xffff else { return .dropped(.tooLong) }
    guard total <= packet.capacity else { return .dropped(.bufferTooSmall) }
    ipv4.copy(queue, into: &packet, headerLength: state.headerLength)
    let keepsDontFragment =
      state.maximumDontFragmentSize == state.maximumSize
    packet.store16(UInt16(total), at: IPv4Field.totalLength)
    packet.store16(
      keepsDontFragment ? IPv4Field.dontFragmentBit : 0, at: IPv4Field.fragment)
    packet.store8(
      packet.uint8(at: IPv4Field.trafficClass) | marks, at: IPv4Field.trafficClass)
    packet.updateIPv4HeaderChecksum()
    return .complete(
      ReassembledPacket(
        maximumFragmentSize: max(state.maximumDontFragmentSize, state.maximumSize),
        dontFragment: keepsDontFragment, payloadOffset: state.headerLength,
        geometry: ipv4.geometry(queue)))
  }

  private mutating func discardIPv4(
    _ queue: Int32, _ reason: ReassemblyDrop
  ) -> ReassemblyResult {
    dropIPv4(queue)
    return .dropped(reason)
  }

  private mutating func dropIPv4(_ queue: Int32) {
    sources.release(ipv4.queues[Int(queue)].source)
    ipv4.remove(queue)
  }

  // MARK: IPv6

  private mutating func addIPv6(
    _ packet: inout PacketBuffer, _ headers: PacketHeaders, _ now: Int64, _ user: UInt32,
    _ interface: UInt32
  ) -> ReassemblyResult {
    let payloadLength = Int(packet.uint16(at: IPv6Field.payloadLength))
    // A jumbogram is never put together; neither is a fragment at offset 0 that ends before its
    // transport header does (RFC 8200 section 4.5 wants it dropped; Linux hands it on as it is).
    if payloadLength == 0 || headers.lacksTransportHeader { return .unchanged }
    let fragmentHeader = headers.fragmentHeaderOffset
    let dataOffset = fragmentHeader + IPv6Field.fragmentHeaderLength
    guard dataOffset <= headers.end else { return .dropped(.truncatedHeader) }
    let scoped =
      headers.destination.high >> 56 == 0xff || headers.destination.high >> 54 == 0x3fa
    let key = FragmentKey(
      source: headers.source, destination: headers.destination,
      identification: headers.identification, transportProtocol: 0, user: user,
      interface: scoped ? interface : 0)
    guard !ipv6.isOverThreshold else { return .dropped(.memoryLimit) }
    var queue = ipv6.find(key)
    if queue >= 0, ipv6.isOverdue(queue, now) {
      ipv6.remove(queue)
      queue = FragmentPool.none
    }
    if queue < 0 {
      queue = ipv6.insert(key, deadline: now &+ settings.ipv6TimeoutNanoseconds)
      guard queue >= 0 else { return .dropped(.memoryLimit) }
    }

    let start = headers.fragmentOffset
    let end = start + headers.end - dataOffset
    guard end <= 0xffff else { return .dropped(.beyondMaximum) }
    if headers.moreFragments {
      if end & 7 != 0 {
        // RFC 8200 section 4.5: not a multiple of 8. Linux forgets the packet and hands this on.
        ipv6.remove(queue)
        return .unchanged
      }
      if end > ipv6.queues[Int(queue)].length {
        guard !ipv6.queues[Int(queue)].hasLast else { return .dropped(.endDiffers) }
        ipv6.queues[Int(queue)].length = end
      }
    } else {
      guard ipv6.queues[Int(queue)].acceptsEnd(end) else { return .dropped(.endDiffers) }
      ipv6.queues[Int(queue)].hasLast = true
      ipv6.queues[Int(queue)].length = end
    }
    guard end > start else { return .dropped(.empty) }

    switch ipv6.relation(queue, from: start, to: end) {
    case .contained:
      return .dropped(.duplicate)
    case .overlapping:
      ipv6.remove(queue)
      return .dropped(.overlap)
    case .apart:
      break
    }
    let stored = ipv6.store(
      queue, packet.bytes, data: dataOffset..<headers.end, at: start,
      header: start == 0 ? dataOffset : 0, packetLength: headers.end)
    guard stored else { return .dropped(.memoryLimit) }
    ipv6.queues[Int(queue)].note(
      size: IPv6Field.length + payloadLength, trafficClass: headers.trafficClass)
    guard ipv6.queues[Int(queue)].isComplete else { return .held }
    let result = assembleIPv6(queue, &packet)
    ipv6.remove(queue)
    return result
  }

  private mutating func assembleIPv6(
    _ queue: Int32, _ packet: inout PacketBuffer
  ) -> ReassemblyResult {
    let state = ipv6.queues[Int(queue)]
    guard let marks = CongestionMarks.combined(state.congestionMarks) else {
      return .dropped(.congestionMarks)
    }
    // The fragment header, the last 8 bytes of those kept, goes.
    let unfragmentable = state.headerLength - IPv6Field.fragmentHeaderLength
    let payloadLength = unfragmentable - IPv6Field.length + state.length
    guard payloadLength <= 0xffff else { return .dropped(.tooLong) }
    let total = IPv6Field.length + payloadLength
    guard total + IPv6Field.fragmentHeaderLength <= packet.capacity else {
      return .dropped(.bufferTooSmall)
    }
    ipv6.copy(queue, into: &packet, headerLength: state.headerLength)
    let walk = IPv6ExtensionWalk(
      packet.bytes, nextHeader: packet.uint8(at: IPv6Field.nextHeader),
      nextHeaderOffset: IPv6Field.nextHeader, at: IPv6Field.length, end: state.headerLength)
    packet.store8(packet.uint8(at: unfragmentable), at: walk.fragmentNextHeaderOffset)
    packet.move(state.headerLength..<packet.count, to: unfragmentable)
    packet.resize(to: total)
    packet.store16(UInt16(payloadLength), at: IPv6Field.payloadLength)
    packet.store32(packet.uint32(at: 0) | UInt32(marks) << 20, at: 0)
    return .complete(
      ReassembledPacket(
        maximumFragmentSize: state.maximumSize, dontFragment: false,
        payloadOffset: unfragmentable, geometry: ipv6.geometry(queue)))
  }
}

extension PacketHeaders {
  /// A first (or atomic) IPv6 fragment that ends before the transport header does, of which the
  /// kernel wants 20 bytes for TCP, 8 for UDP and ICMPv6, 1 for all others.
  fileprivate var lacksTransportHeader: Bool {
    guard transportOffset >= 0 else { return false }
    let needed =
      switch transportProtocol {
      case IPProtocolNumber.tcp: TCPField.minimumLength
      case IPProtocolNumber.udp, IPProtocolNumber.icmpv6: 8
      default: 1
      }
    return transportOffset + needed > end
  }
}

/// What congestion marks fragments may bear together (RFC 3168 section 5.3).
enum CongestionMarks {
  /// - Parameter seen: bit n set: a fragment had the two ECN bits n.
  /// - Returns: what to add to the first fragment's traffic class: 3 when congestion was marked on
  ///   one that is ECN-capable; nil when the packet must be dropped.
  static func combined(_ seen: UInt8) -> UInt8? {
    let notCapable = seen & 1 != 0
    let marked = seen & 8 != 0
    if notCapable { return seen == 1 ? 0 : nil }
    return marked ? 3 : 0
  }
}
