// SCTP: verification tags, and the state machine (`SCTPStates`) chunk by chunk, for associations of
// one path and those whose path is first seen by its HEARTBEATs.

import Wire

/// What is kept of an association. The record stores it where TCP has its last segment.
struct SCTPRecord: BitwiseCopyable {
  /// The verification tag that packets of the original direction carry: what the replying end chose
  /// in its INIT or INIT ACK. 0: not known.
  var originalTag: UInt32 = 0
  var replyTag: UInt32 = 0
  var state: SCTPState = .none
  var flags: SCTPFlags = []

  @inline(__always)
  func tag(_ direction: Direction) -> UInt32 {
    direction == .original ? originalTag : replyTag
  }

  @inline(__always)
  mutating func setTag(_ direction: Direction, _ tag: UInt32) {
    if direction == .original { originalTag = tag } else { replyTag = tag }
    flags.remove(.takesAnyTag(direction))
  }

  @inline(__always)
  func agrees(_ tag: UInt32, _ direction: Direction) -> Bool {
    tag == self.tag(direction) || flags.contains(.takesAnyTag(direction))
  }
}

struct SCTPFlags: OptionSet, BitwiseCopyable {
  var rawValue: UInt8
  /// The end that sends in `direction` has sent an INIT whose handshake is not over.
  @inline(__always)
  static func sentInitiation(_ direction: Direction) -> Self {
    .init(rawValue: direction == .original ? 1 << 0 : 1 << 1)
  }
  static var initiationsCollided: Self { .init(rawValue: 1 << 0 | 1 << 1) }
  /// A HEARTBEAT came with a tag that is not the association's. If the other end answers it with
  /// another tag too, the path has become another association's.
  static var heartbeatDoubted: Self { .init(rawValue: 1 << 2) }
  /// The direction of the doubted HEARTBEAT was the reply's.
  static var doubtedInReply: Self { .init(rawValue: 1 << 3) }
  /// Restored from a listing, which does not show the tags: the next packet tells.
  @inline(__always)
  static func takesAnyTag(_ direction: Direction) -> Self {
    .init(rawValue: direction == .original ? 1 << 4 : 1 << 5)
  }
}

/// What a packet holds, as far as its chunks' rules depend on one another.
private struct SCTPContents {
  /// A chunk that has its own rule for the verification tag.
  var hasOwnTagRule = false
  var hasData = false
}

extension ConnectionTracker {
  // MARK: What is wrong with a packet on its own

  func sctpError(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook
  ) -> InvalidReason? {
    guard SCTPHeader(bytes, at: headers.transportOffset, end: headers.end) != nil else {
      return .truncated(protocolNumber: IPProtocolNumber.sctp)
    }
    if hook == .prerouting && settings.checksum != 0
      && !CRC32c.sctpIsValid(bytes, at: headers.transportOffset, end: headers.end)
    {
      return .badChecksum(protocolNumber: IPProtocolNumber.sctp)
    }
    return chunkError(bytes, headers)
  }

  /// Lengths and combinations of chunks. A last chunk may say more than is there: the packet's other
  /// end will judge that.
  private func chunkError(_ bytes: RawSpan, _ headers: PacketHeaders) -> InvalidReason? {
    var offset = headers.transportOffset + SCTPField.headerLength
    var count = 0
    var solitary: UInt8?
    while let chunk = SCTPChunk(bytes, at: offset, end: headers.end) {
      if chunk.length == 0 { return .sctpChunkWithoutLength(type: chunk.type) }
      let kind = SCTPChunkKind(chunk.type)
      if kind.comesFirst && count > 0 { return .sctpChunkNotFirst(type: chunk.type) }
      if kind.standsAlone { solitary = chunk.type }
      count += 1
      offset = chunk.nextOffset
    }
    if count == 0 { return .truncated(protocolNumber: IPProtocolNumber.sctp) }
    if let solitary, count > 1 { return .sctpChunkNotAlone(type: solitary) }
    return nil
  }

  // MARK: New associations

