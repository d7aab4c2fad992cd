// A packet as most packets are: a whole TCP segment or UDP datagram, nothing between the IP header and
// it. What the packet path needs of it, found out ahead of its turn, while the memory of its connection
// is on its way.

import Wire

/// What is known of a packet ahead of its turn. `isPlain` is false for everything out of the ordinary,
/// which `PacketHeaders` and `track` then see to. It promises nothing of the table, which may change
/// until then.
public struct PlainPacket: BitwiseCopyable, Sendable {
  /// IPv4: source and destination. IPv6 leaves them in the packet.
  var addresses: UInt64 = 0
  /// The tuple's hash in zone 0; 0: the packet is not plain.
  var hash: UInt64 = 0
  /// Source and destination port.
  var ports: UInt32 = 0
  /// The record and direction the index had for the hash; `.max`: none.
  var reference: UInt32 = .max
  /// The end of the packet, bytes.
  var storedEnd: UInt32 = 0
  var protocolNumber: UInt8 = 0
  /// When it was looked for, the table had no connection with its tuple.
  var isUnknown = false
  public var family: AddressFamily = .ipv4
  public var hopLimit: UInt8 = 0

  public init() {}

  @inline(__always)
  public var isPlain: Bool { hash != 0 }

  /// Whether the index had a record for it.
  @inline(__always)
  public var isFound: Bool { reference != .max }

  /// The length of the packet, bytes of layer 3.
  @inline(__always)
  public var length: Int { Int(storedEnd) }

  @inline(__always)
  public var direction: Direction { reference & 1 == 0 ? .original : .reply }

  @inline(__always)
  public var connection: ConnectionNumber { ConnectionNumber(rawValue: reference >> 1) }

  /// The hash, for `track`.
  @inline(__always)
  public var key: ConnectionKey { ConnectionKey(hash: hash) }

  @inline(__always)
  public var isTCP: Bool { protocolNumber == IPProtocolNumber.tcp }

  @inline(__always)
  func transportOffset(_ family: AddressFamily) -> Int {
    family == .ipv4 ? IPv4Field.minimumLength : IPv6Field.length
  }
}

/// The hash of a packet's tuple, made ahead; of no packet where it is 0.
public struct ConnectionKey: BitwiseCopyable, Sendable {
  /// In zone 0.
  var hash: UInt64 = 0

  public init() {}

  @inline(__always)
  init(hash: UInt64) { self.hash = hash }
}

extension ConnectionTracker {
  /// Reads a packet that came in from outside, and asks for the line of the index its tuple leads to.
  ///
  /// It is plain only where `PacketHeaders.decode` would find nothing wrong with it.
  /// - Complexity: O(1), and no memory of the table is waited for.
  @inline(__always)
  public mutating func lookAhead(_ bytes: RawSpan, _ family: AddressFamily) -> PlainPacket {
    var packet = PlainPacket()
    if family == .ipv4 {
      readIPv4(bytes, &packet)
    } else {
      readIPv6(bytes, &packet)
    }
    if packet.isPlain { table.index.prefetch(packet.hash) }
    return packet
  }

  @inline(__always)
  private func readIPv4(_ bytes: RawSpan, _ packet: inout PlainPacket) {
    guard bytes.byteCount >= IPv4Field.minimumLength + UDPField.headerLength,
      bytes.uint8(at: 0) == 0x45
    else { return }
    let end = Int(bytes.uint16(at: IPv4Field.totalLength))
    let protocolNumber = bytes.uint8(at: IPv4Field.transportProtocol)
    guard end >= IPv4Field.minimumLength + UDPField.headerLength, end <= bytes.byteCount,
      bytes.uint16(at: IPv4Field.fragment) & 0x3fff == 0,
      protocolNumber == IPProtocolNumber.tcp || protocolNumber == IPProtocolNumber.udp,
      InternetChecksum.ipv4HeaderIsValid(bytes, at: 0, length: IPv4Field.minimumLength)
    else { return }
    packet.addresses = bytes.uint64(at: IPv4Field.source)
    packet.ports = bytes.uint32(at: IPv4Field.minimumLength)
    packet.storedEnd = UInt32(truncatingIfNeeded: end)
    packet.protocolNumber = protocolNumber
    packet.hopLimit = bytes.uint8(at: IPv4Field.timeToLive)
    packet.hash = table.hash(
      ipv4: packet.addresses, ports: packet.ports, protocolNumber: protocolNumber, zone: 0)
  }

  @inline(__always)
  private func readIPv6(_ bytes: RawSpan, _ packet: inout PlainPacket) {
    guard bytes.byteCount >= IPv6Field.length + UDPField.headerLength,
      bytes.uint8(at: 0) >> 4 == 6
    else { return }
    let end = IPv6Field.length &+ Int(bytes.uint16(at: IPv6Field.payloadLength))
    let protocolNumber = bytes.uint8(at: IPv6Field.nextHeader)
    let source = IPAddress(
      high: bytes.uint64(at: IPv6Field.source), low: bytes.uint64(at: IPv6Field.source + 8))
    let destination = IPAddress(
      high: bytes.uint64(at: IPv6Field.destination),
      low: bytes.uint64(at: IPv6Field.destination + 8))
    guard end >= IPv6Field.length + UDPField.headerLength, end <= bytes.byteCount,
      protocolNumber == IPProtocolNumber.tcp || protocolNumber == IPProtocolNumber.udp,
      // Multicast, and ::/8 with the loopback and what else is special, go the long way.
      source.high >> 56 != 0xff, source.high >> 56 != 0,
      destination.high >> 56 != 0xff, destination.high >> 56 != 0
    else { return }
    packet.ports = bytes.uint32(at: IPv6Field.length)
    packet.storedEnd = UInt32(truncatingIfNeeded: end)
    packet.protocolNumber = protocolNumber
    packet.family = .ipv6
    packet.hopLimit = bytes.uint8(at: IPv6Field.hopLimit)
    packet.hash = table.hash(
      ipv6: source, destination, ports: packet.ports, protocolNumber: protocolNumber, zone: 0)
  }

  /// Asks for the record a packet's hash leads to.
  /// - Complexity: O(1): one line of the index is read, which `lookAhead` asked for.
  @inline(__always)
  public mutating func fetch(_ packet: inout PlainPacket) {
    guard packet.isPlain else { return }
    var isElsewhere = false
    guard let candidate = table.index.candidate(packet.hash, &isElsewhere) else {
      packet.isUnknown = !isElsewhere
      if packet.family == .ipv4 { fetchBeginning(packet) }
      return
    }
    packet.reference = candidate.rawValue
    table.records.prefetch(candidate.record, bytes: MemoryLayout<Record>.stride)
    if settings.acct != 0 {
      table.counters.prefetch(candidate.record, bytes: MemoryLayout<CounterPair>.stride)
    }
    if packet.family == .ipv6 {
      table.wide.prefetch(candidate.record, bytes: MemoryLayout<WideAddresses>.stride)
    }
  }

  /// The bytes of memory its connections take at present, room for others not included: records, what
  /// lies beside them, and the whole index.
  public var memoryBytes: Int { table.memoryBytes }

  /// The bytes of an index for this many connections.
  public static func indexBytes(capacity: Int) -> Int { TableIndex.bytes(entries: 2 * capacity) }
}
