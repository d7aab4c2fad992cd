// One client of the control socket: its requests one after another, each answered before the next is read.

#if os(Linux)
  import Conntrack
  import Glibc
  import TableControl

  /// Serves one client on the thread that calls `run`.
  struct ControlSession {
    let stream: UnixStream
    let server: ControlServer
    private let table: WorkerTable
    private var frames = ControlFrameReader(longest: ControlFrame.longestRequest)

    /// Once a frame has begun, the rest must come within this time; and what is sent must be taken.
    private static let patienceSeconds = 10

    init(_ stream: UnixStream, process: UInt32, _ server: ControlServer) {
      self.stream = stream
      self.server = server
      table = WorkerTable(
        workers: server.workers, requester: EventRequester(process: process))
    }

    /// Until the client goes, sends what cannot be read, or the server stops.
    mutating func run() {
      stream.setPatience(seconds: ControlSession.patienceSeconds)
      var isGreeted = false
      while true {
        do {
          guard let frame = try receive() else { return }
          guard isGreeted || frame.kind == .hello else {
            throw DecodingFailure("no greeting")
          }
          isGreeted = true
          guard try answer(frame) else { return }
        } catch let error as TableError {
          guard stream.send(ControlFrame(refusing: error)) else { return }
        } catch let failure as DecodingFailure {
          // What comes after cannot be understood either.
          _ = stream.send(
            ControlFrame(refusing: TableError(number: 71, explanation: failure.description)))
          return
        } catch {
          return
        }
      }
    }

    private mutating func receive() throws -> ControlFrame? {
      while true {
        if let frame = try frames.next() { return frame }
        if !frames.isInFrame {
          // A client may take its time between requests.
          let ready = UnixStream.wait([stream.descriptor, server.stopBell])
          if ready.contains(server.stopBell) { return nil }
        }
        guard let bytes = stream.receive(), !bytes.isEmpty else { return nil }
        frames.append(bytes)
      }
    }

    /// - Returns: false where the client is gone.
    private func answer(_ frame: ControlFrame) throws -> Bool {
      var reader = ByteReader(frame.body[...])
      switch frame.kind {
      case .hello: try greet(&reader)
      case .now:
        let now = try table.now()
        return stream.send(ControlFrame(.number) { $0.put(now) }) && done()
      case .list: return try list(reader.listRequest())
      case .get:
        let connection = try table.get(reader.connectionRequest())
        return send([connection]) && done()
      case .create: try table.create(reader.connectionRequest())
      case .update: try table.update(reader.connectionRequest())
      case .delete: try table.delete(reader.connection())
      case .flush:
        try table.flush(
          try reader.optional { (reader) throws(DecodingFailure) in try reader.addressFamily() })
      case .count:
        let count = Int64(try table.count())
        return stream.send(ControlFrame(.number) { $0.put(count) }) && done()
      case .statistics:
        let all = try table.statistics()
        return stream.send(
          ControlFrame(.processors) { writer in
            writer.put(UInt32(all.count))
            for statistics in all { writer.put(statistics) }
          }) && done()
      case .listExpectations:
        var all: [Expectation] = []
        try table.listExpectations(try reader.addressFamily()) { all.append($0) }
        return send(all) && done()
      case .getExpectation:
        return send([try table.getExpectation(reader.expectationRequest())]) && done()
      case .createExpectation: try table.createExpectation(reader.expectationRequest())
      case .deleteExpectation: try table.deleteExpectation(reader.expectationRequest())
      case .flushExpectations: try table.flushExpectations()
      case .surroundings:
        let surroundings = try table.surroundings()
        return stream.send(ControlFrame(.surroundingsAnswer) { $0.put(surroundings) }) && done()
      case .activity:
        let activity = try table.activity()
        return stream.send(ControlFrame(.activityAnswer) { $0.put(activity) }) && done()
      case .follow: return try follow(reader.followRequest())
      case .reload:
        if let refusal = server.reload() { throw TableError(number: 22, explanation: refusal) }
      case .iptables:
        return send(try RuleCommand(reader.iptablesRequest()).run(on: server.workers)) && done()
      default:
        throw DecodingFailure("a frame of kind \(frame.kind.rawValue), which a gateway sends")
      }
      return done()
    }

    private func done() -> Bool { stream.send(ControlFrame(.done)) }

    private func greet(_ reader: inout ByteReader) throws {
      for byte in ControlFrame.greeting where try reader.number(UInt8.self) != byte {
        throw DecodingFailure("no greeting")
      }
      let version: UInt16 = try reader.number()
      guard version == ControlFrame.version else {
        throw TableError(
          number: 71,
          explanation:
            "the gateway speaks version \(ControlFrame.version) of the control protocol, "
            + "not \(version)")
      }
    }

    // MARK: Many entries

    private func list(_ request: ListRequest) throws -> Bool {
      var isThere = true
      try table.slices(request) { slice in
        if isThere && !slice.isEmpty { isThere = send(slice) }
        if !isThere { throw ClientGone() }
      }
      return done()
    }

    private func send(_ connections: [Connection]) -> Bool {
      stream.send(
        ControlFrame(.connections) { writer in
          writer.put(UInt32(connections.count))
          for connection in connections { writer.put(connection) }
        })
    }

    private func send(_ expectations: [Expectation]) -> Bool {
      // A frame holds a thousand with ease.
      var rest = expectations[...]
      repeat {
        let part = rest.prefix(1000)
        rest = rest.dropFirst(1000)
        let sent = stream.send(
          ControlFrame(.expectations) { writer in
            writer.put(UInt32(part.count))
            for expectation in part { writer.put(expectation) }
          })
        if !sent { return false }
      } while !rest.isEmpty
      return true
    }

    // MARK: Events

    /// An event on the wire takes about this much, for the bound in bytes.
    private static let eventBytes = 256

    private func follow(_ request: FollowRequest) throws -> Bool {
      let bytes = min(max(request.bufferBytes ?? 1 << 24, 1 << 12), 1 << 28)
      let queue = try EventQueue(capacity: max(bytes / ControlSession.eventBytes, 16))
      var subscriptions: [EventSubscription] = []
      defer { for subscription in subscriptions { subscription.cancel() } }
      for worker in server.workers {
        let subscription = try worker.listen()
        subscriptions.append(subscription)
        forward(subscription, request, to: queue)
      }
      guard stream.send(ControlFrame(.began) { $0.put(UInt64(bytes)) }) else { return false }
      while true {
        let ready = UnixStream.wait([queue.bell, stream.descriptor, server.stopBell])
        // Whatever the client says now, it has had enough.
        if ready.contains(stream.descriptor) || ready.contains(server.stopBell) { return false }
        let (events, lost) = queue.take()
        var bytes: [UInt8] = []
        for event in events {
          switch event {
          case .connection(let event): bytes += ControlFrame(.event) { $0.put(event) }.bytes
          case .expectation(let event):
            bytes += ControlFrame(.expectationEvent) { $0.put(event) }.bytes
          }
        }
        if lost > 0 { bytes += ControlFrame(.lost) { $0.put(lost) }.bytes }
        guard bytes.isEmpty || stream.send(bytes) else { return false }
      }
    }

    /// Carries what a worker tells to the queue, which never makes it wait.
    private func forward(
      _ subscription: EventSubscription, _ request: FollowRequest, to queue: EventQueue
    ) {
      if request.expectations {
        Task {
          for await event in subscription.expectations { queue.put(.expectation(event)) }
        }
      } else {
        Task {
          for await event in subscription.events where request.kinds.contains(event.kind) {
            queue.put(.connection(event))
          }
        }
      }
    }
  }

  /// The client went while it was being answered.
  private struct ClientGone: Error {}
#endif
