// Rules as `iptables-save` 1.8.9 prints them, byte for byte.

import Wire

extension FamilyRules {
  /// The tables as `iptables-save` (or, with counters, `iptables-save -c`) prints them, without its
  /// comment lines: one section a table, in the order of that command, user chains sorted by name.
  public func saveText(counters: Bool = false) -> String {
    var text = ""
    for name in Self.saveOrder {
      if let table = self[name] { text += table.saveText(family, counters: counters) }
    }
    return text
  }

  static let saveOrder: [TableName] = [.mangle, .security, .raw, .filter, .nat]
}

extension Table {
  /// One section: `*table`, the chains, the rules, `COMMIT`.
  public func saveText(_ family: AddressFamily, counters: Bool = false) -> String {
    var text = "*\(name.name)\n"
    let ordered = chainsInOrder
    for chain in ordered {
      let policy = chain.builtIn == nil ? "-" : chain.policy.name
      text += ":\(chain.name) \(policy) \(chain.counters.text)\n"
    }
    for chain in ordered {
      for rule in chain.rules {
        if counters { text += rule.counters.text + " " }
        text += rule.specification.text(chain: chain.name, family: family) + "\n"
      }
    }
    return text + "COMMIT\n"
  }
}

extension Table {
  /// The built-in chains, then users' by name.
  var chainsInOrder: [Chain] {
    chains.filter { $0.builtIn != nil }
      + chains.filter { $0.builtIn == nil }.sorted {
        $0.name.utf8.lexicographicallyPrecedes($1.name.utf8)
      }
  }
}

extension RuleCounters {
  /// `[packets:bytes]`
  public var text: String { "[\(packets):\(bytes)]" }

  /// `-c packets bytes`
  var options: String { "-c \(packets) \(bytes)" }
}

extension RuleSpecification {
  /// `-A CHAIN …` as `iptables-save` prints it; with counters as `iptables -S -v` does.
  public func text(
    chain: String, family: AddressFamily, counters: RuleCounters? = nil
  ) -> String {
    var text = RuleText(family: family)
    text.add("-A")
    text.add(chain)
    write(to: &text, counters)
    return text.text
  }

  private func write(to text: inout RuleText, _ counters: RuleCounters?) {
    if let source { text.add("-s", source.text(text.family), isInverted: source.isInverted) }
    if let destination {
      text.add("-d", destination.text(text.family), isInverted: destination.isInverted)
    }
    if let inInterface {
      text.add("-i", inInterface.pattern, isInverted: inInterface.isInverted)
    }
    if let outInterface {
      text.add("-o", outInterface.pattern, isInverted: outInterface.isInverted)
    }
    if let transport {
      text.add("-p", ProtocolNames.name(transport.number), isInverted: transport.isInverted)
    }
    if let isLaterFragment { text.add(isLaterFragment ? "-f" : "! -f") }
    for match in matches {
      text.add("-m")
      text.add(type(of: match.body).name)
      match.body.write(to: &text)
    }
    if let counters { text.add(counters.options) }
    target?.write(to: &text)
  }
}

extension Target {
  func write(to text: inout RuleText) {
    if case .goTo = self { text.add("-g") } else { text.add("-j") }
    text.add(name)
    if case .custom(let target) = self { target.body.write(to: &text) }
  }
}

extension AddressCondition {
  /// `address/length`, or `address/mask` where the mask is no prefix.
  func text(_ family: AddressFamily) -> String {
    let base = address.text(family)
    if let length = prefixLength(family) { return "\(base)/\(length)" }
    return "\(base)/\(mask.text(family))"
  }
}
