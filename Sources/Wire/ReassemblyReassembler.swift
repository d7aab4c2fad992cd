// Defragmentation in front of connection tracking: fragments in, whole packets out, in the manner of
// Linux's nf_defrag_ipv4 and nf_defrag_ipv6. For the PREROUTING and OUTPUT hooks of `Firewall`.

/// Collects fragments until a packet is whole.
///
/// Memory is bounded: waiting fragments are charged as the kernel charges them, and beyond the
/// threshold a fragment is dropped, also one that would complete a packet, until the time of others
/// is up. (Kernels before 4.17 discarded the oldest instead.) The memory is allocated as fragments
/// need it and kept, or all at once by `prepare()`.
///
/// Time is the caller's: a queue ends at exactly its deadline, counted from its first fragment.
public struct Reassembler: ~Copyable, Sendable {
  public let settings: ReassemblySettings
  var ipv4: FragmentStore
  var ipv6: FragmentStore
  /// The earliest deadline of all, so that asking costs one comparison.
  @usableFromInline var nextDeadlineNanoseconds = Int64.max

  public init(_ settings: ReassemblySettings) {
    self.settings = settings
    // What 6.18 (x86-64) charges for a queue; found by filling it until it refused.
    ipv4 = FragmentStore(
      queueCost: 200, highThreshold: settings.ipv4HighThreshold,
      timeoutNanoseconds: settings.ipv4TimeoutNanoseconds)
    ipv6 = FragmentStore(
      queueCost: 184, highThreshold: settings.ipv6HighThreshold,
      timeoutNanoseconds: settings.ipv6TimeoutNanoseconds)
  }

  /// Allocates all memory the thresholds allow now, so that no packet has to.
  public mutating func prepare() {
    ipv4.prepare()
    ipv6.prepare()
  }

  /// When the first of the packets that wait now is given up.
  @inlinable
  public var nextDeadline: Int64 { nextDeadlineNanoseconds }

  /// How many packets wait for fragments.
  public var waiting: Int { ipv4.queueCount + ipv6.queueCount }

  /// Takes a packet, whole or a fragment.
  ///
  /// - Parameters:
  ///   - packet: holds the whole packet afterwards when the result is `complete`; must then have
  ///     room for it (`PacketBuffer.defaultCapacity` always has).
  ///   - headers: as decoded from `packet`.
  ///   - now: nanoseconds. Queues whose time is up end first, as by `expire(now:)`.
  ///   - user: fragments of different users never meet: hook, zone and, for IPv6 link-local or
  ///     multicast destinations, the interface, as the caller combines them.
  ///   - origin: given back with the whole packet, or when its time is over.
  @inlinable
  public mutating func add(
    _ packet: inout PacketBuffer, headers: PacketHeaders, now: Int64, user: UInt32,
    origin: FragmentOrigin = FragmentOrigin()
  ) -> ReassemblyResult {
    guard headers.isFragment || headers.fragmentHeaderOffset >= 0 else { return .notAFragment }
    return addFragment(&packet, headers: headers, now: now, user: user, origin: origin)
  }

  @usableFromInline
  mutating func addFragment(
    _ packet: inout PacketBuffer, headers: PacketHeaders, now: Int64, user: UInt32,
    origin: FragmentOrigin
  ) -> ReassemblyResult {
    guard headers.end <= packet.count else { return .notAFragment }
    expire(now: now)
    defer { noteDeadline() }
    switch headers.family {
    case .ipv4: return addIPv4(&packet, headers: headers, now: now, user: user, origin)
    case .ipv6: return addIPv6(&packet, headers: headers, now: now, user: user, origin)
    }
  }

  /// Discards what waited too long. Costs one comparison when nothing has.
  @inlinable
  public mutating func expire(now: Int64) {
    guard now >= nextDeadlineNanoseconds else { return }
    discardExpired(now: now)
  }

