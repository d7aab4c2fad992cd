// The four system calls a capture needs, with interrupted calls repeated and refusals in words.
// Used by the byte source and the writer; nothing else in this module talks to the system.

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

enum SystemCalls {
  /// What the system said last, in words (`No such file or directory`).
  static func lastErrorText() -> String {
    // strerror gives a static or thread-local C string that is copied before anything else runs.
    unsafe String(cString: strerror(errno))
  }

  /// A descriptor for reading, or nil (see `lastErrorText`).
  static func openForReading(_ path: String) -> Int32? {
    // The path is passed as a C string for the time of the call.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    return descriptor < 0 ? nil : descriptor
  }

  /// A descriptor of a new or emptied file, or nil (see `lastErrorText`).
  static func create(_ path: String) -> Int32? {
    // As above.
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    return descriptor < 0 ? nil : descriptor
  }

  static func close(_ descriptor: Int32) -> Bool {
    #if canImport(Darwin)
      Darwin.close(descriptor) == 0
    #elseif canImport(Glibc)
      Glibc.close(descriptor) == 0
    #elseif canImport(Musl)
      Musl.close(descriptor) == 0
    #endif
  }

  /// Reads what is there into `buffer`, which is not empty, waiting for the first byte: how many
  /// bytes came, 0 at the end, or nil (see `lastErrorText`).
  static func read(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Int? {
    while true {
      // The kernel writes at most `count` bytes to the caller's own buffer.
      let got = unsafe platformRead(descriptor, buffer.baseAddress, buffer.count)
      if got >= 0 { return got }
      guard mayRetry(descriptor, events: Int16(POLLIN)) else { return nil }
    }
  }

  /// Writes all of `buffer`. False when the system refuses (see `lastErrorText`).
  static func writeAll(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) -> Bool {
    var written = 0
    while written < buffer.count {
      // The rest of the caller's buffer, which the kernel only reads.
      let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[written...])
      let put = unsafe platformWrite(descriptor, rest.baseAddress, rest.count)
      if put >= 0 {
        written += put
      } else if !mayRetry(descriptor, events: Int16(POLLOUT)) {
        return false
      }
    }
    return true
  }

  /// After a failed call: whether to call again. A descriptor somebody set to non-blocking is
  /// waited for.
  private static func mayRetry(_ descriptor: Int32, events: Int16) -> Bool {
    if errno == EINTR { return true }
    guard errno == EAGAIN || errno == EWOULDBLOCK else { return false }
    var request = pollfd(fd: descriptor, events: events, revents: 0)
    // One request, which lives across the call.
    return unsafe poll(&request, 1, -1) >= 0 || errno == EINTR
  }

  private static func platformRead(
    _ descriptor: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int
  ) -> Int {
    // Passed through to the system; bounds are the caller's.
    #if canImport(Darwin)
      unsafe Darwin.read(descriptor, buffer, count)
    #elseif canImport(Glibc)
      unsafe Glibc.read(descriptor, buffer, count)
    #elseif canImport(Musl)
      unsafe Musl.read(descriptor, buffer, count)
    #endif
  }

  private static func platformWrite(
    _ descriptor: Int32, _ buffer: UnsafeRawPointer?, _ count: Int
  ) -> Int {
    // Passed through to the system; bounds are the caller's.
    #if canImport(Darwin)
      unsafe Darwin.write(descriptor, buffer, count)
    #elseif canImport(Glibc)
      unsafe Glibc.write(descriptor, buffer, count)
    #elseif canImport(Musl)
      unsafe Musl.write(descriptor, buffer, count)
    #endif
  }
}
