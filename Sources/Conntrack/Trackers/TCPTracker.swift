// TCP: the state machine (`TCPStates`), with the exceptions real traffic forces on it, and the
// timeouts. Window tracking is in `TCPWindow.swift`.

import Wire

extension ConnectionTracker {
  /// What is wrong with a segment on its own, before any connection is asked.
  @inline(__always)
  func tcpError(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ hook: TrackingHook
  ) -> InvalidReason? {
    guard let segment = TCPHeader(bytes, at: headers.transportOffset, end: headers.end) else {
      return .truncated(protocolNumber: IPProtocolNumber.tcp)
    }
    if hook == .prerouting && settings.checksum != 0
      && !InternetChecksum.transportIsValid(bytes, headers: headers)
    {
      return .badChecksum(protocolNumber: IPProtocolNumber.tcp)
    }
    if !TCPSegmentKind.isPossible(segment.flags) { return .impossibleFlags(segment.flags) }
    return nil
  }

  /// Prepares a new connection's record from its first segment. Nil when it may begin one.
  func beginTCP(
    _ record: Int, _ segment: TCPHeader, _ bytes: RawSpan, _ headers: PacketHeaders
  ) -> InvalidReason? {
    let kind = TCPSegmentKind(segment.flags)
    guard let state = TCPStates.transition(.original, .none, kind).state else {
      return .unexpectedSegment(segment.flags, .none, .original)
    }
    var tcp = TCPRecord()
    tcp.lastSegment = .none
    let end = sequenceEnd(segment, headers)
    var sender = TCPPeer()
    sender.end = end
    sender.maxWindow = max(UInt32(segment.window), 1)
    if state == .synSent {
      sender.maxEnd = end
      readOptions(&sender, segment, bytes, headers)
    } else {
      if settings.tcpLoose == 0 { return .noConnection(segment.flags) }
      // Picked up in mid-stream: the window scale is unknown, so out-of-window segments are let be,
      // and selective acknowledgements are read in case they were agreed on.
      sender.maxEnd = end &+ sender.maxWindow
      sender.flags = [.sackPermitted, .liberal]
      var receiver = TCPPeer()
      receiver.flags = sender.flags
      tcp.peers.1 = receiver
    }
    tcp.peers.0 = sender
    table.records[record].tcp = tcp
    return nil
  }

  /// A connection that begins with a SYN, as nearly all do: what `beginTCP` and `trackTCP` together make
  /// of it, written at once.
  @inline(__always)
  mutating func openTCP(
    _ record: Int, _ segment: TCPHeader, _ bytes: RawSpan, _ headers: PacketHeaders
  ) {
    var sender = TCPPeer()
    sender.end = sequenceEnd(segment, headers)
    sender.maxEnd = sender.end
    sender.maxWindow = max(UInt32(segment.window), 1)
    if segment.headerLength > TCPField.minimumLength {
      readOptions(&sender, segment, bytes, headers)
    }
    table.records[record].tcp.peers.0 = sender
    // The other end may send what the window of the SYN allows; a closed one still takes a probe.
    table.records[record].tcp.peers.1.maxEnd = sender.maxWindow
    table.records[record].tcp.lastSegment = .syn
    table.records[record].tcp.state = .synSent
    note(record, .protocolState)
    // The window of the last segment counts as closed, since only an ACK sets it.
    let usual = stateTimeout(record, .synSent)
    let timeout = min(usual, timeout(record) { $0.tcpTimeoutMaxRetransmissions })
    refresh(record, .original, timeout, bytes: headers.end)
  }

