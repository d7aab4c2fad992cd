// The bytes of a capture as a window that moves over a file, a pipe, a gzip stream or an array, for
// the readers of both formats. It never waits for bytes beyond those it was asked for.

/// A window over a stream of bytes. Its size has a limit (`longestWindow`), the stream has none.
struct ByteSource: ~Copyable {
  /// The longest run of bytes that can be asked for at once: no block or packet may be longer.
  static let longestWindow = 16 << 20
  private static let usualWindow = 1 << 20

  let name: String
  private var buffer: [UInt8]
  /// The window: `start..<end` of the buffer holds bytes not yet consumed.
  private(set) var start = 0
  private var end: Int
  /// Where the window starts in the stream.
  private(set) var offset: Int64 = 0
  /// No more bytes will come.
  private var ended: Bool
  private let descriptor: Int32?
  private let closesDescriptor: Bool
  private var inflater: GzipInflater?

  init(descriptor: Int32, closing: Bool, name: String) {
    self.name = name
    self.descriptor = descriptor
    self.closesDescriptor = closing
    self.buffer = [UInt8](repeating: 0, count: ByteSource.usualWindow)
    self.end = 0
    self.ended = false
  }

  init(bytes: [UInt8], name: String) {
    self.name = name
    self.descriptor = nil
    self.closesDescriptor = false
    self.buffer = bytes
    self.end = bytes.count
    self.ended = true
  }

  deinit {
    if closesDescriptor, let descriptor { _ = SystemCalls.close(descriptor) }
  }

  /// How many bytes are in the window.
  var available: Int {
    @inline(__always) get { end &- start }
  }

  /// The whole buffer: `start` is where the window begins in it.
  var bytes: RawSpan {
    @inline(__always)
    @_lifetime(borrow self)
    get {
      // Bytes have no padding, which is all that makes raw bytes of a span unsafe.
      unsafe buffer.span.bytes
    }
  }

  /// The byte `offset` behind the window's start.
  @inline(__always)
  func byte(_ offset: Int) -> UInt8 {
    bytes.byte(start &+ offset)
  }

  /// The 16-bit word `offset` behind the window's start.
  @inline(__always)
  func word16(_ offset: Int, swapped: Bool) -> UInt16 {
    bytes.word16(start &+ offset, swapped: swapped)
  }

  /// The 32-bit word `offset` behind the window's start.
  @inline(__always)
  func word32(_ offset: Int, swapped: Bool) -> UInt32 {
    bytes.word32(start &+ offset, swapped: swapped)
  }

  /// Whether a compressed stream ended before its trailer.
  var compressionWasCut: Bool { inflater?.wasCut ?? false }

  /// Makes the window at least `count` bytes long, at most `longestWindow`. False when the stream
  /// ends before; then the window holds all that is left. Amortised O(bytes read).
  @inline(__always)
  mutating func fill(_ count: Int) throws(CaptureError) -> Bool {
    if available >= count { return true }
    return try refill(count)
  }

  /// Moves the window's start forward by `count`, at most `available`.
  @inline(__always)
  mutating func consume(_ count: Int) {
    precondition(count >= 0 && count <= available)
    start &+= count
    offset &+= Int64(count)
  }

  /// Passes over `count` bytes however many they are; false when the stream ends before.
  mutating func skip(_ count: Int64) throws(CaptureError) -> Bool {
    var left = count
    while left > 0 {
      guard try fill(1) else { return false }
      let step = Int(min(Int64(available), left))
      consume(step)
      left -= Int64(step)
    }
    return true
  }

  /// Takes the bytes from here on for a gzip stream, and becomes a window over what it holds.
  mutating func decompress() {
    inflater = GzipInflater(first: bytes.extracting(start..<end), descriptor: descriptor)
    buffer = [UInt8](repeating: 0, count: ByteSource.usualWindow)
    start = 0
    end = 0
    offset = 0
    ended = false
  }

  @inline(never)
  private mutating func refill(_ count: Int) throws(CaptureError) -> Bool {
    precondition(count <= ByteSource.longestWindow)
    if ended { return false }
    moveWindowToFront()
    if count > buffer.count {
      let size = min(ByteSource.longestWindow, max(count, buffer.count * 2))
      buffer.append(contentsOf: repeatElement(0, count: size - buffer.count))
    }
    while end < count {
      let got = try readMore()
      if got == 0 {
        ended = true
        return false
      }
      end += got
    }
    return true
  }

  private mutating func moveWindowToFront() {
    if start == 0 { return }
    let (from, length) = (start, end - start)
    unsafe buffer.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      // `from + length` is within the buffer; memmove allows the two places to overlap.
      unsafe base.copyMemory(from: base + from, byteCount: length)
    }
    start = 0
    end = length
  }

  /// Reads what is there behind the window: how many bytes, 0 at the end.
  private mutating func readMore() throws(CaptureError) -> Int {
    let from = end
    if let inflater {
      let result = unsafe buffer.withUnsafeMutableBytes {
        (bytes) -> Result<Int, GzipInflater.Failure> in
        // The part of the buffer behind the window; `end < count <= buffer.count`.
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[from...])
        do throws(GzipInflater.Failure) {
          return unsafe .success(try inflater.read(into: room))
        } catch {
          return .failure(error)
        }
      }
      switch result {
      case .success(let got): return got
      case .failure(.read(let words)): throw cannotRead(words)
      case .failure(.damaged(let words)):
        throw CaptureError(
          .damaged, file: name, offset: offset + Int64(available),
          "the gzip data are damaged from here on (\(words)); get the file again, or cut it here")
      }
    }
    guard let descriptor else { return 0 }
    let got = unsafe buffer.withUnsafeMutableBytes { bytes in
      // As above.
      unsafe SystemCalls.read(
        descriptor, into: UnsafeMutableRawBufferPointer(rebasing: bytes[from...]))
    }
    guard let got else { throw cannotRead(SystemCalls.lastErrorText()) }
    return got
  }

  private func cannotRead(_ words: String) -> CaptureError {
    CaptureError(.cannotRead, file: name, "cannot be read: \(words)")
  }
}
