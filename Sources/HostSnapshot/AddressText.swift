// Addresses, prefixes and link-layer addresses as `ip -j` prints them, to values. For the parsers of
// addresses.json and the route files.

import Firewall
import Wire

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

enum AddressText {
  /// An address of either family.
  static func address(_ text: String) -> (address: IPAddress, family: AddressFamily)? {
    var bytes: [UInt8] = Array(repeating: 0, count: 16)
    let family: AddressFamily = text.utf8.contains(UInt8(ascii: ":")) ? .ipv6 : .ipv4
    // inet_pton writes 4 or 16 bytes, for which there is room.
    let parsed = unsafe inet_pton(family == .ipv4 ? AF_INET : AF_INET6, text, &bytes)
    guard parsed == 1, !text.utf8.contains(0) else { return nil }
    func word(_ range: Range<Int>) -> UInt64 {
      bytes[range].reduce(0) { $0 << 8 | UInt64($1) }
    }
    switch family {
    case .ipv4: return (IPAddress(ipv4: UInt32(word(0..<4))), .ipv4)
    case .ipv6: return (IPAddress(high: word(0..<8), low: word(8..<16)), .ipv6)
    }
  }

  /// `10.0.0.0/8`, `10.0.0.1` or `default`, of the family given.
  static func prefix(_ text: String, _ family: AddressFamily) -> IPPrefix? {
    if text == "default" { return IPPrefix(.any, length: 0, family: family) }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let (address, found) = address(String(parts[0])), found == family
    else { return nil }
    let bits = family.addressBits
    guard parts.count == 2 else { return IPPrefix(address, length: bits, family: family) }
    guard let length = Int(parts[1]), (0...bits).contains(length) else { return nil }
    return IPPrefix(address, length: length, family: family)
  }

  /// A 48-bit link-layer address; nil for those of other lengths.
  static func mac(_ text: String) -> UInt64? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 6 else { return nil }
    var address: UInt64 = 0
    for part in parts {
      guard part.utf8.count == 2, let byte = UInt8(part, radix: 16) else { return nil }
      address = address << 8 | UInt64(byte)
    }
    return address
  }
}
