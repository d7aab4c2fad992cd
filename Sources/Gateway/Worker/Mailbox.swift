// How the control side asks a worker for something: a closure that the worker runs between two bursts, on
// its own thread. The packet path sees one atomic flag of it.

#if os(Linux)
  import CLinux
  import Glibc
  import Synchronization

  /// The worker has ended, or ended before it came to what was asked.
  public struct WorkerStopped: Error, CustomStringConvertible, Sendable {
    public var description: String { "the gateway has stopped" }
  }

  final class Mailbox: Sendable {
    struct Letter: Sendable {
      var run: @Sendable (inout WorkerLoop) -> Void
      var refuse: @Sendable () -> Void
    }

    private struct State {
      var letters: [Letter] = []
      var isClosed = false
    }

    private let state = Mutex(State())
    private let hasMail = Atomic(false)
    /// Readable while there is mail: what a sleeping worker waits for.
    let bell: Int32

    init() throws(SystemError) {
      bell = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
      guard bell >= 0 else { throw SystemError("eventfd") }
    }

    deinit { _ = close(bell) }

    func post(_ letter: Letter) {
      let isClosed = state.withLock { state in
        if !state.isClosed { state.letters.append(letter) }
        return state.isClosed
      }
      if isClosed { return letter.refuse() }
      hasMail.store(true, ordering: .releasing)
      ring()
    }

    /// Wakes the worker.
    func ring() {
      var one: UInt64 = 1
      // Eight bytes of the local. A full counter is rung enough.
      _ = unsafe write(bell, &one, MemoryLayout<UInt64>.size)
    }

    /// Runs what has been posted, in order. Called by the worker.
    @inline(__always)
    func deliver(to loop: inout WorkerLoop) {
      if hasMail.load(ordering: .relaxed) { deliverAll(to: &loop) }
    }

    @inline(never)
    private func deliverAll(to loop: inout WorkerLoop) {
      hasMail.store(false, ordering: .sequentiallyConsistent)
      quieten()
      let letters = state.withLock { state in
        defer { state.letters.removeAll() }
        return state.letters
      }
      for letter in letters { letter.run(&loop) }
    }

    func quieten() {
      var count: UInt64 = 0
      // Eight bytes of the local.
      _ = unsafe read(bell, &count, MemoryLayout<UInt64>.size)
    }

    /// Takes no more, and refuses what has not been run.
    func closeDown() {
      let letters = state.withLock { state in
        state.isClosed = true
        defer { state.letters.removeAll() }
        return state.letters
      }
      for letter in letters { letter.refuse() }
    }
  }
#endif