  /// One segment of a connection, which may be the one that began it.
  mutating func trackTCP(
    _ record: Int, _ direction: Direction, _ segment: TCPHeader, _ bytes: RawSpan,
    _ headers: PacketHeaders
  ) -> TrackerVerdict {
    let kind = TCPSegmentKind(segment.flags)
    let status = table.records[record].status
    var tcp = table.records[record].tcp
    var oldState = tcp.state
    let transition = TCPStates.transition(direction, oldState, kind)
    var newState: TCPState
    var skipWindow = false

    switch transition {
    case .invalid:
      return .invalid(.unexpectedSegment(segment.flags, oldState, direction))

    case .toSynSent where oldState == .timeWait || oldState == .close:
      // A SYN on a finished connection: a new one, if this one was really closed.
      let closed =
        tcp.peers.0.flags.union(tcp.peers.1.flags).contains(.closeInitiated)
        || (tcp.lastDirection == direction && tcp.lastSegment == .rst)
      if closed { return .reopen }
      return ignore(record, direction, segment, kind, bytes, headers)

    case .ignore:
      // A SYN/ACK that answers the SYN we ignored: the ends agree, and we were out of step.
      if kind == .synAck && tcp.lastSegment == .syn && tcp.lastDirection != direction
        && segment.acknowledgement == tcp.lastEnd
      {
        oldState = .synSent
        newState = .synReceived
        var opener = TCPPeer()
        opener.end = tcp.lastEnd
        opener.maxEnd = tcp.lastEnd
        opener.maxWindow = max(UInt32(tcp.lastWindow), 1)
        opener.windowScale = tcp.lastWindowScale
        opener.flags = tcp.lastFlags.subtracting(.expectChallenge)
        tcp.lastFlags.remove(.expectChallenge)
        tcp[tcp.lastDirection] = opener
        var answerer = TCPPeer()
        answerer.flags = tcp[direction].flags.intersection(.liberal)
        tcp[direction] = answerer
      } else {
        return ignore(record, direction, segment, kind, bytes, headers)
      }

    case .toTimeWait
    where oldState == .lastAck && kind == .ack && tcp.lastDirection != direction
      && tcp.lastSegment == .syn && tcp.lastFlags.contains(.expectChallenge):
      // The ACK answers the stray SYN, not the FIN.
      table.records[record].tcp.lastFlags.remove(.expectChallenge)
      return .ignore(.challengeAcknowledgement)

    case .toSynSent2:
      newState = .synSent2
      tcp.lastFlags.insert(.simultaneousOpen)

    case .toSynReceived
    where direction == .reply && kind == .ack && tcp.lastFlags.contains(.simultaneousOpen):
      newState = .established

    case .toClose where kind == .rst:
      newState = .close
      switch judgeReset(tcp, oldState, direction, segment, status) {
      case .exact: break
      case .believed: skipWindow = true
      case .perhapsForged:
        newState = oldState
        skipWindow = answersUnbelieved(tcp, direction, segment, status)
      case .nothingAcknowledgedYet:
        skipWindow = answersUnbelieved(tcp, direction, segment, status)
      case .old(let reason): return .invalid(reason)
      }

    default:
      // Every other transition names a state.
      newState = transition.state ?? oldState
    }

    if !skipWindow {
      let shift =
        table.records[record].extensions.contains(.shifts)
        ? table.shifts[record][direction.opposite] : nil
      switch checkWindow(
        &tcp, oldState, direction, kind, segment, bytes, headers, acknowledged: shift)
      {
      case .inside: break
      case .ignore(let reason):
        table.records[record].tcp = tcp
        return .ignore(reason)
      case .outside(let reason):
        table.records[record].tcp = tcp
        noteEndOutsideWindow(record, direction, kind)
        return .invalid(reason)
      }
    }

    // From here on the segment is believed.
    tcp.lastSegment = kind
    tcp.lastDirection = direction
    tcp.state = newState
    if oldState != newState && newState == .finWait {
      tcp[direction].flags.insert(.closeInitiated)
    }
    table.records[record].tcp = tcp
    if oldState != newState { note(record, .protocolState) }

    var timeout = tcpTimeout(record, tcp, newState, kind)
    if !status.contains(.seenReply) {
      // Only a RST came of it: there is no connection.
      if kind == .rst {
        count(record, direction, bytes: headers.end)
        return .close
      }
      // A SYN sent again does not renew the timeout, or a reused port would keep an entry for ever.
      if kind == .syn && oldState == .synSent { return .accept }
      // Picked up in mid-stream and not yet answered: no five days.
      if newState == .established {
        timeout = min(timeout, self.timeout(record) { $0.tcpTimeoutUnacknowledged })
      }
    } else if !status.contains(.assured) && newState == .established
      && (oldState == .synReceived || oldState == .established)
    {
      table.records[record].status.insert(.assured)
      note(record, .assured)
    }
    refresh(record, direction, timeout, bytes: headers.end)
    return .accept
  }

