// The system calls of the laboratory: namespaces, packet sockets, netlink sockets, the clock. All of
// this instrument's unsafe code is here.

#if os(Linux)
  import Glibc

  /// A call the system refused.
  struct SystemError: Error, CustomStringConvertible {
    var call: String
    var number: Int32

    init(_ call: String, _ number: Int32 = errno) {
      self.call = call
      self.number = number
    }

    /// Also what is sent over a cable gets, when it is longer than the other end takes.
    var isForLackOfSpace: Bool { number == ENOBUFS || number == EMSGSIZE }

    var description: String {
      // strerror gives a static C string that is copied before anything else runs.
      "\(call): \(unsafe String(cString: strerror(number)))"
    }
  }

  /// A descriptor that is closed when nobody holds it any more; at the latest by the kernel when the
  /// process ends, however it ends.
  final class Descriptor {
    private(set) var number: Int32

    init(_ number: Int32, _ call: String) throws {
      guard number >= 0 else { throw SystemError(call) }
      self.number = number
    }

    deinit { close() }

    func close() {
      if number >= 0 { _ = Glibc.close(number) }
      number = -1
    }
  }

  enum System {
    /// Nanoseconds since 1970.
    static func now() -> Int64 {
      var time = timespec()
      // The kernel writes to the local above.
      _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
      return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    static func sleep(milliseconds: Int) { _ = usleep(UInt32(milliseconds) * 1000) }

    static var processID: Int32 { getpid() }

    static var isRoot: Bool { geteuid() == 0 }

    static func exists(_ path: String) -> Bool {
      // The path is passed as a C string for the time of the call.
      unsafe access(path, F_OK) == 0
    }

    static func isWritable(_ path: String) -> Bool {
      // The path is passed as a C string for the time of the call.
      unsafe access(path, W_OK) == 0
    }

    private static func open(_ path: String, _ flags: Int32) throws -> Descriptor {
      // The path is passed as a C string for the time of the call.
      try Descriptor(unsafe Glibc.open(path, flags | O_CLOEXEC), "open \(path)")
    }

    /// Writes a kernel setting's file as the thread's namespace shows it.
    static func write(_ text: String, to path: String) throws {
      let file = try open(path, O_WRONLY)
      do {
        try write(Array(text.utf8), to: file)
      } catch let error as SystemError {
        throw SystemError("write \(text) to \(path)", error.number)
      }
    }

    // MARK: Locks

    /// A file that only exists to be locked.
    static func lockFile(_ path: String) throws -> Descriptor {
      // The path is passed as a C string for the time of the call.
      try Descriptor(
        unsafe Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600), "open \(path)")
    }

    /// Waits until nobody else holds the file, or only others who do not want to be alone.
    static func lock(_ file: Descriptor, alone: Bool) throws {
      while flock(file.number, alone ? LOCK_EX : LOCK_SH) != 0 {
        if errno != EINTR { throw SystemError("flock") }
      }
    }

    // MARK: Namespaces

    /// What Glibc's module leaves out of the C library, found by name at run time.
    private static func unshare(_ flags: Int32) -> Int32 {
      // `int unshare(int)`, unshare(2); the C library has it, so the pointer is not nil.
      guard let found = unsafe dlsym(nil, "unshare") else { return -1 }
      return unsafe unsafeBitCast(found, to: (@convention(c) (Int32) -> Int32).self)(flags)
    }

    private static func setns(_ descriptor: Int32, _ type: Int32) -> Int32 {
      // `int setns(int, int)`, setns(2); as above.
      guard let found = unsafe dlsym(nil, "setns") else { return -1 }
      return unsafe unsafeBitCast(
        found, to: (@convention(c) (Int32, Int32) -> Int32).self)(descriptor, type)
    }

    /// sched.h: a network namespace.
    private static let newNetwork: Int32 = 0x4000_0000

    /// The network namespace this thread is in.
    static func networkNamespace() throws -> Descriptor {
      try open("/proc/thread-self/ns/net", O_RDONLY)
    }

    /// A new network namespace, which exists as long as the descriptor, its sockets and its processes.
    static func newNetworkNamespace() throws -> Descriptor {
      let home = try networkNamespace()
      guard unshare(newNetwork) == 0 else { throw SystemError("unshare") }
      let made = try networkNamespace()
      try enter(home)
      return made
    }

    private static func enter(_ namespace: Descriptor) throws {
      guard setns(namespace.number, newNetwork) == 0 else { throw SystemError("setns") }
    }

    /// Runs `body` with this thread in `namespace`. `body` must not suspend.
    static func inside<Result>(_ namespace: Descriptor, _ body: () throws -> Result) throws
      -> Result
    {
      let home = try networkNamespace()
      try enter(namespace)
      let result = Swift.Result { try body() }
      // A thread that cannot go home would send what it should not.
      guard setns(home.number, newNetwork) == 0 else { fatalError("cannot leave the namespace") }
      return try result.get()
    }

    /// The number of a port of the thread's namespace.
    static func interfaceIndex(_ name: String) throws -> UInt32 {
      // The name is passed as a C string for the time of the call.
      let index = unsafe if_nametoindex(name)
      guard index != 0 else { throw SystemError("if_nametoindex \(name)") }
      return index
    }

    // MARK: Sockets

    static let socketPacket: Int32 = 17
    static let socketNetlink: Int32 = 16

    static func socket(_ family: Int32, _ protocolNumber: Int32) throws -> Descriptor {
      let type = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      return try Descriptor(
        Glibc.socket(family, type | Int32(SOCK_NONBLOCK.rawValue), protocolNumber), "socket")
    }

    /// Binds to an address that is given as the bytes of its C structure.
    static func bind(_ socket: Descriptor, _ address: [UInt8]) throws {
      // The kernel reads `count` bytes of the array, as the structure they are laid out as.
      let result = unsafe address.withUnsafeBytes { bytes -> Int32 in
        guard let base = bytes.baseAddress else { return -1 }
        return unsafe Glibc.bind(
          socket.number, base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
      }
      guard result == 0 else { throw SystemError("bind") }
    }

    static func setOption(_ socket: Descriptor, _ level: Int32, _ name: Int32, _ value: Int32)
      throws
    {
      var value = value
      // The kernel reads the four bytes of the local.
      let result = unsafe setsockopt(
        socket.number, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
      guard result == 0 else { throw SystemError("setsockopt \(level) \(name)") }
    }

    static func send(_ socket: Descriptor, _ bytes: [UInt8]) throws {
      // The kernel only reads the array, for the time of the call.
      let sent = unsafe bytes.withUnsafeBytes {
        unsafe Glibc.send(socket.number, $0.baseAddress, $0.count, 0)
      }
      guard sent == bytes.count else { throw SystemError("send") }
    }

    /// Sends to an address that is given as the bytes of its C structure, if the kernel will.
    static func send(_ socket: Descriptor, _ bytes: [UInt8], to address: [UInt8]) {
      // The kernel only reads both arrays, for the time of the call.
      _ = unsafe bytes.withUnsafeBytes { packet in
        unsafe address.withUnsafeBytes { place in
          guard let base = place.baseAddress else { return -1 }
          return unsafe sendto(
            socket.number, packet.baseAddress, packet.count, 0,
            base.assumingMemoryBound(to: sockaddr.self), socklen_t(place.count))
        }
      }
    }

    /// What has come, or nil where nothing has. `buffer` is only used during the call.
    static func receive(_ socket: Descriptor, _ buffer: inout [UInt8]) throws -> ArraySlice<UInt8>?
    {
      while true {
        // The kernel writes at most `count` bytes into the array.
        let got = unsafe buffer.withUnsafeMutableBytes {
          unsafe recv(socket.number, $0.baseAddress, $0.count, 0)
        }
        if got >= 0 { return buffer[..<got] }
        if errno == EINTR { continue }
        if errno == EAGAIN { return nil }
        throw SystemError("recv")
      }
    }

    /// Waits until something has come; false when the time is over.
    static func wait(_ sockets: [Descriptor], milliseconds: Int32) -> Bool {
      var polled = sockets.map { pollfd(fd: $0.number, events: Int16(POLLIN), revents: 0) }
      // The kernel reads and writes the local array's elements.
      return unsafe poll(&polled, nfds_t(polled.count), milliseconds) > 0
    }
  }
#endif
