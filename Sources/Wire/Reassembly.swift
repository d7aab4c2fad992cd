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

/// How a packet put together from fragments may leave again.
@frozen
public struct ReassembledInfo: BitwiseCopyable, Sendable {
  /// The IP length, headers included, of the longest fragment that came in.
  public var maxFragmentSize: Int
  /// IPv4: a longest fragment had DF, and so has the whole packet now.
  public var dontFragment: Bool
  /// How many bytes of the whole packet, from its start, the first fragment brought: header and data.
  public var firstLength: Int
  /// The bytes of data of each other fragment in the order of their offsets.
  public var laterSizes: FragmentSizes
  /// The least header length among those: of the IPv4 header; for IPv6 of everything before the
  /// fragment header. `Int.max` when there are none.
  public var shortestLaterHeader: Int

  public init(
    maxFragmentSize: Int, dontFragment: Bool, firstLength: Int, laterSizes: FragmentSizes,
    shortestLaterHeader: Int
  ) {
    self.maxFragmentSize = maxFragmentSize
    self.dontFragment = dontFragment
    self.firstLength = firstLength
    self.laterSizes = laterSizes
    self.shortestLaterHeader = shortestLaterHeader
  }
}

extension ReassembledInfo {
  /// Takes note that the first `length` bytes of the packet now lie in one piece with its start.
  ///
  /// The kernel moves bytes of later fragments there when something writes to a header that the first
  /// fragment holds only a part of: NAT to a TCP header, the checksum of SCTP to its header; mangling
  /// of data moves the whole packet. The pieces that leave then begin where that header ends.
  public mutating func pull(to length: Int) {
    let missing = Swift.min(length - firstLength, laterSizes.total)
    guard missing > 0 else { return }
    firstLength += missing
    laterSizes.removeFirst(missing)
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

/// Sizes of fragments, in order: pairs of a size and how often it follows itself, so
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

  /// Takes `bytes` bytes off the front: whole sizes, and from the next one a part.
  mutating func removeFirst(_ bytes: Int) {
    guard isComplete else {
      total -= bytes
      return
    }
    var rest = FragmentSizes()
    var left = bytes
    var cursor = Cursor()
    while let size = cursor.next(self) {
      let taken = Swift.min(size, left)
      left -= taken
      if size > taken { rest.append(size - taken) }
    }
    self = rest
  }

  /// Whether all sizes are known and at most `limit`, and all but the last are multiples of 8.
  func fit(_ limit: Int) -> Bool {
    guard isComplete else { return false }
    var index = 0
    while index < runCount {
      let run = runs[index]
      let isLast = index == runCount - 1 && run.repeats == 1
      guard run.size <= limit, isLast || run.size & 7 == 0 else { return false }
      index += 1
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
