// Networks and link-layer addresses as `ip -j` prints them, to values. For the parsers of
// addresses.json and the route files.

import Wire

enum AddressText {
  /// `10.0.0.0/8`, `10.0.0.1` or `default`, of the family given.
  static func prefix(_ text: String, _ family: AddressFamily) -> IPPrefix? {
    if text == "default" { return IPPrefix(.any, length: 0, family: family) }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let (address, found) = IPAddress.parse(parts[0]), found == family
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
