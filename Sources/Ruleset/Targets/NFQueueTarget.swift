// `-j NFQUEUE`: hands the packet to a program (iptables-extensions(8), NFQUEUE).

/// Queues for user space.
public struct NFQueueTarget: RuleTarget {
  public static let name = "NFQUEUE"
  public static let options = [
    OptionRule("--queue-num", excludes: ["--queue-balance"]),
    OptionRule("--queue-balance", excludes: ["--queue-num"]),
    OptionRule("--queue-bypass", arguments: 0), OptionRule("--queue-cpu-fanout", arguments: 0),
  ]

  /// The first queue.
  public var first: UInt16 = 0
  /// The last of several that share the packets, by connection.
  public var last: UInt16?
  /// Accept where no program listens, instead of dropping.
  public var isBypassed = false
  public var fansOutByCPU = false

  public init() {}

  public mutating func take(_ use: OptionUse, _ scope: RuleScope) throws(RulesetError) {
    switch use.name {
    case "--queue-num": first = UInt16(try use.argument.number(upTo: 65535))
    case "--queue-balance":
      let (low, high) = use.argument.cut(at: ":")
      guard let high else { throw use.argument.problem("queues are given as `first:last`") }
      first = UInt16(try low.number(upTo: 65535))
      let end = UInt16(try high.number(upTo: 65535))
      guard first < end else { throw use.argument.problem("the queues run backwards") }
      last = end
    case "--queue-bypass": isBypassed = true
    default: fansOutByCPU = true
    }
  }

  public mutating func finish(_ scope: RuleScope) throws(RulesetError) {
    if fansOutByCPU && last == nil {
      throw scope.word.problem("`--queue-cpu-fanout` needs `--queue-balance`")
    }
  }

  public func write(to text: inout RuleText) {
    if let last {
      text.add("--queue-balance", "\(first):\(last)")
    } else {
      text.add("--queue-num", "\(first)")
    }
    if isBypassed { text.add("--queue-bypass") }
    if fansOutByCPU { text.add("--queue-cpu-fanout") }
  }

  public func list(to text: inout ListText) {
    text.add("NFQUEUE")
    if let last { text.add("balance", "\(first):\(last)") } else { text.add("num", "\(first)") }
    if isBypassed { text.add("bypass") }
    if fansOutByCPU { text.add("cpu-fanout") }
  }

  public func compile(into compiler: inout RulesetCompiler) {
    compiler.set(RuleAction(.queue, a: UInt32(first), b: isBypassed ? 1 : 0))
  }
}
