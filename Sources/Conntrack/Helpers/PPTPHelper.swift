// PPTP (RFC 2637): the calls that a control connection sets up, and the GRE flow (section 4.1) of each.
// One call at a time: the helper follows the control messages of both ends and expects the flow either
// way, by the numbers the ends have given their call.

import Wire

/// What the helper keeps of a control connection. A call has two numbers: the client's (PNS) and the
/// server's (PAC).
struct PPTPCall: BitwiseCopyable {
  enum Session: UInt8 {
    case none
    /// Asked for, but refused, or asked to stop: only the answer to a stop makes room for another.
    case failed
    case stopping
    case requested
    case confirmed
  }

  enum Stage: UInt8 {
    case none
    /// Asked for by the client.
    case outgoingRequested
    case outgoingConfirmed
    /// Asked for by the server.
    case incomingRequested
    case incomingAnswered
    case incomingConfirmed
  }

  var session = Session.none
  var stage = Stage.none
  /// The client's number, under NAT as the server knows it.
  var client: UInt16 = 0
  var server: UInt16 = 0
  /// Under NAT, the client's number as the client knows it.
  var ownClient: UInt16 = 0
  /// The keys of the GRE flow, as filed in `CallKeys`: of the client's packets and of the server's.
  var keys: (CallKeyPair, CallKeyPair) = (CallKeyPair(), CallKeyPair())
  var isFiled = false
  /// Next in the bucket of either, see `CallKeys`.
  var next: (UInt32, UInt32) = (0, 0)
}

/// One control message (RFC 2637 section 2): offsets from its first byte.
private struct PPTPMessage: ~Escapable {
  enum Kind: UInt16 {
    case startRequest = 1
    case startReply
    case stopRequest
    case stopReply
    case echoRequest
    case echoReply
    case outgoingRequest
    case outgoingReply
    case incomingRequest
    case incomingReply
    case incomingConnected
    case clearRequest
    case disconnectNotify
    case wanError
    case linkInfo

    var length: Int {
      switch self {
      case .startRequest, .startReply: 156
      case .stopRequest, .stopReply, .echoRequest, .clearRequest: 16
      case .echoReply: 20
      case .outgoingRequest: 168
      case .outgoingReply: 32
      case .incomingRequest: 220
      case .incomingReply, .linkInfo: 24
      case .incomingConnected: 28
      case .disconnectNotify: 148
      case .wanError: 40
      }
    }
  }

  private let bytes: RawSpan
  private let start: Int
  let kind: Kind

  static let magicCookie: UInt32 = 0x1a2b_3c4d
  /// Where the number of the sender's call stands, in replies the peer's behind it.
  static let callID = 12
  static let peerCallID = 14

  /// Nil for what is no whole control message of a known kind.
  @_lifetime(copy bytes)
  init?(_ bytes: RawSpan, at start: Int, end: Int) {
    guard start + 12 <= end, bytes.uint16(at: start + 2) == 1,
      bytes.uint32(at: start + 4) == PPTPMessage.magicCookie,
      let kind = Kind(rawValue: bytes.uint16(at: start + 8)), start + kind.length <= end
    else { return nil }
    self.bytes = bytes
    self.start = start
    self.kind = kind
  }

  var number: UInt16 { bytes.uint16(at: start + PPTPMessage.callID) }
  var peerNumber: UInt16 { bytes.uint16(at: start + PPTPMessage.peerCallID) }

  /// Whether an answer says that all went well.
  var isSuccess: Bool {
    let offset = kind == .startReply ? 14 : kind == .stopReply ? 12 : 16
    return bytes.uint8(at: start + offset) == 1
  }
}

extension ConnectionTracker {
  mutating func helpPPTP(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ tracking: Tracking
  ) -> HelperVerdict {
    guard tracking.state == .established,
      let segment = TCPHeader(bytes, at: headers.transportOffset, end: headers.end)
    else { return .pass }
    let start = headers.transportOffset + segment.headerLength
    guard start < headers.end, let message = PPTPMessage(bytes, at: start, end: headers.end) else {
      return .pass
    }
    let record = tracking.connection.index
    let isTranslated = !table.records[record].status.isDisjoint(
      with: [.sourceNAT, .destinationNAT])
    let written =
      tracking.direction == .original
      ? hearClient(message, record, isTranslated) : hearServer(message, record)
    guard isTranslated, let written else { return .pass }
    return .writes(written.value, offset: start + written.offset)
  }

  /// - Returns: what NAT writes into the message, and where; nil: nothing.
  private mutating func hearClient(
    _ message: borrowing PPTPMessage, _ record: Int, _ isTranslated: Bool
  ) -> (value: UInt16, offset: Int)? {
    var call = table.helpers[record].call
    defer { table.helpers[record].call = call }
    switch message.kind {
    case .startRequest:
      if call.session == .none { call.session = .requested }
      return nil
    case .stopRequest:
      call.session = .stopping
      return nil
    case .outgoingRequest:
      guard call.session == .confirmed else { return nil }
      call.stage = .outgoingRequested
      call.client = message.number
      if isTranslated {
        // The server's side knows the call by the number of the connection's translated port.
        call.ownClient = call.client
        call.client = table.tuple(record, .reply).destinationPort
      }
    case .incomingReply:
      guard call.stage == .incomingRequested || call.stage == .incomingAnswered,
        message.peerNumber == call.server
      else { return nil }
      if message.isSuccess {
        call.stage = .incomingAnswered
        call.client = message.number
      } else {
        call.stage = .none
      }
    case .clearRequest:
      guard call.session == .confirmed else { return nil }
      call.stage = .none
    default: return nil
    }
    return (call.client, PPTPMessage.callID)
  }

