// Events on their way from the workers to one client of the control socket, with a bound on how many wait.

#if os(Linux)
  import CLinux
  import Conntrack
  import Glibc
  import Synchronization

  final class EventQueue: Sendable {
    enum Event: Sendable {
      case connection(ConnectionEvent)
      case expectation(ExpectationEvent)
    }

    private struct State {
      var events: [Event] = []
      var lost: UInt64 = 0
    }

    private let state = Mutex(State())
    private let capacity: Int
    /// Readable while there is something to take.
    let bell: Int32

    /// - Parameter capacity: how many events wait at most; more are lost, and counted.
    init(capacity: Int) throws(SystemError) {
      self.capacity = capacity
      bell = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
      guard bell >= 0 else { throw SystemError("eventfd") }
    }

    deinit { _ = close(bell) }

    func put(_ event: Event) {
      state.withLock { state in
        if state.events.count < capacity { state.events.append(event) } else { state.lost += 1 }
      }
      var one: UInt64 = 1
      // Eight bytes of the local.
      _ = unsafe write(bell, &one, MemoryLayout<UInt64>.size)
    }

    func lose(_ count: UInt64) { state.withLock { $0.lost += count } }

    /// What waits, and how many were lost since the last time.
    func take() -> (events: [Event], lost: UInt64) {
      var count: UInt64 = 0
      // Eight bytes of the local.
      _ = unsafe read(bell, &count, MemoryLayout<UInt64>.size)
      return state.withLock { state in
        defer { state = State() }
        return (state.events, state.lost)
      }
    }
  }
#endif
