// The values options take: numbers, ranges, ports, marks, addresses. Each reads one word and says
// what is wrong with it.

import Wire

enum Numbers {
  /// A number as C's `strtoul` reads it, with base 0: decimal, `0x` hexadecimal, `0` octal.
  static func parse(_ text: some StringProtocol, limit: UInt64) -> UInt64? {
    var digits = Substring(text)
    var radix = 10
    if digits.hasPrefix("0x") || digits.hasPrefix("0X") {
      digits = digits.dropFirst(2)
      radix = 16
    } else if digits.utf8.count > 1, digits.hasPrefix("0") {
      digits = digits.dropFirst()
      radix = 8
    }
    // Swift's own parsing would take a sign.
    guard let first = digits.utf8.first, first != UInt8(ascii: "-"), first != UInt8(ascii: "+"),
      let value = UInt64(digits, radix: radix), value <= limit
    else { return nil }
    return value
  }

  static func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }

  /// `0x` and two digits.
  static func hexByte(_ value: UInt8) -> String {
    (value < 16 ? "0x0" : "0x") + String(value, radix: 16).uppercased()
  }
}

enum ShortAddress {
  /// An IPv4 address of one to four decimal numbers; those left out at the end are 0 (`10/8`,
  /// `192.168/16`).
  static func parse(_ text: some StringProtocol) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
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
}

extension Word {
  /// A number from 0 to `limit`.
  func number(upTo limit: UInt64) throws(RulesetError) -> UInt64 {
    guard let value = Numbers.parse(text, limit: limit) else {
      throw problem("`\(text)` is not a number from 0 to \(limit)")
    }
    return value
  }

  /// `low`, `low:high`, `:high` or `low:`.
  func range(upTo limit: UInt64) throws(RulesetError) -> (low: UInt64, high: UInt64) {
    let (first, second) = cut(at: ":")
    guard let second else {
      let value = try number(upTo: limit)
      return (value, value)
    }
    return (
      first.text.isEmpty ? 0 : try first.number(upTo: limit),
      second.text.isEmpty ? limit : try second.number(upTo: limit)
    )
  }

  /// `value` or `value/mask`, 32 bits each.
  func mark() throws(RulesetError) -> (value: UInt32, mask: UInt32) {
    let (value, mask) = cut(at: "/")
    return (
      UInt32(try value.number(upTo: 0xFFFF_FFFF)),
      UInt32(try mask?.number(upTo: 0xFFFF_FFFF) ?? 0xFFFF_FFFF)
    )
  }

  /// A port by number or service name.
  func port() throws(RulesetError) -> UInt16 {
    if let number = Numbers.parse(text, limit: 65535) { return UInt16(number) }
    if let port = ServiceNames.port(text) { return port }
    throw problem("`\(text)` is neither a port nor a known service", known: ServiceNames.all)
  }

  /// `port`, `port:port`, `:port` or `port:`; ascending.
  func portSpan() throws(RulesetError) -> PortSpan {
    let (first, second) = cut(at: ":")
    guard let second else {
      let port = try port()
      return PortSpan(low: port, high: port)
    }
    let low = first.text.isEmpty ? 0 : try first.port()
    let high = second.text.isEmpty ? 65535 : try second.port()
    guard low <= high else { throw problem("the port range `\(text)` runs backwards") }
    return PortSpan(low: low, high: high)
  }

  /// A protocol by number or name; 0 for all.
  func protocolNumber() throws(RulesetError) -> UInt8 {
    guard let number = ProtocolNames.number(text) else {
      throw problem("unknown protocol `\(text)`", known: ProtocolNames.all)
    }
    return number
  }

  /// An address in full.
  func address(_ family: AddressFamily) throws(RulesetError) -> IPAddress {
    if let address = IPAddress.parse(text, family) { return address }
    throw notAnAddress(family)
  }

  /// An address with an optional mask, as `-s` takes it.
  func maskedAddress(
    _ family: AddressFamily
  ) throws(RulesetError) -> (address: IPAddress, mask: IPAddress) {
    let (first, second) = cut(at: "/")
    let mask =
      try second.map { word throws(RulesetError) in try word.netmask(family) }
      ?? IPAddress.mask(family.addressBits, family)
    if family == .ipv4, let short = ShortAddress.parse(first.text) {
      return (IPAddress(ipv4: short), mask)
    }
    return (try first.address(family), mask)
  }

  /// A prefix length or a mask written as an address.
  func netmask(_ family: AddressFamily) throws(RulesetError) -> IPAddress {
    // A length is decimal, without a leading 0 or sign.
    if let length = Int(text), String(length) == text, length >= 0 {
      guard length <= family.addressBits else {
        throw problem("a prefix length is at most \(family.addressBits)")
      }
      return IPAddress.mask(length, family)
    }
    guard let mask = IPAddress.parse(text, family) else {
      throw problem("`\(text)` is not a mask")
    }
    return mask
  }

  private func notAnAddress(_ family: AddressFamily) -> RulesetError {
    let other: AddressFamily = family == .ipv4 ? .ipv6 : .ipv4
    if IPAddress.parse(text, other) != nil {
      return problem(
        "`\(text)` is an \(other == .ipv4 ? "IPv4" : "IPv6") address, "
          + "the rule is for \(family == .ipv4 ? "IPv4" : "IPv6")")
    }
    let isName =
      text.contains { $0.isLetter } && !text.contains(":") && !text.contains("/")
    return problem(
      isName
        ? "`\(text)` is a host name; Weir looks no names up, write the address"
        : "`\(text)` is not an \(family == .ipv4 ? "IPv4" : "IPv6") address")
  }
}
