// Addresses and masks as text. A stand-in until `Wire` reads and writes addresses itself.

import Wire

enum AddressText {
  /// An address of the given family in full, or nil.
  static func parse(_ text: some StringProtocol, _ family: AddressFamily) -> IPAddress? {
    switch family {
    case .ipv4: parseIPv4(text).map { IPAddress(ipv4: $0) }
    case .ipv6: parseIPv6(text)
    }
  }

  /// Four decimal numbers.
  static func parseIPv4(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 ? parseParts(parts) : nil
  }

  /// One to four decimal numbers; those left out at the end are 0 (`10/8`, `192.168/16`).
  static func parseShortIPv4(_ text: some StringProtocol) -> UInt32? {
    parseParts(text.split(separator: ".", omittingEmptySubsequences: false))
  }

  private static func parseParts(_ parts: [some StringProtocol]) -> UInt32? {
    guard (1...4).contains(parts.count) else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
        let byte = UInt8(part)
      else { return nil }
      value = value << 8 | UInt32(byte)
    }
    return value << UInt32(8 * (4 - parts.count))
  }

  /// RFC 4291 section 2.2: groups, one `::`, an IPv4 address at the end.
  static func parseIPv6(_ text: some StringProtocol) -> IPAddress? {
    guard text.utf8.count <= 45, text.contains(":") else { return nil }
    var text = String(text)
    var tail: [UInt16] = []
    if text.contains(".") {
      guard let colon = text.lastIndex(of: ":"),
        let last = parseIPv4(text[text.index(after: colon)...])
      else { return nil }
      tail = [UInt16(truncatingIfNeeded: last >> 16), UInt16(truncatingIfNeeded: last)]
      text = String(text[...colon])
      // `::1.2.3.4` keeps its double colon, `a:1.2.3.4` loses the single one.
      if !text.hasSuffix("::") { text.removeLast() }
    }
    let halves = text.split(separator: "::", omittingEmptySubsequences: false)
    guard halves.count <= 2, let head = halves.first, let before = groups(head) else { return nil }
    var words = before
    if halves.count == 2 {
      guard let after = groups(halves[1]) else { return nil }
      let zeros = 8 - before.count - after.count - tail.count
      guard zeros >= 1 else { return nil }
      words += Array(repeating: 0, count: zeros) + after
    }
    words += tail
    guard words.count == 8 else { return nil }
    let high = words[..<4].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    let low = words[4...].reduce(UInt64(0)) { $0 << 16 | UInt64($1) }
    return IPAddress(high: high, low: low)
  }

  private static func groups(_ text: some StringProtocol) -> [UInt16]? {
    if text.isEmpty { return [] }
    var words: [UInt16] = []
    for part in text.split(separator: ":", omittingEmptySubsequences: false) {
      guard (1...4).contains(part.utf8.count), part.first != "+", part.first != "-",
        let word = UInt16(part, radix: 16)
      else { return nil }
      words.append(word)
    }
    return words.count <= 8 ? words : nil
  }

  /// The address as `inet_ntop` writes it.
  static func write(_ address: IPAddress, _ family: AddressFamily) -> String {
    family == .ipv4 ? writeIPv4(address.ipv4) : writeIPv6(address)
  }

  private static func writeIPv4(_ value: UInt32) -> String {
    "\(value >> 24).\(value >> 16 & 255).\(value >> 8 & 255).\(value & 255)"
  }

  private static func writeIPv6(_ address: IPAddress) -> String {
    let words = (0..<8).map { index in
      let half = index < 4 ? address.high : address.low
      return UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (index & 3)))
    }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, words[end] == 0 { end += 1 }
      if end - start > best.count { best = start..<end }
      start = max(end, start + 1)
    }
    if best.lowerBound == 0, best.count == 6 || (best.count == 5 && words[5] == 0xFFFF) {
      return (best.count == 6 ? "::" : "::ffff:")
        + writeIPv4(UInt32(truncatingIfNeeded: address.low))
    }
    let text = words.map { String($0, radix: 16) }
    guard best.count >= 2 else { return text.joined(separator: ":") }
    return text[..<best.lowerBound].joined(separator: ":") + "::"
      + text[best.upperBound...].joined(separator: ":")
  }
}
