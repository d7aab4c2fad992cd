// How many packets a worker dropped for which reason. For `weir top`.

#if os(Linux)
  import Conntrack
  import Firewall
  import Ruleset
  import TableControl
  import Wire

  /// Counts by reason. Packets that pass cost nothing; one that does not, a few comparisons. Nothing is
  /// allocated: what comes when there is no room for another reason is counted together.
  struct DropCounts {
    private struct Group: BitwiseCopyable {
      var verdict = PacketVerdict.drop
      var family = AddressFamily.ipv4
      var reason = OutcomeReason.noRules
      var isInvalid = false
      /// Which rules the reason speaks of.
      var rules: UInt64 = 0
      var count: UInt64 = 0

      func isSame(as other: Group) -> Bool {
        verdict == other.verdict && family == other.family && isInvalid == other.isInvalid
          && rules == other.rules && reason == other.reason
      }
    }

    private static let most = 128
    /// As many as there will ever be: no packet makes it longer.
    private var groups = [Group](repeating: Group(), count: most)
    private var used = 0
    /// A flood is dropped for one reason, over and over.
    private var last = 0
    private var others: UInt64 = 0

    mutating func add(_ outcome: PacketOutcome, rules: UInt64) {
      var group = Group()
      group.verdict = outcome.verdict
      group.family = outcome.family
      group.reason = outcome.reason.withoutNumbers
      group.isInvalid = outcome.ctState == .invalid
      switch group.reason {
      case .rule, .unreadableForRule: group.rules = rules
      default: break
      }
      if last < used, groups[last].isSame(as: group) {
        groups[last].count += 1
        return
      }
      for place in 0..<used where groups[place].isSame(as: group) {
        groups[place].count += 1
        last = place
        return
      }
      guard used < DropCounts.most else {
        others += 1
        return
      }
      group.count = 1
      groups[used] = group
      last = used
      used += 1
    }

    /// The counts in words. Rules that are no longer in force are spoken of together.
    func described(by firewall: borrowing Firewall) -> [DropCount] {
      var all: [DropCount] = []
      var former: UInt64 = 0
      for place in 0..<used {
        let group = groups[place]
        var outcome = PacketOutcome()
        outcome.verdict = group.verdict
        outcome.family = group.family
        outcome.reason = group.reason
        var rule: RuleDescription?
        switch group.reason {
        case .rule(let reference), .unreadableForRule(let reference):
          if group.rules != firewall.rulesVersion {
            former += group.count
            continue
          }
          rule = firewall.describe(reference, group.family)
        default: break
        }
        let text = outcome.clause(by: rule?.agent, at: rule?.place)
        all.append(
          DropCount(
            reason: group.isInvalid ? "\(text) (INVALID)" : text, family: group.family,
            packets: group.count))
      }
      if former > 0 {
        all.append(DropCount(reason: "dropped by rules that were replaced", packets: former))
      }
      if others > 0 { all.append(DropCount(reason: "dropped for other reasons", packets: others)) }
      return all
    }
  }

  extension OutcomeReason {
    /// Without what differs from packet to packet.
    fileprivate var withoutNumbers: OutcomeReason {
      switch self {
      case .badIPOption: .badIPOption(offset: 0)
      case .tooLong: .tooLong(mtu: 0)
      default: self
      }
    }
  }
#endif
