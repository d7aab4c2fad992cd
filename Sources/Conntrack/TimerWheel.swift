// When entries expire. A packet only stores a deadline; the record hangs in a slot of the wheel until
// time reaches it, and is hung further on if its deadline has moved meanwhile.

import Wire

/// Three wheels: 1024 slots of about 1 ms, 512 of about 1 s, 1024 of about 9 minutes (powers of two
/// nanoseconds), 6.5 days in all. A deadline beyond hangs in the last slot and is looked at again
/// there. A slot holds the head of a list that runs through the records' `next` and `previous`.
struct TimerWheel: ~Copyable {
  static let unarmed: UInt16 = .max

  static let tickShift: Int64 = 20
  private static let fine = 1024
  private static let middle = 512
  private static let coarse = 1024
  static let slots = fine + middle + coarse

  /// Number of the first record in each slot, plus one; 0: empty.
  let heads = FlatArray<UInt32>(count: slots)
  /// How many records hang in each wheel.
  var fineCount = 0
  var middleCount = 0
  var coarseCount = 0
  /// The first tick that has not wholly passed; `.min` before the first packet.
  var tick = Int64.min

  var isEmpty: Bool { fineCount + middleCount + coarseCount == 0 }

  /// The slot for a deadline.
  @inline(__always)
  func slot(for deadline: Int64) -> Int {
    let due = max(deadline >> TimerWheel.tickShift, tick)
    if due - tick < Int64(TimerWheel.fine) { return Int(due & 1023) }
    if (due >> 10) - (tick >> 10) < Int64(TimerWheel.middle) {
      return TimerWheel.fine + Int((due >> 10) & 511)
    }
    let furthest = (tick >> 19) + Int64(TimerWheel.coarse - 1)
    return TimerWheel.fine + TimerWheel.middle + Int(min(due >> 19, furthest) & 1023)
  }

  mutating func count(_ change: Int, in slot: Int) {
    if slot < TimerWheel.fine {
      fineCount += change
    } else if slot < TimerWheel.fine + TimerWheel.middle {
      middleCount += change
    } else {
      coarseCount += change
    }
  }

  /// The tick's own slot, whose records are due once it has passed.
  func fineSlot(of tick: Int64) -> Int { Int(tick & 1023) }

  /// The slots to be spread over finer wheels when time enters `tick`.
  func middleSlot(entering tick: Int64) -> Int? {
    tick & 1023 == 0 ? TimerWheel.fine + Int((tick >> 10) & 511) : nil
  }
  func coarseSlot(entering tick: Int64) -> Int? {
    tick & 0x7_FFFF == 0 ? TimerWheel.fine + TimerWheel.middle + Int((tick >> 19) & 1023) : nil
  }

  /// The next tick at or before `target` at which anything can happen.
  func nextTick(before target: Int64) -> Int64 {
    if fineCount != 0 { return tick + 1 }
    if middleCount != 0 { return min(target, ((tick >> 10) + 1) << 10) }
    if coarseCount != 0 { return min(target, ((tick >> 19) + 1) << 19) }
    return target
  }
}
