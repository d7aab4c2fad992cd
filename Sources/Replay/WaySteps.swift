// The hooks and rules part of one packet's way: headings for hooks and tables, a line a rule.

import Conntrack
import Firewall
import Ruleset
import Wire

/// Prints recorded steps one after the other.
struct WaySteps {
  private let style: TextStyle
  private let outcome: PacketOutcome
  private let inInterface: String?
  private let outInterface: String?
  /// The packet as it came, and as it was at the end of its way.
  private let before: PacketFacts?
  private let after: PacketFacts?
  private let answer: [UInt8]?

  private var hook: BuiltInChain?
  private var isAnswer = false
  /// The chains the packet is in, outermost first.
  private var chains: [Int32] = []
  private var facts: PacketFacts?
  /// What is to be told of conntrack, in its place; empty once told.
  private var conntrack: [UInt8]

  init(style: TextStyle, report: PacketReport, way: PacketWay, conntrack: [UInt8]) {
    self.style = style
    self.conntrack = conntrack
    outcome = report.outcome
    inInterface = report.inInterface
    outInterface = report.outInterface
    before = PacketFacts(report.bytes.rawSpan)
    after = PacketFacts(way.bytesAfter.rawSpan)
    answer = report.emitted.first { $0.packet.isAnswer }?.packet.bytes
  }

  /// Tells what no step came to tell.
  mutating func finish(to text: inout [UInt8]) {
    if !isAnswer { tellConntrack(to: &text) }
    if hook == .prerouting { appendRouting(to: &text) }
  }

  /// Conntrack comes at the first hook, after its raw table.
  private mutating func tellConntrack(to text: inout [UInt8]) {
    if conntrack.isEmpty { return }
    heading(outcome.hook == .output ? .output : .prerouting, to: &text)
    text.append(contentsOf: conntrack)
    conntrack = []
  }

  private mutating func heading(_ chain: BuiltInChain, to text: inout [UInt8]) {
    if hook == chain { return }
    if hook == .prerouting { appendRouting(to: &text) }
    hook = chain
    line(chain.name, .heading, indent: 0, &text)
  }

  mutating func append(
    _ step: WayStep, _ firewall: borrowing Firewall, to text: inout [UInt8]
  ) {
    switch step {
    case .asking(let table, let chain): begin(table, chain, to: &text)
    case .entered(let chain): enter(chain, firewall, to: &text)
    case .asked(let rule, let matched): appendRule(rule, matched, firewall, to: &text)
    case .returned(let chain): comeBack(chain, firewall, to: &text)
    case .logged(_, let log):
      line("logged with the prefix \"\(firewall.logPrefix(log, outcome.family))\"", .notable, &text)
    case .decided(_, _, let verdict): decide(verdict, firewall, to: &text)
    case .answerBegins:
      finish(to: &text)
      isAnswer = true
      hook = nil
      style.append("The answer", .heading, to: &text)
      let words = answer.map { ": \(WayText.words($0))" } ?? ""
      line(words, nil, indent: 0, &text)
    case .answerEnds: isAnswer = false
    }
  }

  private func line(
    _ words: String, _ role: TextStyle.Role? = nil, indent: Int? = nil, _ text: inout [UInt8]
  ) {
    style.append("", width: indent ?? margin, to: &text)
    style.append(words, role, to: &text)
    text.append(UInt8(ascii: "\n"))
  }

  /// Rules stand further in, the deeper their chain.
  private var margin: Int { 2 + 2 * max(1, chains.count) }

  private mutating func begin(
    _ table: TableName, _ chain: BuiltInChain, to text: inout [UInt8]
  ) {
    chains = []
    if table != .raw { tellConntrack(to: &text) }
    heading(chain, to: &text)
    line("\(table.name) \(chain.name)", nil, indent: 2, &text)
    facts = isAnswer ? answerFacts(chain) : packetFacts(table, chain)
  }

