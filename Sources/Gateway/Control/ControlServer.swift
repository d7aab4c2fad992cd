// A gateway's side of the control socket: a thread that lets clients in, and one for each of a bounded
// number of them. What they ask reaches the workers between two bursts.

#if os(Linux)
  import CLinux
  import Glibc
  import Synchronization

  /// Serves the control socket until it is stopped.
  public final class ControlServer: Sendable {
    /// Where a gateway listens unless it is told otherwise.
    public static let defaultPath = "/run/weir.sock"
    /// More clients than this at once are turned away.
    public static let mostClients = 32

    let workers: [Worker]
    private let socket: ControlSocket
    private let reloading: @Sendable () async -> String?
    /// Readable once the server is to end.
    let stopBell: Int32
    private let clients = Atomic(0)

    /// Begins to serve.
    /// - Parameters:
    ///   - socket: listens already.
    ///   - reload: loads the rules again; gives back why not.
    /// - Throws: `SystemError`.
    public init(
      _ socket: ControlSocket, workers: [Worker],
      reload: @escaping @Sendable () async -> String?
    ) throws {
      self.workers = workers
      reloading = reload
      self.socket = socket
      stopBell = eventfd(0, Int32(EFD_CLOEXEC))
      guard stopBell >= 0 else { throw SystemError("eventfd") }
      try ControlServer.startThread { [self] in serve() }
    }

    deinit { _ = close(stopBell) }

    /// Ends the server: no client is let in any more, and each is left after what it asked is answered.
    public func stop() {
      var one: UInt64 = 1
      // Eight bytes of the local. Nobody takes it, so the bell stays readable.
      _ = unsafe write(stopBell, &one, MemoryLayout<UInt64>.size)
    }

    /// Waits until the rules are loaded.
    /// - Returns: why they were not.
    func reload() -> String? {
      let reply = Reply<String?>()
      Task { [reloading] in reply.set(await reloading()) }
      return reply.wait() ?? nil
    }

    private func serve() {
      while true {
        let ready = UnixStream.wait([socket.descriptor, stopBell])
        if ready.contains(stopBell) { return }
        guard ready.contains(socket.descriptor), let (stream, process) = socket.accept() else {
          continue
        }
        guard clients.add(1, ordering: .relaxed).newValue <= ControlServer.mostClients else {
          clients.subtract(1, ordering: .relaxed)
          continue
        }
        do {
          try ControlServer.startThread { [self] in
            var session = ControlSession(stream, process: process, self)
            session.run()
            clients.subtract(1, ordering: .relaxed)
          }
        } catch {
          clients.subtract(1, ordering: .relaxed)
        }
      }
    }

    private final class ThreadBody {
      let run: @Sendable () -> Void
      init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static func startThread(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
      var thread = pthread_t()
      // One reference, which the thread takes over.
      let result = unsafe pthread_create(
        &thread, nil,
        { argument in
          // What was passed below.
          unsafe Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().run()
          return nil
        }, Unmanaged.passRetained(ThreadBody(body)).toOpaque())
      guard result == 0 else { throw SystemError("pthread_create", result) }
      pthread_detach(thread)
    }
  }
#endif
