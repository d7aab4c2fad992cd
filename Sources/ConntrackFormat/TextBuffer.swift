// Appending numbers and words to a byte buffer, without Foundation and without a String
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

  /// An address as the kernel prints it in `/proc`: IPv6 in full, eight groups of four digits.
  mutating func append(unabridged address: IPAddress, _ family: AddressFamily) {
    if family == .ipv4 { return address.appendText(family, to: &self) }
    for index in 0..<8 {
      if index > 0 { append(UInt8(ascii: ":")) }
      append(hexadecimal: UInt64(address.group(index)), digits: 4)
    }
  }
}

@inline(__always)
private func hexadecimalDigit(_ value: UInt8) -> UInt8 {
  value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + (value - 10)
}
