// From the options of `-G`, `-I`, `-A` and `-U` to what a table is asked: which tuple is named, and which is
// the other one's answer.

import Conntrack
import ConntrackFormat
import Wire

extension ConntrackCommandLine {
  /// The connection that `-I` or `-A` makes.
  func creation() -> ConnectionRequest {
    var request = ConnectionRequest(family: filter.family)
    (request.original, request.reply) = tuples()
    if filter.replySource == nil && filter.replyDestination == nil && !namesReplyNAT {
      request.reply = request.original.answer(filter.family)
    } else if filter.originalSource == nil && filter.originalDestination == nil {
      request.original = request.reply.answer(filter.family)
    }
    if let status = filter.status { request.status = status.union(.confirmed) }
    request.timeoutSeconds = changes.timeoutSeconds
    request.mark = filter.mark
    request.protocolState = filter.state
    request.originalTag = changes.originalTag
    request.replyTag = changes.replyTag
    request.isServer = changes.isServer
    request.labels = changes.addedLabels
    (request.zone, request.zoneDirection) = zone
    request.sourceNAT = translation(filter.sourceNAT)
    request.destinationNAT = translation(filter.destinationNAT)
    return request
  }

  /// `-n` or `-g` beside `-q` or `-r`: the reply tuple is said by both.
  private var namesReplyNAT: Bool {
    filter.replySource != nil || filter.replyDestination != nil
  }

  private var zone: (UInt16?, ZoneDirection) {
    if let zone = filter.zone { return (zone, .both) }
    if let zone = filter.originalZone { return (zone, .original) }
    if let zone = filter.replyZone { return (zone, .reply) }
    return (nil, .both)
  }

  /// Whether both directions were given a zone, which no connection has.
  var hasTwoZones: Bool { filter.originalZone != nil && filter.replyZone != nil }

  private func translation(_ pattern: NATPattern?) -> TranslationRequest? {
    guard let address = pattern?.address else { return nil }
    return TranslationRequest(address: address, port: pattern?.port)
  }

  /// The connection that `-G` names.
  /// - Throws: a `TableError` where conntrack does not even ask.
  func lookup() throws -> ConnectionRequest {
    var request = ConnectionRequest(family: filter.family)
    (request.original, request.reply) = tuples()
    if filter.originalSource == nil { throw TableError.invalid }
    if filter.replySourcePort != nil || filter.replyDestinationPort != nil {
      throw TableError.noData
    }
    request.reply = TupleRequest()
    return request
  }

  /// What both tuples were said to be.
  private func tuples() -> (TupleRequest, TupleRequest) {
    var original = TupleRequest()
    original.source = filter.originalSource?.address
    original.destination = filter.originalDestination?.address
    original.sourcePort = filter.originalSourcePort
    original.destinationPort = filter.originalDestinationPort
    if let type = filter.icmpType {
      original.sourcePort = filter.icmpID ?? 0
      original.destinationPort = UInt16(type) << 8 | UInt16(filter.icmpCode ?? 0)
    }
    var reply = TupleRequest()
    reply.source = filter.replySource?.address
    reply.destination = filter.replyDestination?.address
    reply.sourcePort = filter.replySourcePort
    reply.destinationPort = filter.replyDestinationPort
    if !original.isEmpty { original.protocolNumber = filter.protocolNumber }
    if !reply.isEmpty {
      // As conntrack has it: addresses alone, of a protocol with ports, leave the reply without a protocol,
      // and the table refuses it.
      let hasPorts = filter.protocolNumber.map { [6, 17, 33, 47, 132, 136].contains($0) } ?? false
      if !hasPorts || reply.sourcePort != nil || reply.destinationPort != nil {
        reply.protocolNumber = filter.protocolNumber
      }
      if filter.icmpType != nil { (reply.sourcePort, reply.destinationPort) = icmpAnswer() }
    }
    return (original, reply)
  }

