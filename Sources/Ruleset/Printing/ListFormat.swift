// Tables as `iptables -L` 1.8.9 prints them for people, and as `iptables -S` does: byte for byte, but
// for names that only a resolver or the user database knows, which stay numbers here.

import Wire

extension Table {
  /// `iptables -L [chain [number]]`. O(rules).
  func listText(
    _ family: AddressFamily, chain wanted: String?, number: Int?, form: ListForm
  ) -> String {
    var references: [String: Int] = [:]
    for chain in chains {
      for rule in chain.rules {
        if let aim = rule.specification.target?.chain { references[aim, default: 0] += 1 }
      }
    }
    var sections: [String] = []
    for chain in chainsInOrder where wanted == nil || chain.name == wanted {
      var text = ""
      if number == nil {
        text += "Chain \(chain.name) (\(chain.summary(references[chain.name] ?? 0, form)))\n"
        text += form.header
      }
      for (index, rule) in chain.rules.enumerated() where number == nil || number == index + 1 {
        text += rule.listText(family, number: index + 1, form) + "\n"
      }
      sections.append(text)
    }
    return sections.joined(separator: "\n")
  }

  /// `iptables -S [chain [number]]`. O(rules).
  func rulesText(
    _ family: AddressFamily, chain wanted: String?, number: Int?, form: ListForm
  ) -> String {
    var text = ""
    let meant = chainsInOrder.filter { wanted == nil || $0.name == wanted }
    if number == nil {
      for chain in meant {
        if chain.builtIn != nil {
          text += "-P \(chain.name) \(chain.policy.name)"
          text += (form.isVerbose ? " " + chain.counters.options : "") + "\n"
        } else {
          text += "-N \(chain.name)\n"
        }
      }
    }
    for chain in meant {
      for (index, rule) in chain.rules.enumerated() where number == nil || number == index + 1 {
        text += rule.specification.text(
          chain: chain.name, family: family, counters: form.isVerbose ? rule.counters : nil)
        text += "\n"
      }
    }
    return text
  }
}

extension Chain {
  fileprivate func summary(_ references: Int, _ form: ListForm) -> String {
    guard builtIn != nil else { return "\(references) references" }
    guard form.isVerbose else { return "policy \(policy.name)" }
    let packets = form.isExact ? "\(counters.packets)" : ListForm.short(counters.packets)
    let bytes = form.isExact ? "\(counters.bytes)" : ListForm.short(counters.bytes)
    return "policy \(policy.name) \(packets) packets, \(bytes) bytes"
  }
}

extension Target {
  fileprivate var listName: String {
    if case .custom(let target) = self { type(of: target.body).listName } else { name }
  }

  /// The chain a rule leads to.
  fileprivate var chain: String? {
    switch self {
    case .jump(let name), .goTo(let name): name
    default: nil
    }
  }
}

extension Rule {
  fileprivate func listText(_ family: AddressFamily, number: Int, _ form: ListForm) -> String {
    let rule = specification
    var text = form.hasLineNumbers ? "\(number)".padded(4) + " " : ""
    if form.isVerbose { text += form.counter(counters.packets) + form.counter(counters.bytes) }
    text += (rule.target?.listName ?? "").padded(9) + " "
    let transport = rule.transport?.number ?? 0
    text += rule.transport?.isInverted == true ? "!" : " "
    text +=
      (form.isNumeric ? "\(transport)" : transport == 0 ? "all" : ProtocolNames.name(transport))
      .padded(4) + " "
    switch rule.isLaterFragment {
    case true?: text += "-f"
    case false?: text += "!f"
    case nil: text += "--"
    }
    text += form.isVerbose ? "  " : " "
    if form.isVerbose {
      text += form.interface(rule.inInterface) + " " + form.interface(rule.outInterface) + " "
    }
    text += form.address(rule.source, family) + form.address(rule.destination, family)
    if case .goTo? = rule.target { text += "[goto] " }
    var rest = ListText(family: family, isNumeric: form.isNumeric)
    for match in rule.matches { match.body.list(to: &rest) }
    if case .custom(let target)? = rule.target { target.body.list(to: &rest) }
    return text + rest.text
  }
}

extension RuleSpecification {
  /// What `iptables -v` says of a rule that it adds or takes away.
  func verboseText(_ family: AddressFamily) -> String {
    func name(_ condition: InterfaceCondition?) -> String {
      condition.map { ($0.isInverted ? "!" : "") + $0.pattern } ?? "*"
    }
    func end(_ condition: AddressCondition?) -> String {
      guard let condition else { return family == .ipv4 ? "0.0.0.0/0" : "::/0" }
      let isHost = condition.prefixLength(family) == family.addressBits
      return isHost ? condition.address.text(family) : condition.text(family)
    }
    func sign(_ isInverted: Bool?) -> String { isInverted == true ? "!" : " " }
    let fragments =
      switch isLaterFragment {
      case true?: "-f"
      case false?: "!f"
      case nil: "--"
      }
    let number = transport?.number ?? 0
    var text = "\(target?.listName ?? "") \(sign(transport?.isInverted))"
    text += (number == 0 ? "all" : ProtocolNames.name(number)) + " opt \(fragments)"
    text += " in \(name(inInterface)) out \(name(outInterface))"
    text += " \(sign(source?.isInverted))\(end(source))"
    text += " \(sign(destination?.isInverted))-> \(end(destination))  "
    if case .goTo? = target { text += "[goto] " }
    var rest = ListText(family: family, isNumeric: true)
    for match in matches { match.body.list(to: &rest) }
    if case .custom(let target)? = target { target.body.list(to: &rest) }
    return text + rest.text
  }
}

extension ListForm {
  fileprivate var header: String {
    var text = hasLineNumbers ? "num  " : ""
    if isVerbose { text += isExact ? "    pkts      bytes " : " pkts bytes " }
    text += "target     prot opt "
    if isVerbose { text += "in     out     " }
    return text + "source               destination         \n"
  }

  fileprivate func counter(_ value: UInt64) -> String {
    isExact ? "\(value)".aligned(8) + " " : Self.short(value, width: 5) + " "
  }

  /// A counter in five places: in full up to 99,999, then in thousands, millions…
  static func short(_ value: UInt64, width: Int = 0) -> String {
    guard value > 99_999 else { return "\(value)".aligned(width) }
    var number = value
    for unit in ["K", "M", "G", "T"] {
      number = (number + 500) / 1000
      if number <= 9999 || unit == "T" { return "\(number)".aligned(width - 1) + unit }
    }
    return "\(value)"
  }

  fileprivate func interface(_ condition: InterfaceCondition?) -> String {
    guard let condition else { return (isNumeric ? "*" : "any").padded(6) }
    return ((condition.isInverted ? "!" : "") + condition.pattern).padded(6)
  }

  fileprivate func address(_ condition: AddressCondition?, _ family: AddressFamily) -> String {
    guard let condition else {
      let every = family == .ipv4 ? "0.0.0.0/0" : "::/0"
      return " " + (isNumeric ? every : "anywhere").padded(19) + " "
    }
    let length = condition.prefixLength(family)
    let text =
      length == family.addressBits ? condition.address.text(family) : condition.text(family)
    return (condition.isInverted ? "!" : " ") + text.padded(19) + " "
  }
}

extension String {
  /// With spaces behind it.
  fileprivate func padded(_ width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - utf8.count))
  }

  /// With spaces before it.
  fileprivate func aligned(_ width: Int) -> String {
    String(repeating: " ", count: max(0, width - utf8.count)) + self
  }
}
