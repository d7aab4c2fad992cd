// Packets as rules see them, aimed at a ruleset's own rules so that many match somewhere.

import Conntrack
import Ruleset
import Wire

/// Makes packets for one family's rules.
public struct RulePackets {
  private let rules: [RuleSpecification]
  private let family: AddressFamily
  private let interfaces: [InterfaceID]
  public var dice: Dice

  /// - Parameter interfaces: numbers that packets come in and go out by.
  public init(_ rules: FamilyRules, interfaces: InterfaceTable = .init(), seed: UInt64) {
    family = rules.family
    self.rules = rules.tables.flatMap { $0.chains.flatMap { $0.rules.map(\.specification) } }
    self.interfaces = (0..<interfaces.count).map { InterfaceID(rawValue: Int32($0)) } + [.none]
    dice = Dice(seed: seed)
  }

  /// A packet for which a rule chosen at random holds, as far as addresses, protocol and ports go.
  public mutating func aimed() -> MatchContext {
    var context = stray()
    guard !rules.isEmpty else { return context }
    let rule = dice.pick(rules)
    if let source = rule.source, !source.isInverted { context.source = filled(source) }
    if let destination = rule.destination, !destination.isInverted {
      context.destination = filled(destination)
    }
    if let transport = rule.transport, !transport.isInverted {
      context.protocolNumber = transport.number
    }
    for match in rule.matches {
      if let tcp = match.body as? TCPMatch {
        if let ports = tcp.source { context.sourcePort = port(ports.low, ports.high) }
        if let ports = tcp.destination { context.destinationPort = port(ports.low, ports.high) }
      } else if let udp = match.body as? UDPMatch {
        if let ports = udp.source { context.sourcePort = port(ports.low, ports.high) }
        if let ports = udp.destination { context.destinationPort = port(ports.low, ports.high) }
      } else if let list = match.body as? MultiportMatch {
        let ports = dice.pick(list.ports)
        let value = port(ports.lowerBound, ports.upperBound)
        if list.side != .destination { context.sourcePort = value }
        if list.side != .source { context.destinationPort = value }
      }
    }
    return context
  }

  /// A packet of no rule's: random addresses and ports.
  public mutating func stray() -> MatchContext {
    var context = MatchContext(
      source: address(), destination: address(), family: family,
      protocolNumber: dice.pick(weighted: [(6, 60), (17, 30), (1, 10)]),
      inInterface: dice.pick(interfaces), outInterface: dice.pick(interfaces),
      length: UInt32(40 + dice.below(1460)))
    context.sourcePort = UInt16(truncatingIfNeeded: dice.next())
    context.destinationPort = UInt16(truncatingIfNeeded: dice.next())
    context.transportAvailable = 20 + UInt32(dice.below(1400))
    context.tcpFlags = 0x02
    context.ctState = .new
    context.hasConnection = true
    return context
  }

  private mutating func address() -> IPAddress {
    family == .ipv4
      ? IPAddress(ipv4: UInt32(truncatingIfNeeded: dice.next()))
      : IPAddress(high: dice.next(), low: dice.next())
  }

  private mutating func filled(_ condition: AddressCondition) -> IPAddress {
    let random = address()
    return IPAddress(
      high: condition.address.high | (random.high & ~condition.mask.high),
      low: condition.address.low | (random.low & ~condition.mask.low))
  }

  private mutating func port(_ low: UInt16, _ high: UInt16) -> UInt16 {
    low + UInt16(dice.below(Int(high - low) + 1))
  }
}
