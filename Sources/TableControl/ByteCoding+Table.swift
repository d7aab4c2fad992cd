// Connections, expectations, events and requests as bytes. For the two ends of a control socket.

import Conntrack
import ConntrackFormat
import Wire

extension ByteWriter {
  mutating func put(_ address: IPAddress) {
    put(address.high)
    put(address.low)
  }

  mutating func put(_ tuple: Tuple) {
    put(UInt8(truncatingIfNeeded: tuple.family.rawValue))
    put(tuple.protocolNumber)
    put(tuple.source)
    put(tuple.destination)
    put(tuple.sourcePort)
    put(tuple.destinationPort)
  }

  public mutating func put(_ family: AddressFamily?) {
    put(family) { $0.put(UInt8(truncatingIfNeeded: $1.rawValue)) }
  }

  mutating func put(_ labels: ConnectionLabels?) {
    put(labels) { writer, labels in
      writer.put(labels.low)
      writer.put(labels.high)
    }
  }

  mutating func put(_ counters: ConnectionCounters?) {
    put(counters) { writer, counters in
      writer.put(counters.packets)
      writer.put(counters.bytes)
    }
  }

  mutating func put(_ state: ProtocolState) {
    switch state {
    case .none: put(UInt16(0))
    case .tcp(let state): put(UInt16(0x100) | UInt16(state.rawValue))
    case .sctp(let state): put(UInt16(0x200) | UInt16(state.rawValue))
    case .dccp(let state): put(UInt16(0x300) | UInt16(state.rawValue))
    }
  }

  public mutating func put(_ connection: Connection) {
    put(connection.original)
    put(connection.reply)
    put(connection.status.rawValue)
    put(connection.protocolState)
    put(connection.timeoutNanoseconds)
    put(connection.mark)
    put(connection.zone)
    put(connection.zoneDirection.rawValue)
    put(connection.originalCounters)
    put(connection.replyCounters)
    put(connection.startNanoseconds)
    put(connection.stopNanoseconds)
    put(connection.id)
    put(connection.labels)
    put(connection.helperName) { $0.put($1) }
    put(connection.useCount)
    put(connection.originalTag)
    put(connection.replyTag)
  }

  public mutating func put(_ event: ConnectionEvent) {
    put(event.kind.rawValue)
    put(event.connection)
    put(event.timeNanoseconds)
    put(event.markChanged)
    put(event.requester) { writer, requester in
      writer.put(requester.portID)
      writer.put(requester.programName) { $0.put($1) }
    }
  }

  public mutating func put(_ expectation: Expectation) {
    put(expectation.tuple)
    put(expectation.sourceMask)
    put(expectation.sourcePortMask)
    put(expectation.master)
    put(expectation.zone)
    put(expectation.timeoutNanoseconds)
    put(expectation.helperName)
    put(expectation.classNumber)
    put(expectation.flags.rawValue)
    put(expectation.id)
  }

  public mutating func put(_ event: ExpectationEvent) {
    put(event.kind.rawValue)
    put(event.expectation)
    put(event.timeNanoseconds)
  }

  mutating func put(_ tuple: TupleRequest) {
    put(tuple.source) { $0.put($1) }
    put(tuple.destination) { $0.put($1) }
    put(tuple.sourcePort)
    put(tuple.destinationPort)
    put(tuple.protocolNumber)
  }

  mutating func put(_ translation: TranslationRequest?) {
    put(translation) { writer, translation in
      writer.put(translation.address)
      writer.put(translation.port)
    }
  }

  public mutating func put(_ request: ListRequest) {
    put(request.table.rawValue)
    put(request.family)
    put(request.zeroesCounters)
    put(request.mark)
    put(request.markMask)
  }

  public mutating func put(_ request: ConnectionRequest) {
    put(request.family)
    put(request.original)
    put(request.reply)
    put(request.zone)
    put(request.zoneDirection.rawValue)
    put(request.status?.rawValue)
    put(request.timeoutSeconds)
    put(request.mark)
    put(request.protocolState) { $0.put($1) }
    put(request.originalTag)
    put(request.replyTag)
    put(request.labels)
    put(request.labelMask)
    put(request.sourceNAT)
    put(request.destinationNAT)
  }

