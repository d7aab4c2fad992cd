// Addresses as text: printed as `inet_ntop` of glibc prints them, so that tables compare equal, and
// read strictly.

extension IPAddress {
  /// As glibc prints it: dotted quad, or RFC 5952 with the embedded IPv4 forms `::ffff:192.0.2.1`
  /// and `::192.0.2.1`.
  public func text(_ family: AddressFamily) -> String {
    switch family {
    case .ipv4: IPAddress.dottedQuad(ipv4)
    case .ipv6: ipv6Text
    }
  }

  private static func dottedQuad(_ value: UInt32) -> String {
    "\(value >> 24).\(value >> 16 & 0xff).\(value >> 8 & 0xff).\(value & 0xff)"
  }

  /// Group `index` of eight, from the left.
  private func group(_ index: Int) -> UInt16 {
    UInt16(truncatingIfNeeded: (index < 4 ? high : low) >> UInt64((3 - index & 3) * 16))
  }

  private var ipv6Text: String {
    let zeros = longestZeroRun
    // glibc shows an IPv4 address behind ::ffff, and behind exactly six zero groups: not in ::1.
    if zeros.lowerBound == 0, zeros.count == 6 || zeros.count == 5 && group(5) == 0xffff {
      let prefix = zeros.count == 6 ? "::" : "::ffff:"
      return prefix + IPAddress.dottedQuad(UInt32(truncatingIfNeeded: low))
    }
    var text = ""
    var index = 0
    while index < 8 {
      if index == zeros.lowerBound, !zeros.isEmpty {
        text += "::"
        index = zeros.upperBound
        continue
      }
      if !text.isEmpty, !text.hasSuffix("::") { text += ":" }
      text += String(group(index), radix: 16)
      index += 1
    }
    return text
  }

  /// The first of the longest runs of two or more zero groups; empty when there is none.
  private var longestZeroRun: Range<Int> {
    var best = 0..<0
    var index = 0
    while index < 8 {
      var end = index
      while end < 8, group(end) == 0 { end += 1 }
      if end - index > max(best.count, 1) { best = index..<end }
      index = max(end, index + 1)
    }
    return best
  }
}

// MARK: - Reading

extension IPAddress {
  /// Reads an address of either family. Strict: four decimal parts without leading zeros, or RFC
  /// 4291 section 2.2 with at most one `::` and four hexadecimal digits a group; no zone, no
  /// brackets, no space. Nil for anything else.
  public static func parse(_ text: some StringProtocol) -> (IPAddress, AddressFamily)? {
    let bytes = Array(text.utf8)
    if bytes.contains(UInt8(ascii: ":")) {
      guard let address = parseIPv6(bytes[...]) else { return nil }
      return (address, .ipv6)
    }
    guard let value = parseIPv4(bytes[...]) else { return nil }
    return (IPAddress(ipv4: value), .ipv4)
  }

  private static func parseIPv4(_ text: ArraySlice<UInt8>) -> UInt32? {
    let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var value: UInt32 = 0
    for part in parts {
      guard let number = decimalByte(part) else { return nil }
      value = value << 8 | UInt32(number)
    }
    return value
  }

  private static func decimalByte(_ text: ArraySlice<UInt8>) -> UInt8? {
    guard (1...3).contains(text.count), text.count == 1 || text.first != UInt8(ascii: "0") else {
      return nil
    }
    var value = 0
    for digit in text {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      value = value * 10 + Int(digit - UInt8(ascii: "0"))
    }
    return UInt8(exactly: value)
  }

  private static func hexGroup(_ text: ArraySlice<UInt8>) -> UInt16? {
    guard (1...4).contains(text.count) else { return nil }
    var value: UInt16 = 0
    for digit in text {
      let number: UInt8
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): number = digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): number = digit - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): number = digit - UInt8(ascii: "A") + 10
      default: return nil
      }
      value = value << 4 | UInt16(number)
    }
    return value
  }

  private static func parseIPv6(_ text: ArraySlice<UInt8>) -> IPAddress? {
    let colon = UInt8(ascii: ":")
    var split: Int?
    var index = text.startIndex
    while index + 1 < text.endIndex {
      if text[index] == colon, text[index + 1] == colon {
        guard split == nil else { return nil }
        split = index
        index += 1
      }
      index += 1
    }
    let groups: [UInt16]
    if let split {
      guard let head = parseGroups(text[..<split], mayEndInIPv4: false),
        let tail = parseGroups(text[(split + 2)...], mayEndInIPv4: true),
        head.count + tail.count < 8
      else { return nil }
      groups = head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
    } else {
      guard let all = parseGroups(text, mayEndInIPv4: true), all.count == 8 else { return nil }
      groups = all
    }
    func half(_ part: ArraySlice<UInt16>) -> UInt64 {
      part.reduce(0) { $0 << 16 | UInt64($1) }
    }
    return IPAddress(high: half(groups[..<4]), low: half(groups[4...]))
  }

  /// Groups between single colons; none for an empty text.
  private static func parseGroups(
    _ text: ArraySlice<UInt8>, mayEndInIPv4: Bool
  ) -> [UInt16]? {
    if text.isEmpty { return [] }
    let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
    guard parts.count <= 8 else { return nil }
    var groups: [UInt16] = []
    for (index, part) in parts.enumerated() {
      if part.contains(UInt8(ascii: ".")) {
        guard mayEndInIPv4, index == parts.count - 1, let value = parseIPv4(part) else {
          return nil
        }
        groups += [UInt16(value >> 16), UInt16(value & 0xffff)]
      } else {
        guard let group = hexGroup(part) else { return nil }
        groups.append(group)
      }
    }
    return groups
  }
}
