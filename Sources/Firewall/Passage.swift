// One packet under way: what is known of it, carried from hook to hook.

import Conntrack
import Ruleset
import Wire

/// How a packet came to the firewall.
public struct Arrival: Sendable, BitwiseCopyable {
  /// The interface it came in by (or, of the host's own packets, leaves by, where known).
  public var interface: InterfaceID
  public var family: AddressFamily
  /// How the frame was addressed on its link.
  public var packetType: PacketType
  /// The frame's source MAC, the low 48 bits.
  public var sourceMAC: UInt64?
  /// When, nanoseconds; time never goes back.
  public var timeNanoseconds: Int64
  /// Of the host's own packets: who owns the socket that sent it (`-m owner`); nil where that is not
  /// known.
  public var socketUserID: UInt32?
  public var socketGroupID: UInt32?
  /// Part of the packet is not as it was on the wire, so its checksums say nothing.
  public var isFilledUp = false
  /// The packet will be cut into segments when it leaves, as the sender's or the card's offload would
  /// have it: bytes of layer 3 of the longest. 0: it leaves as it is.
  public var longestSegment = 0
  /// What the caller knows the packet by: told again when something comes of it later.
  public var number: Int32 = 0

  public init(
    interface: InterfaceID, family: AddressFamily, packetType: PacketType = .unicast,
    sourceMAC: UInt64? = nil, timeNanoseconds: Int64
  ) {
    self.interface = interface
    self.family = family
    self.packetType = packetType
    self.sourceMAC = sourceMAC
    self.timeNanoseconds = timeNanoseconds
  }
}

struct Passage: ~Copyable {
  private let inPlace = InPlace()
  var headers: PacketHeaders
  var context: MatchContext
  var tracking = Tracking()
  /// What was found out about the packet ahead of its turn, in a burst.
  var plain = PlainPacket()
  /// Conntrack has seen the packet.
  var isTracked = false
  /// Weir made the packet, in answer to another.
  var isAnswer = false
  /// An answer that belongs to the connection of what it answers.
  var isAttached = false
  /// The packet has reached INPUT.
  var isForHost = false
  /// A copy, for the host itself, of what it sends to everyone (`LoopedCopy.swift`).
  var isLoopedCopy = false
  var arrival: Arrival
  var outcome = PacketOutcome()
  /// What a REJECT answers with.
  var rejectWith = RejectWith.icmpPortUnreachable
  /// The way out, once routing has been asked.
  var route = RouteResult(type: .unicast, interface: nil)
  /// The way out after NAT in OUTPUT, of a packet that it sends elsewhere.
  var newRoute: RouteResult?
  /// Not longer than this, the packet leaves as it is; 0: not known yet.
  var longestWhole = 0
  /// Put together from fragments: the firewall's `reassembled` says how it may leave again.
  var isReassembled = false
  /// A copy of it, to be made behind POSTROUTING, comes in again.
  var isAlsoForHost = false
  /// It left in pieces, and what identification they had.
  var isInPieces = false
  var identification: UInt32 = 0
  /// Of an IPv4 packet with options: what was found in them.
  var options = IPv4Options()

  /// The checksum was right before TCPMSS made it wrong.
  var hadRightChecksum = false

  init(_ headers: PacketHeaders, _ bytes: RawSpan, _ arrival: Arrival, isOutput: Bool) {
    self.headers = headers
    self.arrival = arrival
    context = MatchContext(
      source: headers.source, destination: headers.destination, family: headers.family,
      protocolNumber: headers.transportProtocol,
      inInterface: isOutput ? .none : arrival.interface,
      outInterface: isOutput ? arrival.interface : .none, length: UInt32(headers.end))
    context.packetType = arrival.packetType
    context.socketUserID = arrival.socketUserID
    context.socketGroupID = arrival.socketGroupID
    context.sourceMAC = arrival.sourceMAC
    context.timeToLive = headers.hopLimit
    context.typeOfService = headers.trafficClass
    context.isProtocolKnown = headers.transportOffset >= 0 || headers.fragmentOffset > 0
    context.fragmentOffset = UInt16(headers.fragmentOffset / 8)
    if headers.family == .ipv6 && headers.hasOptions { readExtensions(bytes) }
    outcome.family = headers.family
    readTransport(bytes)
  }

