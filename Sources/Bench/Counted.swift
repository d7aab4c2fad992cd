// What the engine takes of the allocator, beside its time.

import CAllocationCount

/// How often memory was taken for the packets that were timed.
public struct Counted: Sendable, Equatable {
  /// Whether this platform can count; if not, all numbers are 0.
  public static var isPossible: Bool { weir_can_count() }

  public var packets = 0
  /// Calls of malloc and its kin.
  public var allocations: UInt64 = 0

  /// Adds what `body` takes. Other threads do not count.
  mutating func count(packets: Int, _ body: () -> Void) {
    weir_count_begin()
    body()
    allocations += weir_count_end()
    self.packets += packets
  }

  /// What an array that grows takes: to see that counting counts.
  public static func ofAnArray() -> Counted {
    var counted = Counted()
    counted.count(packets: 1) {
      var array: [Int] = []
      for number in 0..<1000 { array.append(number) }
      withExtendedLifetime(array) {}
    }
    return counted
  }

  static func + (a: Counted, b: Counted) -> Counted {
    var sum = a
    sum.packets += b.packets
    sum.allocations += b.allocations
    return sum
  }
}
