// One worker: a firewall and its ports on one thread, and how everyone else talks to it.

#if os(Linux)
  import CLinux
  import Conntrack
  import Firewall
  import Glibc
  import Synchronization

  /// Packets that passed or did not, and why the worker itself lost some.
  public struct WorkerStatistics: Sendable, Hashable {
    public var accepted: UInt64 = 0
    public var dropped: UInt64 = 0
    public var rejected: UInt64 = 0
    /// Fragments that wait for others.
    public var held: UInt64 = 0
    /// Let out to an interface without a port.
    public var withoutPort: UInt64 = 0
    /// Let out, but for want of room not sent.
    public var overflowed: UInt64 = 0
    /// By the port's name, in the order they were given.
    public var ports: [(name: String, statistics: PortStatistics)] = []

    public init() {}

    public static func == (a: Self, b: Self) -> Bool {
      a.accepted == b.accepted && a.dropped == b.dropped && a.rejected == b.rejected
        && a.held == b.held && a.withoutPort == b.withoutPort && a.overflowed == b.overflowed
        && a.ports.elementsEqual(b.ports, by: ==)
    }

    public func hash(into hasher: inout Hasher) {
      hasher.combine(accepted)
      hasher.combine(dropped)
      for port in ports { hasher.combine(port.statistics) }
    }
  }

  /// Runs a firewall between its ports until it is stopped.
  ///
  /// The firewall belongs to the worker's thread. Others reach it by `perform`.
  public final class Worker: Sendable {
    let mailbox: Mailbox
    private let stopping = Atomic(false)
    private let ended = Mutex<(isEnded: Bool, waiters: [CheckedContinuation<Void, Never>])>(
      (false, []))

    /// Starts the thread.
    ///
    /// - Parameters:
    ///   - firewall: becomes the worker's. Its connections' expiry should be `swept`.
    ///   - ports: opened before, so that what cannot be opened is said at once.
    ///   - processor: where the thread stays; nil lets the system choose.
    public init(
      _ firewall: consuming sending Firewall, ports: consuming sending GatewayPorts,
      processor: Int? = nil
    ) throws(SystemError) {
      mailbox = try Mailbox()
      let start = WorkerStart(firewall, ports, self, processor)
      var thread = pthread_t()
      // The box is retained for the thread, which takes it over.
      let result = unsafe pthread_create(
        &thread, nil,
        { argument in
          // What `init` passed: one reference, which is ours now.
          let start = unsafe Unmanaged<WorkerStart>.fromOpaque(argument!).takeRetainedValue()
          start.run()
          return nil
        }, Unmanaged.passRetained(start).toOpaque())
      guard result == 0 else { throw SystemError("pthread_create", result) }
      pthread_detach(thread)
    }

    /// Runs `body` on the worker's thread between two bursts, and gives back what it returns. Keep it
    /// short: packets wait meanwhile. Walk long tables in slices, a call for each.
    public func perform<Result: Sendable>(
      _ body: @escaping @Sendable (inout Firewall) -> Result
    ) async throws(WorkerStopped) -> Result {
      try await performOnLoop { loop in body(&loop.firewall) }
    }

    func performOnLoop<Result: Sendable>(
      _ body: @escaping @Sendable (inout WorkerLoop) -> Result
    ) async throws(WorkerStopped) -> Result {
      let result: Swift.Result<Result, WorkerStopped> = await withCheckedContinuation { waiter in
        mailbox.post(
          Mailbox.Letter(
            run: { loop in waiter.resume(returning: .success(body(&loop))) },
            refuse: { waiter.resume(returning: .failure(WorkerStopped())) }))
      }
      return try result.get()
    }

    /// Listens to the tracker's events from now on.
    /// - Parameter capacity: how many wait at most for who reads them; more are lost, and counted.
    public func subscribe(
      capacity: Int = 65_536
    ) async throws(WorkerStopped) -> EventSubscription {
      let subscription = EventSubscription(capacity: capacity)
      try await performOnLoop { loop in loop.subscribe(subscription) }
      return subscription
    }

    public func statistics() async throws(WorkerStopped) -> WorkerStatistics {
      try await performOnLoop { loop in loop.statistics }
    }

    /// The host is another from now on: what depends on addresses and links that are gone is forgotten.
    /// - Returns: false, and nothing changed, where known interfaces stand at other places.
    public func hostChanged(
      to host: HostConfiguration
    ) async throws(WorkerStopped) -> Bool {
      try await performOnLoop { loop in loop.hostChanged(to: host) }
    }

    /// The names of the ports whose interface is not there. They are opened again when it is back.
    public func gonePorts() async throws(WorkerStopped) -> Set<String> {
      try await performOnLoop { loop in loop.gonePorts }
    }

    /// Takes up rules that were compiled apart; see `Firewall.replaceRules`.
    public func replaceRules(_ rules: consuming sending CompiledRules) async throws(WorkerStopped) {
      let parcel = Parcel(consume rules)
      try await perform { firewall in
        if let rules = parcel.take() { firewall.replaceRules(rules) }
      }
    }

    /// Ends the thread as `stop()` does, and runs `body` when the last packet has passed.
    public func stop<Result: Sendable>(
      _ body: @escaping @Sendable (inout Firewall) -> Result
    ) async throws(WorkerStopped) -> Result {
      let result = try await perform { firewall in
        self.stopping.store(true, ordering: .releasing)
        return body(&firewall)
      }
      await stop()
      return result
    }

    /// Ends the thread after the burst under way and waits for its end. Ports are closed.
    public func stop() async {
      stopping.store(true, ordering: .releasing)
      mailbox.ring()
      await withCheckedContinuation { waiter in
        let isEnded = ended.withLock { ended in
          if !ended.isEnded { ended.waiters.append(waiter) }
          return ended.isEnded
        }
        if isEnded { waiter.resume() }
      }
    }

    var isStopping: Bool { stopping.load(ordering: .relaxed) }

    fileprivate func run(_ loop: consuming WorkerLoop) {
      loop.run(self, mailbox)
      mailbox.closeDown()
      loop.close()
    }

    fileprivate func hasEnded() {
      let waiters = ended.withLock { ended in
        ended.isEnded = true
        defer { ended.waiters = [] }
        return ended.waiters
      }
      for waiter in waiters { waiter.resume() }
    }
  }

  /// What the new thread begins with.
  private final class WorkerStart {
    private var firewall: Firewall?
    private var ports: GatewayPorts?
    private let worker: Worker
    private let processor: Int?

    init(
      _ firewall: consuming Firewall, _ ports: consuming GatewayPorts, _ worker: Worker,
      _ processor: Int?
    ) {
      self.firewall = consume firewall
      self.ports = consume ports
      self.worker = worker
      self.processor = processor
    }

    func run() {
      // A thread that may not stay where it is told still works.
      if let processor { _ = weir_pin_thread(UInt32(processor)) }
      guard let firewall = firewall.take(), let ports = ports.take() else { return }
      worker.run(WorkerLoop(firewall, ports))
      worker.hasEnded()
    }
  }
#endif
