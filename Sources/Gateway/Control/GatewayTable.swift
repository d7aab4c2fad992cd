// A running gateway's table, seen from another process: what `weir conntrack` works on, by the gateway's
// control socket.

#if os(Linux)
  import Conntrack
  import ConntrackFormat
  import Glibc
  import TableControl
  import Wire

  /// A connection to a gateway's control socket.
  public final class GatewayTable: WatchedTable {
    private let stream: UnixStream
    private var frames = ControlFrameReader(longest: ControlFrame.longestAnswer)

    /// - Throws: a `TableError` where no gateway answers there.
    public init(_ path: String = ControlServer.defaultPath) throws {
      func unreachable(_ number: Int32) -> TableError {
        let why =
          number == ENOENT || number == ECONNREFUSED
          ? "no gateway listens on the control socket \(path)"
          : SystemError("the control socket \(path)", number).description
        return TableError(number: number, explanation: why)
      }
      let descriptor = UnixStream.make()
      guard descriptor >= 0 else { throw unreachable(errno) }
      stream = UnixStream(descriptor)
      let connected: Int32
      do throws(SystemError) {
        connected = try unsafe UnixStream.withAddress(path) { address, length in
          unsafe connect(descriptor, address, length)
        }
      } catch { throw unreachable(error.number) }
      guard connected == 0 else { throw unreachable(errno) }
      try ask(
        ControlFrame(.hello) { writer in
          for byte in ControlFrame.greeting { writer.put(byte) }
          writer.put(ControlFrame.version)
        })
    }

    // MARK: Asking

    private static let broken = TableError(
      number: 104, explanation: "the gateway has closed the connection")

    /// Sends a request and shows the frames of its answer.
    private func ask(
      _ frame: ControlFrame, _ each: (ControlFrame) throws -> Void = { _ in }
    ) throws {
      guard stream.send(frame) else { throw GatewayTable.broken }
      while true {
        let answer = try receive()
        switch answer.kind {
        case .done: return
        case .refused: throw try understood { () throws(DecodingFailure) in try answer.refusal() }
        default: try each(answer)
        }
      }
    }

    private func receive() throws -> ControlFrame {
      while true {
        let frame = try understood { () throws(DecodingFailure) in try frames.next() }
        if let frame { return frame }
        guard let bytes = stream.receive(), !bytes.isEmpty else { throw GatewayTable.broken }
        frames.append(bytes)
      }
    }

    private func understood<Value>(_ body: () throws(DecodingFailure) -> Value) throws -> Value {
      do throws(DecodingFailure) {
        return try body()
      } catch {
        throw TableError(number: 71, explanation: "the gateway's answer: \(error)")
      }
    }

    /// The number that a request is answered with.
    private func number(_ frame: ControlFrame) throws -> Int64 {
      var number: Int64 = 0
      try ask(frame) { answer in
        var reader = ByteReader(answer.body[...])
        number = try understood { () throws(DecodingFailure) in try reader.number() }
      }
      return number
    }

    // MARK: Looking

    public func now() throws -> Int64 { try number(ControlFrame(.now)) }
    public func count() throws -> Int { Int(try number(ControlFrame(.count))) }

    public func list(_ request: ListRequest, _ each: (Connection) throws -> Void) throws {
      try connections(ControlFrame(.list) { $0.put(request) }, each)
    }

    /// The entries that a request is answered with.
    private func entries<Entry>(
      _ frame: ControlFrame,
      _ decode: (inout ByteReader) throws(DecodingFailure) -> Entry, _ each: (Entry) throws -> Void
    ) throws {
      try ask(frame) { answer in
        var reader = ByteReader(answer.body[...])
        let count = try understood { () throws(DecodingFailure) in try reader.number(UInt32.self) }
        for _ in 0..<count {
          try each(try understood { () throws(DecodingFailure) in try decode(&reader) })
        }
      }
    }

    private func connections(
      _ frame: ControlFrame, _ each: (Connection) throws -> Void
    ) throws {
      try entries(frame, { reader throws(DecodingFailure) in try reader.connection() }, each)
    }

    public func get(_ request: ConnectionRequest) throws -> Connection {
      var found: Connection?
      try connections(ControlFrame(.get) { $0.put(request) }) { found = $0 }
      guard let found else { throw TableError.noSuchEntry }
      return found
    }

    public func statistics() throws -> [ProcessorStatistics] {
      var all: [ProcessorStatistics] = []
      try entries(
        ControlFrame(.statistics), { reader throws(DecodingFailure) in try reader.statistics() },
        { all.append($0) })
      return all
    }

    public func surroundings() throws -> TableSurroundings {
      var surroundings = TableSurroundings()
      try ask(ControlFrame(.surroundings)) { answer in
        var reader = ByteReader(answer.body[...])
        surroundings = try understood { () throws(DecodingFailure) in try reader.surroundings() }
      }
      return surroundings
    }

    public func activity() throws -> TableActivity {
      var activity = TableActivity()
      try ask(ControlFrame(.activity)) { answer in
        var reader = ByteReader(answer.body[...])
        activity = try understood { () throws(DecodingFailure) in try reader.activity() }
      }
      return activity
    }

    // MARK: Changing

    public func create(_ request: ConnectionRequest) throws {
      try ask(ControlFrame(.create) { $0.put(request) })
    }

    public func update(_ request: ConnectionRequest) throws {
      try ask(ControlFrame(.update) { $0.put(request) })
    }

    public func delete(_ connection: Connection) throws {
      try ask(ControlFrame(.delete) { $0.put(connection) })
    }

    public func flush(_ family: AddressFamily?) throws {
      try ask(ControlFrame(.flush) { $0.put(family) })
    }

    /// Has the gateway load its rules again.
    public func reload() throws { try ask(ControlFrame(.reload)) }

    // MARK: Rules

    /// Runs a program of the iptables family on the gateway's rules.
    public func run(_ request: IptablesRequest) throws -> IptablesAnswer {
      let frame = ControlFrame(.iptables) { $0.put(request) }
      guard frame.body.count <= ControlFrame.longestRequest else {
        throw TableError(
          number: 90, explanation: "more than \(ControlFrame.longestRequest) bytes of rules")
      }
      var answer = IptablesAnswer()
      try ask(frame) { part in
        switch part.kind {
        case .output: answer.output += part.body
        case .errors: answer.errors += part.body
        default:
          var reader = ByteReader(part.body[...])
          answer.status = try understood { () throws(DecodingFailure) in try reader.number() }
        }
      }
      return answer
    }

    // MARK: Expectations

    public func listExpectations(
      _ family: AddressFamily, _ each: (Expectation) throws -> Void
    ) throws {
      try expectations(
        ControlFrame(.listExpectations) { $0.put(UInt8(truncatingIfNeeded: family.rawValue)) }, each
      )
    }

    private func expectations(
      _ frame: ControlFrame, _ each: (Expectation) throws -> Void
    ) throws {
      try entries(frame, { reader throws(DecodingFailure) in try reader.expectation() }, each)
    }

    public func getExpectation(_ request: ExpectationRequest) throws -> Expectation {
      var found: Expectation?
      try expectations(ControlFrame(.getExpectation) { $0.put(request) }) { found = $0 }
      guard let found else { throw TableError.noSuchEntry }
      return found
    }

    public func createExpectation(_ request: ExpectationRequest) throws {
      try ask(ControlFrame(.createExpectation) { $0.put(request) })
    }

    public func deleteExpectation(_ request: ExpectationRequest) throws {
      try ask(ControlFrame(.deleteExpectation) { $0.put(request) })
    }

    public func flushExpectations() throws { try ask(ControlFrame(.flushExpectations)) }

    // MARK: Events

    public func follow(_ request: FollowRequest, _ each: (TableEvent) throws -> Bool) throws {
      guard stream.send(ControlFrame(.follow) { $0.put(request) }) else {
        throw GatewayTable.broken
      }
      while true {
        while let frame = try understood({ () throws(DecodingFailure) in try frames.next() }) {
          guard try each(event(frame)) else { return }
        }
        let waiting = [stream.descriptor] + (request.interruption.map { [$0] } ?? [])
        let ready = UnixStream.wait(waiting)
        if let interruption = request.interruption, ready.contains(interruption) { return }
        guard ready.contains(stream.descriptor) else { continue }
        // A gateway that ends, ends the events.
        guard let bytes = stream.receive(), !bytes.isEmpty else { return }
        frames.append(bytes)
      }
    }

    private func event(_ frame: ControlFrame) throws -> TableEvent {
      var reader = ByteReader(frame.body[...])
      return try understood { () throws(DecodingFailure) in
        switch frame.kind {
        case .began: TableEvent.began(bufferBytes: Int(clamping: try reader.number(UInt64.self)))
        case .event: .connection(try reader.connectionEvent())
        case .expectationEvent: .expectation(try reader.expectationEvent())
        case .lost: .lost(try reader.number())
        default: throw DecodingFailure("a frame of kind \(frame.kind.rawValue) among events")
        }
      }
    }
  }
#endif
