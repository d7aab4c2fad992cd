// The system calls that run another program and talk to it through pipes.

#if os(Linux)
  import Glibc

  extension System {
    /// Where programs are looked for: root's own folders too, which are not in everyone's path.
    static var searchPath: [String] {
      // The C library's string is copied before anything can change the environment.
      let path = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ""
      return path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]
    }

    static func pipe() throws -> (read: Descriptor, write: Descriptor) {
      var ends: [Int32] = [-1, -1]
      // The kernel writes two descriptors into the array of two.
      guard unsafe Glibc.pipe(&ends) == 0 else { throw SystemError("pipe") }
      for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
      return (try Descriptor(ends[0], "pipe"), try Descriptor(ends[1], "pipe"))
    }

    /// Starts a program whose standard input, output and error are the descriptors given. It is in
    /// this thread's namespace, and has no other descriptor of this process.
    static func spawn(_ words: [String], standard: [Int32]) throws -> pid_t {
      guard let path = searchPath.lazy.map({ "\($0)/\(words[0])" }).first(where: exists) else {
        throw CommandError(command: words[0], output: "no such program")
      }
      // The C library fills, reads and frees a structure that nobody else sees.
      var actions = unsafe posix_spawn_file_actions_t()
      unsafe posix_spawn_file_actions_init(&actions)
      defer { unsafe posix_spawn_file_actions_destroy(&actions) }
      for (number, descriptor) in standard.enumerated() {
        // As above.
        unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
      }
      // Copies of the words as C strings, with a nil at the end, freed behind the call.
      var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) }
      unsafe arguments.append(nil)
      defer { for index in words.indices { unsafe free(arguments[index]) } }
      var process: pid_t = 0
      let result = unsafe posix_spawn(&process, path, &actions, nil, &arguments, environ)
      guard result == 0 else { throw SystemError("posix_spawn \(path)", result) }
      return process
    }

    /// Waits for the end of a process: its exit status, or -1 if a signal ended it.
    static func wait(_ process: pid_t) -> Int32 {
      var status: Int32 = 0
      // The kernel writes to the local.
      while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
      return status & 0x7f == 0 ? status >> 8 & 0xff : -1
    }

    static func write(_ bytes: [UInt8], to descriptor: Descriptor) throws {
      // The kernel only reads the array, for the time of the call.
      let put = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.write(descriptor.number, $0.baseAddress, $0.count)
      }
      guard put == bytes.count else { throw SystemError("write") }
    }

    static func readAll(_ descriptor: Descriptor) throws -> [UInt8] {
      var all: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while true {
        // The kernel writes at most `count` bytes into the array.
        let got = unsafe buffer.withUnsafeMutableBytes {
          unsafe read(descriptor.number, $0.baseAddress, $0.count)
        }
        if got > 0 {
          all += buffer[..<got]
        } else if got == 0 {
          return all
        } else if errno != EINTR {
          throw SystemError("read")
        }
      }
    }
  }
#endif
