// The few calls of the system this command makes itself: writing to its outputs and ending.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

enum Foreign {
  static func exit(_ status: Int32) -> Never {
    #if canImport(Glibc)
      Glibc.exit(status)
    #else
      Darwin.exit(status)
    #endif
  }

  static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

  /// Writes all of `bytes`. False when the other end is gone or the disk full.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var done = 0
    while done < bytes.count {
      // From the array's own storage, within its bounds, and kept only for the call.
      let written = unsafe bytes.withUnsafeBytes { buffer in
        #if canImport(Glibc)
          unsafe Glibc.write(descriptor, buffer.baseAddress! + done, bytes.count - done)
        #else
          unsafe Darwin.write(descriptor, buffer.baseAddress! + done, bytes.count - done)
        #endif
      }
      if written < 0 && errno == EINTR { continue }
      if written <= 0 { return false }
      done += written
    }
    return true
  }
}

enum StandardError {
  static func say(_ text: String) {
    _ = Foreign.write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8), to: 2)
  }
}

/// Standard output, collected into large writes.
struct Output {
  private var buffer: [UInt8] = []
  private let limit = 1 << 16

  /// Runs `body` on the buffer to append to.
  mutating func append(flush: Bool = false, _ body: (inout [UInt8]) -> Void) throws {
    body(&buffer)
    if flush || buffer.count >= limit { try self.flush() }
  }

  mutating func append(_ text: String) throws {
    try append { $0.append(contentsOf: text.utf8) }
  }

  mutating func flush() throws {
    defer { buffer.removeAll(keepingCapacity: true) }
    if !buffer.isEmpty && !Foreign.write(buffer, to: 1) {
      throw Failure(message: "standard output: cannot be written to", status: 1)
    }
  }
}
