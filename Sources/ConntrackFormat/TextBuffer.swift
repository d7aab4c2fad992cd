// Appending numbers, words and addresses to a byte buffer, without Foundation and without a String
// for each. For the writers of this target: a listing of a million entries goes through here.

import Wire

extension [UInt8] {
  @inline(__always)
  mutating func append(_ text: String) {
    append(contentsOf: text.utf8)
  }

  /// Fills up with spaces to `width` bytes since `start`.
  @inline(__always)
  mutating func pad(from start: Int, to width: Int) {
    var length = count - start
    while length < width {
      append(UInt8(ascii: " "))
      length += 1
    }
  }

  mutating func append(decimal value: UInt64) {
    if value < 10 {
      append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value))  // One digit: at most "9".
      return
    }
    var digits = InlineArray<20, UInt8>(repeating: 0)
    var rest = value
    var first = 20
    while rest > 0 {
      first -= 1
      digits[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
    for index in first..<20 { append(digits[index]) }
  }

  @inline(__always)
  mutating func append<Number: FixedWidthInteger & UnsignedInteger>(_ number: Number) {
    append(decimal: UInt64(truncatingIfNeeded: number))
  }

  /// Lower-case hexadecimal, at least `digits` of them.
  mutating func append(hexadecimal value: UInt64, digits: Int = 1) {
    var shift = 60
    while shift > 0, value >> UInt64(shift) == 0, shift >= digits * 4 { shift -= 4 }
    while shift >= 0 {
      append(hexadecimalDigit(UInt8(truncatingIfNeeded: value >> UInt64(shift)) & 0xf))
      shift -= 4
    }
  }

  /// Decimal, zeros before it up to `digits`.
  mutating func append(decimal value: UInt64, digits: Int) {
    var bound: UInt64 = 10
    var length = 1
    while value >= bound, length < 19 {
      bound *= 10
      length += 1
    }
    while length < digits {
      append(UInt8(ascii: "0"))
      length += 1
    }
    append(decimal: value)
  }

  /// An address in the text form of inet_ntop(3): RFC 5952, with the last 32 bits of
  /// `::a.b.c.d` and `::ffff:a.b.c.d` in decimal.
  mutating func append(_ address: IPAddress, _ family: AddressFamily) {
    switch family {
    case .ipv4: append(ipv4: address.ipv4)
    case .ipv6: append(ipv6: address)
    }
  }

  /// An address as the kernel prints it in `/proc`: IPv6 in full, eight groups of four digits.
  mutating func append(unabridged address: IPAddress, _ family: AddressFamily) {
    if family == .ipv4 { return append(ipv4: address.ipv4) }
    for index in 0..<8 {
      if index > 0 { append(UInt8(ascii: ":")) }
      append(hexadecimal: UInt64(address.group(index)), digits: 4)
    }
  }

  private mutating func append(ipv4 address: UInt32) {
    append(decimal: UInt64(address >> 24))
    append(UInt8(ascii: "."))
    append(decimal: UInt64(address >> 16 & 0xff))
    append(UInt8(ascii: "."))
    append(decimal: UInt64(address >> 8 & 0xff))
    append(UInt8(ascii: "."))
    append(decimal: UInt64(address & 0xff))
  }

  private mutating func append(ipv6 address: IPAddress) {
    let zeros = address.longestZeroRun()
    // Six zero groups, or five and ffff: the rest is an IPv4 address in disguise.
    let embedsIPv4 =
      zeros.lowerBound == 0
      && (zeros.count == 6 || (zeros.count == 5 && address.group(5) == 0xffff))
    var index = 0
    while index < 8 {
      if index == zeros.lowerBound, !zeros.isEmpty {
        append(UInt8(ascii: ":"))
        index = zeros.upperBound
        if index == 8 { append(UInt8(ascii: ":")) }
        continue
      }
      if index > 0 { append(UInt8(ascii: ":")) }
      if embedsIPv4, index == 6 { return append(ipv4: UInt32(truncatingIfNeeded: address.low)) }
      append(hexadecimal: UInt64(address.group(index)))
      index += 1
    }
  }
}

@inline(__always)
private func hexadecimalDigit(_ value: UInt8) -> UInt8 {
  value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + (value - 10)
}

extension IPAddress {
  /// The 16-bit group `index` (0 to 7) of an IPv6 address, leftmost first.
  func group(_ index: Int) -> UInt16 {
    let half = index < 4 ? high : low
    return UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (index & 3)))
  }

  /// The first of the longest runs of two or more zero groups; empty if there is none.
  func longestZeroRun() -> Range<Int> {
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, group(end) == 0 { end += 1 }
      if end - start >= 2, end - start > best.count { best = start..<end }
      start = end + 1
    }
    return best
  }
}
