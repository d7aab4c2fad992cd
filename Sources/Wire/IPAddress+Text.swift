// Addresses as text, both ways: written as inet_ntop(3) writes them, read as inet_pton(3) reads them.
// For every parser and printer above; from bytes and to bytes, nothing is allocated.

// MARK: - Writing

extension IPAddress {
  /// `192.0.2.1`, `2001:db8::1`, `::ffff:192.0.2.1`: the form of RFC 5952, with the last 32 bits in
  /// decimal behind six zero groups, or five and `ffff`.
  public func text(_ family: AddressFamily) -> String {
    var buffer: [UInt8] = []
    buffer.reserveCapacity(IPAddress.longestText)
    appendText(family, to: &buffer)
    return String(decoding: buffer, as: UTF8.self)
  }

  /// Adds what `text(_:)` returns to ASCII bytes, for those who write much of it.
  public func appendText(_ family: AddressFamily, to buffer: inout [UInt8]) {
    switch family {
    case .ipv4: IPAddress.append(ipv4: ipv4, to: &buffer)
    case .ipv6: appendIPv6(to: &buffer)
    }
  }

  /// The 16-bit group `index` (0 to 7) of an IPv6 address, leftmost first.
  @inlinable
  public func group(_ index: Int) -> UInt16 {
    let half = index < 4 ? high : low
    // A shift of 0 to 48.
    return UInt16(truncatingIfNeeded: half >> UInt64(48 &- 16 &* (index & 3)))
  }

  /// The most bytes an address takes: eight groups, the last two of them in decimal.
  @usableFromInline static var longestText: Int { 45 }

  private static func append(ipv4 address: UInt32, to buffer: inout [UInt8]) {
    append(decimal: UInt8(truncatingIfNeeded: address >> 24), to: &buffer)
    buffer.append(UInt8(ascii: "."))
    append(decimal: UInt8(truncatingIfNeeded: address >> 16), to: &buffer)
    buffer.append(UInt8(ascii: "."))
    append(decimal: UInt8(truncatingIfNeeded: address >> 8), to: &buffer)
    buffer.append(UInt8(ascii: "."))
    append(decimal: UInt8(truncatingIfNeeded: address), to: &buffer)
  }

  private func appendIPv6(to buffer: inout [UInt8]) {
    let zeros = longestZeroRun()
    let endsInIPv4 =
      zeros.lowerBound == 0
      && (zeros.upperBound == 6 || (zeros.upperBound == 5 && group(5) == 0xffff))
    var index = 0
    while index < 8 {
      if index == zeros.lowerBound, !zeros.isEmpty {
        buffer.append(UInt8(ascii: ":"))
        index = zeros.upperBound
        if index == 8 { buffer.append(UInt8(ascii: ":")) }
        continue
      }
      if index > 0 { buffer.append(UInt8(ascii: ":")) }
      if endsInIPv4, index == 6 { return IPAddress.append(ipv4: ipv4, to: &buffer) }
      IPAddress.append(hexadecimal: group(index), to: &buffer)
      index += 1
    }
  }

  /// The first of the longest runs of two or more zero groups; empty when there is none.
  private func longestZeroRun() -> Range<Int> {
    var best = 0..<0
    var start = 0
    while start < 7 {
      var end = start
      while end < 8, group(end) == 0 { end += 1 }
      if end - start >= 2, end - start > best.count { best = start..<end }
      start = end + 1
    }
    return best
  }

  @inline(__always)
  private static func append(decimal value: UInt8, to buffer: inout [UInt8]) {
    // Digits, each below 10: no sum overflows.
    if value >= 100 { buffer.append(UInt8(ascii: "0") &+ value / 100) }
    if value >= 10 { buffer.append(UInt8(ascii: "0") &+ value / 10 % 10) }
    buffer.append(UInt8(ascii: "0") &+ value % 10)
  }

  @inline(__always)
  private static func append(hexadecimal value: UInt16, to buffer: inout [UInt8]) {
    if value > 0xfff { buffer.append(hexadecimalDigit(value >> 12)) }
    if value > 0xff { buffer.append(hexadecimalDigit(value >> 8 & 0xf)) }
    if value > 0xf { buffer.append(hexadecimalDigit(value >> 4 & 0xf)) }
    buffer.append(hexadecimalDigit(value & 0xf))
  }

  @inline(__always)
  private static func hexadecimalDigit(_ value: UInt16) -> UInt8 {
    let digit = UInt8(truncatingIfNeeded: value)
    // `value` is below 16: no sum overflows.
    return digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "a") &- 10 &+ digit
  }
}

