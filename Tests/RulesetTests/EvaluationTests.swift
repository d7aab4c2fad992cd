// Which rules match which packets, held against the running kernel's own answers, and what verdicts,
// observers and descriptions say.

import Conntrack
import NAT
import Ruleset
import Testing
import Wire

@Suite struct KernelFaithfulnessTests {
  /// Every rule's counters and the policy's, after every recorded packet.
  @Test(arguments: ["legacy.4", "legacy.6", "nft.4", "nft.6"])
  func countsAsTheKernel(_ name: String) throws {
    let text = try #require(Recordings.text("kernel.\(name).txt"))
    let blocks = KernelBlock.read(text)
    #expect(blocks.count > 10)
    var interfaces = InterfaceTable()
    let interface = interfaces.register("tun0")
    for block in blocks {
      var rules = try Ruleset(parsing: block.rules, family: block.family)[block.family]
      rules.dialect = block.dialect
      var compiled = try CompiledRuleset(rules, interfaces: interfaces)
      for packet in block.packets {
        if !block.isCumulative { compiled = try CompiledRuleset(rules, interfaces: interfaces) }
        var context = packet.context(block.family, interface)
        _ = compiled.evaluate(
          table: .mangle, chain: .prerouting, context: &context, now: packet.now)
        let counters = self.counters(compiled)
        #expect(
          counters == packet.counters,
          "\(packet.fields["name"] ?? "") \(differences(block, counters, packet.counters))")
      }
    }
  }

  /// In the order the recordings have them.
  private func counters(_ compiled: borrowing CompiledRuleset) -> [RuleCounters] {
    guard let table = compiled.withCounters()[.mangle] else { return [] }
    let user = table.chains.filter { $0.builtIn == nil }.sorted { $0.name < $1.name }
    // FORWARD, where a recording has it, is not asked here.
    let all = (table.chains.filter { $0.builtIn == .prerouting } + user).flatMap(\.rules).map(
      \.counters)
    return all + [table[chain: "PREROUTING"]?.counters ?? RuleCounters()]
  }

  private func differences(
    _ block: KernelBlock, _ ours: [RuleCounters], _ kernel: [RuleCounters]
  ) -> String {
    let rules = block.rules.split(separator: "\n").filter { $0.hasPrefix("-A") }
    return zip(rules, zip(ours, kernel)).filter { $1.0 != $1.1 }
      .map { "\($0): here \($1.0.text), kernel \($1.1.text)" }.joined(separator: "; ")
  }
}

@Suite struct VerdictTests {
  private func packet(_ family: AddressFamily = .ipv4, in interface: InterfaceID = .none)
    -> MatchContext
  {
    var context = MatchContext(
      source: IPAddress(ipv4: 0x0A00_0005), destination: IPAddress(ipv4: 0xC000_0207),
      family: family, protocolNumber: 6, inInterface: interface, outInterface: .none, length: 60)
    context.sourcePort = 1234
    context.destinationPort = 80
    context.transportAvailable = 40
    context.ctState = .new
    context.hasConnection = true
    return context
  }

  private func verdict(
    _ rule: String, _ table: TableName = .filter, _ chain: BuiltInChain = .input
  ) throws -> RuleVerdict.Kind {
    let text = "iptables -t \(table.name) -A \(chain.name) -p tcp \(rule)"
    var compiled = try CompiledRuleset(Ruleset(parsing: text).ipv4)
    var context = packet()
    return compiled.evaluate(table: table, chain: chain, context: &context, now: 0).kind
  }