  /// Prepares a new association's record from its first packet. Nil when the packet may begin one.
  func beginSCTP(
    _ record: Int, _ packet: SCTPHeader, _ bytes: RawSpan, _ headers: PacketHeaders
  ) -> InvalidReason? {
    var sctp = SCTPRecord()
    var offset = headers.transportOffset + SCTPField.headerLength
    while let chunk = SCTPChunk(bytes, at: offset, end: headers.end), chunk.length > 0 {
      let kind = SCTPChunkKind(chunk.type)
      if SCTPStates.next(.original, .none, kind) == nil {
        return .sctpNoAssociation(type: chunk.type)
      }
      switch kind {
      case .initiation:
        if packet.verificationTag != 0 {
          return .sctpBadVerificationTag(tag: packet.verificationTag, expected: 0)
        }
        guard let tag = chunk.initiateTag(bytes, end: headers.end) else {
          return .truncated(protocolNumber: IPProtocolNumber.sctp)
        }
        sctp.setTag(.reply, tag)
        sctp.flags.insert(.sentInitiation(.original))
      case .heartbeat:
        sctp.setTag(.original, packet.verificationTag)
      case .shutdownAck:
        // Of an association that nobody here knows: who is asked answers with a SHUTDOWN COMPLETE
        // that sends the tag back (RFC 9260 section 8.4).
        sctp.setTag(.reply, packet.verificationTag)
      default: break
      }
      offset = chunk.nextOffset
    }
    table.records[record].sctp = sctp
    return nil
  }

  // MARK: Packets of an association

  /// One packet of an association, which may be the one that began it. What its chunks changed before
  /// one of them proved invalid stays changed.
  mutating func trackSCTP(
    _ record: Int, _ direction: Direction, _ packet: SCTPHeader, _ bytes: RawSpan,
    _ headers: PacketHeaders
  ) -> TrackerVerdict {
    let contents = contents(bytes, headers)
    let tag = packet.verificationTag
    if !contents.hasOwnTagRule {
      let sctp = table.records[record].sctp
      if !sctp.agrees(tag, direction) {
        return .invalid(.sctpBadVerificationTag(tag: tag, expected: sctp.tag(direction)))
      }
      if sctp.flags.contains(.takesAnyTag(direction)) {
        table.records[record].sctp.setTag(direction, tag)
      }
    }
    var doubt: InvalidReason?
    var renews = true
    var offset = headers.transportOffset + SCTPField.headerLength
    while let chunk = SCTPChunk(bytes, at: offset, end: headers.end), chunk.length > 0 {
      offset = chunk.nextOffset
      let kind = SCTPChunkKind(chunk.type)
      var sctp = table.records[record].sctp
      switch judgeTag(&sctp, direction, kind, chunk, tag, contents, isDoubted: doubt != nil) {
      case .agrees: break
      case .isDoubted(let reason):
        // Let pass; the answer will show whether the path has changed hands.
        doubt = reason
        table.records[record].sctp = sctp
        continue
      case .isWrong(let reason): return .invalid(reason)
      }
      // What a HEARTBEAT told of the tags counts even where its state's row calls it invalid.
      table.records[record].sctp = sctp
      let oldState = sctp.state
      guard let newState = SCTPStates.next(direction, oldState, kind) else {
        return .invalid(
          oldState == .none
            ? .sctpNoAssociation(type: chunk.type)
            : .sctpUnexpectedChunk(type: chunk.type, oldState, direction))
      }
      if let reason = learn(&sctp, direction, kind, chunk, bytes, headers) {
        return .invalid(reason)
      }
      sctp.state = newState
      table.records[record].sctp = sctp
      if oldState != newState { note(record, .protocolState) }
      // An INIT sent again does not renew the timeout, or a reused port would keep an entry for ever.
      if kind == .initiation && oldState == .closed { renews = false }
      if newState == .established && (oldState == .cookieEchoed || oldState == .heartbeatSent)
        && !table.records[record].status.contains(.assured)
      {
        table.records[record].status.insert(.assured)
        note(record, .assured)
      }
    }
    if let doubt { return .ignore(doubt) }
    if renews {
      refresh(
        record, direction, sctpTimeout(record, table.records[record].sctp.state), bytes: headers.end
      )
    }
    return .accept
  }

  private func contents(_ bytes: RawSpan, _ headers: PacketHeaders) -> SCTPContents {
    var contents = SCTPContents()
    var offset = headers.transportOffset + SCTPField.headerLength
    while let chunk = SCTPChunk(bytes, at: offset, end: headers.end), chunk.length > 0 {
      if SCTPChunkKind(chunk.type).hasOwnTagRule { contents.hasOwnTagRule = true }
      if chunk.type == SCTPChunkType.data { contents.hasData = true }
      offset = chunk.nextOffset
    }
    return contents
  }

  // MARK: Verification tags

  private enum TagJudgement {
    case agrees
    case isDoubted(InvalidReason)
    case isWrong(InvalidReason)
  }