  public mutating func put(_ request: ExpectationRequest) {
    put(UInt8(truncatingIfNeeded: request.family.rawValue))
    put(request.expected)
    put(request.mask)
    put(request.master)
    put(request.timeoutSeconds)
  }

  public mutating func put(_ request: FollowRequest) {
    var kinds: UInt8 = 0
    for kind in request.kinds { kinds |= 1 << kind.rawValue }
    put(kinds)
    put(request.expectations)
    put(request.bufferBytes.map { UInt32(clamping: $0) })
  }

  public mutating func put(_ statistics: ProcessorStatistics) {
    put(UInt32(clamping: statistics.processor))
    let counters = statistics.connections
    for counter in [
      counters.found, counters.invalid, counters.insert, counters.insertFailed, counters.drop,
      counters.earlyDrop, counters.error, counters.searchRestart, counters.clashResolve,
      counters.chainTooLong, statistics.expectations.new, statistics.expectations.create,
      statistics.expectations.delete,
    ] { put(counter) }
  }
}

extension ByteReader {
  mutating func address() throws(DecodingFailure) -> IPAddress {
    IPAddress(high: try number(), low: try number())
  }

  public mutating func addressFamily() throws(DecodingFailure) -> AddressFamily { try family() }

  mutating func family() throws(DecodingFailure) -> AddressFamily {
    switch try number(UInt8.self) {
    case 2: .ipv4
    case 10: .ipv6
    default: throw DecodingFailure("an unknown address family")
    }
  }

  mutating func tuple() throws(DecodingFailure) -> Tuple {
    let family = try family()
    let protocolNumber: UInt8 = try number()
    return Tuple(
      source: try address(), destination: try address(), sourcePort: try number(),
      destinationPort: try number(), protocolNumber: protocolNumber, family: family)
  }

  mutating func labels() throws(DecodingFailure) -> ConnectionLabels {
    ConnectionLabels(low: try number(), high: try number())
  }

  mutating func counters() throws(DecodingFailure) -> ConnectionCounters {
    ConnectionCounters(packets: try number(), bytes: try number())
  }

  mutating func protocolState() throws(DecodingFailure) -> ProtocolState {
    let word: UInt16 = try number()
    let low = UInt8(word & 0xff)
    let state: ProtocolState? =
      switch word >> 8 {
      case 0 where low == 0: ProtocolState.none
      case 1: TCPState(rawValue: low).map { .tcp($0) }
      case 2: SCTPState(rawValue: low).map { .sctp($0) }
      case 3: DCCPState(rawValue: low).map { .dccp($0) }
      default: nil
      }
    guard let state else { throw DecodingFailure("an unknown state") }
    return state
  }

  public mutating func connection() throws(DecodingFailure) -> Connection {
    var connection = Connection(original: try tuple(), reply: try tuple())
    connection.status = ConnectionStatus(rawValue: try number())
    connection.protocolState = try protocolState()
    connection.timeoutNanoseconds = try number()
    connection.mark = try number()
    connection.zone = try number()
    connection.zoneDirection = try choice()
    connection.originalCounters = try optional { (reader) throws(DecodingFailure) in
      try reader.counters()
    }
    connection.replyCounters = try optional { (reader) throws(DecodingFailure) in
      try reader.counters()
    }
    connection.startNanoseconds = try optionalNumber()
    connection.stopNanoseconds = try optionalNumber()
    connection.id = try number()
    connection.labels = try optional { (reader) throws(DecodingFailure) in try reader.labels() }
    connection.helperName = try optional { (reader) throws(DecodingFailure) in
      try reader.text()
    }
    connection.useCount = try number()
    connection.originalTag = try optionalNumber()
    connection.replyTag = try optionalNumber()
    return connection
  }

  public mutating func connectionEvent() throws(DecodingFailure) -> ConnectionEvent {
    let kind: ConnectionEventKind = try choice()
    let connection = try connection()
    var event = ConnectionEvent(
      kind: kind, connection: connection, timeNanoseconds: try number())
    event.markChanged = try flag()
    event.requester = try optional { (reader) throws(DecodingFailure) in
      EventRequester(
        portID: try reader.number(),
        programName: try reader.optional { (reader) throws(DecodingFailure) in
          try reader.text()
        })
    }
    return event
  }

