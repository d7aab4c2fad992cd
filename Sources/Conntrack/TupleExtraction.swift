// From a packet to its tuple, and from a tuple to the one its answer will have.

import Wire

extension Tuple {
  /// The tuple of a packet whose transport header lies at `offset` and ends before `end`. Nil where
  /// too little of the header is there.
  /// - Complexity: O(1).
  @inline(__always)
  init?(
    _ bytes: RawSpan, source: IPAddress, destination: IPAddress, family: AddressFamily,
    protocolNumber: UInt8, at offset: Int, end: Int
  ) {
    self.init(
      source: source, destination: destination, sourcePort: 0, destinationPort: 0,
      protocolNumber: protocolNumber, family: family)
    guard offset >= 0, end <= bytes.byteCount else { return nil }
    switch protocolNumber {
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.udpLite,
      IPProtocolNumber.sctp:
      guard end - offset >= 4 else { return nil }
      sourcePort = bytes.uint16(at: offset)
      destinationPort = bytes.uint16(at: offset + 2)
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6:
      guard let message = ICMPHeader(bytes, at: offset, end: end) else { return nil }
      sourcePort = message.identifier
      destinationPort = UInt16(message.type) << 8 | UInt16(message.code)
    case IPProtocolNumber.gre:
      // Only PPTP's GRE tells its calls apart: the peer's call is the destination's key.
      guard end - offset >= 8, bytes.uint16(at: offset) & GREField.versionMask == 1 else { break }
      guard bytes.uint16(at: offset + GREField.payloadProtocol) == GREField.ppp else { return nil }
      destinationPort = bytes.uint16(at: offset + GREField.callID)
    default:
      break
    }
  }

  @inline(__always)
  init?(_ bytes: RawSpan, _ headers: PacketHeaders) {
    self.init(
      bytes, source: headers.source, destination: headers.destination, family: headers.family,
      protocolNumber: headers.transportProtocol, at: headers.transportOffset, end: headers.end)
  }

  /// The tuple of an answer: ends exchanged, an ICMP query's type turned into its reply's and back.
  /// Nil for ICMP types that have no answer.
  @inline(__always)
  public var inverted: Tuple? {
    switch protocolNumber {
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6:
      let type = UInt8(destinationPort >> 8)
      guard let answer = ICMPQuery.answer(to: type, protocolNumber: protocolNumber) else {
        return nil
      }
      return Tuple(
        source: destination, destination: source, sourcePort: sourcePort,
        destinationPort: UInt16(answer) << 8 | destinationPort & 0xff,
        protocolNumber: protocolNumber, family: family)
    default:
      return Tuple(
        source: destination, destination: source, sourcePort: destinationPort,
        destinationPort: sourcePort, protocolNumber: protocolNumber, family: family)
    }
  }
}

/// The ICMP and ICMPv6 messages that come in pairs.
enum ICMPQuery {
  /// The type that answers `type`, or that `type` answers. Nil where there is none.
  static func answer(to type: UInt8, protocolNumber: UInt8) -> UInt8? {
    if protocolNumber == IPProtocolNumber.icmp {
      switch type {
      case ICMPType.echoRequest: ICMPType.echoReply
      case ICMPType.echoReply: ICMPType.echoRequest
      case ICMPType.timestampRequest: ICMPType.timestampReply
      case ICMPType.timestampReply: ICMPType.timestampRequest
      case ICMPType.informationRequest: ICMPType.informationReply
      case ICMPType.informationReply: ICMPType.informationRequest
      case ICMPType.addressMaskRequest: ICMPType.addressMaskReply
      case ICMPType.addressMaskReply: ICMPType.addressMaskRequest
      default: nil
      }
    } else {
      switch type {
      case ICMPv6Type.echoRequest: ICMPv6Type.echoReply
      case ICMPv6Type.echoReply: ICMPv6Type.echoRequest
      case ICMPv6Type.nodeInformationQuery: ICMPv6Type.nodeInformationReply
      case ICMPv6Type.nodeInformationReply: ICMPv6Type.nodeInformationQuery
      default: nil
      }
    }
  }

  /// ICMPv6: neighbour discovery, multicast listeners and multicast routers, which are the link's
  /// business and no connection's.
  static func isLinkBusiness(_ type: UInt8) -> Bool {
    switch type {
    case ICMPv6Type.multicastListenerQuery...ICMPv6Type.neighbourAdvertisement,
      ICMPv6Type.multicastListenerReportV2, 151, 152:
      true
    default: false
    }
  }

  /// Whether a connection may begin with this type.
  static func isRequest(_ type: UInt8, protocolNumber: UInt8) -> Bool {
    if protocolNumber == IPProtocolNumber.icmp {
      switch type {
      case ICMPType.echoRequest, ICMPType.timestampRequest, ICMPType.informationRequest,
        ICMPType.addressMaskRequest:
        true
      default: false
      }
    } else {
      type == ICMPv6Type.echoRequest || type == ICMPv6Type.nodeInformationQuery
    }
  }
}

extension Tuple {
  /// Whether messages of this type carry the identifier that tuples are told apart by.
  public static func hasICMPIdentifier(_ type: UInt8, protocolNumber: UInt8) -> Bool {
    ICMPQuery.answer(to: type, protocolNumber: protocolNumber) != nil
  }
}
