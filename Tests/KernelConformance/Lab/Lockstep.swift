// Runs a case through both sides, packet by packet, and stops at the first difference.

#if os(Linux)
  import Conntrack
  import ConntrackFormat
  import Ruleset
  import Wire

  /// One packet of a run, as both sides saw it.
  struct Exchange {
    var step: Int
    var sent: MadePacket
    var kernel: Answer
    var engine: Answer
    /// Weir's, after the packet: the kernel's is the same up to the last.
    var table: [Connection]
  }

  /// The first packet that the two sides do not answer alike.
  struct Difference {
    /// The step; the number of steps, where the counters at the end differ.
    var step: Int
    var findings: [Finding]

    var kinds: Set<DifferenceKind> { Set(findings.map(\.kind)) }
  }

  struct Run {
    var exchanges: [Exchange] = []
    var difference: Difference?
  }

  final class Lockstep {
    private let kernels: KernelSides
    private var kernel: KernelSide
    private var runs: UInt16 = 0
    let seed: UInt64
    private(set) var packets = 0

    init(_ kernels: KernelSides, seed: UInt64) {
      self.kernels = kernels
      kernel = kernels.usual
      self.seed = seed
    }

    func run(_ test: ConformanceCase) throws -> Run {
      kernel = try kernels.side(test.router)
      let limits = test.sysctls.filter(RootLimits.isOne)
      let turn = try LaboratoryTurn(alone: !limits.isEmpty)
      try kernel.prepare(test)
      let inForce = limits.isEmpty ? nil : try RootLimits(limits, turn: turn)
      defer { withExtendedLifetime((turn, inForce)) {} }
      let router = kernel.router
      let rules = test.rules.isEmpty ? "" : try router.rules(test.family)
      var engine = try EngineSide(
        test, rules: rules, host: router.host(test.hostSettings), seed: seed)
      var comparison = Comparison(test)
      // Far from those of the runs before, whose fragments may still wait.
      runs &+= 1
      let maker = PacketMaker(
        flows: test.flows.map { Network.renewed($0, run: runs) }, family: test.family,
        identificationBase: runs &* 64)
      var kernelMemory = SideMemory()
      var engineMemory = SideMemory()
      var run = Run()
      for (number, step) in test.steps.enumerated() {
        if case .wait(let milliseconds) = step.kind {
          System.sleep(milliseconds: milliseconds)
          // A listing has the kernel collect what is over: the keys of PPTP's calls go with them.
          if test.hasHelpers { _ = try kernel.router.table.all() }
          var answer = Answer()
          try kernel.collect(&answer, nil)
          var mine = engine.pass(to: System.now())
          // What ends within one tick of the kernel's timers ends in any order.
          answer.sortByContent()
          mine.sortByContent()
          let findings = comparison.findings(kernel: answer, engine: mine, sent: ([], []))
          if findings.isEmpty && answer.emissions.isEmpty { continue }
          run.exchanges.append(
            Exchange(
              step: number, sent: MadePacket(port: .host, bytes: []), kernel: answer,
              engine: mine, table: engine.connections(at: System.now())))
          if findings.isEmpty { continue }
          run.difference = Difference(step: number, findings: findings)
          return run
        }
        if case .change(let words) = step.kind {
          let findings = try change(words, number, &engine, &comparison, &run)
          if findings.isEmpty { continue }
          run.difference = Difference(step: number, findings: findings)
          return run
        }
        guard let sent = maker.packet(step, number: number, kernelMemory),
          let mine = maker.packet(step, number: number, engineMemory)
        else { continue }
        guard sent.port == mine.port else {
          let finding = Finding(kind: .sent, lines: ["the sides are no longer sent the same"])
          run.difference = Difference(step: number, findings: [finding])
          return run
        }
        let time = System.now()
        guard var answer = try kernel.send(sent, test.family) else { continue }
        packets += 1
        if test.hasHelpers { engine.foreseePort(answer.expectationEvents) }
        if test.hasLimit { engine.foreseeVictims(answer.events) }
        if test.translates { engine.foreseeBinding(sent, answer) }
        let engineAnswer = engine.take(mine, test.family, at: time)
        comparison.renaming.beginPacket()
        var table = engine.connections(at: System.now())
        if comparison.translates { try takeOverChoices(&comparison, &engine, &table) }
        let both = (kernel: sent.bytes, engine: mine.bytes)
        let before = comparison
        var findings = try self.findings(&comparison, answer, engineAnswer, both, engine, table)
        if !findings.isEmpty {
          // Perhaps the router was not done yet.
          try kernel.wait(for: &answer, sent.port)
          comparison = before
          table = engine.connections(at: System.now())
          if comparison.translates { try takeOverChoices(&comparison, &engine, &table) }
          findings = try self.findings(&comparison, answer, engineAnswer, both, engine, table)
        }
        kernelMemory.note(step, sent, answer.emissions)
        // What is the same but for a choice is what the kernel sent, from now on.
        let mineOut = findings.isEmpty ? answer.emissions : engineAnswer.emissions
        engineMemory.note(step, mine, mineOut)
        if test.hasHelpers {
          findings += try expectationFindings(
            &engine, answer, engineAnswer, test.family)
        }
        if let finding = try kernel.statisticsFinding(engine, comparesFound: !test.translates) {
          findings.append(finding)
        }
        run.exchanges.append(
          Exchange(
            step: number, sent: sent, kernel: answer, engine: engineAnswer, table: table))
        if !findings.isEmpty {
          run.difference = Difference(step: number, findings: findings)
          return run
        }
      }
      if let finding = try counters(test, engine.rules(test.family)) {
        run.difference = Difference(step: test.steps.count, findings: [finding])
      }
      return run
    }

    private func findings(
      _ comparison: inout Comparison, _ kernelAnswer: Answer, _ engineAnswer: Answer,
      _ sent: (kernel: [UInt8], engine: [UInt8]), _ engine: borrowing EngineSide,
      _ table: [Connection]
    ) throws -> [Finding] {
      var findings = comparison.findings(
        kernel: kernelAnswer, engine: engineAnswer, sent: sent)
      var known: Set<ZonedTuple> = []
      for connection in table {
        let key = ZonedTuple(connection.original, of: connection)
        var entry = try kernel.router.table.entry(key.tuple, zone: key.zone)
        var details = kernel.router.table.details
        if let other = entry, other.original != key.tuple {
          // In zones of one direction a tuple may be another entry's too, in the other direction.
          entry = try kernel.router.table.all().first {
            ZonedTuple($0.original, of: $0) == key
          }
          details = engine.details(connection)
        }
        if let entry {
          known.insert(ZonedTuple(entry.original, of: entry))
          kernel.met.insert(ZonedTuple(entry.original, of: entry))
          let mine = engine.details(connection)
          if details != mine {
            findings.append(
              Finding(
                kind: .details, lines: ["details: kernel \(details)", "         Weir   \(mine)"]))
          }
        }
        if let finding = comparison.finding(kernel: entry, engine: connection) {
          findings.append(finding)
        }
      }
      // The count may include entries that are over; the list does not.
      if try kernel.router.table.count() != table.count {
        for entry in try kernel.router.table.all()
        where !known.contains(ZonedTuple(entry.original, of: entry)) {
          findings.append(
            Finding(
              kind: .table,
              lines: ["table: only the kernel has", "  kernel \(Comparison.line(entry))"]))
        }
      }
      return findings
    }

    /// Changes the router on both sides.
    private func change(
      _ words: String, _ number: Int, _ engine: inout EngineSide, _ comparison: inout Comparison,
      _ run: inout Run
    ) throws -> [Finding] {
      let time = System.now()
      try kernel.router.change(words)
      var answer = Answer()
      try kernel.collect(&answer, nil)
      let mine = engine.change(to: try kernel.router.snapshot(), at: time)
      let before = comparison
      var table = engine.connections(at: System.now())
      var findings = try self.findings(&comparison, answer, mine, ([], []), engine, table)
      if !findings.isEmpty {
        // IPv6 tidies up later.
        try kernel.wait(for: &answer, .host)
        comparison = before
        table = engine.connections(at: System.now())
        findings = try self.findings(&comparison, answer, mine, ([], []), engine, table)
      }
      run.exchanges.append(
        Exchange(
          step: number, sent: MadePacket(port: .host, bytes: []), kernel: answer, engine: mine,
          table: table))
      return findings
    }

    /// What the two sides expect, and what listeners heard of it.
    private func expectationFindings(
      _ engine: inout EngineSide, _ kernelAnswer: Answer, _ engineAnswer: Answer,
      _ family: AddressFamily
    ) throws -> [Finding] {
      let mine = engine.expectations(at: System.now())
      let its = try kernel.router.table.expectations(family)
      let isSame =
        mine.count == its.count
        && its.allSatisfy { one in mine.contains { one.isLike($0) } }
      let events = (kernelAnswer.expectationEvents, engineAnswer.expectationEvents)
      let areEventsSame =
        events.0.count == events.1.count
        && zip(events.0, events.1).allSatisfy {
          $0.kind == $1.kind && $0.expectation.isLike($1.expectation)
        }
      var findings: [Finding] = []
      let writer = ExpectationWriter()
      if !isSame {
        findings.append(
          Finding(
            kind: .table,
            lines: ["expectations:"] + its.map { "  kernel \(writer.line($0))" }
              + mine.map { "  Weir   \(writer.line($0))" }))
      }
      if !areEventsSame {
        findings.append(
          Finding(
            kind: .events,
            lines: ["events of expectations:"] + events.0.map { "  kernel \(writer.line($0))" }
              + events.1.map { "  Weir   \(writer.line($0))" }))
      }
      return findings
    }

    /// Where NAT chose by chance, Weir goes on with what the kernel chose.
    private func takeOverChoices(
      _ comparison: inout Comparison, _ engine: inout EngineSide, _ table: inout [Connection]
    ) throws {
      for connection in table where comparison.renaming.isUnsettled(connection) {
        let key = ZonedTuple(connection.original, of: connection)
        guard let entry = try kernel.router.table.entry(key.tuple, zone: key.zone),
          let choice = comparison.renaming.choiceToTakeOver(
            kernel: entry, engine: connection, table: table)
        else { continue }
        guard engine.rebind(choice) else { continue }
        table = engine.connections(at: System.now())
      }
    }

    /// Each rule's packets and bytes, at the end of a case.
    private func counters(_ test: ConformanceCase, _ engine: FamilyRules) throws -> Finding? {
      if test.rules.isEmpty { return nil }
      // iptables-save also shows chains that are not there, and so count nothing.
      let isThere = { (line: Substring) in
        !(test.hasPartialTables && line.hasPrefix(":"))
      }
      let lines = { (text: String) in
        text.split(separator: "\n").filter { $0.contains("[") && isThere($0) }
      }
      let kernels = lines(try kernel.router.rules(test.family))
      let ours = lines(engine.saveText(counters: true))
      if kernels == ours { return nil }
      var text = ["counters:"]
      for (kernel, mine) in zip(kernels, ours) where kernel != mine {
        text += ["  kernel \(kernel)", "  Weir   \(mine)"]
      }
      if kernels.count != ours.count { text.append("  \(kernels.count) and \(ours.count) lines") }
      return Finding(kind: .counters, lines: text)
    }
  }
#endif