  public mutating func expectation() throws(DecodingFailure) -> Expectation {
    let tuple = try tuple()
    let (mask, portMask): (IPAddress, UInt16) = (try address(), try number())
    var expectation = Expectation(
      tuple: tuple, sourceMask: mask, sourcePortMask: portMask, master: try self.tuple(),
      helper: .none)
    expectation.zone = try number()
    expectation.timeoutNanoseconds = try number()
    expectation.foreignHelperName = try text()
    expectation.classNumber = try number()
    expectation.flags = ExpectationFlags(rawValue: try number())
    expectation.id = try number()
    return expectation
  }

  public mutating func expectationEvent() throws(DecodingFailure) -> ExpectationEvent {
    let kind: ExpectationEvent.Kind = try choice()
    return ExpectationEvent(
      kind: kind, expectation: try expectation(), timeNanoseconds: try number())
  }

  mutating func tupleRequest() throws(DecodingFailure) -> TupleRequest {
    var tuple = TupleRequest()
    tuple.source = try optional { (reader) throws(DecodingFailure) in try reader.address() }
    tuple.destination = try optional { (reader) throws(DecodingFailure) in try reader.address() }
    tuple.sourcePort = try optionalNumber()
    tuple.destinationPort = try optionalNumber()
    tuple.protocolNumber = try optionalNumber()
    return tuple
  }

  mutating func translation() throws(DecodingFailure) -> TranslationRequest {
    TranslationRequest(address: try address(), port: try optionalNumber())
  }

  private mutating func optionalFamily() throws(DecodingFailure) -> AddressFamily? {
    try optional { (reader) throws(DecodingFailure) in try reader.family() }
  }

  public mutating func listRequest() throws(DecodingFailure) -> ListRequest {
    ListRequest(
      table: try choice(), family: try optionalFamily(), zeroesCounters: try flag(),
      mark: try optionalNumber(), markMask: try number())
  }

  public mutating func connectionRequest() throws(DecodingFailure) -> ConnectionRequest {
    var request = ConnectionRequest(family: try optionalFamily())
    request.original = try tupleRequest()
    request.reply = try tupleRequest()
    request.zone = try optionalNumber()
    request.zoneDirection = try choice()
    request.status = try optionalNumber().map { ConnectionStatus(rawValue: $0) }
    request.timeoutSeconds = try optionalNumber()
    request.mark = try optionalNumber()
    request.protocolState = try optional { (reader) throws(DecodingFailure) in
      try reader.protocolState()
    }
    request.originalTag = try optionalNumber()
    request.replyTag = try optionalNumber()
    request.labels = try optional { (reader) throws(DecodingFailure) in try reader.labels() }
    request.labelMask = try optional { (reader) throws(DecodingFailure) in try reader.labels() }
    request.sourceNAT = try optional { (reader) throws(DecodingFailure) in
      try reader.translation()
    }
    request.destinationNAT = try optional { (reader) throws(DecodingFailure) in
      try reader.translation()
    }
    return request
  }

  public mutating func expectationRequest() throws(DecodingFailure) -> ExpectationRequest {
    var request = ExpectationRequest(family: try family())
    request.expected = try tupleRequest()
    request.mask = try tupleRequest()
    request.master = try tupleRequest()
    request.timeoutSeconds = try optionalNumber()
    return request
  }

  public mutating func followRequest() throws(DecodingFailure) -> FollowRequest {
    let kinds: UInt8 = try number()
    let all: [ConnectionEventKind] = [.new, .update, .destroy]
    let expectations = try flag()
    let bytes: UInt32? = try optionalNumber()
    return FollowRequest(
      kinds: Set(all.filter { kinds & 1 << $0.rawValue != 0 }), expectations: expectations,
      bufferBytes: bytes.map { Int($0) })
  }

  public mutating func statistics() throws(DecodingFailure) -> ProcessorStatistics {
    var statistics = ProcessorStatistics(processor: Int(try number(UInt32.self)))
    statistics.connections.found = try number()
    statistics.connections.invalid = try number()
    statistics.connections.insert = try number()
    statistics.connections.insertFailed = try number()
    statistics.connections.drop = try number()
    statistics.connections.earlyDrop = try number()
    statistics.connections.error = try number()
    statistics.connections.searchRestart = try number()
    statistics.connections.clashResolve = try number()
    statistics.connections.chainTooLong = try number()
    statistics.expectations.new = try number()
    statistics.expectations.create = try number()
    statistics.expectations.delete = try number()
    return statistics
  }
}
