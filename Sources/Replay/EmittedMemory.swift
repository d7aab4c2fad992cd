// The packets Weir sent lately, to be recognised when the capture shows them leaving. Of each only a hash
// is kept, so that memory stays as it is at the start and adding one allocates nothing.

import Conntrack
import Ruleset
import Wire

/// What was sent within the last second and has not been seen leaving yet.
struct EmittedMemory: ~Copyable {
  struct Entry: BitwiseCopyable {
    var time: Int64 = 0
    /// The number of the captured packet that led to it.
    var cause = 0
    var hash: UInt64 = 0
    var interface = InterfaceID.none
    /// The next of the same bucket, plus one; 0: none.
    var next: UInt32 = 0
    var isAnswer = false
    var isSeen = false
  }

  static let windowNanoseconds: Int64 = 1_000_000_000
  /// Beyond so many waiting, the oldest counts as not seen.
  static let most = 65_536
  private static let buckets = 131_072

  /// A ring: the entry counted `n`, from the very first, lies at `n % most`.
  private let entries = FlatArray<Entry>(count: most)
  /// The oldest and the newest entry of each bucket, plus one; 0: none.
  private let heads = FlatArray<UInt32>(count: buckets)
  private let tails = FlatArray<UInt32>(count: buckets)
  /// The oldest that still counts, and how many there have been.
  private var first = 0
  private var end = 0
  /// By interface number plus one: sent and never seen leaving, and seen.
  private var unseen: [Int] = []
  private var seen: [Int] = []

  mutating func add(
    _ bytes: RawSpan, _ interface: InterfaceID, isAnswer: Bool, cause: Int, at time: Int64
  ) {
    forget(before: time - EmittedMemory.windowNanoseconds)
    if end - first >= EmittedMemory.most { forgetFirst() }
    let place = end & (EmittedMemory.most - 1)
    end += 1
    let hash = EmittedMemory.hash(bytes, interface, leavesOutFree: isAnswer)
    entries[place] = Entry(
      time: time, cause: cause, hash: hash, interface: interface, isAnswer: isAnswer)
    let bucket = EmittedMemory.bucket(hash)
    if heads[bucket] == 0 {
      heads[bucket] = UInt32(place) + 1
    } else {
      entries[Int(tails[bucket]) - 1].next = UInt32(place) + 1
    }
    tails[bucket] = UInt32(place) + 1
  }

  /// The packet that led to an outbound frame, which is ticked off; nil for a frame that is none of
  /// those sent.
  mutating func cause(
    of bytes: RawSpan, on interface: InterfaceID, at time: Int64
  ) -> EmittedCause? {
    forget(before: time - EmittedMemory.windowNanoseconds)
    let packet = oldest(bytes, interface, isAnswer: false)
    let answer = oldest(bytes, interface, isAnswer: true)
    guard let place = EmittedMemory.older(packet, answer, first) else { return nil }
    entries[place].isSeen = true
    EmittedMemory.count(interface, &seen)
    return EmittedCause(number: entries[place].cause, isAnswer: entries[place].isAnswer)
  }

  /// Everything still waiting counts as not seen.
  mutating func finish() { forget(before: .max) }

  func seen(on interface: InterfaceID) -> Int { EmittedMemory.number(interface, seen) }
  func unseen(on interface: InterfaceID) -> Int { EmittedMemory.number(interface, unseen) }

  // MARK: Entries

  /// Where the oldest entry lies that is like these bytes and was not seen yet.
  private func oldest(_ bytes: RawSpan, _ interface: InterfaceID, isAnswer: Bool) -> Int? {
    let hash = EmittedMemory.hash(bytes, interface, leavesOutFree: isAnswer)
    var next = heads[EmittedMemory.bucket(hash)]
    while next != 0 {
      let place = Int(next) - 1
      if entries[place].hash == hash && entries[place].interface == interface
        && entries[place].isAnswer == isAnswer && !entries[place].isSeen
      {
        return place
      }
      next = entries[place].next
    }
    return nil
  }

