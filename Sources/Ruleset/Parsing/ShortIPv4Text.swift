// IPv4 addresses as iptables takes them after -s and -d, which is more than inet_pton(3) takes.

import Wire

enum ShortIPv4Text {
  /// One to four numbers; those left out at the end are 0 (`10/8`, `192.168/16`). A number that
  /// begins with `0x` is hexadecimal, one that begins with 0 octal: `010.0.0.1` is 8.0.0.1.
  static func parse(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...4).contains(parts.count) else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard let byte = byte(part) else { return nil }
      value = value << 8 | UInt32(byte)
    }
    return value << UInt32(8 * (4 - parts.count))
  }

  private static func byte(_ part: some StringProtocol) -> UInt8? {
    // A sign, which UInt8 would take, is none of the digits.
    guard let first = part.utf8.first, (48...57).contains(first) else { return nil }
    if part.hasPrefix("0x") || part.hasPrefix("0X") {
      let digits = part.dropFirst(2)
      return digits.first?.isHexDigit == true ? UInt8(digits, radix: 16) : nil
    }
    return UInt8(part, radix: first == 48 ? 8 : 10)
  }
}
