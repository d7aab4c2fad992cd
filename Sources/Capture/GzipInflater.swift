// Streaming gzip decompression through zlib, for compressed captures: bytes come out as soon as
// enough has gone in, and memory stays the same however long the stream is.

import CZlib

/// Inflates a gzip stream of one or more members (RFC 1952, 2.2).
@safe
final class GzipInflater {
  enum Failure: Error {
    /// The system refused to give more bytes; the text says why.
    case read(String)
    /// Not what a compressor writes; zlib's words.
    case damaged(String)
  }

  // Safe to wrap: the stream is private, and its pointers are set anew for each call of inflate.
  private let stream: UnsafeMutablePointer<z_stream>
  private var input: [UInt8]
  private var inputStart: Int
  private var inputEnd: Int
  /// Nil when all input was given at once.
  private let descriptor: Int32?
  private var inputEnded = false
  /// Between members: the next bytes, if any, must start another.
  private var betweenMembers = false
  private var ended = false
  /// Found, but what came out before it goes first.
  private var failure: Failure?
  /// The input ended inside a member: the file is cut short.
  private(set) var wasCut = false

  private static let inputSize = 128 << 10

  /// `first` are bytes already read; more come from `descriptor`, if it is given.
  init(first: RawSpan, descriptor: Int32?) {
    let count = first.byteCount
    var input = [UInt8](
      repeating: 0, count: descriptor == nil ? count : max(count, GzipInflater.inputSize))
    unsafe input.withUnsafeMutableBytes { target in
      // `input` holds at least `first.byteCount` bytes.
      unsafe first.withUnsafeBytes { unsafe target.copyMemory(from: $0) }
    }
    self.input = input
    self.inputStart = 0
    self.inputEnd = count
    self.descriptor = descriptor
    // Owned by this object alone; freed in `deinit`.
    unsafe self.stream = .allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    // 15 window bits, and 16 for a gzip header and trailer. Fails only without memory, or when
    // zlib's header and library do not belong together.
    let status = unsafe inflateInit2_(
      stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(status == Z_OK, "zlib cannot be initialised")
  }

  deinit {
    // Initialised in `init`, and nobody else has the pointer.
    unsafe _ = inflateEnd(stream)
    unsafe stream.deinitialize(count: 1)
    unsafe stream.deallocate()
  }

  /// Fills some of `output`, which is not empty: how many bytes, 0 at the end.
  func read(into output: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    if let failure { throw failure }
    while !ended {
      if betweenMembers {
        guard try startNextMember() else { break }
      }
      let (produced, status) = unsafe step(into: output)
      switch status {
      case Z_STREAM_END:
        betweenMembers = true
      case Z_OK, Z_BUF_ERROR:
        break
      default:
        // zlib's message, if it has one, is a static C string.
        let words = unsafe stream.pointee.msg.map { unsafe String(cString: $0) }
        failure = .damaged(words ?? "zlib error \(status)")
      }
      if produced > 0 { return produced }
      if let failure { throw failure }
      if betweenMembers || inputStart < inputEnd { continue }
      if try !refill() {
        ended = true
        wasCut = true
      }
    }
    return 0
  }

  /// One call of inflate over the input at hand.
  private func step(into output: UnsafeMutableRawBufferPointer) -> (produced: Int, status: Int32) {
    let room = min(output.count, 1 << 30)
    let available = inputEnd - inputStart
    let status = unsafe input.withUnsafeMutableBytes { bytes in
      // Both pointers are good for the counts given with them, and used only during this call.
      unsafe stream.pointee.next_in = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        .advanced(by: inputStart)
      unsafe stream.pointee.avail_in = UInt32(available)
      unsafe stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
      unsafe stream.pointee.avail_out = UInt32(room)
      return unsafe inflate(stream, Z_SYNC_FLUSH)
    }
    // What zlib did not use.
    inputStart = unsafe inputEnd - Int(stream.pointee.avail_in)
    return unsafe (room - Int(stream.pointee.avail_out), status)
  }

  /// After a member: true when another follows. Anything else behind a member is padding, as
  /// gzip(1) treats it, and ends the stream.
  private func startNextMember() throws(Failure) -> Bool {
    while inputEnd - inputStart < 2 {
      guard try refill() else {
        ended = true
        return false
      }
    }
    guard input[inputStart] == 0x1f, input[inputStart + 1] == 0x8b else {
      ended = true
      return false
    }
    // Initialised in `init`.
    unsafe _ = inflateReset(stream)
    betweenMembers = false
    return true
  }

  /// Reads more compressed bytes behind those at hand; false at the end.
  private func refill() throws(Failure) -> Bool {
    guard let descriptor, !inputEnded else { return false }
    if inputStart > 0 {
      input.replaceSubrange(0..<(inputEnd - inputStart), with: input[inputStart..<inputEnd])
      inputEnd -= inputStart
      inputStart = 0
    }
    let start = inputEnd
    let got = unsafe input.withUnsafeMutableBytes { bytes in
      // The part of the input buffer behind the bytes in use.
      unsafe SystemCalls.read(
        descriptor, into: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
    }
    guard let got else { throw .read(SystemCalls.lastErrorText()) }
    if got == 0 { inputEnded = true }
    inputEnd += got
    return got > 0
  }
}
