// Giving packets of a connection to its helper. The firewall asks when a packet has come to the end
// of its way, as the kernel does.

import Wire

extension ConnectionTracker {
  /// Gives a connection that is not confirmed a helper, as a CT rule says. What fulfils an
  /// expectation keeps to its master.
  public func assignHelper(_ kind: HelperKind, to connection: ConnectionNumber) {
    let record = connection.index
    guard !table.records[record].status.contains(.expected) else { return }
    table.helpers[record] = HelperRecord()
    table.helpers[record].kind = kind
    table.records[record].extensions.insert(.helper)
    table.records[record].status.insert(.helper)
  }

  /// A connection's helper; `.none` without.
  public func helper(of connection: ConnectionNumber) -> HelperKind {
    table.records[connection.index].extensions.contains(.helper)
      ? table.helpers[connection.index].kind : .none
  }

  /// Whether a packet of the connection has to be shown to `help`, or its sequence numbers moved.
  @inline(__always)
  public func needsAttention(_ connection: ConnectionNumber) -> Bool {
    !table.records[connection.index].extensions.isDisjoint(with: [.helper, .shifts])
  }

  /// What the connection's helper says of a packet.
  ///
  /// - Parameter headers: of the packet as it leaves, its addresses and ports translated.
  public mutating func help(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ tracking: Tracking
  ) -> HelperVerdict {
    let record = tracking.connection.index
    guard table.records[record].extensions.contains(.helper) else { return .pass }
    switch table.helpers[record].kind {
    case .none: return .pass
    case .ftp: return helpFTP(bytes, headers, tracking)
    case .tftp: return helpTFTP(bytes, headers, tracking)
    case .pptp: return helpPPTP(bytes, headers, tracking)
    case .irc: return helpIRC(bytes, headers, tracking)
    }
  }

  /// The tuple of the connection that `tracking`'s sender expects at a port of its own: from its
  /// peer, to the address it is known by there.
  func expectedTuple(
    _ tracking: Tracking, port: UInt16, protocolNumber: UInt8
  ) -> Tuple {
    let other = table.tuple(tracking.connection.index, tracking.direction.opposite)
    return Tuple(
      source: other.source, destination: other.destination, sourcePort: 0, destinationPort: port,
      protocolNumber: protocolNumber, family: other.family)
  }

  private mutating func helpFTP(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ tracking: Tracking
  ) -> HelperVerdict {
    guard tracking.state == .established,
      let segment = TCPHeader(bytes, at: headers.transportOffset, end: headers.end)
    else { return .pass }
    let record = tracking.connection.index
    let direction = tracking.direction
    let start = headers.transportOffset + segment.headerLength
    guard start < headers.end else { return .pass }
    let lines = table.helpers[record].lines
    var verdict = HelperVerdict.pass
    if lines.contains(segment.sequence, direction) {
      switch FTPHelper.read(bytes, from: start, to: headers.end, direction, headers.family) {
      case .none: break
      case .unreadable: return .drop(.unreadable)
      case .announces(let found):
        let own = table.tuple(record, direction).source
        // Who announces another host's address is not believed.
        if found.address == nil || found.address == own {
          var draft = ExpectationDraft(
            expectedTuple(
              tracking, port: found.port, protocolNumber: IPProtocolNumber.tcp), helper: .ftp,
            direction: direction.opposite)
          draft.savedPort = found.port
          verdict = .announces(
            Announcement(draft, found.form, offset: start + found.offset, length: found.length))
        }
      }
    }
    if bytes.uint8(at: headers.end - 1) == UInt8(ascii: "\n") {
      table.helpers[record].lines.add(
        segment.sequence &+ UInt32(truncatingIfNeeded: headers.end - start), direction)
    }
    return verdict
  }

  private mutating func helpTFTP(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ tracking: Tracking
  ) -> HelperVerdict {
    let start = headers.transportOffset + UDPField.headerLength
    guard headers.transportProtocol == IPProtocolNumber.udp, start + 2 <= headers.end,
      TFTPHelper.opensTransfer(bytes.uint16(at: start))
    else { return .pass }
    // Whoever sends the request, the answer is expected where the connection's own answers go.
    let record = tracking.connection.index
    var expected = table.tuple(record, .reply)
    expected.sourcePort = 0
    var draft = ExpectationDraft(expected, helper: .tftp, direction: .reply)
    draft.savedPort = table.tuple(record, .original).sourcePort
    return .announces(Announcement(draft, .implied, offset: start, length: 0))
  }
}
