// Text to address, as inet_pton(3) takes it. For the parser of lines and the filters' arguments.

import Wire

/// An IPv4 or IPv6 address, told apart by the colon.
func parseAddress(_ text: ArraySlice<UInt8>) -> (IPAddress, AddressFamily)? {
  if text.contains(UInt8(ascii: ":")) {
    return parseIPv6(text).map { ($0, .ipv6) }
  }
  return parseIPv4(text).map { (IPAddress(ipv4: $0), .ipv4) }
}

/// Four decimal numbers up to 255, without leading zeros.
func parseIPv4(_ text: ArraySlice<UInt8>) -> UInt32? {
  var address: UInt32 = 0
  var dots = 0
  var byte: UInt32 = 0
  var digits = 0
  for character in text {
    if character == UInt8(ascii: ".") {
      guard digits > 0, dots < 3 else { return nil }
      address = address << 8 | byte
      dots += 1
      (byte, digits) = (0, 0)
      continue
    }
    guard let digit = decimalDigit(character), digits == 0 || byte != 0 else { return nil }
    byte = byte * 10 + UInt32(digit)
    digits += 1
    guard byte <= 255 else { return nil }
  }
  return digits > 0 && dots == 3 ? address << 8 | byte : nil
}

/// Eight groups of one to four hexadecimal digits; `::` for a run of zero groups, once; the last two
/// groups may be an IPv4 address.
func parseIPv6(_ text: ArraySlice<UInt8>) -> IPAddress? {
  var groups = InlineArray<8, UInt16>(repeating: 0)
  var count = 0
  var gap: Int?
  var index = text.startIndex
  if text.first == UInt8(ascii: ":") {
    // A colon may come first only as half of `::`.
    guard text.dropFirst().first == UInt8(ascii: ":") else { return nil }
    gap = 0
    index += 2
    if index == text.endIndex { return .any }
  }
  while true {
    let rest = text[index...]
    let end = rest.firstIndex(of: UInt8(ascii: ":")) ?? text.endIndex
    let group = text[index..<end]
    if end == text.endIndex, group.contains(UInt8(ascii: ".")) {
      guard count <= 6, let tail = parseIPv4(group) else { return nil }
      groups[count] = UInt16(truncatingIfNeeded: tail >> 16)
      groups[count + 1] = UInt16(truncatingIfNeeded: tail)
      count += 2
      break
    }
    guard count < 8, let value = hexadecimalGroup(group) else { return nil }
    groups[count] = value
    count += 1
    if end == text.endIndex { break }
    index = end + 1
    if index == text.endIndex { return nil }
    if text[index] == UInt8(ascii: ":") {
      guard gap == nil else { return nil }
      gap = count
      index += 1
      if index == text.endIndex { break }
    }
  }
  guard gap == nil ? count == 8 : count <= 7 else { return nil }
  return address(groups, count: count, gap: gap ?? 8)
}

/// The address of `count` groups, zero groups put in before group `gap`.
private func address(_ groups: InlineArray<8, UInt16>, count: Int, gap: Int) -> IPAddress {
  var address = IPAddress.any
  for index in 0..<count {
    let place = index < gap ? index : index + 8 - count
    let shift = UInt64(48 - 16 * (place & 3))
    if place < 4 {
      address.high |= UInt64(groups[index]) << shift
    } else {
      address.low |= UInt64(groups[index]) << shift
    }
  }
  return address
}

private func hexadecimalGroup(_ text: ArraySlice<UInt8>) -> UInt16? {
  guard text.count <= 4, let value = parseNumber(text, radix: 16) else { return nil }
  return UInt16(truncatingIfNeeded: value)
}

@inline(__always)
private func decimalDigit(_ character: UInt8) -> UInt8? {
  character >= UInt8(ascii: "0") && character <= UInt8(ascii: "9")
    ? character - UInt8(ascii: "0") : nil
}

/// A number written in digits alone: no sign, no space. Nil if it is none or too large.
func parseNumber(_ text: ArraySlice<UInt8>, radix: UInt64 = 10) -> UInt64? {
  guard !text.isEmpty else { return nil }
  var value: UInt64 = 0
  for character in text {
    let digit: UInt8
    if let decimal = decimalDigit(character) {
      digit = decimal
    } else {
      let lowercased = character | 0x20
      guard lowercased >= UInt8(ascii: "a"), lowercased <= UInt8(ascii: "f") else { return nil }
      digit = lowercased - UInt8(ascii: "a") + 10
    }
    guard UInt64(digit) < radix else { return nil }
    let (product, tooLarge) = value.multipliedReportingOverflow(by: radix)
    let (sum, overflow) = product.addingReportingOverflow(UInt64(digit))
    if tooLarge || overflow { return nil }
    value = sum
  }
  return value
}
