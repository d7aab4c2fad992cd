// TCP window tracking: whether a segment can have come from the connection it claims to belong to.
// Four bounds (van Rooij, "Real Stateful TCP Packet Filtering in IP Filter", 2000):
//   I    data not beyond what the receiver has allowed        end ≤ sender.maxEnd
//   II   data not wholly before the receiver's window         end ≥ sender.end − receiver.maxWindow
//   III  acknowledges nothing that was not sent               ack ≤ receiver.end
//   IV   acknowledges nothing too long past                   ack ≥ receiver.end − largest window

import Wire

/// The answer of window tracking.
enum WindowVerdict {
  case inside
  /// Old data or an old acknowledgement: part of the connection, nothing to learn.
  case ignore(InvalidReason)
  case outside(InvalidReason)
}

extension ConnectionTracker {
  /// The sequence number after this segment: its data, and one each for SYN and FIN (RFC 9293, 3.4).
  @inline(__always)
  func sequenceEnd(_ segment: TCPHeader, _ headers: PacketHeaders) -> UInt32 {
    let data = headers.end - headers.transportOffset - segment.headerLength
    return segment.sequence &+ UInt32(truncatingIfNeeded: data)
      &+ (segment.flags.contains(.syn) ? 1 : 0) &+ (segment.flags.contains(.fin) ? 1 : 0)
  }

  /// Takes over what the options of a SYN agree on (RFC 7323 2.2: a shift above 14 counts as 14).
  func readOptions(
    _ peer: inout TCPPeer, _ segment: TCPHeader, _ bytes: RawSpan,
    _ headers: PacketHeaders
  ) {
    let options = TCPOptions.scan(
      bytes, at: headers.transportOffset + TCPField.options,
      end: headers.transportOffset + segment.headerLength)
    if options.sackPermitted { peer.flags.insert(.sackPermitted) }
    if let scale = options.windowScale {
      peer.windowScale = min(scale, 14)
      peer.flags.insert(.windowScale)
    }
  }

  /// Begins a side anew from its SYN or SYN/ACK.
  private func begin(
    _ sender: inout TCPPeer, _ receiver: inout TCPPeer, _ direction: Direction,
    _ segment: TCPHeader, _ end: UInt32, _ bytes: RawSpan, _ headers: PacketHeaders
  ) {
    sender.end = end
    sender.maxEnd = end
    sender.maxWindow = max(UInt32(segment.window), 1)
    // A SYN without any options leaves standing what an earlier one agreed on.
    if segment.headerLength > TCPField.minimumLength {
      sender.windowScale = 0
      sender.flags.formIntersection(.liberal)
      readOptions(&sender, segment, bytes, headers)
    }
    // Windows are scaled only where both sides have said so (RFC 7323 2.2).
    if direction == .reply
      && !(sender.flags.contains(.windowScale) && receiver.flags.contains(.windowScale))
    {
      sender.windowScale = 0
      receiver.windowScale = 0
    }
  }

  /// Checks a segment against the window and, where it fits, takes over what it says.
  ///
  /// - Parameter shift: how far NAT has moved the sequence numbers that the segment acknowledges; the
  ///   window is kept in those of their sender.
  func checkWindow(
    _ tcp: inout TCPRecord, _ state: TCPState, _ direction: Direction, _ kind: TCPSegmentKind,
    _ segment: TCPHeader, _ bytes: RawSpan, _ headers: PacketHeaders,
    acknowledged shift: SequenceShift? = nil
  ) -> WindowVerdict {
    var sender = tcp[direction]
    var receiver = tcp[direction.opposite]
    let isSyn = segment.flags.contains(.syn)
    let hasAck = segment.flags.contains(.ack)
    var sequence = segment.sequence
    var end = sequenceEnd(segment, headers)
    var acknowledgement = segment.acknowledgement
    var selective = acknowledgement
    if receiver.flags.contains(.sackPermitted) && hasAck {
      selective = TCPOptions.highestSACK(
        bytes, at: headers.transportOffset + TCPField.options,
        end: headers.transportOffset + segment.headerLength,
        acknowledgement: acknowledgement)
    }
    if let shift {
      let difference = shift.difference(at: acknowledgement &- 1)
      acknowledgement &-= difference
      selective &-= difference
    }

    if sender.maxWindow == 0 {
      // The first segment of this side.
      if isSyn {
        begin(&sender, &receiver, direction, segment, end, bytes, headers)
        if !hasAck {
          // Simultaneous open: there is nothing yet to compare with.
          tcp[direction] = sender
          tcp[direction.opposite] = receiver
          return .inside
        }
      } else {
        // In mid-stream, its history unknown: believe what it says.
        sender.end = end
        sender.maxWindow = max(UInt32(segment.window) << UInt32(sender.windowScale), 1)
        sender.maxEnd = end &+ sender.maxWindow
        if receiver.maxWindow == 0 {
          receiver.end = selective
          receiver.maxEnd = selective
        } else if selective == receiver.end &+ 1 {
          // Most likely the answer to a keep-alive.
          receiver.end &+= 1
        }
      }
    } else if isSyn && end.isAfter(sender.end)
      && (state == .synSent || state == .synReceived)
    {
      // A reinitialised TCP, which has only to choose larger sequence numbers (RFC 9293 3.4.3).
      begin(&sender, &receiver, direction, segment, end, bytes, headers)
      if direction == .reply && !hasAck {
        tcp[direction] = sender
        tcp[direction.opposite] = receiver
        return .inside
      }
    }

    if !hasAck
      || (segment.flags.intersection([.ack, .rst]) == [.ack, .rst] && acknowledgement == 0)
    {
      // No acknowledgement, or one that stands for none: take it as right.
      acknowledgement = receiver.end
      selective = receiver.end
    }
    if segment.flags.contains(.rst) && sequence == 0 && state == .synSent {
      // The answer to a SYN, from an end that has no sequence number.
      sequence = sender.end
      end = sender.end
    }

    if let verdict = bounds(
      &sender, receiver, sequence: sequence, end: end, selective: selective)
    {
      // Also "inside": out of the window, but this connection is not judged by it. Nothing is
      // learnt from it.
      tcp[direction] = sender
      tcp[direction.opposite] = receiver
      return verdict
    }

    learn(
      &tcp, &sender, &receiver, direction, kind, segment, sequence: sequence, end: end,
      acknowledgement: acknowledgement, selective: selective)
    tcp[direction] = sender
    tcp[direction.opposite] = receiver
    return .inside
  }

