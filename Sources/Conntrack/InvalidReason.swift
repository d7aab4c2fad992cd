// Why conntrack would not believe a packet, with the numbers, in words a person understands.

import Wire

/// What is wrong with a packet that is INVALID, or that conntrack lets pass without learning from it.
public enum InvalidReason: Hashable, Sendable, BitwiseCopyable {
  /// No transport header can be found, or it is cut short.
  case truncated(protocolNumber: UInt8)
  /// A length field that contradicts the packet's size.
  case badLength(protocolNumber: UInt8, said: Int, available: Int)
  case badChecksum(protocolNumber: UInt8)
  case impossibleFlags(TCPFlags)
  /// The state table has no way from here with this segment.
  case unexpectedSegment(TCPFlags, TCPState, Direction)
  /// A segment that is no SYN belongs to no connection, and `tcp_loose` is 0.
  case noConnection(TCPFlags)
  case sequenceAboveWindow(sequence: UInt32, end: UInt32, limit: UInt32)
  case acknowledgesUnsentData(acknowledgement: UInt32, limit: UInt32)
  case sequenceBelowWindow(sequence: UInt32, end: UInt32, limit: UInt32)
  case acknowledgementTooOld(acknowledgement: UInt32, limit: UInt32)
  case resetBelowWindow(sequence: UInt32, acknowledged: UInt32)
  /// A SYN or SYN/ACK that does not fit: either end may be out of step, so it passes unbelieved.
  case outOfStep(TCPFlags, TCPState, Direction)
  /// An ACK in LAST_ACK that answers a SYN, not the FIN (RFC 5961).
  case challengeAcknowledgement
  /// An ICMP type that neither begins nor answers a query.
  case icmpTypeNotTracked(type: UInt8, code: UInt8)
  /// An answer to a query that was never seen.
  case icmpReplyWithoutQuery(type: UInt8)
  /// An ICMP error whose quoted packet belongs to no connection.
  case icmpErrorForNothing
  /// An ICMP error whose quoted packet cannot be read.
  case icmpErrorUnreadable
  /// An ICMP error sent to someone other than who sent the quoted packet.
  case icmpErrorMisaddressed
  /// No room for a new connection, and none that may be dropped early was found.
  case tableFull(limit: Int64)
  case sctpNoConnection
  case sctpBadVerificationTag(tag: UInt32, expected: UInt32)
  case sctpUnexpectedChunk(type: UInt8, state: SCTPState)
  /// Chunks without a length, or that may not stand together.
  case sctpBadChunks
  /// GRE version 1 that is not PPTP's.
  case greNotPPTP

  /// One sentence, without a full stop.
  public var text: String {
    switch self {
    case .truncated(let number):
      "the \(protocolName(number)) header is missing or cut short"
    case .badLength(let number, let said, let available):
      "the \(protocolName(number)) header says \(said) bytes where \(available) are there"
    case .badChecksum(let number):
      "the \(protocolName(number)) checksum is wrong"
    case .impossibleFlags(let flags):
      "no TCP sends the flags \(flags.text)"
    case .unexpectedSegment(let flags, .none, _):
      "\(article(flags)) cannot begin a connection"
    case .unexpectedSegment(let flags, let state, let direction):
      "\(article(flags)) in the \(direction.text) direction makes no sense in state \(state.name)"
    case .noConnection(let flags):
      "\(article(flags)) belongs to no known connection, and nf_conntrack_tcp_loose is 0"
    case .sequenceAboveWindow(let sequence, let end, let limit):
      "sequence \(sequence)…\(end) is beyond the receiver's window, which ends at \(limit)"
    case .acknowledgesUnsentData(let acknowledgement, let limit):
      "acknowledgement \(acknowledgement) is for data never seen; the last seen ends at \(limit)"
    case .sequenceBelowWindow(let sequence, let end, let limit):
      "sequence \(sequence)…\(end) lies before the window, which begins at \(limit) (old data again)"
    case .acknowledgementTooOld(let acknowledgement, let limit):
      "acknowledgement \(acknowledgement) is too old; the oldest that counts is \(limit)"
    case .resetBelowWindow(let sequence, let acknowledged):
      "the RST's sequence \(sequence) lies before \(acknowledged), which the other side has acknowledged"
    case .outOfStep(let flags, let state, let direction):
      "\(article(flags)) in the \(direction.text) direction in state \(state.name) passes, but changes nothing"
    case .challengeAcknowledgement:
      "this ACK answers a stray SYN (RFC 5961), not the FIN; it changes nothing"
    case .icmpTypeNotTracked(let type, let code):
      "ICMP type \(type) code \(code) neither begins nor answers a query"
    case .icmpReplyWithoutQuery(let type):
      "ICMP type \(type) answers a query that was never seen"
    case .icmpErrorForNothing:
      "the packet quoted in this ICMP error belongs to no known connection"
    case .icmpErrorUnreadable:
      "the packet quoted in this ICMP error cannot be read"
    case .icmpErrorMisaddressed:
      "this ICMP error is not sent to the sender of the packet it quotes"
    case .tableFull(let limit):
      "the table is full (nf_conntrack_max = \(limit)) and no entry could be dropped early"
    case .sctpNoConnection:
      "this SCTP packet belongs to no known association and cannot begin one"
    case .sctpBadVerificationTag(let tag, let expected):
      "the SCTP verification tag \(tag) is not this association's, \(expected)"
    case .sctpUnexpectedChunk(let type, let state):
      "an SCTP chunk of type \(type) makes no sense in state \(state.name)"
    case .sctpBadChunks:
      "the SCTP chunks are cut short or may not stand together"
    case .greNotPPTP:
      "GRE version 1 is PPTP's, and this is not"
    }
  }

  private func article(_ flags: TCPFlags) -> String {
    let name = flags.text
    return name.hasPrefix("ACK") || name.hasPrefix("RST") || name.hasPrefix("URG")
      ? "an \(name)" : "a \(name)"
  }
}

extension Direction {
  /// "original" or "reply".
  public var text: String { self == .original ? "original" : "reply" }
}

extension TCPFlags {
  /// The flags as tcpdump's readers say them: "SYN", "SYN/ACK", "FIN/ACK"; "segment without flags".
  public var text: String {
    let names: [(TCPFlags, String)] = [
      (.syn, "SYN"), (.fin, "FIN"), (.rst, "RST"), (.psh, "PSH"), (.ack, "ACK"), (.urg, "URG"),
    ]
    let set = names.filter { contains($0.0) }.map(\.1)
    return set.isEmpty ? "segment without flags" : set.joined(separator: "/")
  }
}

/// A transport protocol's name as people write it.
public func protocolName(_ number: UInt8) -> String {
  switch number {
  case IPProtocolNumber.icmp: "ICMP"
  case IPProtocolNumber.igmp: "IGMP"
  case IPProtocolNumber.tcp: "TCP"
  case IPProtocolNumber.udp: "UDP"
  case IPProtocolNumber.gre: "GRE"
  case IPProtocolNumber.esp: "ESP"
  case IPProtocolNumber.ah: "AH"
  case IPProtocolNumber.icmpv6: "ICMPv6"
  case IPProtocolNumber.sctp: "SCTP"
  case IPProtocolNumber.udpLite: "UDP-Lite"
  default: "protocol \(number)"
  }
}
