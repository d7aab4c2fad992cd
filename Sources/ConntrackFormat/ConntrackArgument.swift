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

/// Values of options, one function a kind of value.
///
/// Where conntrack 1.4.7 takes a number that is none or too large and uses something else in silence
/// (`--sport http` is port 0, `-m x` is mark 0, `-w 70000` is zone 4464), these refuse it, in the
/// manner of its other messages.
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
    guard let number = unsigned(text, as: UInt8.self) else {
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
    return NATPattern(address: address, port: try port(String(portText)), family: family)
  }

  /// `--sport` and its like: a number up to 65535.
  public static func port(_ text: String) throws(ConntrackArgumentError) -> UInt16 {
    guard isDigits(text), let port = UInt16(text) else { throw .init("Invalid port `\(text)'") }
    return port
  }

  /// `--srckey` and its like: a GRE key of 16 bits, decimal or with `0x`.
  public static func key(_ text: String) throws(ConntrackArgumentError) -> UInt16 {
    guard let key = unsigned(text, as: UInt16.self) else { throw .init("Invalid key `\(text)'") }
    return key
  }

  /// `--icmp-type`, `--icmp-code`: a number up to 255. `--icmp-id`: up to 65535.
  public static func icmp<Number: FixedWidthInteger>(_ text: String, as: Number.Type)
    throws(ConntrackArgumentError) -> Number
  {
    guard isDigits(text), let number = Number(text) else { throw .init("Bad parameter `\(text)'") }
    return number
  }

  /// `-m`: `MARK` or `MARK/MASK`, decimal, hexadecimal with `0x`, octal with `0`.
  public static func mark(_ text: String) throws(ConntrackArgumentError)
    -> (mark: UInt32, mask: UInt32)
  {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let mark = unsigned(String(parts[0]), as: UInt32.self) else {
      throw .init("Bad parameter `\(text)'")
    }
    guard parts.count == 2 else { return (mark, .max) }
    guard let mask = unsigned(String(parts[1]), as: UInt32.self) else {
      throw .init("Bad parameter `\(text)'")
    }
    return (mark, mask)
  }

  /// `-w`, `--orig-zone`, `--reply-zone`: a number up to 65535, decimal, `0x` or octal with `0`.
  public static func zone(_ text: String) throws(ConntrackArgumentError) -> UInt16 {
    guard let zone = unsigned(text, as: UInt16.self) else {
      throw .init("Bad parameter `\(text)'")
    }
    return zone
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

  /// `-t`: seconds; more than 32 bits hold count as the most they do.
  public static func seconds(_ text: String) throws(ConntrackArgumentError) -> UInt32 {
    guard let seconds = unsigned(text, as: UInt64.self) else {
      throw .init("Bad parameter `\(text)'")
    }
    return UInt32(clamping: seconds)
  }

  /// `-i`, `-b`, `--orig-vtag`: a number, decimal, `0x` or octal with `0`.
  public static func number<Number: FixedWidthInteger>(_ text: String, as: Number.Type)
    throws(ConntrackArgumentError) -> Number
  {
    guard let number = unsigned(text, as: Number.self) else {
      throw .init("Bad parameter `\(text)'")
    }
    return number
  }

  /// `-l`: a label's name.
  public static func label(_ text: String, names: LabelNames) throws(ConntrackArgumentError)
    -> UInt8
  {
    guard let bit = names.bit(named: text) else { throw .init("unknown label '\(text)'") }
    return bit
  }

  /// An unsigned number as strtoul(3) with base 0 reads it, all of it.
  private static func unsigned<Number: FixedWidthInteger>(_ text: String, as: Number.Type)
    -> Number?
  {
    let lowercased = text.lowercased()
    let (digits, radix) =
      lowercased.hasPrefix("0x")
      ? (lowercased.dropFirst(2), 16)
      : lowercased.hasPrefix("0") && lowercased.count > 1
        ? (lowercased.dropFirst(), 8) : (lowercased[...], 10)
    guard let first = digits.first, first != "+", first != "-" else { return nil }
    return Number(digits, radix: radix)
  }

  private static func isDigits(_ text: String) -> Bool {
    !text.isEmpty
      && text.utf8.allSatisfy { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
  }
}
