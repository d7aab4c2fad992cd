// What a table says of a packet, and which rule said it.

/// A rule, or a chain's policy, of one `CompiledRuleset`.
@frozen
public struct RuleReference: Hashable, Sendable, BitwiseCopyable {
  /// The chain's number in the compiled ruleset, -1 where no chain was asked.
  public var chain: Int32
  /// The rule's number in its chain from 1; 0 is the policy (or, of a user chain, its end).
  public var number: Int32

  @inlinable public init(chain: Int32, number: Int32) {
    self.chain = chain
    self.number = number
  }

  /// The table or chain does not exist: nothing was asked.
  @inlinable public static var none: RuleReference { RuleReference(chain: -1, number: 0) }
}

/// The outcome of one table at one hook.
@frozen
public struct RuleVerdict: Hashable, Sendable, BitwiseCopyable {
  @frozen
  public enum Kind: Hashable, Sendable, BitwiseCopyable {
    case accept
    case drop
    case reject(RejectWith)
    /// NFQUEUE, with the queue's number (the first of several), and whether the packet is accepted
    /// where no one listens.
    case queue(UInt16, bypass: Bool)
    /// SNAT: bind the source to `CompiledRuleset.ranges[range]`.
    case sourceNAT(range: Int32)
    /// DNAT: bind the destination.
    case destinationNAT(range: Int32)
    /// MASQUERADE: bind the source to the out interface's address; the range has ports at most.
    case masquerade(range: Int32)
    /// REDIRECT: bind the destination to this host; the range has ports at most.
    case redirect(range: Int32)
    /// NETMAP: bind the end that the hook binds to the same address in another network, from the
    /// range's first to its last address.
    case netmap(range: Int32)
    /// TCPMSS, which is not the end: the packet's MSS is to be this at most (65535: what the path's
    /// MTU allows), and then the rules behind this one are asked, by `resume`.
    case limitMSS(UInt16)
  }

  public var kind: Kind
  /// The rule that decided.
  public var rule: RuleReference
  /// The packet was dropped because a match could not read the header it needs (the rule named was
  /// being asked and did not match).
  public var isMalformed: Bool

  @inlinable public init(_ kind: Kind, rule: RuleReference, isMalformed: Bool = false) {
    self.kind = kind
    self.rule = rule
    self.isMalformed = isMalformed
  }
}

/// What a REJECT answers with (iptables-extensions(8)).
@frozen
public enum RejectWith: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
  case icmpNetUnreachable
  case icmpHostUnreachable
  case icmpProtocolUnreachable
  case icmpPortUnreachable
  case icmpNetProhibited
  case icmpHostProhibited
  case icmpAdminProhibited
  case icmp6NoRoute
  case icmp6AdminProhibited
  case icmp6AddressUnreachable
  case icmp6PortUnreachable
  case icmp6PolicyFail
  case icmp6RejectRoute
  case tcpReset

  /// The type and code of the ICMP or ICMPv6 error (RFC 792, RFC 1812, RFC 4443); nil for a reset.
  @inlinable public var icmp: (type: UInt8, code: UInt8)? {
    switch self {
    case .icmpNetUnreachable: (3, 0)
    case .icmpHostUnreachable: (3, 1)
    case .icmpProtocolUnreachable: (3, 2)
    case .icmpPortUnreachable: (3, 3)
    case .icmpNetProhibited: (3, 9)
    case .icmpHostProhibited: (3, 10)
    case .icmpAdminProhibited: (3, 13)
    case .icmp6NoRoute: (1, 0)
    case .icmp6AdminProhibited: (1, 1)
    case .icmp6AddressUnreachable: (1, 3)
    case .icmp6PortUnreachable: (1, 4)
    case .icmp6PolicyFail: (1, 5)
    case .icmp6RejectRoute: (1, 6)
    case .tcpReset: nil
    }
  }
}
