// CRC32c (Castagnoli), the checksum of SCTP (RFC 9260 appendix A): eight bytes a step by tables.

/// The CRC with the reflected polynomial 0x82f63b78, initial value and final complement all ones.
public enum CRC32c {
  /// Eight tables of 256 entries: entry `256 k + b` is byte `b` followed by `k` zero bytes.
  static let table: InlineArray<2048, UInt32> = {
    var table = InlineArray<2048, UInt32>(repeating: 0)
    for byte in 0..<256 {
      var value = UInt32(byte)
      for _ in 0..<8 {
        value = value & 1 != 0 ? value >> 1 ^ 0x82f6_3b78 : value >> 1
      }
      table[byte] = value
    }
    for step in 256..<2048 {
      let before = table[step - 256]
      table[step] = before >> 8 ^ table[Int(before & 0xff)]
    }
    return table
  }()

  /// The running register after the bytes from `start` to before `end`. Begin with `UInt32.max`,
  /// complement at the end. Traps outside the span.
  public static func update(
    _ register: UInt32, _ bytes: RawSpan, from start: Int, to end: Int
  ) -> UInt32 {
    precondition(start >= 0 && start <= end && end <= bytes.byteCount)
    var crc = register
    var at = start
    // One access to the static outside the loop; the table is read in place.
    let table = table.span
    while at &+ 8 <= end {
      let word = bytes.uint64(at: at).byteSwapped ^ UInt64(crc)
      crc =
        table[1792 &+ Int(word & 0xff)]
        ^ table[1536 &+ Int(word >> 8 & 0xff)]
        ^ table[1280 &+ Int(word >> 16 & 0xff)]
        ^ table[1024 &+ Int(word >> 24 & 0xff)]
        ^ table[768 &+ Int(word >> 32 & 0xff)]
        ^ table[512 &+ Int(word >> 40 & 0xff)]
        ^ table[256 &+ Int(word >> 48 & 0xff)]
        ^ table[Int(word >> 56)]
      at &+= 8
    }
    while at < end {
      crc = crc >> 8 ^ table[Int((crc ^ UInt32(bytes.uint8(at: at))) & 0xff)]
      at &+= 1
    }
    return crc
  }

  /// The CRC of the bytes from `start` to before `end`.
  public static func checksum(_ bytes: RawSpan, from start: Int, to end: Int) -> UInt32 {
    ~update(.max, bytes, from: start, to: end)
  }

  /// The checksum of the SCTP packet between `offset` and `end`, its checksum field taken as zero;
  /// it goes on the wire least significant byte first. Traps unless 12 bytes are there.
  public static func sctp(_ bytes: RawSpan, at offset: Int, end: Int) -> UInt32 {
    precondition(offset >= 0 && offset <= end &- SCTPField.headerLength)
    var crc = update(.max, bytes, from: offset, to: offset &+ SCTPField.checksum)
    // Four zero bytes in the checksum's place.
    for _ in 0..<4 { crc = crc >> 8 ^ table[Int(crc & 0xff)] }
    return ~update(crc, bytes, from: offset &+ SCTPField.headerLength, to: end)
  }

  /// Whether the SCTP packet between `offset` and `end` has the right checksum; false when it has
  /// no whole header.
  public static func sctpIsValid(_ bytes: RawSpan, at offset: Int, end: Int) -> Bool {
    guard let header = SCTPHeader(bytes, at: offset, end: end) else { return false }
    return header.checksum == sctp(bytes, at: offset, end: end)
  }
}