  private func appendRouting(to text: inout [UInt8]) {
    switch outcome.hook {
    case .input: line("routing: to this host", nil, indent: 2, &text)
    case .forward:
      let out = outInterface.map { ", out by \($0)" } ?? ""
      line("routing: to be forwarded\(out)", nil, indent: 2, &text)
    default: break
    }
  }

  private func packetFacts(_ table: TableName, _ chain: BuiltInChain) -> PacketFacts? {
    guard var facts = before else { return nil }
    // Destination NAT comes in PREROUTING, for the host's own packets before OUTPUT's filter.
    let isBehindDestinationNAT =
      switch chain {
      case .prerouting: false
      case .output: table == .filter
      default: true
      }
    if isBehindDestinationNAT, let after { facts.takeDestination(after) }
    facts.state = table == .raw ? nil : outcome.ctState
    facts.inInterface = chain == .output || chain == .postrouting ? "" : inInterface
    facts.outInterface = chain == .prerouting || chain == .input ? "" : outInterface
    return facts
  }

  private func answerFacts(_ chain: BuiltInChain) -> PacketFacts? {
    guard let answer, var facts = PacketFacts(answer.rawSpan) else { return nil }
    facts.state = outcome.connection.isNone ? nil : .related
    facts.inInterface = ""
    return facts
  }

  private mutating func enter(
    _ chain: Int32, _ firewall: borrowing Firewall, to text: inout [UInt8]
  ) {
    chains.append(chain)
    guard chains.count > 1, let name = name(chain, firewall) else { return }
    line("chain \(name)", nil, indent: margin - 2, &text)
  }

  private mutating func comeBack(
    _ chain: Int32, _ firewall: borrowing Firewall, to text: inout [UInt8]
  ) {
    while let last = chains.last, last != chain { chains.removeLast() }
    if let name = name(chain, firewall) { line("back in \(name)", .faint, &text) }
  }

  private func name(_ chain: Int32, _ firewall: borrowing Firewall) -> String? {
    (outcome.family == .ipv4
      ? firewall.ipv4Rules.chain(chain) : firewall.ipv6Rules.chain(chain))?.name
  }

  private func appendRule(
    _ rule: RuleReference, _ matched: Bool, _ firewall: borrowing Firewall,
    to text: inout [UInt8]
  ) {
    guard rule.number != 0, let description = firewall.describe(rule, outcome.family) else {
      return
    }
    let prefix = "-A \(description.chain) "
    let words =
      description.text.hasPrefix(prefix)
      ? String(description.text.dropFirst(prefix.count)) : description.text
    style.append("", width: margin, to: &text)
    style.append(matched ? "✓ " : "· ", matched ? .good : .faint, to: &text)
    style.append("\(description.number)", right: 2, matched ? .good : .faint, to: &text)
    style.append("  \(words)", matched ? nil : .faint, to: &text)
    if !matched, let specification = specification(description, firewall),
      let complaint = facts?.complaint(about: specification)
    {
      style.append("  # \(complaint)", to: &text)
    }
    text.append(UInt8(ascii: "\n"))
  }

  private func specification(
    _ description: RuleDescription, _ firewall: borrowing Firewall
  ) -> RuleSpecification? {
    let rules =
      outcome.family == .ipv4 ? firewall.ipv4Rules.source : firewall.ipv6Rules.source
    let chain = rules[description.table]?[chain: description.chain]
    return chain?.rules[description.number - 1].specification
  }

  private mutating func decide(
    _ verdict: RuleVerdict, _ firewall: borrowing Firewall, to text: inout [UInt8]
  ) {
    chains = Array(chains.prefix(1))
    if verdict.isMalformed {
      line("a header this rule asks about is cut short: the packet is dropped", .bad, &text)
      return
    }
    guard verdict.rule.number == 0,
      let description = firewall.describe(verdict.rule, outcome.family)
    else { return }
    let isAccept = verdict.kind == .accept
    style.append("", width: margin, to: &text)
    style.append("✓ ", isAccept ? .good : .bad, to: &text)
    line("    policy \(description.target)", isAccept ? nil : .bad, indent: 0, &text)
  }
}
