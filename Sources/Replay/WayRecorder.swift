// Writes down what happens to one packet at each hook: for the path in a transcript and for the whole
// way that `--packet` prints.

import Firewall
import Ruleset
import Wire

/// Something that happened on a packet's way.
public enum WayStep: Hashable, Sendable {
  case asking(TableName, BuiltInChain)
  case entered(chain: Int32)
  case asked(RuleReference, matched: Bool)
  case returned(chain: Int32)
  case logged(RuleReference, log: Int)
  case decided(TableName, BuiltInChain, RuleVerdict)
  case answerBegins
  case answerEnds
}

/// An observer that remembers. Reused from packet to packet.
public struct WayRecorder: FirewallObserver, Sendable {
  public static var isActive: Bool { true }

  /// Whether every step is kept, or only the path.
  public var keepsSteps = false
  public private(set) var steps: [WayStep] = []
  /// Each chain's deciding rule, in the order met.
  public private(set) var path: [RuleReference] = []
  /// LOG rules that matched, in order.
  public private(set) var logs: [(rule: RuleReference, log: Int)] = []

  /// The chains the packet is in, outermost first, and the last rule that matched in each.
  private var frames: [(chain: Int32, matched: RuleReference?)] = []
  /// How many answers, each to the one before, are under way.
  private var answers = 0
  private var isAnswer: Bool { answers > 0 }

  public init() {}

  public mutating func reset() {
    steps.removeAll(keepingCapacity: true)
    path.removeAll(keepingCapacity: true)
    logs.removeAll(keepingCapacity: true)
    frames.removeAll(keepingCapacity: true)
    answers = 0
  }

  private mutating func keep(_ step: WayStep) {
    if keepsSteps { steps.append(step) }
  }

  public mutating func willAsk(
    _ table: TableName, _ chain: BuiltInChain, _ family: AddressFamily
  ) {
    frames.removeAll(keepingCapacity: true)
    keep(.asking(table, chain))
  }

  public mutating func entered(chain: Int32) {
    frames.append((chain, nil))
    keep(.entered(chain: chain))
  }

  public mutating func asked(_ rule: RuleReference, matched: Bool) {
    if matched && !frames.isEmpty { frames[frames.count - 1].matched = rule }
    keep(.asked(rule, matched: matched))
  }

  public mutating func returned(chain: Int32) {
    while let last = frames.last, last.chain != chain { frames.removeLast() }
    keep(.returned(chain: chain))
  }

  public mutating func logged(_ rule: RuleReference, log: Int, context: MatchContext) {
    if !isAnswer { logs.append((rule, log)) }
    keep(.logged(rule, log: log))
  }

  public mutating func decided(
    _ table: TableName, _ chain: BuiltInChain, _ verdict: RuleVerdict
  ) {
    keep(.decided(table, chain, verdict))
    if isAnswer || verdict.rule == .none { return }
    // The rules that led into the chain where it was decided, then the rule that did.
    for frame in frames where frame.chain != verdict.rule.chain {
      if let rule = frame.matched { path.append(rule) }
    }
    path.append(verdict.rule)
  }

  public mutating func beginAnswer() {
    answers += 1
    keep(.answerBegins)
  }

  public mutating func endAnswer() {
    answers -= 1
    keep(.answerEnds)
  }
}
