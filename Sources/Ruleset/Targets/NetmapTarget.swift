// `-j NETMAP`: binds a whole network onto another, address by address (iptables-extensions(8), NETMAP).

import NAT
import Wire

/// Exchanges the network part of an address: of the destination in PREROUTING and OUTPUT, of the source
/// in POSTROUTING and INPUT.
public struct NetmapTarget: RuleTarget {
  public static let name = "NETMAP"
  public static let tables: [TableName]? = [.nat]
  public static let options = [OptionRule("--to", isRequired: true)]

  /// The first and the last address of the network: the bits in which they agree are put in.
  public var range = NATRange()
  public var prefixLength = 0

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let (first, second) = use.argument.cut(at: "/")
    let address = try first.address(scope.family)
    let mask =
      try second?.netmask(scope.family) ?? IPAddress.mask(scope.family.addressBits, scope.family)
    guard
      let length = (0...scope.family.addressBits).first(where: {
        IPAddress.mask($0, scope.family) == mask
      })
    else { throw use.argument.problem("the mask of a network to map has no holes") }
    prefixLength = length
    range.options = .mapAddresses
    if scope.family == .ipv4 {
      range.minAddress = IPAddress(ipv4: address.ipv4 & mask.ipv4)
      range.maxAddress = IPAddress(ipv4: address.ipv4 | ~mask.ipv4)
    } else {
      range.minAddress = IPAddress(high: address.high & mask.high, low: address.low & mask.low)
      range.maxAddress = IPAddress(high: address.high | ~mask.high, low: address.low | ~mask.low)
    }
  }

  public func write(to text: inout RuleText) {
    text.add("--to", "\(range.minAddress.text(text.family))/\(prefixLength)")
  }

  public func list(to text: inout ListText) {
    text.add("to:\(range.minAddress.text(text.family))/\(prefixLength)")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.netmap, a: compiler.add(range)))
  }
}
