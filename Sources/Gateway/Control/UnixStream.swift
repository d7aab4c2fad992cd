// A stream over a Unix socket, in frames. For both ends of the control socket.

#if os(Linux)
  import Glibc
  import TableControl

  /// One end of a connection. Closed with its last reference.
  final class UnixStream: Sendable {
    let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { _ = close(descriptor) }

    /// The longest path a socket may have, bytes: `sockaddr_un` with the zero that ends it.
    static let longestPath = 107

    /// A new stream socket that belongs to nobody yet; negative where there is none to be had.
    static func make() -> Int32 {
      socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }

    /// Calls `body` with the address of a path.
    static func withAddress<Result>(
      _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) throws(SystemError) -> Result {
      guard path.utf8.count <= longestPath, !path.utf8.contains(0) else {
        throw SystemError("control socket \(path)", ENAMETOOLONG)
      }
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      // Both are of the address's own size; the path fits and what is behind it is zero.
      unsafe withUnsafeMutableBytes(of: &address.sun_path) { bytes in
        for (index, byte) in path.utf8.enumerated() { unsafe bytes[index] = byte }
      }
      let length = socklen_t(MemoryLayout<sockaddr_un>.size)
      return unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, length) }
      }
    }

    /// How long one end waits for the other to take what it sends, or to finish a frame it began.
    func setPatience(seconds: Int) {
      var time = timeval(tv_sec: seconds, tv_usec: 0)
      let size = socklen_t(MemoryLayout<timeval>.size)
      // The kernel reads the local.
      _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, size)
      _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, size)
    }

    /// Sends a frame; false where the other end is gone or takes nothing.
    func send(_ frame: ControlFrame) -> Bool { send(frame.bytes) }

    func send(_ bytes: [UInt8]) -> Bool {
      var done = 0
      while done < bytes.count {
        // From the array's own storage, within its bounds.
        let sent = unsafe bytes.withUnsafeBytes { buffer in
          unsafe Glibc.send(
            descriptor, buffer.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL))
        }
        if sent < 0 && errno == EINTR { continue }
        if sent <= 0 { return false }
        done += sent
      }
      return true
    }

    /// What has come: empty at the end, nil where nothing comes in time or the connection broke.
    func receive() -> [UInt8]? {
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      while true {
        // Into the array's own storage, within its bounds.
        let received = unsafe buffer.withUnsafeMutableBytes { bytes in
          unsafe recv(descriptor, bytes.baseAddress, bytes.count, 0)
        }
        if received < 0 && errno == EINTR { continue }
        if received < 0 { return nil }
        return Array(buffer[..<received])
      }
    }

    /// Waits until one of the descriptors is readable.
    /// - Returns: which are; none where the wait ended without.
    static func wait(_ descriptors: [Int32], milliseconds: Int32 = -1) -> Set<Int32> {
      var waiting = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      // The kernel reads and writes the array's elements.
      let ready = unsafe poll(&waiting, nfds_t(waiting.count), milliseconds)
      return ready <= 0 ? [] : Set(waiting.filter { $0.revents != 0 }.map(\.fd))
    }
  }
#endif
