// The words of reassembly: its limits, what becomes of a fragment, and what is remembered of the
// fragments when the whole packet goes on. For the defragmentation in front of connection tracking
// (`Reassembler`) and the splitting on the way out (`Fragmentation`).

/// The limits of reassembly, named as Linux's sysctls and with their defaults.
public struct ReassemblySettings: Sendable, Equatable {
  /// net.ipv4.ipfrag_high_thresh: bytes waiting fragments may take, counted as the kernel counts
  /// them (see `Reassembler`).
  public var ipv4HighThreshold: Int
  /// net.ipv4.ipfrag_time.
  public var ipv4TimeoutNanoseconds: Int64
  /// net.ipv4.ipfrag_max_dist: how many fragments of one source may come between two of the same
  /// datagram; 0 for any number.
  public var ipv4MaxDistance: Int
  /// net.netfilter.nf_conntrack_frag6_high_thresh: bytes.
  public var ipv6HighThreshold: Int
  /// net.netfilter.nf_conntrack_frag6_low_thresh. Kept so that a machine's settings read back
  /// whole; like the kernel since 4.17, nothing asks it.
  public var ipv6LowThreshold: Int
  /// net.netfilter.nf_conntrack_frag6_timeout.
  public var ipv6TimeoutNanoseconds: Int64
  /// No sysctl: the bytes free before the IP header in the buffers of the device that received the
  /// fragments. It decides whether a longer header than they came with finds room before each, and
  /// so whether they leave with the sizes they had. 16 behind a veth that a packet socket sends
  /// into, 64 or more behind TUN devices and network cards.
  public var receiveHeadroom = 16

  public init(
    ipv4HighThreshold: Int = 4_194_304, ipv4TimeoutNanoseconds: Int64 = 30_000_000_000,
    ipv4MaxDistance: Int = 64, ipv6HighThreshold: Int = 4_194_304,
    ipv6LowThreshold: Int = 3_145_728, ipv6TimeoutNanoseconds: Int64 = 60_000_000_000
  ) {
    self.ipv4HighThreshold = ipv4HighThreshold
    self.ipv4TimeoutNanoseconds = ipv4TimeoutNanoseconds
    self.ipv4MaxDistance = ipv4MaxDistance
    self.ipv6HighThreshold = ipv6HighThreshold
    self.ipv6LowThreshold = ipv6LowThreshold
    self.ipv6TimeoutNanoseconds = ipv6TimeoutNanoseconds
  }
}

/// Why a fragment was dropped.
@frozen
public enum FragmentProblem: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  /// It came before; the others still wait.
  case duplicate
  /// It shares bytes with another; the whole datagram is discarded.
  case overlap
  /// The packet it belongs to would be longer than IP allows.
  case tooLong
  /// Its end contradicts that of the last fragment, or it holds no data.
  case badLength
  /// Waiting fragments already take all the memory they may.
  case noRoom
  /// The IPv6 fragment header is cut short.
  case malformed
  /// The fragments' ECN fields cannot be of one packet (RFC 3168 section 5.3); all are discarded.
  case mixedECN

  /// A part of a sentence about the fragment: "dropped: …".
  public var text: String {
    switch self {
    case .duplicate: "a fragment with the same bytes of the packet is already waiting"
    case .overlap: "it overlaps another fragment, so all fragments of its packet are discarded"
    case .tooLong: "the packet it is a part of would be longer than 65,535 bytes"
    case .badLength: "where it ends contradicts the packet's other fragments"
    case .noRoom: "waiting fragments already take all the memory they may"
    case .malformed: "the fragment header is cut short"
    case .mixedECN:
      "its packet's fragments have ECN fields that do not go together, so all are discarded"
    }
  }
}

/// Where a fragment came from, for whoever gave it: the reassembler only keeps it.
@frozen
public struct FragmentOrigin: Hashable, BitwiseCopyable, Sendable {
  /// The interface's number.
  public var interface: Int32
  /// How its frame was addressed.
  public var packetType: UInt8
  /// What the caller knows the packet by.
  public var number: Int32

  @inlinable
  public init(interface: Int32 = -1, packetType: UInt8 = 0, number: Int32 = 0) {
    self.interface = interface
    self.packetType = packetType
    self.number = number
  }
}

/// How a packet put together from fragments may leave again.
@frozen
public struct ReassembledInfo: BitwiseCopyable, Sendable {
  /// The IP length, headers included, of the longest fragment that came in.
  public var maxFragmentSize: Int
  /// IPv4: a longest fragment had DF, and so has the whole packet now.
  public var dontFragment: Bool
  /// The bytes of data of each fragment in the order of their offsets.
  public var sizes: FragmentSizes
  /// Where the data starts that `sizes` divide: behind the IPv4 header, or where the IPv6 fragment
  /// header was.
  public var dataOffset: Int
  /// The longest header for which there is room before every fragment behind the first: as long as
  /// the shortest they came with, and what the device left free. Of IPv6 the fragment header does
  /// not count.
  public var longestHeader: Int
  /// Of the first fragment, which the whole packet counts as.
  public var origin = FragmentOrigin()