  /// A FIN or RST outside the window may be right all the same, and the table out of step. When the
  /// other side answers one with one, an established entry does not stay for days.
  private mutating func noteEndOutsideWindow(
    _ record: Int, _ direction: Direction, _ kind: TCPSegmentKind
  ) {
    guard kind == .fin || kind == .rst, table.records[record].status.contains(.assured) else {
      return
    }
    let tcp = table.records[record].tcp
    guard
      tcp.lastDirection != direction && (tcp.lastSegment == .fin || tcp.lastSegment == .rst)
    else {
      table.records[record].tcp.lastSegment = kind
      table.records[record].tcp.lastDirection = direction
      return
    }
    let left = table.records[record].deadline - now
    let shorter = timeout(record) { $0.tcpTimeoutUnacknowledged }
    if left >= 120_000_000_000 && left > shorter { table.setDeadline(record, now + shorter) }
  }

  private func tcpTimeout(
    _ record: Int, _ tcp: TCPRecord, _ state: TCPState, _ kind: TCPSegmentKind
  ) -> Int64 {
    let usual = stateTimeout(record, state)
    let retransmitted = timeout(record) { $0.tcpTimeoutMaxRetransmissions }
    if Int64(tcp.retransmissions) >= settings.tcpMaxRetransmissions && usual > retransmitted {
      return retransmitted
    }
    if kind == .rst { return timeout(record) { $0.tcpTimeoutClose } }
    if tcp.peers.0.flags.union(tcp.peers.1.flags).contains(.unacknowledged) {
      let unacknowledged = timeout(record) { $0.tcpTimeoutUnacknowledged }
      if usual > unacknowledged { return unacknowledged }
    }
    if tcp.lastWindow == 0 && usual > retransmitted { return retransmitted }
    return usual
  }

  func stateTimeout(_ record: Int, _ state: TCPState) -> Int64 {
    timeout(record) { settings in
      switch state {
      case .none, .synSent: settings.tcpTimeoutSynSent
      case .synSent2: settings.tcpTimeoutSynSent2
      case .synReceived: settings.tcpTimeoutSynReceived
      case .established: settings.tcpTimeoutEstablished
      case .finWait: settings.tcpTimeoutFinWait
      case .closeWait: settings.tcpTimeoutCloseWait
      case .lastAck: settings.tcpTimeoutLastAck
      case .timeWait: settings.tcpTimeoutTimeWait
      case .close: settings.tcpTimeoutClose
      }
    }
  }

  /// Lets a segment pass without believing it, and remembers it: the answer will show who was right.
  private func ignore(
    _ record: Int, _ direction: Direction, _ segment: TCPHeader, _ kind: TCPSegmentKind,
    _ bytes: RawSpan, _ headers: PacketHeaders
  ) -> TrackerVerdict {
    let state = table.records[record].tcp.state
    table.records[record].tcp.lastSegment = kind
    table.records[record].tcp.lastDirection = direction
    table.records[record].tcp.lastSequence = segment.sequence
    table.records[record].tcp.lastEnd = sequenceEnd(segment, headers)
    table.records[record].tcp.lastWindow = segment.window
    if kind == .syn && direction == .original {
      var sender = TCPPeer()
      readOptions(&sender, segment, bytes, headers)
      var flags = sender.flags.intersection([.windowScale, .sackPermitted])
      if state == .lastAck { flags.insert(.expectChallenge) }
      table.records[record].tcp.lastFlags = flags
      table.records[record].tcp.lastWindowScale =
        flags.contains(.windowScale) ? sender.windowScale : 0
    }
    if state == .synSent && kind == .ack && direction == .reply {
      table.records[record].tcp.lastAcknowledgement = segment.acknowledgement
    }
    return .ignore(.outOfStep(segment.flags, state, direction))
  }

