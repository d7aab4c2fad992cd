// The tables of a gateway's workers as one that commands can be given: each operation is a short call to a
// worker between two bursts, long walks are many of them. For the control socket.

#if os(Linux)
  import Conntrack
  import ConntrackFormat
  import Firewall
  import Glibc
  import NAT
  import TableControl
  import Wire

  /// What one client may do to the workers' tables.
  struct WorkerTable: ConntrackBackend {
    let workers: [Worker]
    /// Whom events name.
    let requester: EventRequester

    /// How many records of a table are looked at in one call. A call takes well under a millisecond.
    static let slice = 1024

    private func ask<Answer: Sendable>(
      _ worker: Worker, _ body: @escaping @Sendable (inout Firewall) -> Answer
    ) throws -> Answer {
      try worker.ask(body)
    }

    func now() throws -> Int64 {
      guard let first = workers.first else { throw TableError.noData }
      return try ask(first) { $0.tracker.now }
    }

    // MARK: Looking

    func list(_ request: ListRequest, _ each: (Connection) throws -> Void) throws {
      try slices(request) { slice in for connection in slice { try each(connection) } }
    }

    /// The same, a slice at a time.
    func slices(_ request: ListRequest, _ each: ([Connection]) throws -> Void) throws {
      guard request.table == .conntrack else { return }
      let zeroes = request.zeroesCounters
      for worker in workers {
        var position: Int? = 0
        while let from = position {
          let (copies, next) = try ask(worker) { firewall -> ([Connection], Int?) in
            var copies: [Connection] = []
            let next = firewall.tracker.copy(
              from: from, count: WorkerTable.slice, zeroing: zeroes, to: &copies)
            return (copies, next)
          }
          try each(
            copies.filter { copy in
              (request.family ?? copy.original.family) == copy.original.family
                && request.mark.map { copy.mark & request.markMask == $0 } ?? true
            })
          position = next
        }
      }
    }

    func get(_ request: ConnectionRequest) throws -> Connection {
      let (tuple, zone) = try name(request)
      for worker in workers {
        let found = try ask(worker) { firewall -> Connection? in
          guard let found = firewall.tracker.find(tuple, zone: zone) else { return nil }
          var copy = firewall.tracker.connection(found.connection)
          // Whoever looks holds on to it, as ctnetlink counts.
          copy?.useCount += 1
          return copy
        }
        if let found { return found }
      }
      throw TableError.noSuchEntry
    }

    /// The tuple and zone by which a request names a connection.
    private func name(_ request: ConnectionRequest) throws -> (Tuple, TrackingZone) {
      guard let family = request.family else { throw TableError.notSupported }
      let given = request.original.isEmpty ? request.reply : request.original
      guard let tuple = given.tuple(family) else { throw TableError.invalid }
      return (tuple, TrackingZone(id: request.zone ?? 0, direction: request.zoneDirection))
    }

    func count() throws -> Int {
      try workers.reduce(0) { sum, worker in sum + (try ask(worker) { $0.tracker.count }) }
    }

    func statistics() throws -> [ProcessorStatistics] {
      try workers.enumerated().map { index, worker in
        try ask(worker) { firewall in
          ProcessorStatistics(
            processor: index, connections: firewall.tracker.statistics,
            expectations: firewall.tracker.expectationStatistics)
        }
      }
    }

    /// The settings and rules, which every worker has alike.
    func surroundings() throws -> TableSurroundings {
      guard let first = workers.first else { throw TableError.noData }
      return try ask(first) { firewall in
        TableSurroundings(
          settings: firewall.tracker.settings,
          rules: TranslationRule.all(of: firewall.countedRules()))
      }
    }

    // MARK: Changing

    func create(_ request: ConnectionRequest) throws {
      guard let family = request.family, request.timeoutSeconds != nil else {
        throw TableError.invalid
      }
      guard let original = request.original.tuple(family),
        let reply = request.reply.tuple(family), original.inverted != nil,
        reply.protocolNumber == original.protocolNumber,
        original.protocolNumber
          != (family == .ipv4 ? IPProtocolNumber.icmpv6 : IPProtocolNumber.icmp)
      else { throw TableError.invalid }
      let zone = TrackingZone(id: request.zone ?? 0, direction: request.zoneDirection)
      let change = ConnectionChange(request)
      let source = NATRange(request.sourceNAT)
      let destination = NATRange(request.destinationNAT)
      let requester = requester
      guard let worker = workers.first else { throw TableError.noData }
      let error = try ask(worker) { firewall -> TableError? in
        switch firewall.tracker.begin(original, reply: reply, zone: zone, change) {
        case .failure(.exists): return .exists
        case .failure(.full): return .outOfMemory
        case .failure(.busy): return .busy
        case .success(let connection):
          // As ctnetlink: the destination first.
          if let destination { firewall.tracker.bind(connection, .destination, to: destination) }
          if let source { firewall.tracker.bind(connection, .source, to: source) }
          return firewall.tracker.settle(connection, by: requester) ? nil : .exists
        }
      }
      if let error { throw error }
    }

    func update(_ request: ConnectionRequest) throws {
      let (tuple, zone) = try name(request)
      let change = ConnectionChange(request)
      let requester = requester
      for worker in workers {
        let answer = try ask(worker) { firewall -> TableError? in
          guard let found = firewall.tracker.find(tuple, zone: zone) else { return .noSuchEntry }
          switch firewall.tracker.change(found.connection, change, by: requester) {
          case .busy: return .busy
          case .notPermitted: return .notPermitted
          case nil: return nil
          }
        }
        if answer == .noSuchEntry { continue }
        if let answer { throw answer }
        return
      }
      throw TableError.noSuchEntry
    }

    func delete(_ connection: Connection) throws {
      let requester = requester
      let zone = TrackingZone(id: connection.zone, direction: connection.zoneDirection)
      for worker in workers {
        let isGone = try ask(worker) { firewall -> Bool in
          guard let found = firewall.tracker.find(connection.original, zone: zone),
            firewall.tracker.connection(found.connection)?.id == connection.id
          else { return false }
          firewall.tracker.remove(found.connection, by: requester)
          return true
        }
        if isGone { return }
      }
      throw TableError.noSuchEntry
    }

    /// All of it: the kernel takes no notice of the family that conntrack 1.4.7 sends.
    func flush(_ family: AddressFamily?) throws {
      let requester = requester
      for worker in workers {
        var position: Int? = 0
        while let from = position {
          position = try ask(worker) {
            $0.tracker.remove(from: from, count: WorkerTable.slice, by: requester)
          }
        }
      }
    }

    // MARK: Expectations

    func listExpectations(
      _ family: AddressFamily, _ each: (Expectation) throws -> Void
    ) throws {
      for worker in workers {
        for expectation in try ask(worker, { $0.tracker.expectations() })
        where expectation.tuple.family == family {
          try each(expectation)
        }
      }
    }

    func getExpectation(_ request: ExpectationRequest) throws -> Expectation {
      guard let tuple = request.expected.tuple(request.family) else { throw TableError.invalid }
      var found: Expectation?
      try listExpectations(request.family) { if $0.tuple == tuple { found = $0 } }
      guard let found else { throw TableError.noSuchEntry }
      return found
    }

    /// The time is the helper's, whatever the request says, as in the kernel.
    func createExpectation(_ request: ExpectationRequest) throws {
      // The protocol comes with the mask, as in the request that conntrack makes.
      var expected = request.expected
      expected.protocolNumber = request.mask.protocolNumber
      guard let tuple = expected.tuple(request.family), request.timeoutSeconds != nil,
        let master = request.master.tuple(request.family), let mask = request.mask.source
      else { throw TableError.invalid }
      let portMask = request.mask.sourcePort ?? 0
      var refusal = CommandedExpectationRefusal.noMaster
      for worker in workers {
        let answer = try ask(worker) { firewall in
          firewall.tracker.expect(
            tuple, sourceMask: mask, sourcePortMask: portMask, master: master,
            zone: TrackingZone(id: 0, direction: .both))
        }
        guard let answer else { return }
        refusal = answer
        if answer != .noMaster { break }
      }
      switch refusal {
      case .exists: throw TableError.exists
      case .noMaster: throw TableError.noSuchEntry
      case .noHelper: throw TableError.notSupported
      case .busy: throw TableError.busy
      case .full: throw TableError(number: 24)
      }
    }

    func deleteExpectation(_ request: ExpectationRequest) throws {
      guard let tuple = request.expected.tuple(request.family) else { throw TableError.invalid }
      for worker in workers where try ask(worker, { $0.tracker.forgetExpectation(tuple) }) {
        return
      }
      throw TableError.noSuchEntry
    }

    func flushExpectations() throws {
      for worker in workers { try ask(worker) { $0.tracker.forgetExpectations() } }
    }

    /// Events go to a client by `ControlSession`.
    func follow(_ request: FollowRequest, _ each: (TableEvent) throws -> Bool) throws {
      throw TableError.notSupported
    }
  }

  extension ConnectionChange {
    fileprivate init(_ request: ConnectionRequest) {
      self.init()
      timeoutNanoseconds = request.timeoutSeconds.map { Int64($0) * 1_000_000_000 }
      status = request.status
      protocolState = request.protocolState
      mark = request.mark
      labels = request.labels
      labelMask = request.labelMask
      originalTag = request.originalTag
      replyTag = request.replyTag
    }
  }

  extension NATRange {
    fileprivate init?(_ request: TranslationRequest?) {
      guard let request else { return nil }
      self.init(
        options: request.port == nil ? [.mapAddresses] : [.mapAddresses, .portsSpecified],
        minAddress: request.address, maxAddress: request.address, minPort: request.port ?? 0,
        maxPort: request.port ?? 0)
    }
  }
#endif
