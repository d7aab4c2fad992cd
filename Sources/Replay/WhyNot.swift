// Why a rule did not match a packet, where that is cheap to say: for `--packet`. It looks at the rule as
// written, in the order in which rules are compared, and names the first condition that fails.

import Conntrack
import Firewall
import Ruleset
import Wire

/// What rules ask about one packet, at one hook.
struct PacketFacts {
  var family: AddressFamily
  var source: IPAddress
  var destination: IPAddress
  var transportProtocol: UInt8
  var sourcePort: UInt16?
  var destinationPort: UInt16?
  var tcpFlags: TCPFlags?
  var icmpType: UInt8?
  var icmpCode: UInt8?
  /// Empty where there is none; nil where that is not known.
  var inInterface: String?
  var outInterface: String?
  /// Nil before conntrack has seen the packet.
  var state: ConnectionState?
  var status: ConnectionStatus?

  init?(_ bytes: RawSpan) {
    guard let packet = LooseHeaders(bytes) else { return nil }
    family = packet.family
    source = packet.source
    destination = packet.destination
    transportProtocol = packet.transportProtocol
    let ports = packet.ports(bytes)
    sourcePort = ports?.source
    destinationPort = ports?.destination
    let at = packet.transportOffset
    switch packet.transportProtocol {
    case IPProtocolNumber.tcp:
      tcpFlags = TCPHeader(bytes, at: at, end: packet.end)?.flags
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6:
      let message = ICMPHeader(bytes, at: at, end: packet.end)
      icmpType = message?.type
      icmpCode = message?.code
    default: break
    }
  }

  /// Takes the destination from the packet as it was later on its way.
  mutating func takeDestination(_ other: PacketFacts) {
    destination = other.destination
    if other.destinationPort != nil { destinationPort = other.destinationPort }
  }
}

extension PacketFacts {
  /// Which condition of a rule this packet fails; nil where that is not cheap to say.
  func complaint(about rule: RuleSpecification) -> String? {
    if let complaint = addressComplaint(rule) ?? interfaceComplaint(rule) { return complaint }
    if let wanted = rule.transport,
      (wanted.number == transportProtocol) == wanted.isInverted
    {
      return "the packet is \(PacketText.name(transportProtocol))"
    }
    var unsure: [String] = []
    for match in rule.matches {
      switch judge(match.body) {
      case .holds: continue
      case .fails(let complaint): return complaint
      case .unknown: unsure.append(type(of: match.body).name)
      }
    }
    // What can be read holds: it is what cannot.
    return unsure.count == 1 ? unsureComplaint(unsure[0]) : nil
  }

  private func unsureComplaint(_ name: String) -> String {
    name == "limit" ? "the limit is used up" : "`-m \(name)` does not hold"
  }

  private func addressComplaint(_ rule: RuleSpecification) -> String? {
    func holds(_ condition: AddressCondition, _ address: IPAddress) -> Bool {
      let masked = IPAddress(
        high: address.high & condition.mask.high, low: address.low & condition.mask.low)
      return (masked == condition.address) != condition.isInverted
    }
    if let wanted = rule.source, !holds(wanted, source) {
      return "the source is \(source.text(family))"
    }
    if let wanted = rule.destination, !holds(wanted, destination) {
      return "the destination is \(destination.text(family))"
    }
    return nil
  }

  private func interfaceComplaint(_ rule: RuleSpecification) -> String? {
    if let wanted = rule.inInterface, let inInterface,
      wanted.matches(inInterface) == wanted.isInverted
    {
      return inInterface.isEmpty ? "it came in by no interface" : "it came in by \(inInterface)"
    }
    if let wanted = rule.outInterface, let outInterface,
      wanted.matches(outInterface) == wanted.isInverted
    {
      return outInterface.isEmpty ? "it leaves by no interface" : "it leaves by \(outInterface)"
    }
    return nil
  }

  private enum Judgement {
    case holds
    case fails(String)
    case unknown
  }

