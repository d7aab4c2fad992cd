// SCTP: associations by their chunks, and the verification tags that say whose packet it is
// (RFC 9260, 8.5).

import Wire

/// An association's own state. Lies where TCP has its own, since no record is both.
struct SCTPRecord: BitwiseCopyable {
  struct Flags: OptionSet, BitwiseCopyable {
    var rawValue: UInt8
    /// A heartbeat with another tag was seen; its answer would tell of new tags.
    static var heartbeatTagDiffers: Self { .init(rawValue: 1 << 0) }
    static var initFromOriginal: Self { .init(rawValue: 1 << 1) }
    static var initFromReply: Self { .init(rawValue: 1 << 2) }

    static func initiation(from direction: Direction) -> Self {
      direction == .original ? .initFromOriginal : .initFromReply
    }
  }

  /// The tag that packets of each direction carry; 0: not known.
  var originalTag: UInt32 = 0
  var replyTag: UInt32 = 0
  var state = SCTPState.none
  var flags: Flags = []
  var lastDirection = Direction.original

  subscript(direction: Direction) -> UInt32 {
    get { direction == .original ? originalTag : replyTag }
    set { if direction == .original { originalTag = newValue } else { replyTag = newValue } }
  }
}

extension Record {
  var sctp: SCTPRecord {
    get {
      SCTPRecord(
        originalTag: tcp.lastSequence, replyTag: tcp.lastAcknowledgement,
        state: SCTPState(rawValue: tcp.retransmissions) ?? .none,
        flags: SCTPRecord.Flags(rawValue: tcp.lastWindowScale),
        lastDirection: tcp.lastDirection)
    }
    set {
      tcp.lastSequence = newValue.originalTag
      tcp.lastAcknowledgement = newValue.replyTag
      tcp.retransmissions = newValue.state.rawValue
      tcp.lastWindowScale = newValue.flags.rawValue
      tcp.lastDirection = newValue.lastDirection
    }
  }
}

/// Which kinds of chunk a packet holds, one bit a type below 64.
struct SCTPChunkSet {
  private var bits: UInt64 = 0

  mutating func insert(_ type: UInt8) {
    if type < 64 { bits |= 1 << UInt64(type) }
  }
  func contains(_ type: UInt8) -> Bool { type < 64 && bits & (1 << UInt64(type)) != 0 }
  func containsAny(_ types: [UInt8]) -> Bool { types.contains { contains($0) } }
}

extension ConnectionTracker {
  /// What is wrong with a packet on its own: its checksum, its chunks' lengths, and chunks that do not
  /// go together (RFC 9260, 6.10).
  func sctpError(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook
  ) -> InvalidReason? {
    let at = headers.transportOffset
    guard SCTPHeader(bytes, at: at, end: headers.end) != nil else {
      return .truncated(protocolNumber: IPProtocolNumber.sctp)
    }
    if hook == .prerouting && settings.checksum != 0
      && !CRC32c.sctpIsValid(bytes, at: at, end: headers.end)
    {
      return .badChecksum(protocolNumber: IPProtocolNumber.sctp)
    }
    return sctpChunks(bytes, headers) == nil ? .sctpBadChunks : nil
  }

  /// The kinds of chunk in a packet; nil where they are no packet.
  private func sctpChunks(_ bytes: RawSpan, _ headers: PacketHeaders) -> SCTPChunkSet? {
    var chunks = SCTPChunkSet()
    var count = 0
    var alone = false
    var offset = headers.transportOffset + SCTPField.headerLength
    while let chunk = SCTPChunk(bytes, at: offset, end: headers.end) {
      switch chunk.type {
      case SCTPChunkType.initiation, SCTPChunkType.initiationAck, SCTPChunkType.shutdownComplete:
        alone = true
      default: break
      }
      let first =
        chunk.type == SCTPChunkType.cookieAck || chunk.type == SCTPChunkType.cookieEcho || alone
      if (first && count != 0) || chunk.length == 0 { return nil }
      chunks.insert(chunk.type)
      count += 1
      offset = chunk.nextOffset
    }
    return count == 0 ? nil : chunks
  }

