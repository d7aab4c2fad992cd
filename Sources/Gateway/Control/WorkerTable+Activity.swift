// What the workers count and which rules hold their entries, together: what `weir top` asks a gateway.

#if os(Linux)
  import Conntrack
  import Firewall
  import Ruleset
  import TableControl
  import Wire

  extension WorkerTable {
    /// Looks at all connections, in slices.
    func activity() throws -> TableActivity {
      var activity = TableActivity(accepted: 0)
      var holders: [Holder: Int] = [:]
      for worker in workers {
        let (statistics, drops) = try worker.askLoop { loop in
          (loop.statistics, loop.drops.described(by: loop.firewall))
        }
        activity.accepted = (activity.accepted ?? 0) + statistics.accepted
        activity.drops += drops + WorkerTable.losses(statistics)
        var position: Int? = 0
        while let from = position {
          let (counts, next) = try worker.askLoop { loop in WorkerTable.slice(of: &loop, from) }
          holders.merge(counts) { $0 + $1 }
          position = next
        }
      }
      let names = try names(of: Set(holders.keys))
      // Several may be called the same.
      var named: [RuleHolding: Int] = [:]
      for (holder, count) in holders {
        let name = names[holder] ?? "rules that were replaced"
        named[RuleHolding(rule: name, family: holder.family, entries: 0), default: 0] += count
      }
      activity.holdings = named.map { holding, count in
        RuleHolding(rule: holding.rule, family: holding.family, entries: count)
      }.sorted { ($1.entries, $0.rule) < ($0.entries, $1.rule) }
      return activity
    }

    private struct Holder: Hashable {
      var answer: Admissions.Answer
      var family: AddressFamily
      /// Which rules the answer speaks of.
      var rules: UInt64
    }

    private static func slice(of loop: inout WorkerLoop, _ from: Int) -> ([Holder: Int], Int?) {
      var counts: [Holder: Int] = [:]
      let next = loop.firewall.tracker.visit(from: from, count: slice) { connection, family in
        let answer = loop.admissions.rule(connection, loop.firewall)
        counts[
          Holder(answer: answer, family: family, rules: loop.firewall.rulesVersion), default: 0
        ] += 1
      }
      return (counts, next)
    }

    /// The holders in words; those of rules that are no longer in force are left out.
    private func names(of holders: Set<Holder>) throws -> [Holder: String] {
      guard let worker = workers.first else { return [:] }
      return try worker.askLoop { loop in
        var names: [Holder: String] = [:]
        for holder in holders {
          switch holder.answer {
          case .unknown: names[holder] = "no packet of this gateway's"
          case .formerRules: break
          case .rule(let rule) where rule == .none: names[holder] = "no rule"
          case .rule(let rule):
            guard holder.rules == loop.firewall.rulesVersion,
              let description = loop.firewall.describe(rule, holder.family)
            else { continue }
            names[holder] =
              description.number == 0
              ? description.place : "\(description.place): \(description.text)"
          }
        }
        return names
      }
    }

    /// What was lost beside the rules.
    private static func losses(_ statistics: WorkerStatistics) -> [DropCount] {
      var all = [
        DropCount(
          reason: "sent to an interface that is no port", packets: statistics.withoutPort),
        DropCount(reason: "no room in the queue to a port", packets: statistics.overflowed),
      ]
      for (name, port) in statistics.ports {
        all += [
          DropCount(
            reason: "\(name): came faster than they were read", packets: port.receiveOverruns),
          DropCount(reason: "\(name): the system did not take them", packets: port.sendFailures),
          DropCount(
            reason: "\(name): the next hop did not answer", packets: port.unreachableNextHops),
        ]
      }
      return all.filter { $0.packets > 0 }
    }
  }
#endif
