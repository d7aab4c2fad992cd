// One packet's bytes, owned, from the first byte of the IP header on: what the hooks read and NAT
// rewrites. Allocated once at start and reused, so the packet path allocates nothing.

/// A packet: a fixed allocation of `capacity` bytes, the first `count` of them in use.
///
/// Offset 0 is always the first byte of the IP header.
@safe
@frozen
public struct PacketBuffer: ~Copyable {
  // Safe to wrap: every access goes through a bounds check against `used` or `capacity`.
  @usableFromInline let storage: UnsafeMutableRawPointer
  /// How many bytes fit.
  public let capacity: Int
  /// How many bytes are in use; never more than `capacity`.
  @inlinable public var count: Int { used }
  @usableFromInline var used: Int

  /// The default capacity holds the largest packet without jumbogram (40 + 65,535) and some room.
  public static var defaultCapacity: Int { 65_664 }

  /// Allocates room for `capacity` bytes, all zero.
  public init(capacity: Int = PacketBuffer.defaultCapacity) {
    precondition(capacity >= 0)
    self.capacity = capacity
    self.used = 0
    // Owned by this value alone and freed in `deinit`.
    unsafe self.storage = .allocate(byteCount: Swift.max(capacity, 16), alignment: 16)
    // `capacity` bytes were allocated just above; nobody may ever read what malloc left there.
    unsafe storage.initializeMemory(as: UInt8.self, repeating: 0, count: capacity)
  }

  deinit {
    // Allocated in `init`; the value is not copyable, so nobody else holds it.
    unsafe storage.deallocate()
  }

  /// The bytes in use.
  @inlinable
  public var bytes: RawSpan {
    @inline(__always)
    @_lifetime(borrow self)
    get {
      // The first `used` bytes of an allocation that lives as long as `self`.
      let span = unsafe RawSpan(_unsafeStart: storage, byteCount: used)
      // Ties the span to the borrow of `self`, which owns the memory.
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The bytes in use, to be changed in place.
  @inlinable
  public var mutableBytes: MutableRawSpan {
    @inline(__always)
    @_lifetime(&self)
    mutating get {
      // The first `used` bytes of an allocation that lives as long as `self`.
      let span = unsafe MutableRawSpan(_unsafeStart: storage, byteCount: used)
      // Ties the span to the exclusive access to `self`, which owns the memory.
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  /// Replaces the contents. False, with nothing changed, when `bytes` do not fit.
  @inlinable
  public mutating func assign(_ bytes: RawSpan) -> Bool {
    let length = bytes.byteCount
    guard length <= capacity else { return false }
    // Both sides hold `length` bytes; memmove, so the source may even be this buffer's own bytes.
    unsafe bytes.withUnsafeBytes { source in
      if let base = source.baseAddress {
        // As above: `length` <= `capacity`.
        unsafe storage.copyMemory(from: base, byteCount: length)
      }
    }
    used = length
    return true
  }

  /// Adds `bytes` behind those in use. False, with nothing changed, when they do not fit.
  @inlinable
  public mutating func append(_ bytes: RawSpan) -> Bool {
    let length = bytes.byteCount
    guard length <= capacity &- used else { return false }
    let start = used
    used = start &+ length
    copy(bytes, at: start)
    return true
  }

  /// Writes `bytes` over those in use from `offset` on. Traps when they reach past `count`.
  @inlinable
  public mutating func copy(_ bytes: RawSpan, at offset: Int) {
    let length = bytes.byteCount
    precondition(offset >= 0 && offset <= used && length <= used &- offset)
    // `offset + length` <= `used` <= `capacity` by the precondition.
    unsafe bytes.withUnsafeBytes { source in
      if let base = source.baseAddress {
        // As above.
        unsafe (storage + offset).copyMemory(from: base, byteCount: length)
      }
    }
  }

  /// Moves the bytes of `range` so that they start at `target`. Traps unless both lie in `count`.
  @inlinable
  public mutating func move(_ range: Range<Int>, to target: Int) {
    precondition(range.lowerBound >= 0 && range.upperBound <= used)
    precondition(target >= 0 && target <= used && range.count <= used &- target)
    // Both places lie in the bytes in use; memmove allows them to overlap.
    unsafe (storage + target).copyMemory(
      from: storage + range.lowerBound, byteCount: range.count)
  }

  /// Cuts or grows. Bytes gained hold whatever was there before (never memory of others: the
  /// allocation was cleared at start). Traps beyond `capacity`.
  @inlinable
  public mutating func resize(to count: Int) {
    precondition(count >= 0 && count <= capacity)
    used = count
  }

  /// Lets `body` write new contents from the first byte on, as a system call does: it gets all of the
  /// capacity, and says how many bytes it wrote; less than none leaves the buffer empty.
  /// - Returns: what `body` said.
  @inlinable
  public mutating func fill(_ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
    // `capacity` bytes were allocated, and are lent for the time of the call.
    let result = unsafe body(UnsafeMutableRawBufferPointer(start: storage, count: capacity))
    precondition(result <= capacity)
    used = Swift.max(result, 0)
    return result
  }

  /// Forgets the contents.
  @inlinable
  public mutating func removeAll() {
    used = 0
  }

  /// The byte at `offset`. Traps outside `count`.
  @inlinable @inline(__always)
  public func uint8(at offset: Int) -> UInt8 { bytes.uint8(at: offset) }

  /// The big-endian 16-bit word at `offset`. Traps outside `count`.
  @inlinable @inline(__always)
  public func uint16(at offset: Int) -> UInt16 { bytes.uint16(at: offset) }

  /// The big-endian 32-bit word at `offset`. Traps outside `count`.
  @inlinable @inline(__always)
  public func uint32(at offset: Int) -> UInt32 { bytes.uint32(at: offset) }

  /// The big-endian 64-bit word at `offset`. Traps outside `count`.
  @inlinable @inline(__always)
  public func uint64(at offset: Int) -> UInt64 { bytes.uint64(at: offset) }

  /// Writes a byte. Traps outside `count`.
  @inlinable @inline(__always)
  public mutating func store8(_ value: UInt8, at offset: Int) {
    var span = mutableBytes
    span.store8(value, at: offset)
  }

  /// Writes a 16-bit word, big endian. Traps outside `count`.
  @inlinable @inline(__always)
  public mutating func store16(_ value: UInt16, at offset: Int) {
    var span = mutableBytes
    span.store16(value, at: offset)
  }

  /// Writes a 32-bit word, big endian. Traps outside `count`.
  @inlinable @inline(__always)
  public mutating func store32(_ value: UInt32, at offset: Int) {
    var span = mutableBytes
    span.store32(value, at: offset)
  }

  /// Writes a 64-bit word, big endian. Traps outside `count`.
  @inlinable @inline(__always)
  public mutating func store64(_ value: UInt64, at offset: Int) {
    var span = mutableBytes
    span.store64(value, at: offset)
  }
}

// The pointer is reachable through this value only, and the value has one owner at a time: moving
// it to another thread moves the memory with it.
extension PacketBuffer: @unchecked Sendable {}
