// What iptables 1.8.9 refuses because of the rules as they are, in its own words: scripts compare them,
// and exit codes.

import Wire

extension Ruleset {
  /// Why a command that reads well cannot be carried out on these rules; nil where it can.
  func refusal(of command: Command, _ program: IptablesProgram) -> IptablesResult? {
    let table = self[program.family][command.table] ?? Table(name: command.table)
    let chain = command.chain.flatMap { table[chain: $0.text] }
    func plain(_ message: String) -> IptablesResult {
      IptablesResult(refusing: "\(program.name): \(message).", status: 1)
    }
    func inUse(_ name: String) -> IptablesResult {
      IptablesResult(
        refusing:
          "\(program.version):  CHAIN_DEL failed (Device or resource busy): chain \(name)",
        status: 4)
    }
    let noMatch = "Bad rule (does a matching rule exist in that chain?)"

    if case .newChain = command.action {
      return chain == nil ? nil : plain("Chain already exists")
    }
    if case .setPolicy = command.action {
      return chain?.builtIn == nil ? plain("Bad built-in chain name") : nil
    }
    if case .check(let wanted) = command.action {
      let rules = Set((chain?.rules ?? []).map(\.specification))
      return wanted.allSatisfy(rules.contains) ? nil : plain(noMatch)
    }
    guard let chain else {
      guard let name = command.chain?.text else { return nil }
      if case .renameChain(let new) = command.action, table[chain: new.text] != nil {
        return plain("File exists")
      }
      switch command.action {
      case .list, .listRules:
        return IptablesResult(
          refusing:
            "\(program.version): chain `\(name)' in table `\(command.table.name)' is incompatible, "
            + "use 'nft' tool.", status: 1)
      case .delete: return plain(noMatch)
      default: return plain("No chain/target/match by that name")
      }
    }
    switch command.action {
    case .insert(let number, _) where number > chain.rules.count + 1:
      return plain("Index of insertion too big")
    case .replace(let number, _) where number > chain.rules.count:
      return plain("Index of replacement too big")
    case .deleteNumber(let number) where number > chain.rules.count:
      return plain("Index of deletion too big")
    case .delete(let wanted):
      var left = chain.rules.map(\.specification)
      for specification in wanted {
        guard let index = left.firstIndex(of: specification) else { return plain(noMatch) }
        left.remove(at: index)
      }
      return nil
    case .renameChain(let new) where table[chain: new.text] != nil:
      return plain("File exists")
    case .deleteChain:
      let isAim = ChainGraph.aims(in: table).contains(chain.name)
      return chain.builtIn != nil || isAim || !chain.rules.isEmpty ? inUse(chain.name) : nil
    default: return nil
    }
  }
}