  /// The passage of a copy of the packet, from here on.
  func copied() -> Passage {
    var copy = Passage(copying: self)
    copy.tracking = tracking
    copy.isTracked = isTracked
    copy.isAnswer = isAnswer
    copy.isAttached = isAttached
    copy.outcome = outcome
    copy.route = route
    copy.options = options
    copy.isLoopedCopy = true
    copy.isAlsoForHost = isAlsoForHost
    // It is no socket's.
    copy.arrival.socketUserID = nil
    copy.arrival.socketGroupID = nil
    copy.context.socketUserID = nil
    copy.context.socketGroupID = nil
    copy.context.hasKernelSocket = false
    return copy
  }

  private init(copying other: borrowing Passage) {
    headers = other.headers
    context = other.context
    arrival = other.arrival
  }

  /// Rules know of an IPv6 packet no more than its authentication header: it is of protocol 51 to them,
  /// whatever comes behind. A later fragment is of the protocol that its fragment header names, where
  /// that is none of another extension header.
  private mutating func readExtensions(_ bytes: RawSpan) {
    let walk = IPv6ExtensionWalk(
      bytes, nextHeader: bytes.uint8(at: IPv6Field.nextHeader),
      nextHeaderOffset: IPv6Field.nextHeader, at: IPv6Field.length, end: headers.end)
    if walk.hasAuthenticationHeader {
      context.protocolNumber = IPProtocolNumber.ah
      context.isProtocolKnown = true
    } else if headers.fragmentOffset > 0 {
      context.protocolNumber = bytes.uint8(at: headers.fragmentHeaderOffset)
      context.isProtocolKnown = !IPv6ExtensionWalk.isExtensionHeader(context.protocolNumber)
    }
  }

  /// Takes over from the packet what rules ask about its transport header.
  mutating func readTransport(_ bytes: RawSpan) {
    context.source = headers.source
    context.destination = headers.destination
    let at = headers.transportOffset
    guard at >= 0, at < headers.end, headers.end <= bytes.byteCount else { return }
    let available = headers.end - at
    context.transportAvailable = UInt32(available)
    switch headers.transportProtocol {
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.udpLite,
      IPProtocolNumber.sctp, IPProtocolNumber.dccp:
      if available >= 4 {
        context.sourcePort = bytes.uint16(at: at)
        context.destinationPort = bytes.uint16(at: at + 2)
      }
      if headers.transportProtocol == IPProtocolNumber.tcp && available >= 14 {
        context.tcpFlags = bytes.uint8(at: at + TCPField.flags)
      }
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6:
      if available >= 1 { context.icmpType = bytes.uint8(at: at) }
      if available >= 2 { context.icmpCode = bytes.uint8(at: at + 1) }
    default: break
    }
  }

  var isICMPError: Bool {
    headers.transportProtocol
      == (headers.family == .ipv4 ? IPProtocolNumber.icmp : IPProtocolNumber.icmpv6)
      && tracking.state == .related
  }

  /// About an error no error is sent (RFC 1812 4.3.2.7, RFC 4443 2.4).
  var isAboutError: Bool {
    let at = headers.transportOffset
    if headers.family == .ipv4 {
      return headers.transportProtocol == IPProtocolNumber.icmp
        && (context.transportAvailable < 1 || ICMPType.isError(context.icmpType)
          || context.icmpType > ICMPType.highestKnown)
    }
    guard at >= 0, headers.transportProtocol == IPProtocolNumber.icmpv6 else { return false }
    // A fragment may lack the type.
    return context.transportAvailable < 1
      ? !headers.isFragment : ICMPv6Type.isError(context.icmpType)
  }

  /// Whether an error is also sent about a packet to a group, or to everyone on the link: RFC 4443
  /// 2.4 (e.3) has the two by which a sender learns of the way there.
  static func isToldAboutGroups(_ type: UInt8, _ code: UInt8, _ family: AddressFamily) -> Bool {
    guard family == .ipv6 else { return false }
    return type == ICMPv6Type.packetTooBig
      || (type == ICMPv6Type.parameterProblem && code == ICMPv6Code.unknownOption)
  }
}
