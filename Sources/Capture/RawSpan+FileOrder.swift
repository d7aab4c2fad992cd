// Numbers in the byte order of the file they stand in, for the readers of both formats.

extension RawSpan {
  /// The byte at `offset`.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 {
    // The load checks bounds; any byte is a valid UInt8.
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
  }

  /// The 16-bit word at `offset`, its bytes turned if the file was written in the other order.
  @inline(__always)
  func word16(_ offset: Int, swapped: Bool) -> UInt16 {
    // The load checks bounds; any two bytes are a valid UInt16.
    let word = unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
    return swapped ? word.byteSwapped : word
  }

  /// The 32-bit word at `offset`, its bytes turned if the file was written in the other order.
  @inline(__always)
  func word32(_ offset: Int, swapped: Bool) -> UInt32 {
    // The load checks bounds; any four bytes are a valid UInt32.
    let word = unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
    return swapped ? word.byteSwapped : word
  }
}
