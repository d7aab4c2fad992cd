// `-m addrtype`: what kind of address it is to this host (iptables-extensions(8), addrtype).

/// Kinds of source and destination address.
public struct AddrtypeMatch: RuleMatch {
  public static let name = "addrtype"
  public static let options = [
    OptionRule("--src-type", isInvertible: true), OptionRule("--dst-type", isInvertible: true),
    OptionRule("--limit-iface-in", arguments: 0, excludes: ["--limit-iface-out"]),
    OptionRule("--limit-iface-out", arguments: 0, excludes: ["--limit-iface-in"]),
  ]

  public struct Condition: Hashable, Sendable {
    /// One of these.
    public var types: AddressTypes
    public var isInverted: Bool
  }

  public enum Interface: Hashable, Sendable {
    case incoming
    case outgoing
  }

  public var source: Condition?
  public var destination: Condition?
  /// Only addresses of this interface count as local.
  public var interface: Interface?

  public init() {}

  public var requiredChains: [BuiltInChain]? {
    switch interface {
    case nil: nil
    case .incoming?: [.prerouting, .input, .forward]
    case .outgoing?: [.forward, .output, .postrouting]
    }
  }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    switch use.name {
    case "--src-type":
      source = Condition(types: try Self.types(use.argument), isInverted: use.isInverted)
    case "--dst-type":
      destination = Condition(types: try Self.types(use.argument), isInverted: use.isInverted)
    case "--limit-iface-in": interface = .incoming
    default: interface = .outgoing
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    if source == nil && destination == nil {
      throw scope.word.problem("`-m addrtype` needs `--src-type` or `--dst-type`")
    }
    // What the kernel refuses for IPv6.
    let all = (source?.types ?? []).union(destination?.types ?? [])
    let known: AddressTypes = [
      .unspecified, .unicast, .local, .anycast, .multicast, .unreachable,
    ]
    if scope.family == .ipv6 && !all.isSubset(of: known) {
      throw scope.word.problem("IPv6 has no address type \(Self.text(all.subtracting(known)))")
    }
  }

  /// By bit.
  private static let names = [
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE",
    "PROHIBIT", "THROW", "NAT", "XRESOLVE",
  ]

  private static func types(_ word: Word) throws(RulesetError) -> AddressTypes {
    var types: AddressTypes = []
    for part in word.parts(separator: ",") {
      guard let bit = names.firstIndex(of: part.text.uppercased()) else {
        throw part.problem("unknown address type `\(part.text)`", known: names)
      }
      types.insert(AddressTypes(rawValue: 1 << UInt16(bit)))
    }
    return types
  }

  private static func text(_ types: AddressTypes) -> String {
    names.indices.filter { types.rawValue & 1 << UInt16($0) != 0 }.map { names[$0] }
      .joined(separator: ",")
  }

  public func write(to text: inout RuleText) {
    if let source {
      text.add("--src-type", Self.text(source.types), isInverted: source.isInverted)
    }
    if let destination {
      text.add("--dst-type", Self.text(destination.types), isInverted: destination.isInverted)
    }
    switch interface {
    case .incoming?: text.add("--limit-iface-in")
    case .outgoing?: text.add("--limit-iface-out")
    case nil: break
    }
  }

  public func list(to text: inout ListText) {
    text.add("ADDRTYPE match")
    if let source { text.add("src-type", Self.text(source.types), sign: source.isInverted) }
    if let destination {
      text.add("dst-type", Self.text(destination.types), sign: destination.isInverted)
    }
    switch interface {
    case .incoming?: text.add("limit-in")
    case .outgoing?: text.add("limit-out")
    case nil: break
    }
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.uses.insert(interface == nil ? .addressTypes : .interfaceAddressTypes)
    let (sourceField, destinationField): (PacketField, PacketField) =
      switch interface {
      case nil: (.sourceType, .destinationType)
      case .incoming?: (.sourceTypeOnInInterface, .destinationTypeOnInInterface)
      case .outgoing?: (.sourceTypeOnOutInterface, .destinationTypeOnOutInterface)
      }
    if let source { compile(source, sourceField, into: &compiler) }
    if let destination { compile(destination, destinationField, into: &compiler) }
  }

  private func compile(
    _ condition: Condition, _ field: PacketField, into compiler: inout RulesetCompiler
  ) {
    // Of IPv6 the kernel wants each kind that the address itself tells, and one of those that the
    // route tells.
    guard compiler.family == .ipv6 else {
      compiler.add(
        RuleTest(
          .anyBit, field: field, isInverted: condition.isInverted,
          a: UInt64(condition.types.rawValue)))
      return
    }
    let told: AddressTypes = [.unspecified, .unicast, .multicast]
    compiler.add(
      RuleTest(
        .allBits, field: field, isInverted: condition.isInverted,
        a: UInt64(condition.types.intersection(told).rawValue),
        b: UInt64(condition.types.subtracting(told).rawValue)))
  }
}
