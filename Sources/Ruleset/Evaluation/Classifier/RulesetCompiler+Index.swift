// Which chains of a ruleset get an index, and how far headers must be readable for it to hold. The
// last step of compiling.

extension RulesetCompiler {
  /// Indexes the long chains, noting each one's index in `chains`.
  mutating func indexChains(_ interfaces: borrowing InterfacePatterns) -> ChainIndexesBuilder {
    var builder = ChainIndexesBuilder()
    for number in chains.indices
    where Int(chains[number].count) >= ChainIndexesBuilder.fewestRules {
      let all = Int(chains[number].first)..<Int(chains[number].end)
      let index = builder.add(
        whole: all.map { box(of: $0, form: .whole, interfaces: interfaces) },
        short: all.map { box(of: $0, form: .short, interfaces: interfaces) },
        first: chains[number].first, isFinal: all.map { rules[$0].action.kind.isFinal })
      chains[number].index = index
    }
    return builder
  }

  /// By protocol, the bytes with which every header is read that a rule about the protocol reads:
  /// ports at least, or none.
  var headerBytes: [UInt32] {
    var bytes = [UInt32](repeating: 0, count: 256)
    for rule in rules {
      for index in Int(rule.firstTest)..<Int(rule.firstTest + rule.testCount)
      where tests[index].kind == .header {
        let one = rule.protocolNumber != 0 && !rule.flags.contains(.protocolInverted)
        for number in one ? Int(rule.protocolNumber)...Int(rule.protocolNumber) : 0...255 {
          bytes[number] = max(4, bytes[number], UInt32(tests[index].a))
        }
      }
    }
    return bytes
  }
}

extension RuleAction.Kind {
  /// Whether no later rule of the chain is asked after this.
  fileprivate var isFinal: Bool {
    switch self {
    case .accept, .drop, .returnFromChain, .goTo, .reject, .queue, .sourceNAT, .destinationNAT,
      .masquerade, .redirect, .netmap:
      true
    case .none, .jump, .setMark, .setConnectionMark, .saveMark, .restoreMark, .log, .doNotTrack,
      .track, .clampMSS:
      false
    }
  }
}
