// `-m conntrack`: everything about a packet's connection (iptables-extensions(8), conntrack).

import Conntrack
import Wire

/// State, tuples, status, lifetime and direction of the connection.
public struct ConntrackMatch: RuleMatch {
  public static let name = "conntrack"
  public static let options =
    [
      OptionRule("--ctstate", isInvertible: true),
      OptionRule("--ctproto", isInvertible: true),
      OptionRule("--ctstatus", isInvertible: true),
      OptionRule("--ctexpire", isInvertible: true),
      OptionRule("--ctdir"),
    ] + Address.allCases.map { OptionRule($0.option, isInvertible: true) }
    + Port.allCases.map { OptionRule($0.option, isInvertible: true) }

  /// A condition that may be inverted.
  public struct Condition<Value: Hashable & Sendable>: Hashable, Sendable {
    public var value: Value
    public var isInverted: Bool
  }

  /// The four addresses, in the order they are printed.
  public enum Address: UInt8, Hashable, Sendable, CaseIterable {
    case originalSource
    case originalDestination
    case replySource
    case replyDestination

    var option: String {
      switch self {
      case .originalSource: "--ctorigsrc"
      case .originalDestination: "--ctorigdst"
      case .replySource: "--ctreplsrc"
      case .replyDestination: "--ctrepldst"
      }
    }
  }

  /// The four ports, in the order they are printed.
  public enum Port: UInt8, Hashable, Sendable, CaseIterable {
    case originalSource
    case originalDestination
    case replySource
    case replyDestination

    var option: String {
      switch self {
      case .originalSource: "--ctorigsrcport"
      case .originalDestination: "--ctorigdstport"
      case .replySource: "--ctreplsrcport"
      case .replyDestination: "--ctrepldstport"
      }
    }
  }

  /// An address under a prefix; bits beyond the prefix are kept for printing.
  public struct Network: Hashable, Sendable {
    public var address: IPAddress
    public var mask: IPAddress
  }

  public var states: Condition<States>?
  public var protocolNumber: Condition<UInt8>?
  public var addresses: [Address: Condition<Network>] = [:]
  public var ports: [Port: PortCondition] = [:]
  public var status: Condition<Statuses>?
  /// Seconds left; the first may be the larger, then nothing matches.
  public var expiry: Condition<Span>?
  public var direction: Direction?

  public struct Span: Hashable, Sendable {
    public var low: UInt32
    public var high: UInt32
  }

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    let word = use.argument
    if let address = Address.allCases.first(where: { $0.option == use.name }) {
      let (value, mask) = try word.maskedAddress(scope.family)
      addresses[address] = Condition(
        value: Network(address: value, mask: mask), isInverted: use.isInverted)
      return
    }
    if let port = Port.allCases.first(where: { $0.option == use.name }) {
      ports[port] = try PortCondition(use)
      return
    }
    switch use.name {
    case "--ctstate":
      states = Condition(
        value: try States(word, allowing: .all), isInverted: use.isInverted)
    case "--ctproto":
      protocolNumber = Condition(
        value: try word.protocolNumber(), isInverted: use.isInverted)
    case "--ctstatus":
      status = Condition(value: try Statuses(word), isInverted: use.isInverted)
    case "--ctexpire":
      let (low, high) = try word.range(upTo: 0xFFFF_FFFF)
      expiry = Condition(
        value: Span(low: UInt32(low), high: UInt32(high)), isInverted: use.isInverted)
    default:
      switch word.text.uppercased() {
      case "ORIGINAL": direction = .original
      case "REPLY": direction = .reply
      default:
        throw word.problem(
          "a direction is ORIGINAL or REPLY, not `\(word.text)`", known: ["ORIGINAL", "REPLY"])
      }
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard self != ConntrackMatch() else {
      throw scope.word.problem("`-m conntrack` needs an option, such as `--ctstate`")
    }
  }

