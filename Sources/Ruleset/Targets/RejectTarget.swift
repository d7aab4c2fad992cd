// `-j REJECT`: drop, and tell the sender (iptables-extensions(8), REJECT).

import Wire

/// Drops and answers.
public struct RejectTarget: RuleTarget {
  public static let name = "REJECT"
  public static let tables: [TableName]? = [.filter]
  public static let options = [OptionRule("--reject-with")]

  /// nil until the family is known: then port unreachable.
  public var with: RejectWith?

  public init() {}

  public var requiredChains: [BuiltInChain]? { [.input, .forward, .output] }

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let word = use.argument
    let text = word.text.lowercased()
    let names = Self.names(scope.family)
    // The first that begins so, by either name.
    guard !text.isEmpty,
      let found = names.first(where: { $0.name.hasPrefix(text) || $0.alias.hasPrefix(text) })
    else {
      throw word.problem(
        "unknown kind of rejection `\(word.text)`", known: names.flatMap { [$0.name, $0.alias] })
    }
    with = found.kind
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    if with == nil {
      with = scope.family == .ipv4 ? .icmpPortUnreachable : .icmp6PortUnreachable
    }
    if with == .tcpReset && scope.protocolNumber != 6 {
      throw scope.word.problem("`--reject-with tcp-reset` needs `-p tcp`")
    }
  }

  public func write(to text: inout RuleText) {
    guard let entry = Self.names(text.family).first(where: { $0.kind == with }) else { return }
    text.add("--reject-with", entry.name)
  }

  public func list(to text: inout ListText) {
    guard let entry = Self.names(text.family).first(where: { $0.kind == with }) else { return }
    text.add("reject-with", entry.name)
  }

  public func compile(into compiler: inout RulesetCompiler) {
    let fallback: RejectWith =
      compiler.family == .ipv4 ? .icmpPortUnreachable : .icmp6PortUnreachable
    compiler.set(RuleAction(.reject, a: UInt32((with ?? fallback).rawValue)))
  }

  private static func names(
    _ family: AddressFamily
  ) -> [(name: String, alias: String, kind: RejectWith)] {
    family == .ipv4 ? names4 : names6
  }

  private static let names4: [(name: String, alias: String, kind: RejectWith)] = [
    ("icmp-net-unreachable", "net-unreach", .icmpNetUnreachable),
    ("icmp-host-unreachable", "host-unreach", .icmpHostUnreachable),
    ("icmp-proto-unreachable", "proto-unreach", .icmpProtocolUnreachable),
    ("icmp-port-unreachable", "port-unreach", .icmpPortUnreachable),
    ("icmp-net-prohibited", "net-prohib", .icmpNetProhibited),
    ("icmp-host-prohibited", "host-prohib", .icmpHostProhibited),
    ("tcp-reset", "tcp-rst", .tcpReset),
    ("icmp-admin-prohibited", "admin-prohib", .icmpAdminProhibited),
  ]

  private static let names6: [(name: String, alias: String, kind: RejectWith)] = [
    ("icmp6-no-route", "no-route", .icmp6NoRoute),
    ("icmp6-adm-prohibited", "adm-prohibited", .icmp6AdminProhibited),
    ("icmp6-addr-unreachable", "addr-unreach", .icmp6AddressUnreachable),
    ("icmp6-port-unreachable", "port-unreach", .icmp6PortUnreachable),
    ("tcp-reset", "tcp-reset", .tcpReset),
    ("icmp6-policy-fail", "policy-fail", .icmp6PolicyFail),
    ("icmp6-reject-route", "reject-route", .icmp6RejectRoute),
  ]
}
