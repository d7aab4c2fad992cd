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
  /// ICMP in an IPv6 packet, or ICMPv6 in an IPv4 packet.
  case icmpOfOtherFamily(protocolNumber: UInt8)
  /// An answer to a query that was never seen.
  case icmpReplyWithoutQuery(type: UInt8)
  /// An ICMP error whose quoted packet belongs to no connection.
  case icmpErrorForNothing
  /// An ICMP error whose quoted packet cannot be read.
  case icmpErrorUnreadable
  /// An ICMP error sent to someone other than who sent the quoted packet.
  case icmpErrorMisaddressed
  /// An ICMPv6 redirect that no router of this link sent (RFC 4861 section 8.1).
  case icmpRedirectFromAfar
  /// No room for a new connection, and none that may be dropped early was found.
  case tableFull(limit: Int64)
  /// GRE of version 1 is PPTP's, and its payload PPP (RFC 2637).
  case greNotPPTP
  /// A packet of no known association with a chunk that cannot begin one.
  case sctpNoAssociation(type: UInt8)
  case sctpBadVerificationTag(tag: UInt32, expected: UInt32)
  /// A HEARTBEAT with another association's tag: it passes, and what answers it decides.
  case sctpHeartbeatDoubted(tag: UInt32, expected: UInt32)
  /// An INIT ACK whose initiate tag is not the one its sender announced before.
  case sctpInitiateTagChanged(tag: UInt32, expected: UInt32)
  /// The state table has no way from here with this chunk.
  case sctpUnexpectedChunk(type: UInt8, SCTPState, Direction)
  case sctpChunkWithoutLength(type: UInt8)
  /// Bundled with others, but must be its packet's only chunk.
  case sctpChunkNotAlone(type: UInt8)
  case sctpChunkNotFirst(type: UInt8)

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
    case .icmpOfOtherFamily(let number):
      "\(protocolName(number)) belongs in packets of the other IP version"
    case .icmpErrorUnreadable:
      "the packet quoted in this ICMP error cannot be read"
    case .icmpRedirectFromAfar:
      "an ICMPv6 redirect comes from a link-local address, with a hop limit of 255"
    case .icmpErrorMisaddressed:
      "this ICMP error is not sent to the sender of the packet it quotes"
    case .tableFull(let limit):
      "the table is full (nf_conntrack_max = \(limit)) and no entry could be dropped early"
    case .greNotPPTP:
      "GRE of version 1 carries PPP and nothing else, and this packet's payload is no PPP"
    case .sctpNoAssociation(let type):
      "\(article(type)) belongs to no known association and cannot begin one"
    case .sctpBadVerificationTag(let tag, let expected):
      "the SCTP verification tag is \(tag) where \(expected) is the association's"
    case .sctpHeartbeatDoubted(let tag, let expected):
      "the HEARTBEAT's verification tag is \(tag) where \(expected) is the association's; it passes, but changes nothing unless its answer has a new tag too"
    case .sctpInitiateTagChanged(let tag, let expected):
      "the INIT ACK announces the tag \(tag) where its sender has announced \(expected)"
    case .sctpUnexpectedChunk(let type, let state, let direction):
      "\(article(type)) in the \(direction.text) direction makes no sense in state \(state.name)"
    case .sctpChunkWithoutLength(let type):
      "the SCTP \(SCTPChunkType.name(type)) chunk says it is 0 bytes long"
    case .sctpChunkNotAlone(let type):
      "\(article(type)) must be its packet's only chunk"
    case .sctpChunkNotFirst(let type):
      "\(article(type)) must be its packet's first chunk"
    }
  }

  private func article(_ flags: TCPFlags) -> String {
    let name = flags.text
    return name.hasPrefix("ACK") || name.hasPrefix("RST") || name.hasPrefix("URG")
      ? "an \(name)" : "a \(name)"
  }

  private func article(_ chunkType: UInt8) -> String {
    let name = SCTPChunkType.name(chunkType)
    if name.hasPrefix("chunk") { return "an SCTP \(name)" }
    // SACK is said as a word.
    return "AEI".contains(name.prefix(1)) ? "an \(name)" : "a \(name)"
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