  private mutating func hearServer(
    _ message: borrowing PPTPMessage, _ record: Int
  ) -> (value: UInt16, offset: Int)? {
    var call = table.helpers[record].call
    var isSetUp = false
    switch message.kind {
    case .startReply:
      guard call.session == .requested || call.session == .confirmed else { return nil }
      call.session = message.isSuccess ? .confirmed : .failed
    case .stopReply:
      // Until then no other session is begun.
      guard call.session != .requested && call.session != .confirmed else { return nil }
      call.session = message.isSuccess ? .none : .failed
    case .outgoingReply:
      guard call.session == .confirmed,
        call.stage == .outgoingRequested || call.stage == .outgoingConfirmed,
        message.peerNumber == call.client
      else { return nil }
      if message.isSuccess {
        call.stage = .outgoingConfirmed
        call.server = message.number
        isSetUp = true
      } else {
        call.stage = .none
      }
    case .incomingRequest:
      guard call.session == .confirmed else { return nil }
      call.stage = .incomingRequested
      call.server = message.number
    case .incomingConnected:
      guard call.session == .confirmed,
        call.stage == .incomingAnswered || call.stage == .incomingConfirmed,
        message.number == call.client
      else { return nil }
      call.stage = .incomingConfirmed
      isSetUp = true
    case .disconnectNotify: call.stage = .none
    default: break
    }
    table.helpers[record].call = call
    if isSetUp { expectCall(of: record) }
    if message.kind == .disconnectNotify { endCalls(of: record) }
    return switch message.kind {
    case .outgoingReply: (call.ownClient, PPTPMessage.peerCallID)
    case .incomingConnected, .disconnectNotify, .wanError, .linkInfo:
      (call.ownClient, PPTPMessage.callID)
    default: nil
    }
  }

  // MARK: The GRE flow

  /// Expects the flow of a connection's call from either end, and files its keys.
  private mutating func expectCall(of record: Int) {
    let call = table.helpers[record].call
    let isTranslated = !table.records[record].status.isDisjoint(
      with: [.sourceNAT, .destinationNAT])
    let master = ConnectionNumber(rawValue: UInt32(record))
    func draft(_ tuple: Tuple, _ direction: Direction) -> ExpectationDraft {
      var draft = ExpectationDraft(tuple, helper: .pptp, direction: direction)
      draft.sourcePortMask = .max
      if isTranslated {
        draft.following = .pptp
        draft.savedSourcePort = call.client
        draft.savedPort = call.ownClient
      }
      return draft
    }
    let keys = (
      CallKeyPair(source: isTranslated ? call.ownClient : call.client, destination: call.server),
      CallKeyPair(source: call.server, destination: call.client)
    )
    let original = table.callTuple(of: record, .original, keys.0)
    let reply = table.callTuple(of: record, .reply, keys.1)
    guard expect(draft(original, .original), by: master) == nil else { return }
    guard expect(draft(reply, .reply), by: master) == nil else {
      forgetExpectation(original, of: record)
      return
    }
    // Other keys than those of a call that has not ended are not filed, and then nothing is expected.
    guard table.fileCallKeys(of: record, keys) else {
      forgetExpectation(reply, of: record)
      forgetExpectation(original, of: record)
      return
    }
  }

  private mutating func forgetExpectation(_ tuple: Tuple, of record: Int) {
    if let found = table.expectation(awaiting: tuple, zone: table.records[record].zone) {
      table.forgetExpectation(found)
    }
  }

  /// A call's flow has begun with `record`: the expectation of its other direction goes.
  mutating func forgetOtherCall(of record: Int, _ expectation: ExpectationRecord) {
    let other: Tuple
    if expectation.following == .pptp {
      let master = Int(expectation.master)
      let call = table.helpers[master].call
      // From the server, the kernel looks for the call with number 0 on both sides.
      other =
        expectation.direction == .original
        ? table.callTuple(
          of: master, .reply, CallKeyPair(source: call.server, destination: call.client))
        : table.callTuple(of: master, .original, CallKeyPair())
    } else {
      guard let inverse = table.tuple(record, .original).inverted else { return }
      other = inverse
    }
    forgetExpectation(other, of: record)
  }

  /// Ends the flow of a control connection's call, or stops to expect it.
  mutating func endCalls(of record: Int) {
    for direction in Direction.allCases {
      guard let flow = table.takeCall(of: record, direction, now: now) else { continue }
      tellDestroyed(flow)
      table.remove(flow)
    }
  }
}
