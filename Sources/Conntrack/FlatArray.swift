// Fixed-size storage for the table: one allocation, zeroed, addressed by number. The only file of
// this module that handles pointers.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// `count` elements in one zeroed allocation that never moves. An element's all-zero bytes must be a
/// valid value of it. Pages are taken from the system when first touched, so capacity that is never
/// used costs address space only.
///
/// Subscripts check their bound; nothing else is checked per access. Writes go through a `let`, as
/// with a pointer: whoever holds the array orders its own reads and writes.
@safe
struct FlatArray<Element: BitwiseCopyable>: ~Copyable {
  private let base: UnsafeMutablePointer<Element>
  private let allocation: UnsafeMutableRawPointer
  let count: Int

  /// - Complexity: O(1); the system zeroes pages as they are touched.
  init(count: Int) {
    precondition(count > 0)
    // calloc returns zeroed memory aligned for every type; a cache line's alignment comes from
    // rounding up by hand below.
    let stride = MemoryLayout<Element>.stride
    guard let raw = unsafe calloc(count * stride + 64, 1) else {
      fatalError("out of memory: \(count) records of \(stride) bytes")
    }
    unsafe allocation = raw
    let misalignment = Int(bitPattern: raw) & 63
    let start = unsafe raw.advanced(by: misalignment == 0 ? 0 : 64 - misalignment)
    // Zeroed memory of a trivial type whose zero is valid, as this type's contract says.
    unsafe base = start.bindMemory(to: Element.self, capacity: count)
    self.count = count
  }

  deinit {
    // Allocated in init, freed once, here.
    unsafe free(allocation)
  }

  subscript(index: Int) -> Element {
    @inline(__always)
    unsafeAddress {
      precondition(index >= 0 && index < count)
      // In bounds, checked above.
      return unsafe UnsafePointer(base + index)
    }
    @inline(__always)
    nonmutating unsafeMutableAddress {
      precondition(index >= 0 && index < count)
      // In bounds, checked above.
      return unsafe base + index
    }
  }
}