  // MARK: Resets

  private enum ResetJudgement {
    /// Just where the other side expects it: the connection is closed.
    case exact
    /// Believed whatever the window says: the connection is closing, closed or was never one, so
    /// there is nothing that a forged reset could harm.
    case believed
    /// In the window but not exactly next: the other side will answer with a challenge (RFC 5961),
    /// so the connection stays.
    case perhapsForged
    /// The other side has acknowledged nothing that a sequence number could be compared with: the
    /// window decides.
    case nothingAcknowledgedYet
    case old(InvalidReason)
  }

  /// Which resets close a connection.
  private func judgeReset(
    _ tcp: TCPRecord, _ state: TCPState, _ direction: Direction, _ segment: TCPHeader,
    _ status: ConnectionStatus
  ) -> ResetJudgement {
    switch state {
    case .finWait, .closeWait, .lastAck, .timeWait, .close: return .believed
    case .none, .synSent, .synReceived, .established, .synSent2: break
    }
    // It answers the challenge that answered our SYN: the other end has an old connection.
    if state == .synSent && tcp.lastSegment == .ack
      && tcp.lastDirection == .reply && segment.sequence == tcp.lastAcknowledgement
    {
      return .believed
    }
    // Behind a SYN that was let pass, the numbers known here may be the old connection's.
    if tcp.lastSegment == .syn { return .nothingAcknowledgedYet }
    let other = tcp[direction.opposite]
    guard other.flags.contains(.sentAcknowledgement) else { return .nothingAcknowledgedYet }
    let established = state == .established && status.contains(.assured)
    // Most likely the answer to a SYN that was let pass.
    if segment.sequence == 0 && !established { return .exact }
    if segment.sequence.isBefore(other.maxAcknowledgement) && settings.tcpIgnoreInvalidRST == 0 {
      return .old(
        .resetBelowWindow(sequence: segment.sequence, acknowledged: other.maxAcknowledgement))
    }
    if !established || segment.sequence == other.maxAcknowledgement { return .exact }
    // The last of a train of segments: data, then the RST right behind it.
    let behindData =
      tcp.lastSegment == .ack && tcp.lastDirection == direction
      && segment.sequence == tcp.lastEnd
    return behindData ? .exact : .perhapsForged
  }

  /// Whether a RST answers a SYN or ACK that was let pass unbelieved: then it is right, whatever the
  /// window says.
  private func answersUnbelieved(
    _ tcp: TCPRecord, _ direction: Direction, _ segment: TCPHeader, _ status: ConnectionStatus
  ) -> Bool {
    guard segment.acknowledgement == tcp.lastEnd else { return false }
    let afterSYN = tcp.lastSegment == .syn && tcp.lastDirection != direction
    return (status.contains(.seenReply) && afterSYN)
      || (!status.contains(.assured) && tcp.lastSegment == .ack)
  }
}

extension UInt32 {
  /// Serial number arithmetic (RFC 1982): whether this lies before `other` on the circle.
  @inline(__always)
  func isBefore(_ other: UInt32) -> Bool {
    Int32(truncatingIfNeeded: self &- other) < 0
  }
  @inline(__always)
  func isAfter(_ other: UInt32) -> Bool { other.isBefore(self) }
}
