// ICMP and ICMPv6 types by name, as `iptables -p icmp -h` and `ip6tables -p icmpv6 -h` list them,
// and what the two matches share.

/// A type with one code, or with any code.
public struct ICMPTypeCondition: Hashable, Sendable {
  public var type: UInt8
  /// nil: any.
  public var code: UInt8?
  public var isInverted: Bool

  /// Reads `type`, `type/code` or a name.
  init(
    _ use: OptionUse, names: [(name: String, type: UInt8, code: UInt8?)], kind: String
  ) throws(RulesetError) {
    let word = use.argument
    isInverted = use.isInverted
    let wanted = word.text.lowercased()
    let found =
      names.filter { $0.name.lowercased() == wanted }.first.map { [$0] }
      ?? names.filter { $0.name.lowercased().hasPrefix(wanted) && !wanted.isEmpty }
    if let first = found.first {
      // Two names of one type are no doubt.
      if let other = found.first(where: { $0.type != first.type || $0.code != first.code }) {
        throw word.problem(
          "`\(word.text)` may mean `\(first.name)` or `\(other.name)`")
      }
      type = first.type
      code = first.code
      return
    }
    let (number, codeWord) = word.cut(at: "/")
    guard let type = Numbers.parse(number.text, limit: 255) else {
      throw word.problem("unknown \(kind) type `\(word.text)`", known: names.map(\.name))
    }
    self.type = UInt8(type)
    code = try codeWord.map { word throws(RulesetError) in UInt8(try word.number(upTo: 255)) }
  }

  /// `type` or `type/code`
  var text: String { code.map { "\(type)/\($0)" } ?? "\(type)" }

  func list(
    _ family: String, names: [(name: String, type: UInt8, code: UInt8?)], to text: inout ListText
  ) {
    let sign = isInverted ? "!" : ""
    if !text.isNumeric, let known = names.first(where: { $0.type == type && $0.code == code }) {
      text.add("\(family) \(sign)\(known.name)")
    } else if isInverted {
      text.add("\(family) !type \(type)" + (code.map { " code \($0)" } ?? ""))
    } else {
      text.add("\(family)type \(type)" + (code.map { " code \($0)" } ?? ""))
    }
  }

  func compile(into compiler: inout RulesetCompiler) {
    let base = UInt64(type) << 8
    compiler.add(
      .range(
        .icmpTypeAndCode, base | UInt64(code ?? 0), base | UInt64(code ?? 255),
        isInverted: isInverted))
  }
}

enum ICMPTypes {
  static let version4: [(name: String, type: UInt8, code: UInt8?)] = [
    ("any", 255, nil),
    ("echo-reply", 0, nil), ("pong", 0, nil),
    ("destination-unreachable", 3, nil),
    ("network-unreachable", 3, 0), ("host-unreachable", 3, 1), ("protocol-unreachable", 3, 2),
    ("port-unreachable", 3, 3), ("fragmentation-needed", 3, 4), ("source-route-failed", 3, 5),
    ("network-unknown", 3, 6), ("host-unknown", 3, 7), ("network-prohibited", 3, 9),
    ("host-prohibited", 3, 10), ("TOS-network-unreachable", 3, 11),
    ("TOS-host-unreachable", 3, 12), ("communication-prohibited", 3, 13),
    ("host-precedence-violation", 3, 14), ("precedence-cutoff", 3, 15),
    ("source-quench", 4, nil),
    ("redirect", 5, nil), ("network-redirect", 5, 0), ("host-redirect", 5, 1),
    ("TOS-network-redirect", 5, 2), ("TOS-host-redirect", 5, 3),
    ("echo-request", 8, nil), ("ping", 8, nil),
    ("router-advertisement", 9, nil), ("router-solicitation", 10, nil),
    ("time-exceeded", 11, nil), ("ttl-exceeded", 11, nil), ("ttl-zero-during-transit", 11, 0),
    ("ttl-zero-during-reassembly", 11, 1),
    ("parameter-problem", 12, nil), ("ip-header-bad", 12, 0), ("required-option-missing", 12, 1),
    ("timestamp-request", 13, nil), ("timestamp-reply", 14, nil),
    ("address-mask-request", 17, nil), ("address-mask-reply", 18, nil),
  ]

  static let version6: [(name: String, type: UInt8, code: UInt8?)] = [
    ("destination-unreachable", 1, nil),
    ("no-route", 1, 0), ("communication-prohibited", 1, 1), ("beyond-scope", 1, 2),
    ("address-unreachable", 1, 3), ("port-unreachable", 1, 4), ("failed-policy", 1, 5),
    ("reject-route", 1, 6),
    ("packet-too-big", 2, nil),
    ("time-exceeded", 3, nil), ("ttl-exceeded", 3, nil), ("ttl-zero-during-transit", 3, 0),
    ("ttl-zero-during-reassembly", 3, 1),
    ("parameter-problem", 4, nil), ("bad-header", 4, 0), ("unknown-header-type", 4, 1),
    ("unknown-option", 4, 2),
    ("echo-request", 128, nil), ("ping", 128, nil), ("echo-reply", 129, nil), ("pong", 129, nil),
    ("router-solicitation", 133, nil), ("router-advertisement", 134, nil),
    ("neighbour-solicitation", 135, nil), ("neighbor-solicitation", 135, nil),
    ("neighbour-advertisement", 136, nil), ("neighbor-advertisement", 136, nil),
    ("redirect", 137, nil),
  ]
}