  /// The rules of single chunks for the tag of their packet (RFC 9260 section 8.5.1), and what
  /// HEARTBEATs say of a path whose association is not known.
  private func judgeTag(
    _ sctp: inout SCTPRecord, _ direction: Direction, _ kind: SCTPChunkKind, _ chunk: SCTPChunk,
    _ tag: UInt32, _ contents: SCTPContents, isDoubted: Bool
  ) -> TagJudgement {
    switch kind {
    case .initiation:
      // Who sends it has not been told a tag.
      return tag == 0 ? .agrees : .isWrong(.sctpBadVerificationTag(tag: tag, expected: 0))

    case .abort, .shutdownComplete:
      // With the T bit its sender knows no association, and reflects the tag it was sent.
      let whose = chunk.flags & SCTPChunkFlag.tagReflected == 0 ? direction : direction.opposite
      return sctp.agrees(tag, whose)
        ? .agrees : .isWrong(.sctpBadVerificationTag(tag: tag, expected: sctp.tag(whose)))

    case .cookieEcho:
      if sctp.flags.contains(.takesAnyTag(direction)) { sctp.setTag(direction, tag) }
      return tag == sctp.tag(direction)
        ? .agrees : .isWrong(.sctpBadVerificationTag(tag: tag, expected: sctp.tag(direction)))

    case .heartbeat, .heartbeatAck:
      if sctp.tag(direction) == 0 {
        sctp.setTag(direction, tag)
        return .agrees
      }
      if tag == sctp.tag(direction) {
        sctp.flags.remove(.heartbeatDoubted)
        return .agrees
      }
      let reason = InvalidReason.sctpBadVerificationTag(tag: tag, expected: sctp.tag(direction))
      // Nobody sends data on a path that is not confirmed.
      if contents.hasData || isDoubted { return .isWrong(reason) }
      if kind == .heartbeat {
        sctp.flags.insert(.heartbeatDoubted)
        if direction == .reply {
          sctp.flags.insert(.doubtedInReply)
        } else {
          sctp.flags.remove(.doubtedInReply)
        }
        return .isDoubted(
          .sctpHeartbeatDoubted(tag: tag, expected: sctp.tag(direction)))
      }
      let doubted: Direction = sctp.flags.contains(.doubtedInReply) ? .reply : .original
      guard sctp.flags.contains(.heartbeatDoubted), doubted != direction else {
        return .isWrong(reason)
      }
      // Both ends now speak of another association. The doubted HEARTBEAT's own tag is learnt from
      // its next one.
      sctp.flags.remove(.heartbeatDoubted)
      sctp.setTag(direction, tag)
      sctp.setTag(direction.opposite, 0)
      return .agrees

    case .initiationAck, .shutdown, .shutdownAck, .error, .cookieAck, .other:
      return .agrees
    }
  }

  /// Takes over the tag that an INIT or INIT ACK announces. A reason where the INIT ACK must not be
  /// believed.
  private func learn(
    _ sctp: inout SCTPRecord, _ direction: Direction, _ kind: SCTPChunkKind, _ chunk: SCTPChunk,
    _ bytes: RawSpan, _ headers: PacketHeaders
  ) -> InvalidReason? {
    let peer = direction.opposite
    switch kind {
    case .initiation, .initiationAck:
      guard let tag = chunk.initiateTag(bytes, end: headers.end) else {
        return .truncated(protocolNumber: IPProtocolNumber.sctp)
      }
      let known = sctp.tag(peer)
      if kind == .initiation {
        // The same tag again is the same INIT again.
        if tag != known {
          if sctp.flags.isSuperset(of: .initiationsCollided) {
            sctp.flags.remove(.sentInitiation(peer))
          }
          sctp.flags.insert(.sentInitiation(direction))
        }
      } else if !sctp.agrees(tag, peer) {
        // Where both ends sent an INIT, an INIT ACK repeats the tag of its sender's (RFC 9260
        // section 5.2.1). Otherwise it answers an INIT, or names a tag not known so far.
        let believed =
          !sctp.flags.isSuperset(of: .initiationsCollided)
          && (known == 0 || sctp.flags.contains(.sentInitiation(peer)))
        if !believed { return .sctpInitiateTagChanged(tag: tag, expected: known) }
      }
      sctp.setTag(peer, tag)
    case .cookieAck:
      // The handshake is over, whoever began it.
      sctp.flags.subtract(.initiationsCollided)
    default: break
    }
    return nil
  }

  private func sctpTimeout(_ record: Int, _ state: SCTPState) -> Int64 {
    timeout(record) { settings in
      switch state {
      case .none, .closed: settings.sctpTimeoutClosed
      case .cookieWait: settings.sctpTimeoutCookieWait
      case .cookieEchoed: settings.sctpTimeoutCookieEchoed
      case .established, .heartbeatAcked: settings.sctpTimeoutEstablished
      case .shutdownSent: settings.sctpTimeoutShutdownSent
      case .shutdownReceived: settings.sctpTimeoutShutdownReceived
      case .shutdownAckSent: settings.sctpTimeoutShutdownAckSent
      case .heartbeatSent: settings.sctpTimeoutHeartbeatSent
      }
    }
  }
}
