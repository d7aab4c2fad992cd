// What a reassembler is given and what it answers: limits named after their sysctls, results, and
// the reasons for which fragments are dropped.

/// Limits of a reassembler, by the kernel's defaults.
public struct ReassemblySettings: Sendable {
  /// net.ipv4.ipfrag_high_thresh: bytes of memory, as the kernel counts them, beyond which IPv4
  /// fragments are dropped.
  public var ipv4HighThreshold = 4 << 20
  /// net.ipv4.ipfrag_time: from the first fragment to arrive until the packet is given up.
  public var ipv4TimeoutNanoseconds: Int64 = 30_000_000_000
  /// net.ipv4.ipfrag_max_dist: how many fragments of the same source may come between two of one
  /// packet before those it has are thrown away. 0: any number.
  public var ipv4MaximumDistance: UInt32 = 64
  /// net.netfilter.nf_conntrack_frag6_high_thresh, in bytes.
  public var ipv6HighThreshold = 4 << 20
  /// net.netfilter.nf_conntrack_frag6_timeout.
  public var ipv6TimeoutNanoseconds: Int64 = 60_000_000_000
  /// Keys the hash of the waiting packets; what an attacker must not know.
  public var seed: UInt64 = 0x5765_6972_2066_7261

  public init() {}
}

/// What became of a packet given to a reassembler.
public enum ReassemblyResult: Sendable {
  /// It is no fragment, or one the kernel lets pass as it is (IPv6 fragments with a malformed
  /// length, or whose first fragment lacks the transport header). The buffer is unchanged.
  case unchanged
  /// A fragment, kept until the others come.
  case held
  /// A fragment thrown away, and maybe all that was kept of its packet.
  case dropped(ReassemblyDrop)
  /// The last fragment missing: the buffer holds the whole packet. Its headers must be read anew.
  case complete(ReassembledPacket)
}

/// What is still known about the fragments of a packet that came in several.
@frozen
public struct ReassembledPacket: BitwiseCopyable, Sendable {
  /// The largest fragment in bytes, network header included: what leaves is cut no larger, and a
  /// link that cannot carry it makes the packet too big.
  public var maximumFragmentSize: Int
  /// IPv4: the largest fragment had DF set. Then the packet has, and what it is cut into anew.
  public var dontFragment: Bool
  /// Where the payload starts: behind the IPv4 header, or where the IPv6 fragment header was.
  public var payloadOffset: Int
  /// How it was cut.
  public var geometry: FragmentGeometry
}

/// Why a reassembler dropped a fragment.
@frozen
public enum ReassemblyDrop: UInt8, Error, Sendable, BitwiseCopyable, CaseIterable {
  case duplicate
  case overlap
  /// It holds no data.
  case empty
  /// It reaches beyond the packet's end, or says another end than a fragment before.
  case endDiffers
  /// Its end lies beyond 65,535 bytes.
  case beyondMaximum
  /// The packet put together would be longer than 65,535 bytes.
  case tooLong
  /// Congestion marks (RFC 3168 section 5.3) that cannot stand together.
  case congestionMarks
  case memoryLimit
  case truncatedHeader
  /// The caller's buffer cannot hold the packet put together.
  case bufferTooSmall

  /// The reason as a sentence.
  public var text: String {
    switch self {
    case .duplicate: "the fragment came before"
    case .overlap: "the fragment overlaps another: all of its packet is dropped"
    case .empty: "the fragment holds no data"
    case .endDiffers: "the fragment contradicts where its packet ends"
    case .beyondMaximum: "the fragment ends beyond 65,535 bytes"
    case .tooLong: "the fragments make a packet longer than 65,535 bytes"
    case .congestionMarks: "the fragments' congestion marks contradict each other"
    case .memoryLimit: "the memory for fragments is used up"
    case .truncatedHeader: "the fragment header is cut short"
    case .bufferTooSmall: "the buffer is too small for the reassembled packet"
    }
  }
}

/// A packet given up because fragments did not come in time.
@frozen
public struct ExpiredFragments: BitwiseCopyable, Sendable {
  public var family: AddressFamily
  public var source: IPAddress
  public var destination: IPAddress
  public var user: UInt32
  /// The first fragment had come, and the buffer holds it as it was received. The kernel then sends
  /// the source an ICMP time exceeded, code 1: for IPv6 always, for IPv4 only when the destination
  /// is the host itself.
  public var hasFirstFragment: Bool
}
