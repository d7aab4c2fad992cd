// Memory for the messages of one round, as they were read, one behind the other. For the ports that the
// kernel hands packets to.

#if os(Linux)
  import Firewall
  import Glibc
  import Wire

  struct MessageRoom: ~Copyable {
    /// The longest message: a packet of 64 KiB with what the kernel says of it.
    static let longest = 66_560
    static let size = longest * 8

    private let memory = FlatArray<UInt8>(count: size)

    /// Lets `body` write a message at `offset`, where the longest fits, and say how long it is.
    func fill(_ offset: Int, _ body: (UnsafeMutableRawBufferPointer) -> Int) -> Int {
      precondition(offset >= 0 && offset + MessageRoom.longest <= MessageRoom.size)
      // In bounds by the precondition.
      let room = unsafe UnsafeMutableRawBufferPointer(
        start: memory.pointer(offset), count: MessageRoom.longest)
      return unsafe min(body(room), MessageRoom.longest)
    }

    /// `length` bytes from `offset` on.
    @_lifetime(borrow self)
    func bytes(_ offset: Int, _ length: Int) -> RawSpan {
      precondition(offset >= 0 && length >= 0 && offset + length <= MessageRoom.size)
      // In bounds by the precondition.
      let span = unsafe RawSpan(
        _unsafeStart: memory.pointer(min(offset, MessageRoom.size - 1)), byteCount: length)
      // Ties the span to the room, which owns the memory.
      return unsafe _overrideLifetime(span, borrowing: self)
    }

    /// The same bytes as a packet of a burst that is not full, and no longer than its packets may be.
    func append(_ offset: Int, _ length: Int, _ arrival: Arrival, to burst: inout PacketBurst) {
      _ = burst.append(bytes(offset, length), arrival)
    }

    func copy(_ offset: Int, _ length: Int, to buffer: inout PacketBuffer) {
      _ = buffer.assign(bytes(offset, length))
    }

    /// Whether they are those of a packet that leaves.
    func isSame(
      _ offset: Int, _ length: Int, as queue: borrowing TransmitQueue,
      _ entry: TransmitQueue.Entry
    ) -> Bool {
      guard Int(entry.length) == length, length > 0 else { return false }
      return unsafe bytes(offset, length).withUnsafeBytes { before in
        // Both have this many bytes, more than none.
        unsafe queue.bytes(entry).withUnsafeBytes { after in
          unsafe memcmp(before.baseAddress!, after.baseAddress!, length) == 0
        }
      }
    }

    /// Numbers in network order.
    func store16(_ value: UInt16, at offset: Int) {
      memory[offset] = UInt8(value >> 8)
      memory[offset + 1] = UInt8(value & 0xff)
    }

    func store32(_ value: UInt32, at offset: Int) {
      store16(UInt16(value >> 16), at: offset)
      store16(UInt16(value & 0xffff), at: offset + 2)
    }
  }
#endif