// MARK: - Reading

extension IPAddress {
  /// The address a text says, and its family: four decimal numbers without leading zeros, or the
  /// forms of RFC 4291 section 2.2. Nil for anything else: no scope, no prefix, no spaces.
  @inlinable
  public static func parse(
    _ text: some StringProtocol
  ) -> (address: IPAddress, family: AddressFamily)? {
    guard text.utf8.count <= longestText else { return nil }
    return parse(utf8: Array(text.utf8).span)
  }

  /// As `parse(_:)`, for an address of a known family; nil for one of the other.
  @inlinable
  public static func parse(_ text: some StringProtocol, _ family: AddressFamily) -> IPAddress? {
    guard let parsed = parse(text), parsed.family == family else { return nil }
    return parsed.address
  }

  /// As `parse(_:)`, from bytes.
  public static func parse(
    utf8 text: Span<UInt8>
  ) -> (address: IPAddress, family: AddressFamily)? {
    // A group has four digits at most: IPv6 has a colon among the first five bytes.
    for index in 0..<min(5, text.count) where text[index] == UInt8(ascii: ":") {
      return parseIPv6(text).map { ($0, .ipv6) }
    }
    return parseIPv4(text, from: 0).map { (IPAddress(ipv4: $0), .ipv4) }
  }

  private static func parseIPv4(_ text: Span<UInt8>, from start: Int) -> UInt32? {
    var address: UInt32 = 0
    var number: UInt32 = 0
    var digits = 0
    var dots = 0
    for index in start..<text.count {
      let byte = text[index]
      if byte == UInt8(ascii: ".") {
        guard digits > 0, dots < 3 else { return nil }
        address = address << 8 | number
        dots += 1
        (number, digits) = (0, 0)
        continue
      }
      // Bytes below "0" wrap round to large numbers. A zero is followed by no further digit.
      let digit = byte &- UInt8(ascii: "0")
      guard digit < 10, digits == 0 || number != 0 else { return nil }
      number = number * 10 + UInt32(digit)
      digits += 1
      guard number <= 255 else { return nil }
    }
    return digits > 0 && dots == 3 ? address << 8 | number : nil
  }

  private static func parseIPv6(_ text: Span<UInt8>) -> IPAddress? {
    // The groups so far, the last one lowest, and how many stood before `::`.
    var groups: UInt128 = 0
    var count = 0
    var gap: Int?
    var index = 0
    if text[0] == UInt8(ascii: ":") {
      guard text.count >= 2, text[1] == UInt8(ascii: ":") else { return nil }
      gap = 0
      index = 2
    }
    while index < text.count {
      let start = index
      var group: UInt32 = 0
      while index < text.count, let digit = hexadecimalValue(text[index]) {
        guard index < start + 4 else { return nil }
        group = group << 4 | digit
        index += 1
      }
      if index < text.count, text[index] == UInt8(ascii: ".") {
        guard count <= 6, let tail = parseIPv4(text, from: start) else { return nil }
        groups = groups << 32 | UInt128(tail)
        count += 2
        break
      }
      guard index > start, count < 8 else { return nil }
      groups = groups << 16 | UInt128(group)
      count += 1
      if index == text.count { break }
      guard text[index] == UInt8(ascii: ":"), index + 1 < text.count else { return nil }
      index += 1
      if text[index] == UInt8(ascii: ":") {
        guard gap == nil else { return nil }
        gap = count
        index += 1
      }
    }
    return address(groups, count: count, gap: gap)
  }

  /// The address of `count` groups, with zeros for the missing ones at `gap`.
  private static func address(_ groups: UInt128, count: Int, gap: Int?) -> IPAddress? {
    guard let gap else { return count == 8 ? IPAddress(groups) : nil }
    // `::` stands for one group at least.
    guard count <= 7 else { return nil }
    let tailBits = 16 * (count - gap)
    let tail = groups & ((1 << tailBits) - 1)
    return IPAddress((groups >> tailBits) << (128 - 16 * gap) | tail)
  }

  private init(_ value: UInt128) {
    self.init(
      high: UInt64(truncatingIfNeeded: value >> 64), low: UInt64(truncatingIfNeeded: value))
  }

  @inline(__always)
  private static func hexadecimalValue(_ byte: UInt8) -> UInt32? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return UInt32(byte &- UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): return UInt32(byte &- UInt8(ascii: "a") &+ 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): return UInt32(byte &- UInt8(ascii: "A") &+ 10)
    default: return nil
    }
  }
}
