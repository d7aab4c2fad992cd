// Words of a command line to values of a filter, refused with conntrack's own messages. For the
// command `weir conntrack`, whatever parses its options.

import Conntrack
import Wire

/// An argument that cannot be used. `conntrack` says so on standard error and exits with 2.
public struct ConntrackArgumentError: Error, Hashable, CustomStringConvertible {
  /// What is wrong, in conntrack's words.
  public var message: String
  /// Lines that come before it.
  public var warnings: [String] = []

  public init(_ message: String) {
    self.message = message
  }

  /// The lines `conntrack` prints, with their line feeds.
  public var description: String {
    warnings.map { "\($0)\n" }.joined() + """
      \(ConntrackFormat.programBanner): \(message)
      Try `conntrack -h' or 'conntrack --help' for more information.

      """
  }

  /// The exit status that goes with it.
  public static let exitStatus: Int32 = 2
}

/// Values of options, one function a kind of value, each taken as conntrack 1.4.7 takes it.
public enum ConntrackArgument {
  /// `-f`: `ipv4` or `ipv6`.
  public static func family(_ text: String) throws(ConntrackArgumentError) -> AddressFamily {
    switch text {
    case "ipv4": .ipv4
    case "ipv6": .ipv6
    default: throw .init("`\(text)' unsupported protocol")
    }
  }

  /// `-p`: a name, or a number up to 255 (decimal, `0x` or octal with a leading 0).
  public static func protocolNumber(_ text: String) throws(ConntrackArgumentError) -> UInt8 {
    let lowercased = text.lowercased()
    if let known = knownProtocols.first(where: { $0.name == lowercased }) { return known.number }
    if let number = otherProtocolNumbers[text] { return number }
    let (value, rest, hasDigits) = leadingNumber(text, base: 0)
    guard hasDigits, rest.isEmpty, let number = UInt8(exactly: value) else {
      throw .init("`\(text)' unsupported protocol")
    }
    return number
  }

  /// `-s`, `-d`: an address, or a network `ADDRESS/LENGTH`.
  public static func addressPattern(_ text: String) throws(ConntrackArgumentError)
    -> AddressPattern
  {
    guard let slash = text.firstIndex(of: "/") else {
      let (address, family) = try address(text)
      return AddressPattern(address, family: family)
    }
    let (address, family) = try address(String(text[..<slash]))
    let digits = text[text.index(after: slash)...]
    guard let length = UInt8(digits), digits.first != "+", Int(length) <= family.addressBits else {
      throw .init("Invalid netmask")
    }
    return AddressPattern(address, length: Int(length), family: family)
  }

  /// `-r`, `-q`: an address alone.
  /// - Parameter option: the option's long name, for the message: `--reply-src`.
  public static func address(_ text: String, option: String? = nil)
    throws(ConntrackArgumentError) -> (IPAddress, AddressFamily)
  {
    if let option, text.contains("/") {
      throw .init("CIDR notation unavailable for `\(option)'")
    }
    guard let parsed = IPAddress.parse(text) else {
      throw .init("Invalid IP address `\(text)'")
    }
    return parsed
  }

  /// `-n`, `-g`, `-j`: `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
  /// - Parameter option: the option's long name, for the message: `--src-nat`.
  public static func natPattern(_ text: String, option: String) throws(ConntrackArgumentError)
    -> NATPattern
  {
    if text.contains("/") { throw .init("CIDR notation unavailable for `\(option)'") }
    var host = text[...]
    var portText: Substring?
    if text.hasPrefix("[") {
      guard let bracket = text.firstIndex(of: "]") else {
        throw .init("No closing ']' around IPv6 address")
      }
      let rest = text[text.index(after: bracket)...]
      guard rest.first == ":" else { throw .init("Invalid IP address `\(text)'") }
      host = text[text.index(after: text.startIndex)..<bracket]
      portText = rest.dropFirst()
    } else if let colon = text.firstIndex(of: ":"), text.lastIndex(of: ":") == colon {
      host = text[..<colon]
      portText = text[text.index(after: colon)...]
    }
    let (address, family) = try address(String(host))
    guard let portText else { return NATPattern(address: address, family: family) }
    if portText.isEmpty { throw .init("No port specified after `:'") }
    return NATPattern(address: address, port: try natPort(String(portText)), family: family)
  }

  /// The port behind a colon in `-n` and its like: a number up to 65535.
  private static func natPort(_ text: String) throws(ConntrackArgumentError) -> UInt16 {
    guard isDigits(text), let port = UInt16(text) else { throw .init("Invalid port `\(text)'") }
    return port
  }

  /// `--sport` and its like, `--icmp-type`, `--icmp-code`, `--icmp-id`: a decimal number, as far as `text`
  /// is one, and of it as many bits as there is room for: 1.4.7 refuses none.
  public static func decimal<Number: FixedWidthInteger>(_ text: String, as: Number.Type) -> Number {
    Number(truncatingIfNeeded: leadingNumber(text, base: 10).value)
  }

