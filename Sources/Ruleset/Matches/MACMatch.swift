// `-m mac`: the Ethernet source address (iptables-extensions(8), mac).

import Wire

/// A source MAC address; a packet without one does not match.
public struct MACMatch: RuleMatch {
  public static let name = "mac"
  public static let options = [OptionRule("--mac-source", isInvertible: true, isRequired: true)]

  /// 48 bits, the first byte highest.
  public var address: UInt64 = 0
  public var isInverted = false

  public init() {}

  public var requiredChains: [BuiltInChain]? { [.prerouting, .input, .forward] }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let parts = use.argument.text.split(separator: ":", omittingEmptySubsequences: false)
    var value: UInt64 = 0
    for part in parts {
      guard parts.count == 6, (1...2).contains(part.utf8.count), part.first != "+",
        let byte = UInt8(part, radix: 16)
      else { throw use.argument.problem("a MAC address is written `00:11:22:33:44:55`") }
      value = value << 8 | UInt64(byte)
    }
    address = value
    isInverted = use.isInverted
  }

  /// Six bytes with colons.
  private var addressText: String {
    let bytes = (0..<6).reversed().map { index in
      let byte = address >> UInt64(8 * index) & 0xFF
      return (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    return bytes.joined(separator: ":")
  }

  public func write(to text: inout RuleText) {
    text.add("--mac-source", addressText, isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    text.add("MAC \(isInverted ? "! " : "")\(addressText)")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.uses.insert(.linkLayer)
    compiler.add(RuleTest(.present, field: .sourceMAC))
    compiler.add(.range(.sourceMAC, address, address, isInverted: isInverted))
  }
}
