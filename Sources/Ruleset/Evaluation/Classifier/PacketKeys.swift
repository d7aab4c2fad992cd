// The numbers of a packet that a chain's index tells packets apart by. They do not change while rules
// are asked. For the index, which looks packets up by them, and for its builder.

import Wire

/// Which number is which.
enum PacketKey {
  /// The four words of the source address, the first highest. IPv4 has only the last.
  static let source = 0
  static let destination = 4
  static let transportProtocol = 8
  static let sourcePort = 9
  static let destinationPort = 10
  /// Classes of `InterfacePatterns`.
  static let inInterface = 11
  static let outInterface = 12
  static let count = 13

  /// Above every protocol: an IPv6 packet whose transport protocol cannot be found.
  static let unknownProtocol: UInt32 = 256
  /// Above every port: a header that ends before both.
  static let absentPort: UInt32 = 65536
}

/// How far a packet's transport header can be read; rules are indexed for the first two apart.
@usableFromInline
enum PacketForm: UInt8, BitwiseCopyable, Sendable {
  /// Every header that a rule may want to read is there.
  case whole
  /// Some are cut short, or the protocol is unknown: a rule may drop the packet by asking.
  case short
  /// A later fragment, which is asked rule by rule.
  case fragment
}

extension CompiledRuleset {
  /// Writes the packet's keys, for `ChainIndex.find`, into `keys`.
  @usableFromInline
  func readKeys(_ context: inout MatchContext) -> PacketForm {
    guard context.fragmentOffset == 0 else { return .fragment }
    if family == .ipv6 {
      keys[0] = UInt32(truncatingIfNeeded: context.source.high >> 32)
      keys[1] = UInt32(truncatingIfNeeded: context.source.high)
      keys[2] = UInt32(truncatingIfNeeded: context.source.low >> 32)
      keys[4] = UInt32(truncatingIfNeeded: context.destination.high >> 32)
      keys[5] = UInt32(truncatingIfNeeded: context.destination.high)
      keys[6] = UInt32(truncatingIfNeeded: context.destination.low >> 32)
    }
    keys[3] = UInt32(truncatingIfNeeded: context.source.low)
    keys[7] = UInt32(truncatingIfNeeded: context.destination.low)
    let available = context.transportAvailable
    let hasPorts = available >= 4
    keys[9] = hasPorts ? UInt32(context.sourcePort) : PacketKey.absentPort
    keys[10] = hasPorts ? UInt32(context.destinationPort) : PacketKey.absentPort
    keys[11] = patterns.interfaceClass(context.inInterface)
    keys[12] = patterns.interfaceClass(context.outInterface)
    guard context.isProtocolKnown else {
      keys[8] = PacketKey.unknownProtocol
      return .short
    }
    keys[8] = UInt32(context.protocolNumber)
    return available >= headerBytes[Int(context.protocolNumber)] ? .whole : .short
  }
}