  public init(
    maxFragmentSize: Int, dontFragment: Bool, sizes: FragmentSizes, dataOffset: Int,
    longestHeader: Int
  ) {
    self.maxFragmentSize = maxFragmentSize
    self.dontFragment = dontFragment
    self.sizes = sizes
    self.dataOffset = dataOffset
    self.longestHeader = longestHeader
  }
}

/// What became of a packet given to a `Reassembler`.
public enum ReassemblyResult: Sendable {
  /// Goes on as it is. Also fragments that Linux leaves alone, which connection tracking then finds
  /// INVALID: of IPv6, those with more to follow whose end is no multiple of 8, and first ones that
  /// end before or within the transport header.
  case notAFragment
  /// Kept until the others come; the packet's way ends here.
  case held
  /// Dropped, and for some problems all other fragments of the packet with it.
  case dropped(FragmentProblem)
  /// The last missing fragment: the buffer now holds the whole packet, lengths and checksum of its
  /// IP header made right, an IPv6 fragment header removed. Its headers are to be decoded anew.
  case complete(ReassembledInfo)
}

// MARK: - Sizes

/// The sizes of a packet's fragments, in order: pairs of a size and how often it follows itself, so
/// that the usual row of equal sizes takes one pair.
@frozen
public struct FragmentSizes: BitwiseCopyable, Sendable {
  @usableFromInline typealias Runs = InlineArray<64, Run>

  @usableFromInline
  struct Run: BitwiseCopyable, Sendable {
    var size: UInt16
    var repeats: UInt16
  }

  /// How many pairs are kept.
  public static var capacity: Int { 64 }

  @usableFromInline var runs: Runs
  @usableFromInline var runCount: Int
  /// How many fragments there are.
  public private(set) var count: Int
  /// The sum of all sizes in bytes.
  public private(set) var total: Int
  /// False when there were more than fit: the sizes are then not known.
  public private(set) var isComplete: Bool

  public init() {
    runs = InlineArray(repeating: Run(size: 0, repeats: 0))
    runCount = 0
    count = 0
    total = 0
    isComplete = true
  }

  /// Adds the next fragment's size in bytes.
  public mutating func append(_ size: Int) {
    count += 1
    total += size
    guard isComplete, let size = UInt16(exactly: size) else {
      isComplete = false
      return
    }
    if runCount > 0, runs[runCount - 1].size == size, runs[runCount - 1].repeats < .max {
      runs[runCount - 1].repeats += 1
    } else if runCount < FragmentSizes.capacity {
      runs[runCount] = Run(size: size, repeats: 1)
      runCount += 1
    } else {
      isComplete = false
    }
  }

  /// The kernel made the first `length` bytes of data contiguous, as NAT does with the 20 of a TCP
  /// header: what the first fragment lacks of them moves into it.
  public mutating func pull(_ length: Int) {
    guard isComplete, count > 1 else { return }
    var cursor = Cursor()
    var pulled = FragmentSizes()
    var first = 0
    while let size = cursor.next(self) {
      if first >= length || pulled.count > 0 {
        if pulled.count == 0 { pulled.append(first) }
        pulled.append(size)
        continue
      }
      first += size
      guard first > length, first > size else { continue }
      // This one gave only a part of itself.
      pulled.append(length)
      pulled.append(first - length)
    }
    if pulled.count == 0 { pulled.append(first) }
    self = pulled
  }

  /// The kernel made the whole packet contiguous, as it does for a helper: the sizes are forgotten.
  public mutating func forget() {
    self = FragmentSizes()
    isComplete = false
  }

  /// The first fragment's bytes of data, known also when not all sizes are; nil when forgotten.
  var first: Int? { runCount > 0 ? Int(runs[0].size) : nil }

  /// Whether every size is at most `limit`, and all but the last are multiples of 8. The first one is
  /// taken for `extra` bytes longer.
  func fit(_ limit: Int, extra: Int) -> Bool {
    var cursor = Cursor()
    var index = 0
    while let size = cursor.next(self) {
      let length = index == 0 ? size + extra : size
      index += 1
      guard length >= 0, length <= limit, index == count || length & 7 == 0 else { return false }
    }
    return true
  }

  /// The sizes one after the other.
  struct Cursor {
    private var index = 0
    private var used: UInt16 = 0

    /// The next size in bytes, nil behind the last.
    mutating func next(_ sizes: borrowing FragmentSizes) -> Int? {
      guard index < sizes.runCount else { return nil }
      let run = sizes.runs[index]
      used += 1
      if used == run.repeats {
        index += 1
        used = 0
      }
      return Int(run.size)
    }
  }
}
