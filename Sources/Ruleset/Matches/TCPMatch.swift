// `-m tcp`: ports, flags and options of a TCP header (iptables-extensions(8), tcp).

/// Ports, flags and options of TCP.
public struct TCPMatch: RuleMatch {
  public static let name = "tcp"
  public static let options = [
    OptionRule("--source-port", aliases: ["--sport"], isInvertible: true),
    OptionRule("--destination-port", aliases: ["--dport"], isInvertible: true),
    OptionRule("--tcp-flags", arguments: 2, isInvertible: true, excludes: ["--syn"]),
    OptionRule("--syn", arguments: 0, isInvertible: true, excludes: ["--tcp-flags"]),
    OptionRule("--tcp-option", isInvertible: true),
  ]

  /// `--tcp-flags`: those of `mask` must be as in `set`.
  public struct Flags: Hashable, Sendable {
    public var mask: UInt8
    public var set: UInt8
    public var isInverted: Bool
  }

  /// `--tcp-option`: an option's kind, 1 to 255.
  public struct Option: Hashable, Sendable {
    public var kind: UInt8
    public var isInverted: Bool
  }

  public var source: PortCondition?
  public var destination: PortCondition?
  public var flags: Flags?
  public var option: Option?

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    switch use.name {
    case "--source-port": source = try PortCondition(use)
    case "--destination-port": destination = try PortCondition(use)
    case "--syn": flags = Flags(mask: 0x17, set: 0x02, isInverted: use.isInverted)
    case "--tcp-flags":
      flags = Flags(
        mask: try Self.flags(use.arguments[0]), set: try Self.flags(use.arguments[1]),
        isInverted: use.isInverted)
    default:
      let kind = try use.argument.number(upTo: 255)
      guard kind > 0 else { throw use.argument.problem("a TCP option is 1 to 255") }
      option = Option(kind: UInt8(kind), isInverted: use.isInverted)
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard scope.protocolNumber == 6 else { throw scope.word.problem("`-m tcp` needs `-p tcp`") }
    // What says nothing is left out, so that rules that say the same are equal.
    if source?.isWhole == true { source = nil }
    if destination?.isWhole == true { destination = nil }
    if flags == Flags(mask: 0, set: 0, isInverted: false) { flags = nil }
  }

  public func write(to text: inout RuleText) {
    text.add("--sport", source)
    text.add("--dport", destination)
    if let option {
      text.add("--tcp-option", "\(option.kind)", isInverted: option.isInverted)
    }
    if let flags {
      text.add("--tcp-flags", Self.text(flags.mask), isInverted: flags.isInverted)
      text.add(Self.text(flags.set))
    }
  }

  public func list(to text: inout ListText) {
    text.add("tcp")
    text.add("s", source)
    text.add("d", destination)
    if let option { text.add("option=\(option.isInverted ? "!" : "")\(option.kind)") }
    if let flags {
      func spelled(_ bits: UInt8) -> String {
        text.isNumeric ? Numbers.hexByte(bits) : Self.text(bits)
      }
      text.add(
        "flags:\(flags.isInverted ? "!" : "")\(spelled(flags.mask))/\(spelled(flags.set))")
    }
  }

  public func compile(into compiler: inout RulesetCompiler) {
    // nftables itself reads ports and flags, each alone; for the rest it asks the older match.
    let ports = [source, destination].compactMap { $0 }
    let asksFlags = flags.map { $0 != Flags(mask: 0, set: 0, isInverted: false) } ?? false
    let readsAlone =
      compiler.dialect == .nftables && option == nil && (asksFlags || !ports.allSatisfy(\.isWhole))
    // A fragment at offset 1 would rewrite the flags of the first: never a good packet.
    if !readsAlone { compiler.add(RuleTest(.header, a: 20, b: 1)) }
    source?.compile(.sourcePort, readsAlone: readsAlone, into: &compiler)
    destination?.compile(.destinationPort, readsAlone: readsAlone, into: &compiler)
    if let flags, asksFlags {
      if readsAlone { compiler.add(RuleTest(.header, a: 14, b: 2)) }
      compiler.add(
        .masked(
          .tcpFlags, UInt64(flags.set), mask: UInt64(flags.mask), isInverted: flags.isInverted))
    }
    if let option {
      compiler.uses.insert(.tcpOptions)
      compiler.add(RuleTest(.readableOptions))
      compiler.add(
        RuleTest(.tcpOption, isInverted: option.isInverted, a: UInt64(option.kind)))
    }
  }

  /// In the order they are printed, with their bits in byte 13 of the header.
  private static let names: [(name: String, bit: UInt8)] = [
    ("FIN", 0x01), ("SYN", 0x02), ("RST", 0x04), ("PSH", 0x08), ("ACK", 0x10), ("URG", 0x20),
  ]

  private static func flags(_ word: Word) throws(RulesetError) -> UInt8 {
    var bits: UInt8 = 0
    for part in word.parts(separator: ",") {
      let name = part.text.uppercased()
      if let flag = names.first(where: { $0.name == name }) {
        bits |= flag.bit
      } else if name == "ALL" {
        bits |= 0x3F
      } else if name != "NONE" {
        throw part.problem(
          "unknown TCP flag `\(part.text)`", known: names.map(\.name) + ["ALL", "NONE"])
      }
    }
    return bits
  }

  private static func text(_ bits: UInt8) -> String {
    bits == 0
      ? "NONE" : names.filter { bits & $0.bit != 0 }.map(\.name).joined(separator: ",")
  }
}
