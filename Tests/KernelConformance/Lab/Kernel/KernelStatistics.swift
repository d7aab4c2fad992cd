// The counters of `conntrack -S`, of the kernel under test: those of its namespace, of all processors
// together.

#if os(Linux)
  import Conntrack

  extension KernelTable {
    /// linux/netfilter/nfnetlink_conntrack.h: IPCTNL_MSG_CT_GET_STATS_CPU, and CTA_STATS_ numbers.
    func statistics() throws -> ConntrackStatistics {
      var sum = ConntrackStatistics()
      for message in try dump(NetlinkBuilder.message(0x104, flags: 0x301, [])) {
        let number = { message.attributes.number($0) ?? 0 }
        sum.found += number(2)
        sum.invalid += number(4)
        sum.insert += number(8)
        sum.insertFailed += number(9)
        sum.drop += number(10)
        sum.earlyDrop += number(11)
        sum.error += number(12)
        sum.searchRestart += number(13)
        sum.clashResolve += number(14)
        sum.chainTooLong += number(15)
      }
      return sum
    }
  }

  extension KernelSide {
    /// What differs in the counters since the case began, or nil.
    ///
    /// - Parameter comparesFound: whether the two sides try the same ports: else how often a port is found
    ///   taken is chance.
    func statisticsFinding(
      _ engine: borrowing EngineSide, comparesFound: Bool
    ) throws -> Finding? {
      let now = try router.table.statistics()
      let before = statisticsBefore
      let mine = engine.statistics
      typealias Name = (name: String, value: (ConntrackStatistics) -> UInt64)
      var names: [Name] = [
        ("invalid", \.invalid), ("insert", \.insert), ("insert_failed", \.insertFailed),
        ("drop", \.drop), ("early_drop", \.earlyDrop), ("error", \.error),
        ("search_restart", \.searchRestart), ("clash_resolve", \.clashResolve),
        ("chaintoolong", \.chainTooLong),
      ]
      if comparesFound { names.append(("found", \.found)) }
      let different = names.filter { $0.value(now) - $0.value(before) != $0.value(mine) }
      if different.isEmpty { return nil }
      let lines = different.map {
        "  \($0.name): kernel \($0.value(now) - $0.value(before)), Weir \($0.value(mine))"
      }
      return Finding(kind: .statistics, lines: ["conntrack -S:"] + lines)
    }
  }
#endif