  public func write(to text: inout RuleText) {
    if let states { text.add("--ctstate", states.value.text, isInverted: states.isInverted) }
    if let protocolNumber {
      text.add(
        "--ctproto", "\(protocolNumber.value)", isInverted: protocolNumber.isInverted)
    }
    for address in Address.allCases {
      guard let condition = addresses[address] else { continue }
      text.add(
        address.option, condition.value.text(text.family), isInverted: condition.isInverted)
    }
    for port in Port.allCases {
      guard let condition = ports[port] else { continue }
      text.add(port.option, condition.text, isInverted: condition.isInverted)
    }
    if let status { text.add("--ctstatus", status.value.text, isInverted: status.isInverted) }
    if let expiry {
      let span = expiry.value
      text.add(
        "--ctexpire", span.low == span.high ? "\(span.low)" : "\(span.low):\(span.high)",
        isInverted: expiry.isInverted)
    }
    if let direction { text.add("--ctdir", direction == .original ? "ORIGINAL" : "REPLY") }
  }

  public func list(to text: inout ListText) {
    // The options as they are written, without their dashes.
    var written = RuleText(family: text.family)
    write(to: &written)
    text.add(
      written.text.split(separator: " ")
        .map { $0.hasPrefix("--") ? String($0.dropFirst(2)) : String($0) }
        .joined(separator: " "))
  }

  public func compile(into compiler: inout RulesetCompiler) {
    if let states {
      compiler.add(
        RuleTest(.anyBit, field: .ctState, isInverted: states.isInverted, a: states.value.bits))
    }
    // Without a connection the state alone decides; where no state is asked, nothing matches.
    let rest = connectionTests(&compiler)
    guard !rest.isEmpty else { return }
    compiler.add(RuleTest(.connection, a: states == nil ? 0 : UInt64(rest.count)))
    for test in rest { compiler.add(test) }
  }

  private func connectionTests(_ compiler: inout RulesetCompiler) -> [RuleTest] {
    var tests: [RuleTest] = []
    if let direction {
      let value = UInt64(direction.rawValue)
      tests.append(.range(.ctDirection, value, value))
    }
    for address in Address.allCases {
      guard let condition = addresses[address] else { continue }
      let network = condition.value
      let masked = IPAddress(
        high: network.address.high & network.mask.high,
        low: network.address.low & network.mask.low)
      tests.append(
        RuleTest(
          .masked, address: address.field, isInverted: condition.isInverted, masked, network.mask))
    }
    if let protocolNumber {
      let value = UInt64(protocolNumber.value)
      tests.append(.range(.ctProtocol, value, value, isInverted: protocolNumber.isInverted))
    }
    for port in Port.allCases {
      guard let condition = ports[port] else { continue }
      tests.append(
        .range(
          port.field, UInt64(condition.low), UInt64(condition.high),
          isInverted: condition.isInverted))
    }
    if !tests.isEmpty { compiler.uses.insert(.connectionTuples) }
    if let status {
      tests.append(
        RuleTest(.anyBit, field: .ctStatus, isInverted: status.isInverted, a: status.value.bits))
    }
    if let expiry {
      compiler.uses.insert(.connectionTimeout)
      tests.append(
        .range(
          .ctTimeout, UInt64(expiry.value.low), UInt64(expiry.value.high),
          isInverted: expiry.isInverted))
    }
    return tests
  }
}

extension ConntrackMatch.Address {
  fileprivate var field: AddressField {
    switch self {
    case .originalSource: .ctOriginalSource
    case .originalDestination: .ctOriginalDestination
    case .replySource: .ctReplySource
    case .replyDestination: .ctReplyDestination
    }
  }
}

extension ConntrackMatch.Port {
  fileprivate var field: PacketField {
    switch self {
    case .originalSource: .ctOriginalSourcePort
    case .originalDestination: .ctOriginalDestinationPort
    case .replySource: .ctReplySourcePort
    case .replyDestination: .ctReplyDestinationPort
    }
  }
}

extension ConntrackMatch.Network {
  /// `address`, with `/length` where the mask is a shorter prefix; bits beyond it as written.
  fileprivate func text(_ family: AddressFamily) -> String {
    let base = address.text(family)
    let condition = AddressCondition(address: address, mask: mask)
    guard let length = condition.prefixLength(family), length < family.addressBits else {
      return base
    }
    return "\(base)/\(length)"
  }
}
