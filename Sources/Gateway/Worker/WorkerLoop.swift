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
    /// The gateway's own programs, and what is on its way to them.
    private let local: TunPort?
    private var toLocal = TransmitQueue()
    private var queue: QueuePort?
    private let queueSockets: [QueueSocket]
    private let raw: RawSender?
    private var sink = PortSink()
    private var burst = PacketBurst()
    private var long = LongPacket()
    /// A packet of the gateway's own.
    private var own = PacketBuffer()
    private let clock = GatewayClock()
    private var observer = SilentObserver()
    private var subscriptions: [EventSubscription] = []
    private var counters = WorkerStatistics()
    private(set) var drops = DropCounts()
    private(set) var admissions: Admissions

    private var nextTick: Int64 = 0
    private static let tickNanoseconds: Int64 = 100_000_000
    /// How long a worker sleeps at most: connections and fragments time out meanwhile.
    private static let longestSleepMilliseconds: Int32 = 100

    init(_ firewall: consuming Firewall, _ opened: consuming GatewayPorts) {
      admissions = Admissions(capacity: firewall.tracker.capacity)
      self.firewall = consume firewall
      ports = opened.ports
      local = opened.local
      queueSockets = opened.queueSockets
      raw = opened.raw
      queue = opened.queue
      queue?.hostChanged(self.firewall.host)
      self.firewall.leavesCutting = queue != nil
      for (place, port) in ports.enumerated() {
        sink.connect(port.interface, to: place)
        port.hostChanged(self.firewall.host)
      }
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
        if let local {
          local.receive(into: &burst, &long, at: clock.now)
          if burst.count > 0 || long.arrival != nil {
            isIdle = false
            process(isOwn: true)
          }
        }
        if processQueues() { isIdle = false }
        let now = clock.now
        if isIdle { rest(now) }
        if now >= nextTick {
          for port in ports {
            port.tick(at: now)
            // Until it is back, it is tried at every tick.
            if port.isGone { try? port.reopen() }
            answerUnreachable(port)
          }
          if let local, local.descriptor < 0 { try? local.reopen() }
          if sink.hasDeliveries { settleDeliveries() }
          nextTick = now + WorkerLoop.tickNanoseconds
        }
        flush()
        tellEvents()
        mailbox.deliver(to: &self)
        guard isIdle, !worker.isStopping else { continue }
        waits = [pollfd(fd: mailbox.bell, events: Int16(POLLIN), revents: 0)]
        for port in ports {
          waits.append(pollfd(fd: port.descriptor, events: Int16(POLLIN), revents: 0))
        }
        waits.append(pollfd(fd: local?.descriptor ?? -1, events: Int16(POLLIN), revents: 0))
        for socket in queueSockets {
          waits.append(pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0))
        }
        // The kernel reads and writes the array's elements.
        _ = unsafe poll(&waits, nfds_t(waits.count), WorkerLoop.longestSleepMilliseconds)
        if waits[0].revents != 0 { mailbox.quieten() }
        for (place, port) in ports.enumerated() where WorkerLoop.isBroken(waits[place + 1]) {
          port.checkLink()
        }
        if let local, WorkerLoop.isBroken(waits[ports.count + 1]) { local.checkLink() }
      }
    }

    private static func isBroken(_ wait: pollfd) -> Bool {
      Int32(wait.revents) & (POLLERR | POLLHUP | POLLNVAL) != 0
    }

    /// What a kernel that routes itself has handed over.
    /// - Returns: whether there was anything.
    private mutating func processQueues() -> Bool {
      var hasCome = false
      for place in queueSockets.indices {
        guard let packets = queue?.process(place, &firewall, &observer, at: clock.now) else {
          continue
        }
        if packets > 0 { hasCome = true }
        for packet in 0..<packets {
          if let outcome = queue?.outcomes[packet] { count(outcome) }
        }
      }
      return hasCome
    }

    /// Lets what has come through the firewall.
    /// - Parameter isOwn: it came from programs of the gateway's own machine.
    private mutating func process(isOwn: Bool = false) {
      if burst.count > 0 {
        if isOwn {
          firewall.sendForPrograms(&burst, to: &sink, observer: &observer)
        } else {
          firewall.receive(&burst, to: &sink, observer: &observer)
        }
        for index in 0..<burst.count { count(burst.outcome(index)) }
        burst.removeAll()
      }
      if let arrival = long.arrival {
        sink.segmentSize = long.segmentSize
        count(
          isOwn
            ? firewall.sendForProgram(&long.buffer, arrival, to: &sink, observer: &observer)
            : firewall.receive(&long.buffer, arrival, to: &sink, observer: &observer))
        sink.segmentSize = 0
        long.arrival = nil
      }
      settle()
    }

    private mutating func settle() {
      if sink.hasDeliveries { settleDeliveries() }
      for place in ports.indices where sink.queues[place].isCrowded {
        ports[place].transmit(&sink.queues[place], at: clock.now)
      }
    }

    /// What is to be done when no packets come: time passes.
    private mutating func rest(_ now: Int64) {
      if queue != nil {
        queue?.advance(&firewall, &observer, to: now)
        return
      }
      // A call sweeps a few hundred connections at most; many calls keep up with a large table.
      for _ in 0..<64 { firewall.advance(to: now, to: &sink, observer: &observer) }
    }

    private mutating func flush() {
      for place in ports.indices where !sink.queues[place].isEmpty {
        ports[place].transmit(&sink.queues[place], at: clock.now)
      }
      if !toLocal.isEmpty { local?.transmit(&toLocal) }
    }

    /// What was sent to the gateway itself: echo is answered, the rest is its programs', or where there are
    /// none answered as by a host without.
    private mutating func settleDeliveries() {
      let hasPrograms = (local?.descriptor ?? -1) >= 0
      var deliveries = sink.takeDeliveries()
      for index in 0..<deliveries.count {
        let entry = deliveries.entry(index)
        let bytes = deliveries.bytes(entry)
        let family: AddressFamily = bytes.uint8(at: 0) >> 4 == 4 ? .ipv4 : .ipv6
        if hasPrograms && !Firewall.isEchoRequest(bytes, family) {
          toLocal.append(bytes, segmentSize: entry.segmentSize)
          if toLocal.isCrowded { local?.transmit(&toLocal) }
          continue
        }
        _ = own.assign(bytes)
        firewall.answerDelivered(
          &own,
          Arrival(
            interface: entry.interface, family: family,
            timeNanoseconds: firewall.tracker.now), to: &sink, observer: &observer)
      }
      deliveries.removeAll()
      // What answers an answer to the gateway itself goes no further.
      sink.giveBack(deliveries)
    }

    /// Tells the senders of packets whose next hop does not answer.
    private mutating func answerUnreachable(_ port: Port) {
      for packet in port.takeUnreachable() {
        guard own.assign(packet.bytes.rawSpan), own.count > 0 else { continue }
        let family: AddressFamily = own.uint8(at: 0) >> 4 == 4 ? .ipv4 : .ipv6
        firewall.answerUnreachable(own, family, to: &sink, observer: &observer)
      }
    }

    private mutating func count(_ outcome: PacketOutcome) {
      switch outcome.verdict {
      case .accept:
        counters.accepted += 1
        if outcome.ctState == .new || outcome.ctState == .related {
          admissions.note(outcome, firewall)
        }
        return
      case .drop, .queue, .ignored: counters.dropped += 1
      case .reject: counters.rejected += 1
      case .held:
        counters.held += 1
        return
      }
      drops.add(outcome, rules: firewall.rulesVersion)
    }

    // MARK: For the control side

    var statistics: WorkerStatistics {
      var all = counters
      all.withoutPort = sink.withoutPort
      for place in ports.indices { all.overflowed += sink.queues[place].overflowed }
      all.overflowed += toLocal.overflowed
      all.ports = ports.map { ($0.name, $0.statistics) }
      if let local { all.ports.append((local.name, local.statistics)) }
      all.ports += queueSockets.map { ("nfqueue:\($0.number)", $0.statistics) }
      if let raw { all.ports.append(("raw socket", raw.statistics)) }
      return all
    }

    /// The ports whose interface is not there.
    var gonePorts: Set<String> {
      var names = Set(ports.lazy.filter(\.isGone).map(\.name))
      if let local, local.descriptor < 0 { names.insert(local.name) }
      return names
    }

    /// The host is another from now on, as `Firewall.hostChanged`.
    mutating func hostChanged(to host: HostConfiguration) -> Bool {
      guard firewall.hostChanged(to: host, at: clock.now) else { return false }
      for port in ports { port.hostChanged(host) }
      queue?.hostChanged(host)
      return true
    }

    mutating func subscribe(_ subscription: EventSubscription) {
      subscriptions.append(subscription)
      firewall.tracker.recordsEvents = true
    }

    private mutating func tellEvents() {
      if subscriptions.isEmpty { return }
      let events = firewall.tracker.takeEvents()
      let expectations = firewall.tracker.takeExpectationEvents()
      for subscription in subscriptions {
        for event in events { subscription.tell(event) }
        for event in expectations { subscription.tell(event) }
      }
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
