// A worker's thread: from port to port, a burst at a time, through the firewall and out; between bursts
// what the control side asks for, and when nothing comes, sleep.

#if os(Linux)
  import Conntrack
  import Firewall
  import Glibc
  import Ruleset
  import Wire

  struct WorkerLoop: ~Copyable {
    var firewall: Firewall
    private let ports: [Port]
    private var sink = PortSink()
    private var burst = PacketBurst()
    private var long = LongPacket()
    private let clock = GatewayClock()
    private var observer = SilentObserver()
    private var subscriptions: [EventSubscription] = []
    private var counters = WorkerStatistics()

    /// How long a worker sleeps at most: connections and fragments time out meanwhile.
    private static let longestSleepMilliseconds: Int32 = 100

    init(_ firewall: consuming Firewall, _ ports: [Port]) {
      self.firewall = consume firewall
      self.ports = ports
      for (place, port) in ports.enumerated() { sink.connect(port.interface, to: place) }
    }

    mutating func run(_ worker: Worker, _ mailbox: Mailbox) {
      var waits: [pollfd] = []
      while !worker.isStopping {
        var isIdle = true
        for port in ports {
          port.receive(into: &burst, &long, at: clock.now)
          if burst.count == 0 && long.arrival == nil { continue }
          isIdle = false
          process()
        }
        if isIdle { rest() }
        flush()
        tellEvents()
        mailbox.deliver(to: &self)
        guard isIdle, !worker.isStopping else { continue }
        waits = [pollfd(fd: mailbox.bell, events: Int16(POLLIN), revents: 0)]
        for port in ports {
          waits.append(pollfd(fd: port.descriptor, events: Int16(POLLIN), revents: 0))
        }
        // The kernel reads and writes the array's elements.
        _ = unsafe poll(&waits, nfds_t(waits.count), WorkerLoop.longestSleepMilliseconds)
        if waits[0].revents != 0 { mailbox.quieten() }
      }
    }

    /// Lets what has come through the firewall.
    private mutating func process() {
      if burst.count > 0 {
        firewall.receive(&burst, to: &sink, observer: &observer)
        for index in 0..<burst.count { count(burst.outcome(index)) }
        burst.removeAll()
      }
      if let arrival = long.arrival {
        sink.segmentSize = long.segmentSize
        count(firewall.receive(&long.buffer, arrival, to: &sink, observer: &observer))
        sink.segmentSize = 0
        long.arrival = nil
      }
      for place in ports.indices where sink.queues[place].isCrowded {
        ports[place].transmit(&sink.queues[place], at: clock.now)
      }
    }

    /// What is to be done when no packets come: time passes.
    private mutating func rest() {
      let now = clock.now
      // A call sweeps a few hundred connections at most; many calls keep up with a large table.
      for _ in 0..<64 { firewall.advance(to: now, to: &sink, observer: &observer) }
    }

    private mutating func flush() {
      for place in ports.indices where !sink.queues[place].isEmpty {
        ports[place].transmit(&sink.queues[place], at: clock.now)
      }
      sink.deliveries.removeAll()
    }

    private mutating func count(_ outcome: PacketOutcome) {
      switch outcome.verdict {
      case .accept: counters.accepted += 1
      case .drop, .queue, .ignored: counters.dropped += 1
      case .reject: counters.rejected += 1
      case .held: counters.held += 1
      }
    }

    // MARK: For the control side

    var statistics: WorkerStatistics {
      var all = counters
      all.withoutPort = sink.withoutPort
      for place in ports.indices { all.overflowed += sink.queues[place].overflowed }
      all.ports = ports.map { ($0.name, $0.statistics) }
      return all
    }

    mutating func subscribe(_ subscription: EventSubscription) {
      subscriptions.append(subscription)
      firewall.tracker.recordsEvents = true
    }

    private mutating func tellEvents() {
      if subscriptions.isEmpty { return }
      let events = firewall.tracker.takeEvents()
      for subscription in subscriptions { for event in events { subscription.tell(event) } }
      subscriptions.removeAll { $0.isEnded }
      if subscriptions.isEmpty { firewall.tracker.recordsEvents = false }
    }

    /// The worker has ended.
    mutating func close() {
      for subscription in subscriptions { subscription.cancel() }
      subscriptions = []
    }
  }
#endif
