// The socket a gateway listens on for commands: its owner's alone, and one gateway's at a time.

#if os(Linux)
  import CLinux
  import Glibc

  /// A listening Unix socket that only its owner (and root) may use. Goes away with its last reference.
  public final class ControlSocket: Sendable {
    public let path: String
    let descriptor: Int32
    /// Held locked while the gateway runs: whoever finds it locked is the second.
    private let lock: Int32

    /// - Parameter path: the socket's; one beside it, with `.lock`, is taken too.
    /// - Throws: `ControlSocketError` where another gateway listens there already, `SystemError`.
    public init(_ path: String) throws {
      self.path = path
      // The paths of this file are strings that live through their calls.
      let lock = unsafe open(path + ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
      guard lock >= 0 else { throw SystemError("\(path).lock") }
      guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
        _ = close(lock)
        throw ControlSocketError.isTaken(path)
      }
      do {
        descriptor = try ControlSocket.listen(path)
      } catch {
        _ = close(lock)
        throw error
      }
      self.lock = lock
    }

    deinit {
      _ = unsafe unlink(path)
      _ = close(descriptor)
      _ = unsafe unlink(path + ".lock")
      _ = close(lock)
    }

    private static func listen(_ path: String) throws -> Int32 {
      var status = stat()
      // The kernel writes to the local.
      if unsafe lstat(path, &status) == 0 {
        guard status.st_mode & S_IFMT == S_IFSOCK else {
          throw ControlSocketError.isSomethingElse(path)
        }
        // Left by a gateway that was killed, for the lock is ours.
        _ = unsafe unlink(path)
      }
      let descriptor = UnixStream.make()
      guard descriptor >= 0 else { throw SystemError("control socket \(path)") }
      // Nobody else's from its first moment.
      let mask = umask(0o177)
      let bound = try unsafe UnixStream.withAddress(path) { address, length in
        unsafe bind(descriptor, address, length)
      }
      umask(mask)
      guard bound == 0, Glibc.listen(descriptor, 16) == 0 else {
        let number = errno
        _ = close(descriptor)
        throw SystemError("control socket \(path)", number)
      }
      return descriptor
    }

    /// The next client, and which process it is. Nil for one that may not.
    func accept() -> (stream: UnixStream, process: UInt32)? {
      let descriptor = Glibc.accept(self.descriptor, nil, nil)
      guard descriptor >= 0 else { return nil }
      let stream = UnixStream(descriptor)
      var process: UInt32 = 0
      var user: UInt32 = 0
      // Writes to the locals.
      guard unsafe weir_peer(descriptor, &process, &user) == 0, user == 0 || user == geteuid()
      else { return nil }
      return (stream, process)
    }
  }

  /// Why a gateway cannot listen where it was told.
  public enum ControlSocketError: Error, Hashable, CustomStringConvertible {
    case isTaken(String)
    case isSomethingElse(String)

    public var description: String {
      switch self {
      case .isTaken(let path): "another gateway already listens on the control socket \(path)"
      case .isSomethingElse(let path):
        "the control socket \(path): a file that is no socket is in the way"
      }
    }
  }
#endif