  /// The four bounds. Nil where all hold.
  private func bounds(
    _ sender: inout TCPPeer, _ receiver: TCPPeer, sequence: UInt32, end: UInt32,
    selective: UInt32
  ) -> WindowVerdict? {
    let liberal = sender.flags.contains(.liberal) || settings.tcpBeLiberal != 0
    let lowestEnd = sender.end &- receiver.maxWindow &- 1
    let endInWindow = end.isAfter(lowestEnd)
    let oldestAcknowledgement = receiver.end &- max(sender.maxWindow, 66_000) &- 1

    if !sequence.isBefore(sender.maxEnd &+ 1) {
      let overshoot = end &- sender.maxEnd &+ 1
      if receiver.maxWindow != 0 && endInWindow && selective.isAfter(oldestAcknowledgement)
        && overshoot <= receiver.maxWindow && selective.isBefore(receiver.end &+ 1)
      {
        // A sender that overruns the window. Should the rules let the segment pass, what
        // acknowledges it must not be called invalid in turn.
        sender.end = end
        sender.flags.insert(.unacknowledged)
        if liberal { return .inside }
        return .ignore(
          .sequenceAboveWindow(sequence: sequence, end: end, limit: sender.maxEnd &+ 1))
      }
      if liberal { return .inside }
      return .outside(
        .sequenceAboveWindow(sequence: sequence, end: end, limit: sender.maxEnd &+ 1))
    }
    if !selective.isBefore(receiver.end &+ 1) {
      if liberal { return .inside }
      return .outside(
        .acknowledgesUnsentData(acknowledgement: selective, limit: receiver.end &+ 1))
    }
    if receiver.maxWindow != 0 && !endInWindow {
      if liberal { return .inside }
      return .ignore(.sequenceBelowWindow(sequence: sequence, end: end, limit: lowestEnd))
    }
    if !selective.isAfter(oldestAcknowledgement) {
      if liberal { return .inside }
      return .ignore(
        .acknowledgementTooOld(acknowledgement: selective, limit: oldestAcknowledgement))
    }
    return nil
  }

  /// Takes over what an in-window segment says of both sides.
  private func learn(
    _ tcp: inout TCPRecord, _ sender: inout TCPPeer, _ receiver: inout TCPPeer,
    _ direction: Direction, _ kind: TCPSegmentKind, _ segment: TCPHeader, sequence: UInt32,
    end: UInt32, acknowledgement: UInt32, selective: UInt32
  ) {
    // The window of a SYN is never scaled (RFC 7323 2.2).
    let window =
      segment.flags.contains(.syn)
      ? UInt32(segment.window) : UInt32(segment.window) << UInt32(sender.windowScale)
    // With selective acknowledgements the window reaches from the last block.
    sender.maxWindow = max(sender.maxWindow, window &+ (selective &- acknowledgement))
    if end.isAfter(sender.end) {
      sender.end = end
      sender.flags.insert(.unacknowledged)
    }
    if segment.flags.contains(.ack) {
      if !sender.flags.contains(.sentAcknowledgement) {
        sender.maxAcknowledgement = acknowledgement
        sender.flags.insert(.sentAcknowledgement)
      } else if acknowledgement.isAfter(sender.maxAcknowledgement) {
        sender.maxAcknowledgement = acknowledgement
      }
    }
    if receiver.maxWindow != 0 && end.isAfter(sender.maxEnd) {
      receiver.maxWindow &+= end &- sender.maxEnd
    }
    if (selective &+ window).isAfter(receiver.maxEnd &- 1) {
      receiver.maxEnd = selective &+ window
      // A closed window still takes the one byte of a probe.
      if window == 0 { receiver.maxEnd &+= 1 }
    }
    if acknowledgement == receiver.end { receiver.flags.remove(.unacknowledged) }

    guard kind == .ack else { return }
    if tcp.lastDirection == direction && tcp.lastSequence == sequence
      && tcp.lastAcknowledgement == acknowledgement && tcp.lastEnd == end
      && tcp.lastWindow == segment.window
    {
      if tcp.retransmissions < .max { tcp.retransmissions += 1 }
    } else {
      tcp.lastDirection = direction
      tcp.lastSequence = sequence
      tcp.lastAcknowledgement = acknowledgement
      tcp.lastEnd = end
      tcp.lastWindow = segment.window
      tcp.retransmissions = 0
    }
  }
}
