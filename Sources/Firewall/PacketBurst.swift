// Packets that come to the firewall together, so that the memory one needs is fetched while others are
// worked on. For replay, gateway and benchmark, which fill it; the firewall empties it.

import Conntrack
import Wire

/// Up to 32 packets with what came of them. Made once and used over and over: it holds its packets'
/// memory, and filling it allocates nothing.
public struct PacketBurst: ~Copyable {
  private let inPlace = InPlace()
  /// How many packets fit.
  public static var capacity: Int { 32 }
  /// The longest packet a burst takes, bytes of layer 3. A longer one goes by itself.
  public static var longestPacket: Int { 2048 }

  /// What is known of one packet before its turn.
  struct Lane: BitwiseCopyable {
    var arrival = Arrival(interface: .none, family: .ipv4, timeNanoseconds: 0)
    var plain = PlainPacket()
  }

  /// How many packets it holds.
  public private(set) var count = 0
  // Some room behind the longest packet, since NAT may lengthen one; and so that packets do not all
  // begin at the same place of a page, where they would fight for the same lines of the cache.
  var packets = InlineArray<32, PacketBuffer> { _ in PacketBuffer(capacity: 2048 + 64) }
  var lanes = InlineArray<32, Lane>(repeating: Lane())
  var outcomes = InlineArray<32, PacketOutcome>(repeating: PacketOutcome())

  public init() {}

  /// Takes a packet, layer 3, with the time it came.
  /// - Returns: false, with nothing taken, where it is too long or the burst is full.
  @inline(__always)
  public mutating func append(_ bytes: RawSpan, _ arrival: Arrival) -> Bool {
    guard count < PacketBurst.capacity, bytes.byteCount <= PacketBurst.longestPacket else {
      return false
    }
    _ = packets[count].assign(bytes)
    lanes[count].arrival = arrival
    count += 1
    return true
  }

  /// Takes a packet that `fill` writes into the burst's own memory, which saves a copy: it resizes the
  /// buffer to the packet's length. Traps when the burst is full.
  @inline(__always)
  public mutating func append(_ arrival: Arrival, fill: (inout PacketBuffer) -> Void) {
    precondition(count < PacketBurst.capacity)
    fill(&packets[count])
    lanes[count].arrival = arrival
    count += 1
  }

  /// Gives the packets a time, `step` nanoseconds apart.
  public mutating func setTimes(from first: Int64, step: Int64) {
    for index in 0..<count {
      lanes[index].arrival.timeNanoseconds = first &+ Int64(index) &* step
    }
  }

  /// Forgets all packets.
  public mutating func removeAll() { count = 0 }

  /// What became of packet `index`, once the firewall has had the burst.
  public func outcome(_ index: Int) -> PacketOutcome {
    precondition(index < count)
    return outcomes[index]
  }
}
