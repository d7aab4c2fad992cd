// What the matches with ports share: a span that may be inverted, read and printed.

/// Ports from `low` to `high`, or all others.
public struct PortCondition: Hashable, Sendable {
  public var low: UInt16
  public var high: UInt16
  public var isInverted: Bool

  public init(low: UInt16, high: UInt16, isInverted: Bool = false) {
    self.low = low
    self.high = high
    self.isInverted = isInverted
  }

  init(_ option: OptionUse) throws(RulesetError) {
    let span = try option.argument.portSpan()
    self.init(low: span.low, high: span.high, isInverted: option.isInverted)
  }

  /// `port` or `low:high`
  var text: String { low == high ? "\(low)" : "\(low):\(high)" }

  /// Whether it says anything: `--dport 0:65535` does not, and is not printed.
  var isWhole: Bool { low == 0 && high == 65535 && !isInverted }

  /// - Parameter readsAlone: whether the header has not been read as a whole before.
  func compile(_ field: PacketField, readsAlone: Bool, into compiler: inout RulesetCompiler) {
    guard !isWhole else { return }
    if readsAlone {
      compiler.add(RuleTest(.header, a: field == .sourcePort ? 2 : 4, b: 2))
    }
    compiler.add(.range(field, UInt64(low), UInt64(high), isInverted: isInverted))
  }
}

extension RuleText {
  mutating func add(_ option: String, _ ports: PortCondition?) {
    if let ports, !ports.isWhole {
      add(option, ports.text, isInverted: ports.isInverted)
    }
  }
}
