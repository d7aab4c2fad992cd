// Fixed-size storage for tables: one allocation, zeroed, addressed by number. For the connection table
// and the firewall.

import CIntrinsics

/// `count` elements in one zeroed allocation that never moves. An element's all-zero bytes must be a
/// valid value of it. Pages are taken from the system when first touched, so capacity that is never
/// used costs address space only.
///
/// Subscripts check their bound; nothing else is checked per access. Writes go through a `let`, as
/// with a pointer: whoever holds the array orders its own reads and writes.
@safe
@frozen
public struct FlatArray<Element: BitwiseCopyable>: ~Copyable {
  @usableFromInline let base: UnsafeMutablePointer<Element>
  public let count: Int

  /// - Complexity: O(1); the system zeroes pages as they are touched.
  public init(count: Int) {
    precondition(count > 0)
    // Whole pages from the system, zeroed: aligned for every type and for cache lines.
    guard let raw = unsafe weir_reserve(count * MemoryLayout<Element>.stride) else {
      fatalError("out of memory: \(count) records of \(MemoryLayout<Element>.stride) bytes")
    }
    // Zeroed memory of a trivial type whose zero is valid, as this type's contract says.
    unsafe base = raw.bindMemory(to: Element.self, capacity: count)
    self.count = count
  }

  @inlinable
  deinit {
    // Reserved in init with this length, released once, here.
    unsafe weir_release(base, count * MemoryLayout<Element>.stride)
  }

  /// Takes the pages of the first elements from the system now, so that nobody waits when one is first
  /// touched. Nothing of what they hold changes.
  /// - Complexity: O(`elements`).
  public func populate(_ elements: Int) {
    precondition(elements >= 0 && elements <= count)
    // In bounds, by the precondition.
    unsafe weir_populate(base, elements * MemoryLayout<Element>.stride)
  }

  /// Where an element lies. Valid as long as the array.
  @inline(__always)
  @unsafe
  @inlinable
  public func pointer(_ index: Int) -> UnsafeMutablePointer<Element> {
    precondition(index >= 0 && index < count)
    // In bounds, checked above.
    return unsafe base + index
  }

  /// Asks for the cache lines of an element's first `bytes` bytes, without waiting for them.
  @inline(__always)
  @inlinable
  public func prefetch(_ index: Int, bytes: Int) {
    precondition(index >= 0 && index < count)
    // In bounds, checked above; a prefetch reads nothing.
    let element = unsafe UnsafeRawPointer(base + index)
    var offset = 0
    while offset < bytes {
      unsafe weir_prefetch(element + offset)
      offset += 64
    }
  }

  @inlinable
  public subscript(index: Int) -> Element {
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
