// iptables on the rules of a running gateway: read, changed and compiled apart, and taken up between two
// bursts with the counters of that moment. For the control socket.

#if os(Linux)
  import Conntrack
  import Firewall
  import Ruleset
  import TableControl

  /// One run of a program of the iptables family.
  struct RuleCommand: Sendable {
    private let program: IptablesProgram
    private let request: IptablesRequest

    /// - Throws: `TableError` for a program there is not.
    init(_ request: IptablesRequest) throws {
      guard let program = IptablesProgram(request.program) else {
        throw TableError(number: 22, explanation: "no program `\(request.program)`")
      }
      self.program = program
      self.request = request
    }

    private func run(on rules: inout Ruleset) -> IptablesResult {
      rules.run(
        program, arguments: request.arguments, input: request.input, date: request.date)
    }

    private struct Known: Sendable {
      var rules: Ruleset
      var version: UInt64
      var host: HostConfiguration
      var interfaces: InterfaceTable
    }

    /// Carries the command out.
    ///
    /// The rules may be replaced by somebody else while the new ones are compiled: then it is done anew on
    /// those, so that changes are as if they came one after another. Packets are counted meanwhile too:
    /// the command is run a second time where the rules are taken up, on the same rules with the counters
    /// they have then, so that no packet is lost to a counter or counted twice.
    ///
    /// - Throws: `TableError` where the gateway has stopped.
    func run(on workers: [Worker]) throws -> IptablesResult {
      // Rules are kept, and counted, by each worker: there is one so far.
      guard let worker = workers.first, workers.count == 1 else { throw TableError.notSupported }
      while true {
        let known = try worker.ask { firewall in
          Known(
            rules: firewall.countedRules(), version: firewall.rulesVersion, host: firewall.host,
            interfaces: firewall.interfaces)
        }
        var wanted = known.rules
        let result = run(on: &wanted)
        if result.status != 0 || !result.hasChanged { return result }
        let compiled: Parcel<CompiledRules>?
        do throws(RulesetError) {
          compiled = try RuleCommand.compile(wanted, known)
        } catch {
          return refusal(error)
        }
        if let result = try takeUp(compiled, worker, known.version) { return result }
      }
    }

    /// - Returns: nil where only counters are others.
    private static func compile(
      _ wanted: Ruleset, _ known: Known
    ) throws(RulesetError) -> Parcel<CompiledRules>? {
      if wanted.withoutCounters == known.rules.withoutCounters { return nil }
      // Without a seed the system has nothing random to give: choices are then those of every such time.
      let seed = (try? SystemRandom.seed()) ?? 0
      return Parcel(
        try CompiledRules(
          wanted, interfaces: known.interfaces, host: known.host, seed: seed))
    }

    /// - Returns: nil, and nothing changed, where the rules are no longer of this version.
    private func takeUp(
      _ compiled: Parcel<CompiledRules>?, _ worker: Worker, _ version: UInt64
    ) throws -> IptablesResult? {
      try worker.ask { firewall in
        guard firewall.rulesVersion == version else { return nil }
        var rules = firewall.countedRules()
        let result = run(on: &rules)
        if let compiled, let compiled = compiled.take() {
          compiled.setCounters(of: rules)
          firewall.replaceRules(compiled)
        } else {
          firewall.setCounters(of: rules)
        }
        return result
      }
    }

    /// As where the kernel takes rules that iptables could read, but not use.
    private func refusal(_ error: RulesetError) -> IptablesResult {
      var result = IptablesResult()
      result.errors = "\(program.name): \(error.message)\n"
      result.status = program.kind == .restore ? 1 : 4
      return result
    }
  }

  extension ControlSession {
    private static let part = 1 << 20

    /// - Returns: false where the client is gone.
    func send(_ result: IptablesResult) -> Bool {
      send(.output, result.output) && send(.errors, result.errors)
        && stream.send(ControlFrame(.number) { $0.put(result.status) })
    }

    private func send(_ kind: ControlFrame.Kind, _ text: String) -> Bool {
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        guard stream.send(ControlFrame(kind, Array(rest.prefix(ControlSession.part)))) else {
          return false
        }
        rest = rest.dropFirst(ControlSession.part)
      }
      return true
    }
  }
#endif
