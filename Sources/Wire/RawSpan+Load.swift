// Reading and writing network byte order in spans, for every parser and rewriter above. The one
// place where bytes are loaded without the standard library's own check: the precondition here is
// that check, worded so that the optimizer drops it behind a length guard.

extension RawSpan {
  /// The byte at `offset`. Traps outside the span.
  @inlinable @inline(__always)
  public func uint8(at offset: Int) -> UInt8 {
    precondition(offset >= 0 && offset < byteCount)
    // In bounds by the precondition; a byte has no alignment.
    return unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt8.self)
  }

  /// The big-endian 16-bit word at `offset`. Traps when it does not lie wholly in the span.
  @inlinable @inline(__always)
  public func uint16(at offset: Int) -> UInt16 {
    precondition(offset >= 0 && offset <= byteCount &- 2)
    // In bounds by the precondition; the load is unaligned.
    return unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt16.self).bigEndian
  }

  /// The big-endian 32-bit word at `offset`. Traps when it does not lie wholly in the span.
  @inlinable @inline(__always)
  public func uint32(at offset: Int) -> UInt32 {
    precondition(offset >= 0 && offset <= byteCount &- 4)
    // In bounds by the precondition; the load is unaligned.
    return unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self).bigEndian
  }

  /// The big-endian 64-bit word at `offset`. Traps when it does not lie wholly in the span.
  @inlinable @inline(__always)
  public func uint64(at offset: Int) -> UInt64 {
    precondition(offset >= 0 && offset <= byteCount &- 8)
    // In bounds by the precondition; the load is unaligned.
    return unsafe unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self).bigEndian
  }

  /// The bytes of `range`, sharing this span's lifetime. Traps when it does not lie in the span.
  @inlinable @inline(__always)
  @_lifetime(copy self)
  public func slice(_ range: Range<Int>) -> RawSpan {
    extracting(range)
  }
}

extension MutableRawSpan {
  /// Writes a byte. Traps outside the span.
  @inlinable @inline(__always)
  @_lifetime(self: copy self)
  public mutating func store8(_ value: UInt8, at offset: Int) {
    precondition(offset >= 0 && offset < byteCount)
    storeBytes(of: value, toByteOffset: offset, as: UInt8.self)
  }

  /// Writes a 16-bit word, big endian. Traps when it does not lie wholly in the span.
  @inlinable @inline(__always)
  @_lifetime(self: copy self)
  public mutating func store16(_ value: UInt16, at offset: Int) {
    precondition(offset >= 0 && offset <= byteCount &- 2)
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
  }

  /// Writes a 32-bit word, big endian. Traps when it does not lie wholly in the span.
  @inlinable @inline(__always)
  @_lifetime(self: copy self)
  public mutating func store32(_ value: UInt32, at offset: Int) {
    precondition(offset >= 0 && offset <= byteCount &- 4)
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
  }

  /// Writes a 64-bit word, big endian. Traps when it does not lie wholly in the span.
  @inlinable @inline(__always)
  @_lifetime(self: copy self)
  public mutating func store64(_ value: UInt64, at offset: Int) {
    precondition(offset >= 0 && offset <= byteCount &- 8)
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt64.self)
  }
}

extension [UInt8] {
  /// The array's bytes, for everything that reads packets.
  @inlinable
  public var rawSpan: RawSpan {
    @inline(__always)
    @_lifetime(borrow self)
    get {
      // Unsafe for elements with padding, which would be read uninitialized; bytes have none.
      unsafe span.bytes
    }
  }
}

extension RawSpan {
  /// The bytes, copied.
  public var array: [UInt8] {
    // Read within the call only, while this span is alive.
    unsafe withUnsafeBytes { unsafe [UInt8]($0) }
  }
}
