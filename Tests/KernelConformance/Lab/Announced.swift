// What a control connection's bytes announce, read plainly: by the ends that answer, which connect to
// what really reached them.

import Conntrack
import Foundation
import Wire

/// An end of a connection that somebody announced.
struct Announced: Hashable {
  /// Nil: the address of whoever said so.
  var address: IPAddress?
  var port: UInt16

  /// Reads the first line that announces something. Nil where none does.
  init?(_ payload: some Collection<UInt8>) {
    let text = String(decoding: payload, as: UTF8.self)
    if let offer = text.range(of: "\u{1}DCC ") {
      self.init(offer: text[offer.upperBound...])
      return
    }
    for line in text.split(whereSeparator: { $0.isNewline }) {
      if let found = Announced(line: line) {
        self = found
        return
      }
    }
    return nil
  }

  private init?(line: Substring) {
    let upper = line.uppercased()
    if upper.hasPrefix("PORT ") || upper.hasPrefix("227 ") {
      let digits = line.dropFirst(4).drop { !$0.isNumber }
      let numbers = digits.split(omittingEmptySubsequences: false) { !$0.isNumber }.prefix(6)
        .compactMap { UInt16($0) }
      guard numbers.count == 6, numbers.allSatisfy({ $0 < 256 }) else { return nil }
      address = IPAddress(
        ipv4: numbers.prefix(4).reduce(0) { $0 << 8 | UInt32($1) })
      port = numbers[4] << 8 | numbers[5]
    } else if upper.hasPrefix("EPRT ") || upper.hasPrefix("229 ") {
      let isPassive = upper.hasPrefix("229 ")
      let rest = isPassive ? line.drop { $0 != "(" }.dropFirst() : line.dropFirst(5)
      guard let delimiter = rest.first else { return nil }
      let parts = rest.split(separator: delimiter, omittingEmptySubsequences: false)
      guard parts.count >= 4, let port = UInt16(parts[3]) else { return nil }
      if !isPassive {
        guard let address = IPAddress.parse(parts[2], parts[1] == "2" ? .ipv6 : .ipv4) else {
          return nil
        }
        self.address = address
      }
      self.port = port
    } else {
      return nil
    }
  }

  /// IRC: `SEND FILE ADDRESS PORT`, where the file may be called anything without a space, or nothing.
  private init?(offer: Substring) {
    func number(_ text: inout Substring) -> UInt32? {
      let digits = text.prefix { $0.isASCII && $0.isNumber }
      text = text.dropFirst(digits.count)
      return UInt32(digits)
    }
    var rest = offer.drop { $0 != " " }.dropFirst().drop { $0 != " " }.dropFirst()
    guard let address = number(&rest), rest.first == " " else { return nil }
    rest = rest.drop { $0 == " " }
    guard let port = number(&rest) else { return nil }
    self.address = IPAddress(ipv4: address)
    self.port = UInt16(truncatingIfNeeded: port)
  }

  /// What a packet's TCP payload announces.
  init?(packet: [UInt8]) {
    guard let shape = PacketShape(packet), shape.protocolNumber == IPProtocolNumber.tcp,
      packet.count > shape.offset + 20
    else { return nil }
    let start = shape.offset + Int(packet[shape.offset + TCPField.dataOffset] >> 4) * 4
    guard start < packet.count else { return nil }
    self.init(packet[start...])
  }
}

/// Payload in the text of a case, without spaces: `PORT\s10,0,1,2,4,1\r\n`.
enum PayloadText {
  static func write(_ payload: [UInt8]) -> String {
    payload.map { byte -> String in
      switch byte {
      case UInt8(ascii: " "): "\\s"
      case UInt8(ascii: "\r"): "\\r"
      case UInt8(ascii: "\n"): "\\n"
      case UInt8(ascii: "\\"): "\\\\"
      case 33...126: String(UnicodeScalar(byte))
      default: "\\x" + hexText([byte])
      }
    }.joined()
  }

  /// Nil where an escape is none of those that `write` makes.
  static func read(_ text: Substring) -> [UInt8]? {
    var payload: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        payload.append(byte)
        continue
      }
      switch rest.popFirst() {
      case UInt8(ascii: "s"): payload.append(UInt8(ascii: " "))
      case UInt8(ascii: "r"): payload.append(UInt8(ascii: "\r"))
      case UInt8(ascii: "n"): payload.append(UInt8(ascii: "\n"))
      case UInt8(ascii: "\\"): payload.append(UInt8(ascii: "\\"))
      case UInt8(ascii: "x"):
        guard let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
          return nil
        }
        payload.append(value)
        rest = rest.dropFirst(2)
      default: return nil
      }
    }
    return payload
  }
}
