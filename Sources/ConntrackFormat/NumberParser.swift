// Text to number. For the parser of lines.

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
