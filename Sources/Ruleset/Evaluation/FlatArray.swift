// A fixed array without reference counting or copying, for what compiled rules read and count on
// each packet. The one place of this module where memory is handled by hand.

/// A fixed number of plain values in one allocation, owned by whoever holds the array. Access is
/// bounds-checked and costs a compare; O(1).
@usableFromInline
@safe struct FlatArray<Element: BitwiseCopyable & Sendable>: ~Copyable, @unchecked Sendable {
  // Only this array has the pointer: it may go wherever the array goes.
  @usableFromInline let base: UnsafeMutablePointer<Element>
  @usableFromInline let count: Int

  init(_ elements: [Element]) {
    count = elements.count
    // Freed in `deinit`; nothing else frees it.
    unsafe base = .allocate(capacity: max(1, elements.count))
    for (index, element) in elements.enumerated() {
      // Within the capacity, and not initialized before.
      unsafe (base + index).initialize(to: element)
    }
  }

  @inlinable
  deinit {
    // Plain values need no deinitialization.
    unsafe base.deallocate()
  }

  @inlinable
  subscript(index: Int) -> Element {
    @inline(__always)
    get {
      precondition(index >= 0 && index < count)
      // In bounds by the precondition; initialized in `init`.
      return unsafe base[index]
    }
    @inline(__always)
    nonmutating set {
      precondition(index >= 0 && index < count)
      // In bounds by the precondition; initialized in `init`.
      unsafe base[index] = newValue
    }
  }
}

extension FlatArray where Element == UInt32 {
  /// How many of the 16 words from `index` on are at most `value`.
  @inline(__always)
  func countOfWords(notAbove value: UInt32, in index: Int) -> Int {
    precondition(index >= 0 && index <= count &- 16)
    // Differences instead of comparisons: no branch that could be foreseen wrongly.
    var above: UInt64 = 0
    for word in 0..<16 {
      // In bounds by the precondition.
      unsafe above &+= (UInt64(value) &- UInt64(base[index &+ word])) >> 63
    }
    return 16 &- Int(above)
  }
}