  @Test func everyTargetHasItsVerdict() throws {
    #expect(try verdict("-j ACCEPT") == .accept)
    #expect(try verdict("-j DROP") == .drop)
    #expect(try verdict("-j REJECT") == .reject(.icmpPortUnreachable))
    #expect(try verdict("-j REJECT --reject-with tcp-reset") == .reject(.tcpReset))
    #expect(try verdict("-j NFQUEUE --queue-num 3") == .queue(3, bypass: false))
    #expect(try verdict("-j NFQUEUE --queue-bypass") == .queue(0, bypass: true))
    #expect(try verdict("-j MASQUERADE", .nat, .postrouting) == .masquerade(range: 0))
    #expect(
      try verdict("-j SNAT --to-source 1.2.3.4", .nat, .postrouting) == .sourceNAT(range: 0))
    #expect(
      try verdict("-j DNAT --to-destination 1.2.3.4", .nat, .prerouting)
        == .destinationNAT(range: 0))
    #expect(try verdict("-j REDIRECT", .nat, .prerouting) == .redirect(range: 0))
    #expect(try verdict("-j LOG") == .accept)
  }

  @Test func rangesSayWhatTheRuleSays() throws {
    let text = """
      iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1-10.0.0.9:80-90/100 --persistent
      iptables -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 1000-2000 --random-fully
      ip6tables -t nat -A POSTROUTING -p tcp -j SNAT --to-source [fd00::1-fd00::2]:5 --random
      """
    let ruleset = try Ruleset(parsing: text)
    let compiled = try CompiledRuleset(ruleset.ipv4)
    #expect(
      compiled.ranges == [
        NATRange(
          options: [.mapAddresses, .portsSpecified, .portOffset, .persistent],
          minAddress: IPAddress(ipv4: 0x0A00_0001), maxAddress: IPAddress(ipv4: 0x0A00_0009),
          minPort: 80, maxPort: 90, basePort: 100),
        NATRange(options: [.portsSpecified, .randomFully], minPort: 1000, maxPort: 2000),
      ])
    let compiled6 = try CompiledRuleset(ruleset.ipv6)
    #expect(
      compiled6.ranges == [
        NATRange(
          options: [.mapAddresses, .portsSpecified, .random],
          minAddress: IPAddress(high: 0xFD00_0000_0000_0000, low: 1),
          maxAddress: IPAddress(high: 0xFD00_0000_0000_0000, low: 2), minPort: 5, maxPort: 5)
      ])
  }

  @Test func anEmptyRulesetAcceptsEverything() throws {
    var compiled = try CompiledRuleset(Ruleset().ipv4)
    var context = packet()
    let verdict = compiled.evaluate(table: .filter, chain: .input, context: &context, now: 0)
    #expect(verdict == RuleVerdict(.accept, rule: .none))
    let hasNAT = compiled.hasTable(.nat)
    let nothing = compiled.describe(.none)
    #expect(!hasNAT && nothing == nil)
  }

  @Test func interfacesAreKnownByPattern() throws {
    let text = """
      iptables -A FORWARD -i eth+ -o wan0 -j DROP
      iptables -A FORWARD ! -i lo -j REJECT
      """
    var interfaces = InterfaceTable()
    let eth0 = interfaces.register("eth0")
    var compiled = try CompiledRuleset(Ruleset(parsing: text).ipv4, interfaces: interfaces)
    let wan = interfaces.register("wan0")
    let loopback = interfaces.register("lo")
    compiled.learn(interfaces)
    func kind(_ inside: InterfaceID, _ outside: InterfaceID) -> RuleVerdict.Kind {
      var context = packet(in: inside)
      context.outInterface = outside
      return compiled.evaluate(table: .filter, chain: .forward, context: &context, now: 0).kind
    }
    #expect(kind(eth0, wan) == .drop)
    #expect(kind(eth0, eth0) == .reject(.icmpPortUnreachable))
    #expect(kind(loopback, wan) == .accept)
    #expect(kind(.none, wan) == .reject(.icmpPortUnreachable))
    #expect(interfaces.name(wan) == "wan0")
    #expect(interfaces.find("lo") == loopback)
  }

  @Test func untrackedPacketsAreLeftAlone() throws {
    let text = """
      iptables -t raw -A PREROUTING -p tcp --dport 80 -j CT --notrack
      iptables -t raw -A PREROUTING -m conntrack --ctstate UNTRACKED -j DROP
      iptables -t raw -A OUTPUT -p tcp -j CT --zone 7 --helper ftp
      """
    var compiled = try CompiledRuleset(Ruleset(parsing: text).ipv4)
    var context = packet()
    context.ctState = nil
    context.hasConnection = false
    let verdict = compiled.evaluate(table: .raw, chain: .prerouting, context: &context, now: 0)
    #expect(context.isNotTracked && context.ctState == .untracked)
    #expect(verdict == RuleVerdict(.drop, rule: RuleReference(chain: 0, number: 2)))
    context = packet()
    context.ctState = nil
    context.hasConnection = false
    _ = compiled.evaluate(table: .raw, chain: .output, context: &context, now: 0)
    #expect(compiled.uses.contains(.trackingOptions))
    let options = compiled.trackingOptions[Int(context.trackingOptions)]
    #expect(options.zone == .number(7) && options.helper == "ftp")
  }

  @Test func usesSayWhatRulesAsk() throws {
    func uses(_ rule: String) throws -> CompiledRuleset.Uses {
      let compiled = try CompiledRuleset(Ruleset(parsing: "iptables -A FORWARD \(rule)").ipv4)
      return compiled.uses
    }
    #expect(try uses("-m conntrack --ctstate NEW") == [])
    #expect(try uses("-m conntrack --ctorigsrc 1.2.3.4") == .connectionTuples)
    #expect(try uses("-m conntrack --ctexpire 5") == .connectionTimeout)
    #expect(try uses("-p tcp --tcp-option 4") == .tcpOptions)
    #expect(try uses("-m addrtype --dst-type LOCAL") == .addressTypes)
    #expect(try uses("-m addrtype --dst-type LOCAL --limit-iface-in") == .interfaceAddressTypes)
    #expect(try uses("-m mac --mac-source 00:11:22:33:44:55") == .linkLayer)
    #expect(try uses("-p tcp --syn -j TCPMSS --set-mss 1400") == .clampMSS)
  }

  @Test func addressTypesAndOwnersAreAsked() throws {
    let text = """
      iptables -A OUTPUT -m addrtype --dst-type LOCAL,BROADCAST -j DROP
      iptables -A OUTPUT -m owner --uid-owner 1000-1002 -j REJECT
      iptables -A OUTPUT -m owner ! --gid-owner 5 -m owner --socket-exists -j ACCEPT
      iptables -P OUTPUT DROP
      """
    var compiled = try CompiledRuleset(Ruleset(parsing: text).ipv4)
    func rule(_ change: (inout MatchContext) -> Void) -> Int32 {
      var context = packet()
      change(&context)
      return compiled.evaluate(table: .filter, chain: .output, context: &context, now: 0).rule
        .number
    }
    #expect(rule { $0.destinationType = .local } == 1)
    #expect(rule { $0.destinationType = .unicast } == 0)
    #expect(rule { $0.socketUserID = 1001 } == 2)
    #expect(
      rule {
        $0.socketUserID = 1
        $0.socketGroupID = 5
      } == 0)
    #expect(
      rule {
        $0.socketUserID = 1
        $0.socketGroupID = 6
      } == 3)
  }
}