  /// `-w`, `--orig-zone`, `--reply-zone`, `--srckey` and its like, `-i`, `-b`, `--orig-vtag`: the same, but
  /// hexadecimal with `0x` and octal with `0`.
  public static func number<Number: FixedWidthInteger>(_ text: String, as: Number.Type) -> Number {
    Number(truncatingIfNeeded: leadingNumber(text, base: 0).value)
  }

  /// `-m`: `MARK` or `MARK/MASK`, each as `number`. A mask counts right behind the mark's last digit only.
  public static func mark(_ text: String) -> (mark: UInt32, mask: UInt32) {
    let (mark, rest, _) = leadingNumber(text, base: 0)
    guard rest.hasPrefix("/") else { return (UInt32(truncatingIfNeeded: mark), .max) }
    return (UInt32(truncatingIfNeeded: mark), number(String(rest.dropFirst()), as: UInt32.self))
  }

  /// `-u`: words in any case, comma-separated, each as short as one likes; the first that begins so
  /// is meant. `UNSET` adds nothing; `UNREPLIED` stands whole.
  public static func status(_ text: String) throws(ConntrackArgumentError)
    -> (status: ConnectionStatus, unreplied: Bool)
  {
    var status: ConnectionStatus = []
    var unreplied = false
    for word in text.split(separator: ",", omittingEmptySubsequences: false) {
      if word.uppercased() == "UNREPLIED" {
        unreplied = true
        continue
      }
      guard !word.isEmpty,
        let bit = statusWords.first(where: { $0.name.hasPrefix(word.uppercased()) })
      else { throw .init("Bad parameter `\(word)'") }
      status.formUnion(bit.status)
    }
    return (status, unreplied)
  }

  private static let statusWords: [(name: String, status: ConnectionStatus)] = [
    ("ASSURED", .assured), ("SEEN_REPLY", .seenReply), ("UNSET", []),
    ("FIXED_TIMEOUT", .fixedTimeout), ("EXPECTED", .expected), ("OFFLOAD", .offload),
    ("HW_OFFLOAD", .hardwareOffload),
  ]

  /// `--state`, in capitals as printed. `LISTEN` is TCP's old name for `SYN_SENT2`.
  public static func state(_ text: String, protocolNumber: UInt8) throws(ConntrackArgumentError)
    -> ProtocolState
  {
    if protocolNumber == 6, text == "LISTEN" { return .tcp(.synSent2) }
    if let state = ProtocolState(name: text[...], protocolNumber: protocolNumber) { return state }
    switch protocolNumber {
    case 6: throw .init("unknown TCP state `\(text)'")
    case 33: throw .init("Unknown DCCP state `\(text)'")
    case 132: throw .init("unknown SCTP state `\(text)'")
    default: throw .init("unknown option `--state'")
    }
  }

  /// `-l`: a label's name.
  public static func label(_ text: String, names: LabelNames) throws(ConntrackArgumentError)
    -> UInt8
  {
    guard let bit = names.bit(named: text) else { throw .init("unknown label '\(text)'") }
    return bit
  }

  /// The number `text` begins with, as strtoul(3) has it: after white space and a sign, up to the first
  /// character that is no digit; 0 without one, and the most 64 bits hold beyond them.
  /// - Parameter base: 10, or 0 for `0x` and `0` to say another.
  /// - Returns: the number, what comes behind it, and whether there was a digit at all.
  private static func leadingNumber(
    _ text: String, base: UInt64
  ) -> (value: UInt64, rest: Substring, hasDigits: Bool) {
    var rest = text.utf8.drop { $0 == UInt8(ascii: " ") || (9...13).contains($0) }
    var isNegative = false
    if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
      isNegative = sign == UInt8(ascii: "-")
      rest = rest.dropFirst()
    }
    var base = base
    if base == 0 {
      base = 10
      if rest.first == UInt8(ascii: "0") {
        base = 8
        let second = rest.dropFirst().first.map { $0 | 0x20 }
        let third = rest.dropFirst(2).first.flatMap(digit)
        if second == UInt8(ascii: "x"), third != nil {
          base = 16
          rest = rest.dropFirst(2)
        }
      }
    }
    let digits = rest
    var number: UInt64 = 0
    var isTooLarge = false
    while let value = rest.first.flatMap(digit), value < base {
      let (product, overflows) = number.multipliedReportingOverflow(by: base)
      let (sum, stillOverflows) = product.addingReportingOverflow(value)
      isTooLarge = isTooLarge || overflows || stillOverflows
      number = sum
      rest = rest.dropFirst()
    }
    if isTooLarge { number = .max } else if isNegative { number = 0 &- number }
    let hasDigits = rest.startIndex > digits.startIndex
    return (number, hasDigits ? Substring(rest) : text[...], hasDigits)
  }

  private static func digit(_ byte: UInt8) -> UInt64? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt64(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt64(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt64(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  private static func isDigits(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
  }
}
