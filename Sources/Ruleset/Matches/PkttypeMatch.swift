// `-m pkttype`: how the frame was addressed (iptables-extensions(8), pkttype).

/// A kind of frame.
public struct PkttypeMatch: RuleMatch {
  public static let name = "pkttype"
  public static let options = [OptionRule("--pkt-type", isInvertible: true, isRequired: true)]

  public var type = PacketType.unicast
  public var isInverted = false

  public init() {}

  private static let names: [(name: String, type: PacketType)] = [
    ("unicast", .unicast), ("broadcast", .broadcast), ("multicast", .multicast),
    ("host", .unicast), ("bcast", .broadcast), ("mcast", .multicast),
  ]

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let word = use.argument
    guard let found = Self.names.first(where: { $0.name == word.text.lowercased() }) else {
      throw word.problem("unknown packet type `\(word.text)`", known: Self.names.map(\.name))
    }
    type = found.type
    isInverted = use.isInverted
  }

  public func write(to text: inout RuleText) {
    let name = Self.names.first { $0.type == type }?.name ?? ""
    text.add("--pkt-type", name, isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    let name = Self.names.first { $0.type == type }?.name ?? ""
    text.add("PKTTYPE \(isInverted ? "!=" : "=") \(name)")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.uses.insert(.linkLayer)
    let value = UInt64(type.rawValue)
    compiler.add(.range(.packetType, value, value, isInverted: isInverted))
  }
}
