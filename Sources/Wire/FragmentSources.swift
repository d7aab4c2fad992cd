// How many fragments came from each source, for net.ipv4.ipfrag_max_dist. Only sources of packets
// that wait are known. For the reassembler only.

struct FragmentSources: ~Copyable {
  static let none: Int32 = -1

  private struct Source {
    var address = IPAddress.any
    var counter: UInt32 = 0
    var users = 0
    var next = FragmentSources.none
  }

  private var sources: [Source]
  private var buckets: [Int32]
  private var firstFree: Int32
  private let seed: UInt64

  init(count: Int, seed: UInt64) {
    sources = Array(repeating: Source(), count: count)
    for index in 0..<count {
      sources[index].next = index + 1 < count ? Int32(index + 1) : FragmentSources.none
    }
    firstFree = count > 0 ? 0 : FragmentSources.none
    var size = 16
    while size < count { size *= 2 }
    buckets = Array(repeating: FragmentSources.none, count: size)
    self.seed = seed
  }

  private func bucket(_ address: IPAddress) -> Int {
    var state = KeyedMix(seed)
    state.mix(address.high)
    state.mix(address.low)
    return Int(truncatingIfNeeded: state.value & UInt64(buckets.count - 1))
  }

  /// The source's number, with one more user. Traps when there are more sources than `count`.
  mutating func retain(_ address: IPAddress) -> Int32 {
    let bucket = bucket(address)
    var index = buckets[bucket]
    while index >= 0 {
      if sources[Int(index)].address == address {
        sources[Int(index)].users += 1
        return index
      }
      index = sources[Int(index)].next
    }
    index = firstFree
    precondition(index >= 0, "one source a waiting packet at most")
    firstFree = sources[Int(index)].next
    sources[Int(index)] = Source(address: address, users: 1, next: buckets[bucket])
    buckets[bucket] = index
    return index
  }

  /// Counts one fragment more and says how many there are.
  mutating func increment(_ index: Int32) -> UInt32 {
    sources[Int(index)].counter &+= 1
    return sources[Int(index)].counter
  }

  mutating func release(_ index: Int32) {
    sources[Int(index)].users -= 1
    guard sources[Int(index)].users == 0 else { return }
    let bucket = bucket(sources[Int(index)].address)
    let next = sources[Int(index)].next
    if buckets[bucket] == index {
      buckets[bucket] = next
    } else {
      var before = buckets[bucket]
      while sources[Int(before)].next != index { before = sources[Int(before)].next }
      sources[Int(before)].next = next
    }
    sources[Int(index)].next = firstFree
    firstFree = index
  }
}