  private func judge(_ body: any RuleMatch) -> Judgement {
    switch body {
    case is CommentMatch: return .holds
    case let match as ConntrackMatch: return judge(match)
    case let match as StateMatch:
      return judge(match.states, isInverted: match.isInverted)
    case let match as TCPMatch:
      if let complaint = portComplaint(match.source, match.destination) {
        return .fails(complaint)
      }
      guard let wanted = match.flags, let tcpFlags else {
        return match.option == nil ? .holds : .unknown
      }
      if (tcpFlags.rawValue & wanted.mask == wanted.set) == wanted.isInverted {
        return .fails("its flags are \(tcpFlags.text)")
      }
      return match.option == nil ? .holds : .unknown
    case let match as UDPMatch:
      return portComplaint(match.source, match.destination).map { .fails($0) } ?? .holds
    case let match as MultiportMatch: return judge(match)
    case let match as ICMPMatch: return judge(match.condition)
    case let match as ICMP6Match: return judge(match.condition)
    default: return .unknown
    }
  }

  private func judge(_ match: ConntrackMatch) -> Judgement {
    guard let states = match.states else { return .unknown }
    let judgement = judge(states.value, isInverted: states.isInverted)
    guard case .holds = judgement else { return judgement }
    var rest = match
    rest.states = nil
    return rest == ConntrackMatch() ? .holds : .unknown
  }

  private func judge(_ wanted: ConntrackMatch.States, isInverted: Bool) -> Judgement {
    guard let state else { return .fails("conntrack has not seen it yet") }
    // SNAT and DNAT ask for the connection's status as well.
    let own: ConntrackMatch.States =
      switch state {
      case .new: .new
      case .established: .established
      case .related: .related
      case .invalid: .invalid
      case .untracked: .untracked
      }
    var has = own
    if let status {
      if status.contains(.sourceNAT) { has.insert(.sourceNAT) }
      if status.contains(.destinationNAT) { has.insert(.destinationNAT) }
    } else if !wanted.isDisjoint(with: [.sourceNAT, .destinationNAT]) {
      return .unknown
    }
    return wanted.isDisjoint(with: has) == isInverted ? .holds : .fails("it is \(state.name)")
  }

  private func portComplaint(
    _ source: PortCondition?, _ destination: PortCondition?
  ) -> String? {
    func holds(_ condition: PortCondition?, _ port: UInt16?) -> Bool {
      guard let condition, let port else { return true }
      return (port >= condition.low && port <= condition.high) != condition.isInverted
    }
    if !holds(source, sourcePort) { return "the source port is \(sourcePort ?? 0)" }
    if !holds(destination, destinationPort) {
      return "the destination port is \(destinationPort ?? 0)"
    }
    return nil
  }

  private func judge(_ match: MultiportMatch) -> Judgement {
    guard let sourcePort, let destinationPort else { return .unknown }
    func isListed(_ port: UInt16) -> Bool { match.ports.contains { $0.contains(port) } }
    let (found, complaint): (Bool, String) =
      switch match.side {
      case .source: (isListed(sourcePort), "the source port is \(sourcePort)")
      case .destination:
        (isListed(destinationPort), "the destination port is \(destinationPort)")
      case .either:
        (
          isListed(sourcePort) || isListed(destinationPort),
          "the ports are \(sourcePort) and \(destinationPort)"
        )
      }
    return found != match.isInverted ? .holds : .fails(complaint)
  }

  private func judge(_ condition: ICMPTypeCondition?) -> Judgement {
    guard let condition, let icmpType, let icmpCode else { return .unknown }
    if family == .ipv4 && condition.type == 255 { return condition.isInverted ? .unknown : .holds }
    let isType =
      icmpType == condition.type && (condition.code.map { $0 == icmpCode } ?? true)
    return isType != condition.isInverted
      ? .holds : .fails("its type is \(icmpType), code \(icmpCode)")
  }
}
