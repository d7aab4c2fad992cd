// Where a ruleset's NAT rules translate to, for `weir doctor`.

import NAT
import Ruleset
import TableControl
import Wire

extension TranslationRule {
  /// Every place that a rule translates to, each once, in the rules' order. O(rules).
  public static func all(of ruleset: Ruleset) -> [TranslationRule] {
    var all: [TranslationRule] = []
    for family in [AddressFamily.ipv4, .ipv6] {
      for chain in ruleset[family][.nat]?.chains ?? [] {
        for rule in chain.rules { all.take(rule.specification.target, family) }
      }
    }
    var known: Set<TranslationRule> = []
    return all.filter { known.insert($0).inserted }
  }
}

extension [TranslationRule] {
  fileprivate mutating func take(_ target: Target?, _ family: AddressFamily) {
    guard case .custom(let custom) = target else { return }
    switch custom.body {
    case let target as DNATTarget: append(TranslationRule(target.range, family, isSource: false))
    // To whichever address the interface has.
    case let target as RedirectTarget:
      append(TranslationRule(target.range, family, isSource: false))
    case let target as SNATTarget: append(TranslationRule(target.range, family, isSource: true))
    case let target as MasqueradeTarget:
      append(TranslationRule(target.range, family, isSource: true))
    case let target as NetmapTarget:
      // Which of the two it is the hook says, and a user's chain may stand below either.
      append(TranslationRule(target.range, family, isSource: false))
      append(TranslationRule(target.range, family, isSource: true))
    default: break
    }
  }
}

extension TranslationRule {
  fileprivate init(_ range: NATRange, _ family: AddressFamily, isSource: Bool) {
    self.init(family, isSource: isSource)
    if range.options.contains(.mapAddresses), range.minAddress <= range.maxAddress {
      addresses = range.minAddress...range.maxAddress
    }
    if range.options.contains(.portsSpecified), range.minPort <= range.maxPort {
      ports = range.minPort...range.maxPort
    }
  }
}
