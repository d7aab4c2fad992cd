// Reads a file to its end with the system's own calls: it may be a pipe, as a shell's `<(…)` is, which
// the file functions of FoundationEssentials refuse.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

enum WholeFile {
  /// The bytes of the file at `path`, at most `most` of them.
  static func read(_ path: String, most: Int) throws(HostSnapshotError) -> [UInt8] {
    // The path is a string for the call only.
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw unreadable(path) }
    defer { _ = close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      // Into the array's own storage, no more than it holds.
      let count = unsafe piece.withUnsafeMutableBytes { buffer in
        #if canImport(Glibc)
          unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
        #else
          unsafe Darwin.read(descriptor, buffer.baseAddress, buffer.count)
        #endif
      }
      if count < 0 && errno == EINTR { continue }
      if count < 0 { throw unreadable(path) }
      if count == 0 { return bytes }
      bytes.append(contentsOf: piece[..<count])
      guard bytes.count <= most else {
        throw HostSnapshotError(
          file: path, "is longer than the \(most) bytes that are read at most")
      }
    }
  }

  private static func unreadable(_ path: String) -> HostSnapshotError {
    switch errno {
    case EACCES, EPERM: HostSnapshotError(file: path, "cannot be read: permission denied")
    case EISDIR: HostSnapshotError(file: path, "is a folder, where a file was expected")
    case ENOENT: HostSnapshotError(file: path, "there is no such file")
    default: HostSnapshotError(file: path, "cannot be read (error \(errno))")
    }
  }
}
