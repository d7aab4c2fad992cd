// Writes pcapng captures: what `weir replay -w` leaves behind, to be opened in any other tool. Times
// are in nanoseconds, interfaces have names, and each packet says which way it went.

/// A pcapng capture being written (draft-ietf-opsawg-pcapng): one section, in this machine's byte
/// order, times in nanoseconds.
public struct CaptureWriter: ~Copyable {
  /// The name messages should use.
  public let name: String
  private let descriptor: Int32
  private let closesDescriptor: Bool
  private var buffer: [UInt8] = []
  private var interfaceCount = 0
  private let flushesEachPacket: Bool
  private var isOpen = true

  private static let bufferSize = 256 << 10

  /// Creates or empties a file; `-` is standard output. With `flushingEachPacket`, a reader at the
  /// other end of a pipe sees each packet at once.
  public init(path: String, flushingEachPacket: Bool = false) throws(CaptureError) {
    if path == "-" {
      self.init(
        fileDescriptor: 1, name: "standard output", closing: false,
        flushingEachPacket: flushingEachPacket)
      return
    }
    guard let descriptor = SystemCalls.create(path) else {
      throw CaptureError(
        .cannotOpen, file: path, "cannot be written: \(SystemCalls.lastErrorText())")
    }
    self.init(
      fileDescriptor: descriptor, name: path, closing: true,
      flushingEachPacket: flushingEachPacket)
  }

  /// Writes to an open file descriptor, which is closed at the end if `closing`.
  public init(
    fileDescriptor: Int32, name: String, closing: Bool, flushingEachPacket: Bool = false
  ) {
    self.name = name
    self.descriptor = fileDescriptor
    self.closesDescriptor = closing
    self.flushesEachPacket = flushingEachPacket
    buffer.reserveCapacity(CaptureWriter.bufferSize + 4096)
    append32(0x0a0d_0d0a)
    append32(28)
    append32(0x1a2b_3c4d)
    append16(1)
    append16(0)
    // The section's length: not known.
    append32(.max)
    append32(.max)
    append32(28)
  }

  deinit {
    // Whoever cares about errors has called `close()`.
    if isOpen {
      unsafe buffer.withUnsafeBytes { bytes in
        // The array's own bytes, for the time of the call.
        unsafe _ = SystemCalls.writeAll(descriptor, bytes)
      }
      if closesDescriptor { _ = SystemCalls.close(descriptor) }
    }
  }

  /// Describes an interface, without a limit to its packets' length; may be called between packets.
  /// Its number, for `write`.
  public mutating func addInterface(name: String?, linkType: Int) throws(CaptureError) -> Int {
    let start = buffer.count
    append32(1)
    append32(0)
    append16(UInt16(truncatingIfNeeded: linkType))
    append16(0)
    append32(0)
    if let name, !name.isEmpty {
      // An option's length has 16 bits; no interface's name comes near.
      let text = Array(name.utf8.prefix(4096))
      append16(2)
      append16(UInt16(text.count))
      buffer.append(contentsOf: text)
      pad()
    }
    // if_tsresol: 10 to the minus 9 seconds.
    append16(9)
    append16(1)
    buffer.append(9)
    pad()
    append32(0)
    endBlock(start)
    try flushIfDue()
    interfaceCount += 1
    return interfaceCount - 1
  }

  /// Writes one packet of an interface `addInterface` gave. `timeNanoseconds` counts from 1970; the
  /// format knows no time before. `originalLength` is that on the wire, where `bytes` are fewer.
  public mutating func write(
    _ bytes: RawSpan, interface: Int, timeNanoseconds: Int64, direction: FrameDirection? = nil,
    originalLength: Int? = nil
  ) throws(CaptureError) {
    precondition(interface >= 0 && interface < interfaceCount, "an interface not yet described")
    guard bytes.byteCount <= ByteSource.longestWindow - 64 else {
      throw CaptureError(
        .cannotWrite, file: name, "a packet of \(bytes.byteCount) bytes is too long to write")
    }
    let start = buffer.count
    let ticks = UInt64(max(0, timeNanoseconds))
    append32(6)
    append32(0)
    append32(UInt32(truncatingIfNeeded: interface))
    append32(UInt32(truncatingIfNeeded: ticks >> 32))
    append32(UInt32(truncatingIfNeeded: ticks))
    append32(UInt32(bytes.byteCount))
    append32(UInt32(clamping: originalLength ?? bytes.byteCount))
    unsafe bytes.withUnsafeBytes { source in
      // The caller's bytes, copied before the call returns.
      unsafe buffer.append(contentsOf: source)
    }
    pad()
    if let direction {
      append16(2)
      append16(4)
      append32(UInt32(direction.rawValue))
      append32(0)
    }
    endBlock(start)
    try flushIfDue()
  }

  /// Hands everything written so far to the system.
  public mutating func flush() throws(CaptureError) {
    let written = unsafe buffer.withUnsafeBytes { bytes in
      // The array's own bytes, for the time of the call.
      unsafe SystemCalls.writeAll(descriptor, bytes)
    }
    buffer.removeAll(keepingCapacity: true)
    guard written else { throw cannotWrite() }
  }

  /// Flushes, closes, and reports what went wrong in doing so.
  public consuming func close() throws(CaptureError) {
    try flush()
    isOpen = false
    if closesDescriptor, !SystemCalls.close(descriptor) { throw cannotWrite() }
  }

  private func cannotWrite() -> CaptureError {
    CaptureError(.cannotWrite, file: name, "cannot be written: \(SystemCalls.lastErrorText())")
  }

  private mutating func flushIfDue() throws(CaptureError) {
    if flushesEachPacket || buffer.count >= CaptureWriter.bufferSize { try flush() }
  }

  /// Fills in the block's length at its start and repeats it at its end.
  private mutating func endBlock(_ start: Int) {
    let length = UInt32(buffer.count + 4 - start)
    append32(length)
    for index in 0..<4 { buffer[start + 4 + index] = buffer[buffer.count - 4 + index] }
  }

  private mutating func pad() {
    while buffer.count & 3 != 0 { buffer.append(0) }
  }

  private mutating func append16(_ value: UInt16) {
    withBytes(of: value)
  }

  private mutating func append32(_ value: UInt32) {
    withBytes(of: value)
  }

  private mutating func withBytes<Word: FixedWidthInteger>(of value: Word) {
    var word = value.littleEndian
    for _ in 0..<(Word.bitWidth / 8) {
      buffer.append(UInt8(truncatingIfNeeded: word))
      word >>= 8
    }
  }
}