  /// Of two places in the ring the one that was taken first.
  private static func older(_ a: Int?, _ b: Int?, _ first: Int) -> Int? {
    guard let a, let b else { return a ?? b }
    return (a - first) & (most - 1) < (b - first) & (most - 1) ? a : b
  }

  private mutating func forget(before time: Int64) {
    while first < end && entries[first & (EmittedMemory.most - 1)].time < time { forgetFirst() }
  }

  /// The oldest of all is the oldest of its bucket.
  private mutating func forgetFirst() {
    let place = first & (EmittedMemory.most - 1)
    first += 1
    if !entries[place].isSeen { EmittedMemory.count(entries[place].interface, &unseen) }
    heads[EmittedMemory.bucket(entries[place].hash)] = entries[place].next
  }

  private static func count(_ interface: InterfaceID, _ numbers: inout [Int]) {
    let index = Int(interface.rawValue) + 1
    while numbers.count <= index { numbers.append(0) }
    numbers[index] += 1
  }

  private static func number(_ interface: InterfaceID, _ numbers: [Int]) -> Int {
    let index = Int(interface.rawValue) + 1
    return index < numbers.count ? numbers[index] : 0
  }

  // MARK: Hashing

  private static func bucket(_ hash: UInt64) -> Int {
    Int(truncatingIfNeeded: hash >> 40) % buckets
  }

  /// A hash of 64 bits over all that is compared. Who makes two packets of the same hash makes their own
  /// replay take the one for the other.
  ///
  /// - Parameter leavesOutFree: without the fields the sender's kernel numbers as it likes: an IPv4
  ///   packet's identification with the checksum over it, an IPv6 packet's first four bytes with the
  ///   flow label.
  private static func hash(
    _ bytes: RawSpan, _ interface: InterfaceID, leavesOutFree: Bool
  ) -> UInt64 {
    let count = bytes.byteCount
    var a = UInt64(truncatingIfNeeded: count) ^ 0x9e37_79b9_7f4a_7c15
    var b = UInt64(UInt32(bitPattern: interface.rawValue)) ^ 0xc2b2_ae3d_27d4_eb4f
    var at = 0
    if count >= 16 {
      var masks: (UInt64, UInt64) = (.max, .max)
      if leavesOutFree {
        masks =
          bytes.uint8(at: 0) >> 4 == 4
          ? (0xffff_ffff_0000_ffff, 0xffff_0000_ffff_ffff) : (0x0000_0000_ffff_ffff, .max)
      }
      a = fold(a ^ (bytes.uint64(at: 0) & masks.0), 0xa076_1d64_78bd_642f)
      b = fold(b ^ (bytes.uint64(at: 8) & masks.1), 0xe703_7ed1_a0b4_28db)
      at = 16
    }
    // Two at a time, since each waits for the one before.
    while at &+ 16 <= count {
      // Both lie in the span, by the loop's condition.
      let first = unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: UInt64.self)
      // As above.
      let second = unsafe bytes.unsafeLoadUnaligned(
        fromUncheckedByteOffset: at &+ 8, as: UInt64.self)
      a = fold(a ^ first, 0xa076_1d64_78bd_642f)
      b = fold(b ^ second, 0xe703_7ed1_a0b4_28db)
      at &+= 16
    }
    while at < count {
      a = fold(a ^ UInt64(bytes.uint8(at: at)), 0x8ebc_6af0_9c88_c6e3)
      at &+= 1
    }
    return fold(a ^ 0x5899_65cc_7537_4cc3, b ^ 0x1d8e_4e27_c47d_124f)
  }

  /// A product of 128 bits, its halves folded.
  @inline(__always)
  private static func fold(_ a: UInt64, _ b: UInt64) -> UInt64 {
    let product = a.multipliedFullWidth(by: b)
    return product.high ^ product.low
  }
}