  /// Prepares a new association's record. Nil when the packet may begin one.
  func beginSCTP(_ record: Int, _ bytes: RawSpan, _ headers: PacketHeaders) -> InvalidReason? {
    guard let header = SCTPHeader(bytes, at: headers.transportOffset, end: headers.end) else {
      return .truncated(protocolNumber: IPProtocolNumber.sctp)
    }
    var association = SCTPRecord()
    var offset = headers.transportOffset + SCTPField.headerLength
    while let chunk = SCTPChunk(bytes, at: offset, end: headers.end) {
      guard SCTPStates.next(.original, .none, chunk.type) != nil else { return .sctpNoConnection }
      switch chunk.type {
      case SCTPChunkType.initiation:
        guard let tag = initiateTag(bytes, chunk, headers) else { return .sctpBadChunks }
        if header.verificationTag != 0 { return badTag(header.verificationTag, 0) }
        association.replyTag = tag
      case SCTPChunkType.heartbeat:
        association.originalTag = header.verificationTag
      default:
        association.replyTag = header.verificationTag
      }
      offset = chunk.nextOffset
    }
    table.records[record].sctp = association
    return nil
  }

  /// One packet of an association, which may be the one that began it.
  mutating func trackSCTP(
    _ record: Int, _ direction: Direction, isNew: Bool, _ bytes: RawSpan, _ headers: PacketHeaders
  ) -> TrackerVerdict {
    guard let header = SCTPHeader(bytes, at: headers.transportOffset, end: headers.end),
      let chunks = sctpChunks(bytes, headers)
    else { return .invalid(.sctpBadChunks) }
    let tag = header.verificationTag
    var association = table.records[record].sctp
    // Chunks with rules of their own for the tag are looked at one by one.
    let special = [
      SCTPChunkType.initiation, SCTPChunkType.shutdownComplete, SCTPChunkType.cookieEcho,
      SCTPChunkType.abort, SCTPChunkType.shutdownAck, SCTPChunkType.heartbeat,
      SCTPChunkType.heartbeatAck,
    ]
    if !chunks.containsAny(special) && tag != association[direction] {
      return .invalid(badTag(tag, association[direction]))
    }

    let before = association.state
    var oldState = before
    var changesNothing = false
    var offset = headers.transportOffset + SCTPField.headerLength
    while let chunk = SCTPChunk(bytes, at: offset, end: headers.end) {
      offset = chunk.nextOffset
      switch judgeTag(
        tag, chunk, &association, direction, hasData: chunks.contains(SCTPChunkType.data),
        changesNothing)
      {
      case .fits: break
      case .fitsButChangesNothing:
        changesNothing = true
        continue
      case .wrong:
        table.records[record].sctp = association
        return .invalid(badTag(tag, association[direction]))
      }
      oldState = association.state
      guard let newState = SCTPStates.next(direction, oldState, chunk.type) else {
        table.records[record].sctp = association
        return .invalid(.sctpUnexpectedChunk(type: chunk.type, state: oldState))
      }
      if chunk.type == SCTPChunkType.initiation || chunk.type == SCTPChunkType.initiationAck {
        guard takeTag(chunk, bytes, headers, &association, direction) else {
          table.records[record].sctp = association
          return .invalid(.sctpBadChunks)
        }
        // An INIT sent again does not renew the timeout, or a reused port would keep an entry.
        if chunk.type == SCTPChunkType.initiation && newState == .closed && oldState == .closed
          && !isNew
        {
          changesNothing = true
        }
      }
      association.state = newState
    }
    table.records[record].sctp = association
    if association.state != before { note(record, .protocolState) }
    if changesNothing { return .accept }
    refresh(record, direction, sctpTimeout(association.state), bytes: headers.end)
    if oldState == .cookieEchoed && direction == .reply && association.state == .established {
      table.records[record].status.insert(.assured)
      note(record, .assured)
    }
    return .accept
  }

  private enum TagJudgement {
    case fits
    case fitsButChangesNothing
    case wrong
  }

