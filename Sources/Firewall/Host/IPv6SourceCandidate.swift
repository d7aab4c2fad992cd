// The rules of RFC 6724, section 5, for choosing between two IPv6 source addresses, with the label
// table of Linux (`ip addrlabel`).

import Wire

/// How far an IPv6 address is good for; the values are those of multicast scopes (RFC 4291, 2.7).
struct IPv6Scope: Comparable {
  let value: UInt8

  static let link = IPv6Scope(value: 2)
  static let site = IPv6Scope(value: 5)
  static let global = IPv6Scope(value: 14)

  private init(value: UInt8) { self.value = value }

  init(_ address: IPAddress) {
    if address.high >> 56 == 0xff {
      value = UInt8(address.high >> 48 & 0xf)
    } else if address.high >> 54 == 0xfe80 >> 6 || (address.high == 0 && address.low == 1) {
      // The loopback address counts as link-local (RFC 6724, 3.1).
      self = .link
    } else if address.high >> 54 == 0xfec0 >> 6 {
      self = .site
    } else if address == .any {
      // Narrower than any address: the narrowest is the nearest.
      value = 0
    } else {
      self = .global
    }
  }

  static func < (a: Self, b: Self) -> Bool { a.value < b.value }
}

/// One address that might become a source, judged against one destination.
struct IPv6SourceCandidate {
  let address: IPAddress
  private let isDestination: Bool
  private let scope: IPv6Scope
  private let destinationScope: IPv6Scope
  private let isDeprecated: Bool
  private let isOnOutInterface: Bool
  private let labelMatches: Bool
  private let isPreferredKind: Bool
  private let commonPrefixLength: Int

  init(
    _ interfaceAddress: InterfaceAddress, isOnOutInterface: Bool, prefersTemporary: Bool,
    destination: IPAddress
  ) {
    address = interfaceAddress.address
    isDestination = address == destination
    scope = IPv6Scope(address)
    destinationScope = IPv6Scope(destination)
    isDeprecated = interfaceAddress.isDeprecated
    self.isOnOutInterface = isOnOutInterface
    labelMatches = IPv6SourceCandidate.label(address) == IPv6SourceCandidate.label(destination)
    isPreferredKind = interfaceAddress.isTemporary == prefersTemporary
    let difference = (address.high ^ destination.high, address.low ^ destination.low)
    let common =
      difference.0 != 0
      ? difference.0.leadingZeroBitCount : 64 + difference.1.leadingZeroBitCount
    commonPrefixLength = min(common, interfaceAddress.prefixLength)
  }

  /// The rules in order; the first that tells the two apart decides. Equal is not better.
  func isBetter(than other: Self) -> Bool {
    // 1: the destination itself.
    if isDestination != other.isDestination { return isDestination }
    // 2: the appropriate scope: the smallest that reaches the destination, else the largest.
    if scope != other.scope {
      return scope < other.scope ? scope >= destinationScope : other.scope < destinationScope
    }
    // 3: not deprecated.
    if isDeprecated != other.isDeprecated { return !isDeprecated }
    // 5: on the outgoing interface.
    if isOnOutInterface != other.isOnOutInterface { return isOnOutInterface }
    // 6: the destination's label.
    if labelMatches != other.labelMatches { return labelMatches }
    // 7: temporary or public, as the interface prefers.
    if isPreferredKind != other.isPreferredKind { return isPreferredKind }
    // 8: the longest prefix in common.
    return commonPrefixLength > other.commonPrefixLength
  }

  /// The label table of Linux, longest prefix first.
  private static func label(_ address: IPAddress) -> Int {
    let (high, low) = (address.high, address.low)
    if high == 0 && low == 1 { return 0 }
    if high == 0 && low >> 32 == 0xffff { return 4 }
    if high == 0 && low >> 32 == 0 { return 3 }
    if high >> 32 == 0x2001_0000 { return 6 }
    if high >> 36 == 0x2001_0010 >> 4 { return 7 }
    if high >> 48 == 0x3ffe { return 12 }
    if high >> 48 == 0x2002 { return 2 }
    if high >> 54 == 0xfec0 >> 6 { return 11 }
    if high >> 57 == 0xfc00 >> 9 { return 5 }
    return 1
  }
}
