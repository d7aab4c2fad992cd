// Makes a case that differs as short as it can be while it still differs in the same way.

#if os(Linux)
  import Wire

  struct Shrinker {
    let lockstep: Lockstep
    /// What the difference is about: a shorter case must show one of these.
    let kinds: Set<DifferenceKind>
    /// When to be content, nanoseconds since 1970.
    let deadline: Int64

    /// - Returns: the shortest case found. It takes as long as it takes, but ends soon after
    ///   `deadline`.
    func shrink(_ test: ConformanceCase, _ difference: Difference) throws -> ConformanceCase {
      var best = test
      best.steps = Array(best.steps.prefix(difference.step + 1))
      try shorten(\.steps, of: &best)
      try shorten(\.rules, of: &best)
      try shorten(\.sysctls, of: &best)
      try shorten(\.setup, of: &best)
      try simplify(&best)
      try shorten(\.steps, of: &best)
      dropUnusedFlows(&best)
      return best
    }

    private func stillDiffers(_ test: ConformanceCase) -> Bool {
      // Rules that cannot be set up any more are no shorter case.
      guard let run = try? lockstep.run(test), let difference = run.difference else { return false }
      return !difference.kinds.isDisjoint(with: kinds) && difference.step >= test.steps.count - 1
    }

    private var isOver: Bool { System.now() > deadline }

    /// Leaves out parts, halves first, single ones last.
    private func shorten<Part>(
      _ list: WritableKeyPath<ConformanceCase, [Part]>, of best: inout ConformanceCase
    ) throws {
      var size = max(1, best[keyPath: list].count / 2)
      while true {
        var at = 0
        while at < best[keyPath: list].count && !isOver {
          var shorter = best
          let end = min(at + size, best[keyPath: list].count)
          shorter[keyPath: list].removeSubrange(at..<end)
          if stillDiffers(shorter) { best = shorter } else { at += size }
        }
        if size == 1 || isOver { return }
        size /= 2
      }
    }

    /// Makes packets plainer.
    private func simplify(_ best: inout ConformanceCase) throws {
      for index in best.steps.indices {
        for change in Shrinker.changes where !isOver {
          var plainer = best
          change(&plainer.steps[index])
          if plainer != best && stillDiffers(plainer) { best = plainer }
        }
      }
    }

    private static let changes: [@Sendable (inout Step) -> Void] = [
      { $0.hopLimit = nil },
      { $0.ip = IPLayer() },
      { $0.ip.trafficClass = 0 },
      { $0.ip.flowLabel = 0 },
      { $0.ip.dontFragment = false },
      { $0.ip.options = [] },
      { $0.ip.extensions = [] },
      { $0.ip.extensions = Array($0.ip.extensions.dropFirst()) },
      { $0.ip.extensions = Array($0.ip.extensions.dropLast()) },
      { $0.ip.edits = [] },
      { $0.ip.cut = nil },
      { $0.ip.trailing = 0 },
      { $0.ip.hasBadChecksum = false },
      { $0.ip.source = nil },
      { $0.ip.destination = nil },
      { $0.ip.frame = .unicast },
      { $0.ip.port = nil },
      { step in
        switch step.kind {
        case .tcp(var tcp):
          tcp.options = []
          step.kind = .tcp(tcp)
        case .error(var error):
          error.quoted = nil
          error.isNested = false
          step.kind = .error(error)
        default: break
        }
      },
      { step in
        switch step.kind {
        case .tcp(var tcp):
          tcp.length = 0
          step.kind = .tcp(tcp)
        case .udp(var udp):
          udp.length = 0
          step.kind = .udp(udp)
        case .echo(var echo):
          echo.length = 0
          step.kind = .echo(echo)
        case .error(var error):
          error.source = nil
          step.kind = .error(error)
        case .lite(var lite):
          lite.length = 0
          step.kind = .lite(lite)
        case .message(var message):
          message.length = 0
          step.kind = .message(message)
        case .sctp, .raw, .wait, .change: break
        }
      },
      { step in
        guard case .tcp(var tcp) = step.kind else { return }
        tcp.window = 65_535
        step.kind = .tcp(tcp)
      },
    ]

    private func dropUnusedFlows(_ best: inout ConformanceCase) {
      let used = Set(best.steps.map(\.flow)).sorted()
      var smaller = best
      smaller.flows = used.map { best.flows[$0] }
      for index in smaller.steps.indices {
        smaller.steps[index].flow = used.firstIndex(of: smaller.steps[index].flow) ?? 0
      }
      if smaller != best && stillDiffers(smaller) { best = smaller }
    }
  }
#endif
