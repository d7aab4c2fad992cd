// Text to address, as inet_pton(3) takes it. For the parser of lines and the filters' arguments.

import Wire

/// An IPv4 or IPv6 address, told apart by the colon.
func parseAddress(_ text: Substring) -> (IPAddress, AddressFamily)? {
  if text.utf8.contains(UInt8(ascii: ":")) {
    return parseIPv6(text).map { ($0, .ipv6) }
  }
  return parseIPv4(text).map { (IPAddress(ipv4: $0), .ipv4) }
}

/// Four decimal numbers up to 255, without leading zeros.
func parseIPv4(_ text: Substring) -> UInt32? {
  var address: UInt32 = 0
  var count = 0
  for part in text.split(separator: ".", omittingEmptySubsequences: false) {
    let digits = part.utf8
    guard digits.count <= 3, count < 4,
      digits.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }),
      digits.count == 1 || digits.first != UInt8(ascii: "0"), let byte = UInt8(part)
    else { return nil }
    address = address << 8 | UInt32(byte)
    count += 1
  }
  return count == 4 ? address : nil
}

/// Eight groups of one to four hexadecimal digits; `::` for a run of zero groups, once; the last two
/// groups may be an IPv4 address.
func parseIPv6(_ text: Substring) -> IPAddress? {
  // What stands before and after `::`; without one, all is before.
  guard let gap = text.firstRange(of: "::") else {
    guard let groups = ipv6Groups(text, mayEndInIPv4: true), groups.count == 8 else { return nil }
    return address(groups)
  }
  let before = text[..<gap.lowerBound]
  let after = text[gap.upperBound...]
  guard let left = before.isEmpty ? [] : ipv6Groups(before, mayEndInIPv4: false),
    let right = after.isEmpty ? [] : ipv6Groups(after, mayEndInIPv4: true),
    left.count + right.count <= 7
  else { return nil }
  let zeros = [UInt16](repeating: 0, count: 8 - left.count - right.count)
  return address(left + zeros + right)
}

private func ipv6Groups(_ text: Substring, mayEndInIPv4: Bool) -> [UInt16]? {
  var groups: [UInt16] = []
  let parts = text.split(separator: ":", omittingEmptySubsequences: false)
  for (index, part) in parts.enumerated() {
    guard groups.count < 8 else { return nil }
    if mayEndInIPv4, index == parts.count - 1, part.utf8.contains(UInt8(ascii: ".")) {
      guard let tail = parseIPv4(part) else { return nil }
      groups.append(UInt16(truncatingIfNeeded: tail >> 16))
      groups.append(UInt16(truncatingIfNeeded: tail))
      continue
    }
    let sign = part.utf8.first.map { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") } ?? true
    guard part.utf8.count <= 4, !sign, let group = UInt16(part, radix: 16) else { return nil }
    groups.append(group)
  }
  return groups
}

private func address(_ groups: [UInt16]) -> IPAddress {
  var halves: (high: UInt64, low: UInt64) = (0, 0)
  for (index, group) in groups.enumerated() {
    if index < 4 {
      halves.high = halves.high << 16 | UInt64(group)
    } else {
      halves.low = halves.low << 16 | UInt64(group)
    }
  }
  return IPAddress(high: halves.high, low: halves.low)
}