  private func icmpAnswer() -> (UInt16?, UInt16?) {
    var question = TupleRequest()
    question.protocolNumber = filter.protocolNumber
    question.sourcePort = filter.icmpID ?? 0
    question.destinationPort = UInt16(filter.icmpType ?? 0) << 8 | UInt16(filter.icmpCode ?? 0)
    let answer = question.answer(filter.family)
    return (answer.sourcePort, answer.destinationPort)
  }

  /// What `-U` asks for one connection; nil where it is so already.
  func update(of connection: Connection) -> ConnectionRequest? {
    var request = ConnectionRequest(family: filter.family)
    request.original = TupleRequest(connection.original)
    if let status = changes.status {
      let union = connection.status.union(status)
      if union != connection.status { request.status = union }
    }
    if let mark = changes.mark {
      let changed = connection.mark & ~changes.markMask ^ mark
      if changed != connection.mark { request.mark = changed }
    }
    if let seconds = changes.timeoutSeconds,
      Int64(seconds) != connection.timeoutNanoseconds / 1_000_000_000
    {
      request.timeoutSeconds = seconds
    }
    if let state = changes.protocolState, state != connection.protocolState {
      request.protocolState = state
    }
    let labels = connection.labels ?? ConnectionLabels()
    if let added = changes.addedLabels, !labels.contains(added) {
      request.labels = ConnectionLabels(low: labels.low | added.low, high: labels.high | added.high)
    }
    if let deleted = changes.deletedLabels {
      let left = ConnectionLabels(
        low: labels.low & ~deleted.low, high: labels.high & ~deleted.high)
      if left != labels {
        request.labels = left
        request.labelMask = deleted
      }
    }
    let asksNothing =
      request.status == nil && request.mark == nil && request.timeoutSeconds == nil
      && request.protocolState == nil && request.labels == nil
    return asksNothing ? nil : request
  }

  // MARK: Expectations

  /// The expectation that `-I expect` makes, or `-G expect` and `-D expect` name.
  func expectation() throws -> ExpectationRequest {
    var request = ExpectationRequest(family: filter.family ?? .ipv4)
    let named = tuples().0
    guard operation == .create else {
      request.expected = named
      return request
    }
    request.master = named
    request.timeoutSeconds = changes.timeoutSeconds
    for read in options {
      let value = read.value ?? ""
      switch read.option {
      case .tupleSource: request.expected.source = try address(value)
      case .tupleDestination: request.expected.destination = try address(value)
      case .maskSource: request.mask.source = try address(value)
      case .maskDestination: request.mask.destination = try address(value)
      case .tuplePortSource:
        request.expected.sourcePort = ConntrackArgument.decimal(value, as: UInt16.self)
      case .tuplePortDestination:
        request.expected.destinationPort = ConntrackArgument.decimal(value, as: UInt16.self)
      case .maskPortSource:
        request.mask.sourcePort = ConntrackArgument.decimal(value, as: UInt16.self)
      case .maskPortDestination:
        request.mask.destinationPort = ConntrackArgument.decimal(value, as: UInt16.self)
      default: break
      }
    }
    request.mask.protocolNumber = filter.protocolNumber
    return request
  }

  private func address(_ text: String) throws -> IPAddress {
    let (address, family) = try ConntrackArgument.address(text)
    guard family == filter.family ?? family else {
      throw ConntrackArgumentError("mismatched address family")
    }
    return address
  }
}

extension TupleRequest {
  /// The tuple of what answers this one. An ICMP type that nothing answers leaves the answer without.
  func answer(_ family: AddressFamily?) -> TupleRequest {
    var answer = TupleRequest()
    answer.source = destination
    answer.destination = source
    answer.protocolNumber = protocolNumber
    answer.sourcePort = destinationPort
    answer.destinationPort = sourcePort
    if protocolNumber == 1 || protocolNumber == 58, let protocolNumber {
      let family = family ?? (protocolNumber == 1 ? .ipv4 : .ipv6)
      let inverted = Tuple(
        source: .any, destination: .any, sourcePort: sourcePort ?? 0,
        destinationPort: destinationPort ?? 0, protocolNumber: protocolNumber, family: family
      ).inverted
      answer.sourcePort = inverted?.sourcePort
      answer.destinationPort = inverted?.destinationPort
    }
    return answer
  }
}
