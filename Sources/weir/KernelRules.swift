// The running kernel's rules as far as they bear on its table of connections: where they translate to, and what
// they dropped. Read as `weir snapshot` reads them, by iptables-save and nft.

#if os(Linux)
  import Foundation
  import Gateway
  import KernelTable
  import Ruleset
  import TableControl
  import Wire

  struct KernelRules: Sendable {
    private(set) var facts = KernelRuleFacts()
    /// What could not be read, and why.
    private(set) var notes: [String] = []

    /// The rules of this network namespace.
    static func read() -> KernelRules {
      var rules = KernelRules()
      // Which tables iptables has, by nft's name of their family.
      var families: [String: Set<String>] = [:]
      var translations: [TranslationRule]? = []
      var saves: [(String, AddressFamily)] = [
        ("iptables-save -c", .ipv4), ("ip6tables-save -c", .ipv6),
      ]
      // Older iptables' own, which the newer does not show. Asked only where there are some, since asking
      // would make tables.
      if hasLines("/proc/net/ip_tables_names") { saves.append(("iptables-legacy-save -c", .ipv4)) }
      if hasLines("/proc/net/ip6_tables_names") {
        saves.append(("ip6tables-legacy-save -c", .ipv6))
      }
      for (command, family) in saves {
        do throws(SystemCommand.Obstacle) {
          let text = try SystemCommand.output(of: command + " 2>/dev/null")
          let name = family == .ipv4 ? "ip" : "ip6"
          families[name, default: []].formUnion(SnapshotNFT.tables(savedIn: text))
          rules.take(text, from: command, family, &translations)
        } catch {
          // Without the program nft tells of its tables below.
          if case .failed = error { rules.miss("`\(command)` failed", &translations) }
        }
      }
      do throws(SystemCommand.Obstacle) {
        let text = try SystemCommand.output(of: "nft -j list ruleset 2>/dev/null")
        if let found = NFTTranslations.rules(in: text, besides: families) {
          translations? += found
        } else {
          rules.miss("what `nft -j list ruleset` printed is not understood", &translations)
        }
      } catch {
        switch error {
        case .failed: rules.miss("`nft -j list ruleset` failed", &translations)
        case .missing where families.isEmpty:
          rules.miss("there is neither iptables-save nor nft", &translations)
        case .missing:
          rules.notes.append("rules of nftables' own: there is no nft")
        }
      }
      rules.facts.translations = translations
      return rules
    }

    private static func hasLines(_ path: String) -> Bool {
      (try? String(contentsOfFile: path, encoding: .utf8))?.isEmpty == false
    }

    private mutating func miss(_ why: String, _ translations: inout [TranslationRule]?) {
      notes.append("rules: \(why)")
      translations = nil
    }

    mutating func take(
      _ text: String, from command: String, _ family: AddressFamily,
      _ translations: inout [TranslationRule]?
    ) {
      var ruleset = Ruleset()
      do {
        try ruleset.apply(
          text, file: command, family: family, options: ParseOptions(ignoreUnsupported: true))
      } catch {
        return miss("\(error)", &translations)
      }
      translations? += TranslationRule.all(of: ruleset)
      for rule in ruleset.ignored {
        translations? += KernelRules.translation(in: rule.text, family)
      }
      facts.drops += KernelRules.drops(of: ruleset[family])
    }

    /// Where a rule translates to of which Weir does not know every match.
    static func translation(in text: String, _ family: AddressFamily) -> [TranslationRule] {
      let words = text.split(separator: " ")
      guard let jump = words.lastIndex(where: { $0 == "-j" }), jump + 1 < words.count else {
        return []
      }
      let isSource: [Substring: [Bool]] = [
        "DNAT": [false], "REDIRECT": [false], "SNAT": [true], "MASQUERADE": [true],
        "NETMAP": [false, true],
      ]
      guard let directions = isSource[words[jump + 1]] else { return [] }
      let chain = directions == [true] ? "POSTROUTING" : "PREROUTING"
      // Ports in a target ask for a protocol.
      var transport = ""
      if let at = words.firstIndex(of: "-p"), at + 1 < jump { transport = "-p \(words[at + 1]) " }
      let plain =
        "*nat\n-A \(chain) \(transport)\(words[jump...].joined(separator: " "))\nCOMMIT\n"
      var ruleset = Ruleset()
      if (try? ruleset.apply(plain, file: "", family: family)) != nil {
        return TranslationRule.all(of: ruleset)
      }
      // Not understood, it may translate to anywhere.
      return directions.map { TranslationRule(family, isSource: $0) }
    }

    /// What rules and policies dropped or rejected.
    static func drops(of rules: FamilyRules) -> [DropCount] {
      var all: [DropCount] = []
      func add(_ words: String, _ counters: RuleCounters) {
        if counters.packets > 0 {
          all.append(DropCount(reason: words, family: rules.family, packets: counters.packets))
        }
      }
      for table in rules.tables {
        for chain in table.chains {
          let place = "\(table.name.name) \(chain.name)"
          if chain.builtIn != nil && chain.policy == .drop {
            add("dropped by the policy of \(place)", chain.counters)
          }
          for (index, rule) in chain.rules.enumerated() {
            let verb: String
            switch rule.specification.target?.name {
            case "DROP": verb = "dropped"
            case "REJECT": verb = "rejected"
            default: continue
            }
            let text = rule.specification.text(chain: chain.name, family: rules.family)
            add("\(verb) by rule \(index + 1) of \(place): \(text)", rule.counters)
          }
        }
      }
      return all
    }
  }
#endif