  @usableFromInline
  mutating func discardExpired(now: Int64) {
    while let queue = ipv4.expired(now: now) { ipv4.remove(queue) }
    while let queue = ipv6.expired(now: now) { ipv6.remove(queue) }
    noteDeadline()
  }

  /// Discards one packet that waited too long and says whose it was, for the ICMP message that Linux
  /// then sends: call until nil, before `add` and `expire` see the same `now`.
  ///
  /// - Parameter firstFragment: gets the first fragment as it came; emptied when that is missing,
  ///   and no message is due.
  public mutating func takeExpired(
    now: Int64, firstFragment: inout PacketBuffer
  ) -> ExpiredPacket? {
    guard now >= nextDeadlineNanoseconds else { return nil }
    defer { noteDeadline() }
    firstFragment.removeAll()
    // The one that ended first, of whichever family.
    if ipv4.nextDeadlineNanoseconds <= ipv6.nextDeadlineNanoseconds {
      return ipv4.takeExpired(.ipv4, now: now, firstFragment: &firstFragment)
    }
    return ipv6.takeExpired(.ipv6, now: now, firstFragment: &firstFragment)
  }

  private mutating func noteDeadline() {
    nextDeadlineNanoseconds = Swift.min(
      ipv4.nextDeadlineNanoseconds, ipv6.nextDeadlineNanoseconds)
  }
}

/// A packet some fragments of which never came.
public struct ExpiredPacket: Sendable {
  public var family: AddressFamily
  public var user: UInt32
  public var deadlineNanoseconds: Int64
  /// Of the first fragment, and of the one that came last.
  public var first = FragmentOrigin()
  public var last = FragmentOrigin()
}

extension FragmentStore {
  mutating func takeExpired(
    _ family: AddressFamily, now: Int64, firstFragment: inout PacketBuffer
  ) -> ExpiredPacket? {
    guard let number = expired(now: now) else { return nil }
    let queue = self[number]
    if queue.hasFirst, !append(fragment(queue.first), to: &firstFragment) {
      firstFragment.removeAll()
    }
    remove(number)
    return ExpiredPacket(
      family: family, user: queue.key.user, deadlineNanoseconds: queue.deadlineNanoseconds,
      first: queue.firstOrigin, last: queue.lastOrigin)
  }

  /// What the sizes of a complete queue say about leaving again.
  func info(
    _ queue: FragmentQueue, maxFragmentSize: Int, dontFragment: Bool, headroom: Int
  ) -> ReassembledInfo {
    // A router takes 16 bytes before each fragment for the link header.
    let spare = headroom - 16
    var sizes = FragmentSizes()
    var longest = Int.max
    var at = queue.first
    while at != FragmentPool.none {
      let fragment = fragment(at)
      sizes.append(fragment.length)
      if fragment.offset > 0 { longest = Swift.min(longest, fragment.headerLength + spare) }
      at = fragment.next
    }
    var info = ReassembledInfo(
      maxFragmentSize: maxFragmentSize, dontFragment: dontFragment, sizes: sizes,
      dataOffset: fragment(queue.first).headerLength, longestHeader: longest)
    info.origin = queue.firstOrigin
    return info
  }
}

// MARK: - ECN

/// The ECN fields of fragments put together (RFC 3168 section 5.3).
enum FragmentECN {
  static let mask: UInt8 = 3
  static let congestionExperienced: UInt8 = 3

  /// The bit of a set that stands for the ECN field of a traffic class.
  static func member(_ trafficClass: UInt8) -> UInt8 { 1 << (trafficClass & mask) }

  /// What to set in the first fragment's field for a set of fields, nil when they do not go together:
  /// those that know ECN and those that do not.
  static func combined(_ set: UInt8) -> UInt8? {
    let notCapable = member(0)
    if set & notCapable != 0, set != notCapable { return nil }
    return set & member(congestionExperienced) != 0 ? congestionExperienced : 0
  }
}