/// Writes down everything it hears.
private struct Listener: RuleObserver {
  static var isActive: Bool { true }
  var heard: [String] = []

  mutating func asked(_ rule: RuleReference, matched: Bool) {
    heard.append("\(rule.chain).\(rule.number)\(matched ? " matched" : "")")
  }
  mutating func entered(chain: Int32) { heard.append("into \(chain)") }
  mutating func returned(chain: Int32) { heard.append("back to \(chain)") }
  mutating func logged(_ rule: RuleReference, log: Int, context: borrowing MatchContext) {
    heard.append("log \(log) mark \(context.mark)")
  }
}

@Suite struct ObserverTests {
  @Test func hearsTheWayOfAPacket() throws {
    let text = """
      iptables -P INPUT DROP
      iptables -N a
      iptables -N b
      iptables -A INPUT -p udp -j ACCEPT
      iptables -A INPUT -j a
      iptables -A INPUT -m comment --comment "the last one" -j MARK --set-mark 5
      iptables -A INPUT -j LOG --log-prefix "x: "
      iptables -A a -g b
      iptables -A b -p tcp -j RETURN
      """
    var compiled = try CompiledRuleset(Ruleset(parsing: text, file: "f").ipv4)
    var context = MatchContext(
      source: .any, destination: .any, family: .ipv4, protocolNumber: 6, inInterface: .none,
      outInterface: .none, length: 40)
    var listener = Listener()
    let verdict = compiled.evaluate(
      table: .filter, chain: .input, context: &context, now: 0, observer: &listener)
    #expect(
      listener.heard == [
        "into 0", "0.1", "0.2 matched", "into 3", "3.1 matched", "into 4", "4.1 matched",
        "back to 0", "0.3 matched", "0.4 matched", "log 0 mark 5",
      ])
    #expect(verdict == RuleVerdict(.drop, rule: RuleReference(chain: 0, number: 0)))
    #expect(compiled.logs[0].prefix == "x: ")
    #expect(compiled.chain(3)?.name == "a")

    let ofPolicy = compiled.describe(verdict.rule)
    let policy = try #require(ofPolicy)
    #expect(policy.text == "-P INPUT DROP" && policy.target == "DROP" && policy.number == 0)
    #expect(policy.counters == RuleCounters(packets: 1, bytes: 40))
    let ofRule = compiled.describe(RuleReference(chain: 0, number: 3))
    let rule = try #require(ofRule)
    #expect(
      rule.text
        == #"-A INPUT -m comment --comment "the last one" -j MARK --set-xmark 0x5/0xffffffff"#)
    #expect(rule.comment == "the last one" && rule.target == "MARK" && rule.chain == "INPUT")
    #expect(rule.location == SourceLocation(file: "f", line: 6, column: 10))
  }
}
