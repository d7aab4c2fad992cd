// `-m multiport`: up to 15 ports and ranges of ports (iptables-extensions(8), multiport).

/// A list of ports.
public struct MultiportMatch: RuleMatch {
  public static let name = "multiport"
  public static let options = [
    OptionRule(
      "--source-ports", aliases: ["--sports"], isInvertible: true,
      excludes: ["--destination-ports", "--ports"]),
    OptionRule(
      "--destination-ports", aliases: ["--dports"], isInvertible: true,
      excludes: ["--source-ports", "--ports"]),
    OptionRule(
      "--ports", isInvertible: true, excludes: ["--source-ports", "--destination-ports"]),
  ]

  public enum Side: Hashable, Sendable {
    case source
    case destination
    /// One of both.
    case either
  }

  public var side = Side.either
  /// At most 15, a range counting twice.
  public var ports: [ClosedRange<UInt16>] = []
  public var isInverted = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    switch use.name {
    case "--source-ports": side = .source
    case "--destination-ports": side = .destination
    default: side = .either
    }
    isInverted = use.isInverted
    var count = 0
    for part in use.argument.parts(separator: ",") {
      let (first, second) = part.cut(at: ":")
      let low = try first.port()
      let high = try second?.port()
      if let high, low >= high {
        throw part.problem("the port range `\(part.text)` should run upwards")
      }
      count += high == nil ? 1 : 2
      guard count <= 15 else {
        throw part.problem("`-m multiport` takes at most 15 ports, a range counting twice")
      }
      ports.append(low...(high ?? low))
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    guard !ports.isEmpty else {
      throw scope.word.problem("`-m multiport` needs `--sports`, `--dports` or `--ports`")
    }
    guard let number = scope.protocolNumber, [6, 17, 33, 132, 136].contains(number) else {
      throw scope.word.problem("`-m multiport` needs `-p` tcp, udp, udplite, dccp or sctp")
    }
  }

  /// The option as it is printed, without its dashes.
  private var printedName: String {
    switch side {
    case .source: "sports"
    case .destination: "dports"
    case .either: "ports"
    }
  }

  private func printedPorts(_ spelled: (UInt16) -> String) -> String {
    ports.map { span in
      span.count == 1
        ? spelled(span.lowerBound) : "\(spelled(span.lowerBound)):\(spelled(span.upperBound))"
    }.joined(separator: ",")
  }

  public func write(to text: inout RuleText) {
    text.add("--" + printedName, printedPorts { "\($0)" }, isInverted: isInverted)
  }

  public func list(to text: inout ListText) {
    let sign = isInverted ? " !" : ""
    text.add("multiport \(printedName) \(sign)\(printedPorts { text.port($0) })")
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.add(RuleTest(.header, a: 4))
    let (first, count) = compiler.add(
      ports.map { PortSpan(low: $0.lowerBound, high: $0.upperBound) })
    switch side {
    case .either:
      compiler.add(RuleTest(.eitherPort, isInverted: isInverted, a: first, b: count))
    case .source:
      compiler.add(
        RuleTest(.ports, field: .sourcePort, isInverted: isInverted, a: first, b: count))
    case .destination:
      compiler.add(
        RuleTest(.ports, field: .destinationPort, isInverted: isInverted, a: first, b: count))
    }
  }
}
