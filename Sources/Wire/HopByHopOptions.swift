// IPv6 hop-by-hop options (RFC 8200 section 4.3) as IPv6 input checks them before any hook. Which
// of the malformed are dropped was learnt by sending them to a kernel.

enum HopByHopOptions {
  static let pad1: UInt8 = 0
  static let padN: UInt8 = 1
  static let routerAlert: UInt8 = 0x05
  static let calipso: UInt8 = 0x07
  static let ioam: UInt8 = 0x31
  static let jumboPayload: UInt8 = 0xc2

  /// No more padding than this stands between two options: what aligning to 8 bytes can need.
  static let maximumPadding = 7
  /// Options other than padding: the default of net.ipv6.max_hbh_opts_number.
  static let maximumCount = 8

  /// Walks the options from `start` to before `optionsEnd`, which lies in `bytes`.
  ///
  /// - Parameters:
  ///   - packetEnd: moved when a jumbo payload option says where the packet ends.
  ///   - problem: set to the byte that makes no sense, of a problem whose sender is told.
  static func check(
    _ bytes: RawSpan, from start: Int, to optionsEnd: Int, payloadLength: Int,
    packetEnd: inout Int, problem: inout Int
  ) -> IPDrop? {
    var at = start
    var padding = 0
    var count = 0
    while at < optionsEnd {
      let type = bytes.uint8(at: at)
      if type == pad1 {
        padding &+= 1
        guard padding <= maximumPadding else { return .badHopByHopOption }
        at &+= 1
        continue
      }
      guard at &+ 2 <= optionsEnd else { return .badHopByHopOption }
      let length = Int(bytes.uint8(at: at &+ 1)) &+ 2
      guard length <= optionsEnd &- at else { return .badHopByHopOption }
      if type == padN {
        padding &+= length
        guard padding <= maximumPadding, isZero(bytes, from: at &+ 2, to: at &+ length) else {
          return .badHopByHopOption
        }
      } else {
        count &+= 1
        guard count <= maximumCount else { return .badHopByHopOption }
        padding = 0
        let drop =
          type == jumboPayload
          ? jumbo(
            bytes, at: at, length: length, payloadLength: payloadLength, packetEnd: &packetEnd,
            problem: &problem)
          : checkOption(type, at: at, length: length)
        if let drop {
          if drop == .unknownHopByHopOption { problem = at }
          return drop
        }
      }
      at &+= length
    }
    return nil
  }

  private static func checkOption(_ type: UInt8, at: Int, length: Int) -> IPDrop? {
    switch type {
    case routerAlert:
      return length == 4 ? nil : .badHopByHopOption
    case calipso:
      // RFC 5570: dropped unless the label's domain was configured, which Weir does not know of.
      return .badHopByHopOption
    case ioam:
      // RFC 9486 section 3: aligned to 4n; the rest is read only where an interface enables it.
      return at & 3 == 0 ? nil : .badHopByHopOption
    default:
      // RFC 8200 section 4.2: the two highest bits say whether the unknown may be skipped.
      return type >> 6 == 0 ? nil : .unknownHopByHopOption
    }
  }

  private static func jumbo(
    _ bytes: RawSpan, at: Int, length: Int, payloadLength: Int, packetEnd: inout Int,
    problem: inout Int
  ) -> IPDrop? {
    // RFC 2675 section 2: four bytes of length, aligned to 4n + 2.
    guard length == 6, at & 3 == 2 else { return .badHopByHopOption }
    let jumboLength = Int(bytes.uint32(at: at &+ 2))
    guard jumboLength > 65_535 else {
      problem = at &+ 2
      return .badJumboPayload
    }
    guard payloadLength == 0 else {
      problem = at
      return .badJumboPayload
    }
    guard jumboLength <= bytes.byteCount &- IPv6Field.length else { return .truncatedPacket }
    packetEnd = IPv6Field.length &+ jumboLength
    return nil
  }

  private static func isZero(_ bytes: RawSpan, from start: Int, to end: Int) -> Bool {
    var at = start
    while at < end {
      if bytes.uint8(at: at) != 0 { return false }
      at &+= 1
    }
    return true
  }
}
