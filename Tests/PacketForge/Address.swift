// Addresses as text, so that tests name hosts the way people do. For tests and fuzzing only: what is
// not an address is a mistake of the test and stops it.

import Wire

/// An address with its family: `"10.0.1.2"`, `"fd00:1::2"`.
public struct Address: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  public var value: IPAddress
  public var family: AddressFamily
  public let description: String

  public init(stringLiteral text: String) { self.init(text) }

  public init(_ text: String) {
    description = text
    if text.contains(":") {
      family = .ipv6
      value = Address.ipv6(text)
    } else {
      family = .ipv4
      value = IPAddress(ipv4: Address.ipv4(text))
    }
  }

  /// The address as it stands in a header.
  public var bytes: [UInt8] {
    family == .ipv4 ? bigEndian(value.ipv4) : bigEndian(value.high) + bigEndian(value.low)
  }

  private static func ipv4(_ text: String) -> UInt32 {
    let parts = text.split(separator: ".")
    precondition(parts.count == 4, "\(text) is no IPv4 address")
    return parts.reduce(0) { sum, part in
      guard let number = UInt8(part) else { preconditionFailure("\(text) is no IPv4 address") }
      return sum << 8 | UInt32(number)
    }
  }

  private static func ipv6(_ text: String) -> IPAddress {
    func groups(_ part: Substring) -> [UInt16] {
      part.split(separator: ":").map {
        guard let group = UInt16($0, radix: 16) else {
          preconditionFailure("\(text) is no IPv6 address")
        }
        return group
      }
    }
    var all: [UInt16]
    if let gap = text.firstRange(of: "::") {
      let front = groups(text[..<gap.lowerBound])
      let back = groups(text[gap.upperBound...])
      precondition(front.count + back.count < 8, "\(text) is no IPv6 address")
      all = front + Array(repeating: 0, count: 8 - front.count - back.count) + back
    } else {
      all = groups(text[...])
      precondition(all.count == 8, "\(text) is no IPv6 address")
    }
    func half(_ groups: ArraySlice<UInt16>) -> UInt64 { groups.reduce(0) { $0 << 16 | UInt64($1) } }
    return IPAddress(high: half(all[..<4]), low: half(all[4...]))
  }
}

/// The number's bytes as the network sends them.
public func bigEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
  (0..<Number.bitWidth / 8).reversed().map {
    UInt8(truncatingIfNeeded: number >> Number($0 * 8))
  }
}

/// Bytes written in hexadecimal, blanks between them as one likes.
public func hex(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }.compactMap(\.hexDigitValue)
  precondition(digits.count % 2 == 0, "half a byte in \(text)")
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// Bytes in hexadecimal.
public func hexText(_ bytes: some Sequence<UInt8>) -> String {
  let digits = Array("0123456789abcdef")
  var text = ""
  for byte in bytes {
    text.append(digits[Int(byte >> 4)])
    text.append(digits[Int(byte & 15)])
  }
  return text
}
