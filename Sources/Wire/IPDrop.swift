// Why the IP layer throws a packet away before any hook sees it, in numbers for counters and
// sentences for people.

/// A reason for which the kernel's IP input (before PREROUTING) drops a packet.
@frozen
public enum IPDrop: UInt8, Error, Sendable, BitwiseCopyable, CaseIterable {
  /// Fewer bytes than the IP header has.
  case truncatedHeader
  case badVersion
  /// IPv4: a header length below 20 bytes.
  case badHeaderLength
  case badHeaderChecksum
  /// IPv4: a total length below the header's.
  case badTotalLength
  /// Fewer bytes than the header says the packet has.
  case truncatedPacket
  case multicastSource
  /// IPv6: a multicast destination of scope 0.
  case reservedMulticastScope
  /// IPv6: ::1 as source or destination on an interface that is not loopback.
  case loopbackAddress
  /// IPv6: a multicast destination of interface-local scope that came from outside.
  case interfaceLocalMulticast
  case truncatedHopByHop
  case badHopByHopOption
  /// IPv6: a hop-by-hop option that says itself to discard the packet when it is not known.
  case unknownHopByHopOption
  case badJumboPayload

  /// The reason as a sentence.
  public var text: String {
    switch self {
    case .truncatedHeader: "the IP header is cut short"
    case .badVersion: "the IP version is not that of the frame"
    case .badHeaderLength: "the IPv4 header length is below 20 bytes"
    case .badHeaderChecksum: "the IPv4 header checksum is wrong"
    case .badTotalLength: "the IPv4 total length is smaller than the header"
    case .truncatedPacket: "the packet is shorter than its IP header says"
    case .multicastSource: "the source is a multicast address"
    case .reservedMulticastScope: "the destination is multicast with the reserved scope 0"
    case .loopbackAddress: "the loopback address ::1 came from outside"
    case .interfaceLocalMulticast: "interface-local multicast came from outside"
    case .truncatedHopByHop: "the hop-by-hop options are cut short"
    case .badHopByHopOption: "a hop-by-hop option is malformed"
    case .unknownHopByHopOption: "an unknown hop-by-hop option asks to discard the packet"
    case .badJumboPayload: "the jumbo payload option does not fit the packet"
    }
  }
}
