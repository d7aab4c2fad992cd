// The system calls that every port shares, with refusals in words, and what the engine is not allowed to
// ask for itself: the clock and chance.

#if os(Linux)
  import CLinux
  import Glibc

  /// A call the system refused, and about what.
  public struct SystemError: Error, CustomStringConvertible, Sendable {
    public let what: String
    /// `errno`.
    public let number: Int32

    init(_ what: String, _ number: Int32 = errno) {
      self.what = what
      self.number = number
    }

    public var description: String {
      // strerror gives a static or thread-local C string that is copied before anything else runs.
      "\(what): \(unsafe String(cString: strerror(number)))"
    }
  }

  /// A descriptor that its owner closes.
  final class Descriptor: Sendable {
    let number: Int32

    init(_ number: Int32, _ what: @autoclosure () -> String) throws(SystemError) {
      guard number >= 0 else { throw SystemError(what()) }
      self.number = number
    }

    deinit { _ = close(number) }

    /// Sets an option whose value is a C structure without pointers.
    func setOption<Value: BitwiseCopyable>(
      _ level: Int32, _ name: Int32, _ value: Value, _ what: @autoclosure () -> String
    ) throws(SystemError) {
      // The kernel reads the value's own bytes for the time of the call.
      let result = unsafe withUnsafeBytes(of: value) { bytes in
        unsafe setsockopt(number, level, name, bytes.baseAddress, socklen_t(bytes.count))
      }
      guard result == 0 else { throw SystemError(what()) }
    }
  }

  /// What this process may do.
  public enum Privileges {
    /// Gives up all capabilities but those that opening a port again needs: CAP_NET_ADMIN (a TUN
    /// interface, promiscuity, buffer sizes) and CAP_NET_RAW (packet sockets); capabilities(7). Programs
    /// started later get none back. With `xdp` ports CAP_IPC_LOCK stays too: their memory, 16 MiB a queue, is
    /// locked, and the limit for others is mostly less.
    ///
    /// Holds for the calling thread and those it starts: to be called before there are others.
    public static func keepNetworkOnly(hasXDP: Bool = false) throws(SystemError) {
      guard weir_keep_network_capabilities(hasXDP ? 1 : 0) == 0 else { throw SystemError("capset") }
    }
  }

  /// The gateway's clock: nanoseconds since 1970 that never go back, whatever happens to the system's
  /// date while it runs.
  struct GatewayClock: Sendable {
    private let offset: Int64

    init() {
      offset = GatewayClock.read(CLOCK_REALTIME) - GatewayClock.read(CLOCK_MONOTONIC)
    }

    var now: Int64 { offset &+ GatewayClock.read(CLOCK_MONOTONIC) }

    private static func read(_ clock: clockid_t) -> Int64 {
      var time = timespec()
      // The kernel writes to the local above.
      _ = unsafe clock_gettime(clock, &time)
      return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
  }

  /// What time it is.
  public enum SystemClock {
    /// Nanoseconds since 1970.
    public static var now: Int64 { GatewayClock().now }
  }

  /// Where the engine's seed comes from.
  public enum SystemRandom {
    /// 64 bits that nobody can foretell; getrandom(2).
    public static func seed() throws(SystemError) -> UInt64 {
      var seed: UInt64 = 0
      // The kernel writes the eight bytes of the local.
      let got = unsafe getrandom(&seed, MemoryLayout<UInt64>.size, 0)
      guard got == MemoryLayout<UInt64>.size else { throw SystemError("getrandom") }
      return seed
    }
  }
#endif
