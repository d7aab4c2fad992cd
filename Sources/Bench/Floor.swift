// The floor: what memory alone costs. The lines of a table of the same size, touched at random with the
// same burst and prefetching, and nothing computed: no engine with this layout can be faster.

import CIntrinsics
import Conntrack

/// Zeroed memory of the size of a table's index and records.
@safe
struct Floor: ~Copyable {
  private let index: UnsafeMutableRawPointer
  private let records: UnsafeMutableRawPointer
  private let indexLines: Int
  private let recordCount: Int

  static let line = 64
  static let record = 128

  /// For `connections`, laid out as the table lays them out.
  init(connections: Int) {
    indexLines = ConnectionTracker.indexBytes(capacity: connections) / Floor.line
    recordCount = connections
    guard let index = unsafe weir_reserve(indexLines * Floor.line),
      let records = unsafe weir_reserve(connections * Floor.record)
    else { fatalError("out of memory") }
    unsafe self.index = index
    unsafe self.records = records
    // Every page is really there before it is measured.
    for line in 0..<indexLines {
      // Within what was reserved.
      unsafe index.storeBytes(of: UInt64(line), toByteOffset: line * Floor.line, as: UInt64.self)
    }
    for number in 0..<connections {
      // As above.
      unsafe records.storeBytes(
        of: UInt64(number), toByteOffset: number * Floor.record, as: UInt64.self)
    }
  }

  deinit {
    // Reserved in init with these lengths.
    unsafe weir_release(index, indexLines * Floor.line)
    // As above.
    unsafe weir_release(records, recordCount * Floor.record)
  }

  /// Touches `count` random records in bursts: the line of the index is read, both lines of the record
  /// are read and one written, as an established packet does.
  /// - Returns: a sum of what was read, so that reading is not left out.
  func touch(_ count: Int, burst: Int, _ generator: inout SeededGenerator) -> UInt64 {
    var sum: UInt64 = 0
    var numbers = InlineArray<32, UInt64>(repeating: 0)
    for _ in 0..<max(1, count / burst) {
      for lane in 0..<burst {
        let number = generator.next()
        numbers[lane] = number
        // Any address may be prefetched; this one is in bounds.
        unsafe weir_prefetch(index + indexLine(number) * Floor.line)
      }
      for lane in 0..<burst {
        let number = numbers[lane]
        // In bounds: `indexLine` is below `indexLines`.
        sum &+= unsafe index.load(
          fromByteOffset: indexLine(number) * Floor.line, as: UInt64.self)
        let record = unsafe records + recordNumber(number) * Floor.record
        unsafe weir_prefetch(record)
        unsafe weir_prefetch(record + 64)
      }
      for lane in 0..<burst {
        // In bounds: `recordNumber` is below `recordCount`.
        let record = unsafe records + recordNumber(numbers[lane]) * Floor.record
        sum &+= unsafe record.load(as: UInt64.self)
        let second = unsafe record.load(fromByteOffset: 64, as: UInt64.self)
        unsafe record.storeBytes(of: second &+ 1, toByteOffset: 64, as: UInt64.self)
        sum &+= second
      }
    }
    return sum
  }

  @inline(__always)
  private func indexLine(_ number: UInt64) -> Int {
    Int(truncatingIfNeeded: ((number >> 32) &* UInt64(indexLines)) >> 32)
  }

  @inline(__always)
  private func recordNumber(_ number: UInt64) -> Int {
    Int(truncatingIfNeeded: ((number & 0xffff_ffff) &* UInt64(recordCount)) >> 32)
  }
}