  /// RFC 9260, 8.5.1: which tag a chunk of each kind must come under.
  private func judgeTag(
    _ tag: UInt32, _ chunk: SCTPChunk, _ association: inout SCTPRecord, _ direction: Direction,
    hasData: Bool, _ changesNothing: Bool
  ) -> TagJudgement {
    let own = association[direction]
    let other = association[direction.opposite]
    switch chunk.type {
    case SCTPChunkType.initiation:
      return tag == 0 ? .fits : .wrong
    case SCTPChunkType.abort, SCTPChunkType.shutdownComplete:
      // With the T bit the sender had no association and sends the tag back.
      return tag == (chunk.flags & 1 == 0 ? own : other) ? .fits : .wrong
    case SCTPChunkType.cookieEcho:
      return tag == own ? .fits : .wrong
    case SCTPChunkType.heartbeat:
      if own == 0 {
        association[direction] = tag
      } else if tag != own {
        if hasData || changesNothing { return .wrong }
        association.flags.insert(.heartbeatTagDiffers)
        association.lastDirection = direction
        return .fitsButChangesNothing
      } else {
        association.flags.remove(.heartbeatTagDiffers)
      }
      return .fits
    case SCTPChunkType.heartbeatAck:
      if own == 0 {
        association[direction] = tag
      } else if tag != own {
        if hasData || changesNothing { return .wrong }
        // The answer to a heartbeat with another tag: both ends have begun anew.
        guard association.flags.contains(.heartbeatTagDiffers),
          association.lastDirection != direction
        else { return .wrong }
        association.flags.remove(.heartbeatTagDiffers)
        association[direction] = tag
        association[direction.opposite] = 0
      } else {
        association.flags.remove(.heartbeatTagDiffers)
      }
      return .fits
    default:
      return .fits
    }
  }

  /// Notes the tag that an INIT or INIT ACK asks its peer to use. False where it cannot be believed.
  private func takeTag(
    _ chunk: SCTPChunk, _ bytes: RawSpan, _ headers: PacketHeaders,
    _ association: inout SCTPRecord, _ direction: Direction
  ) -> Bool {
    guard let tag = initiateTag(bytes, chunk, headers) else { return false }
    let own = SCTPRecord.Flags.initiation(from: direction)
    let others = SCTPRecord.Flags.initiation(from: direction.opposite)
    if chunk.type == SCTPChunkType.initiation {
      if association.flags.contains(own) && association.flags.contains(others) {
        association.flags.remove(others)
      }
      association.flags.insert(own)
    } else {
      let known = association[direction.opposite]
      if !association.flags.contains(others) && known != 0 && known != tag { return false }
      if association.flags.contains(own) && association.flags.contains(others) && known != tag {
        return false
      }
    }
    association[direction.opposite] = tag
    return true
  }

  /// The initiate tag of an INIT or INIT ACK chunk.
  private func initiateTag(
    _ bytes: RawSpan, _ chunk: SCTPChunk, _ headers: PacketHeaders
  ) -> UInt32? {
    // The chunk's header, tag, window, stream counts and first TSN.
    guard chunk.offset + 20 <= headers.end else { return nil }
    return bytes.uint32(at: chunk.offset + 4)
  }

  private func badTag(_ tag: UInt32, _ expected: UInt32) -> InvalidReason {
    .sctpBadVerificationTag(tag: tag, expected: expected)
  }

  private func sctpTimeout(_ state: SCTPState) -> Int64 {
    switch state {
    case .none, .closed: settings.sctpTimeoutClosed
    case .cookieWait: settings.sctpTimeoutCookieWait
    case .cookieEchoed: settings.sctpTimeoutCookieEchoed
    case .established: settings.sctpTimeoutEstablished
    case .shutdownSent: settings.sctpTimeoutShutdownSent
    case .shutdownReceived: settings.sctpTimeoutShutdownReceived
    case .shutdownAckSent: settings.sctpTimeoutShutdownAckSent
    case .heartbeatSent, .heartbeatAcked: settings.sctpTimeoutHeartbeatSent
    }
  }
}
