// `weir doctor` on a running worker's table: what it learns over the control socket, and what it finds there.

#if os(Linux)
  import Conntrack
  import Ruleset
  import TableControl
  import Testing
  import Wire

  @testable import Gateway

  @Suite struct DoctorTests {
    private func ruleset(_ text: String) throws -> Ruleset {
      var ruleset = Ruleset()
      try ruleset.apply(text, file: "rules", family: .ipv4)
      return ruleset
    }

    @Test func rulesTellWhereTheyTranslateTo() throws {
      let text = """
        *nat
        -A PREROUTING -p udp --dport 53 -j DNAT --to-destination 192.0.2.1-192.0.2.9:5353-5354
        -A PREROUTING -p udp --dport 54 -j DNAT --to-destination 192.0.2.1-192.0.2.9:5353-5354
        -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080
        -A POSTROUTING -s 10.0.0.0/8 -j SNAT --to-source 203.0.113.1
        -A POSTROUTING -p tcp -j MASQUERADE --to-ports 2000-2999
        COMMIT

        """
      let first = IPAddress(ipv4: 0xC000_0201)
      let own = IPAddress(ipv4: 0xCB00_7101)
      #expect(
        TranslationRule.all(of: try ruleset(text)) == [
          TranslationRule(
            .ipv4, isSource: false, addresses: first...IPAddress(ipv4: 0xC000_0209),
            ports: 5353...5354),
          TranslationRule(.ipv4, isSource: false, ports: 8080...8080),
          TranslationRule(.ipv4, isSource: true, addresses: own...own),
          TranslationRule(.ipv4, isSource: true, ports: 2000...2999),
        ])
    }

    @Test func targetsOfRulesThatAreGoneAreFound() async throws {
      let rule = "*nat\n-A PREROUTING -p udp -j DNAT --to-destination 192.0.2.9\nCOMMIT\n"
      let bench = try ControlSocketTests.Bench(capacity: 77, ruleset: ruleset(rule))
      func found() throws -> [TableFinding] {
        let table = try GatewayTable(bench.path)
        let surroundings = try table.surroundings()
        #expect(surroundings.settings?.max == 77)
        var diagnosis = TableDiagnosis(surroundings)
        try table.list(ListRequest()) { diagnosis.add($0) }
        return diagnosis.findings()
      }
      let udp = "-s 10.0.0.1 -d 10.0.0.2 -p udp --dport 53"
      #expect(try bench.run("-I \(udp) --sport 1 -t 9 -g 192.0.2.9:5353").status == 0)
      #expect(try found().isEmpty)
      #expect(try bench.run("-I \(udp) --sport 2 -t 9 -g 192.0.2.8").status == 0)
      let stale = try found()
      #expect(stale.map(\.kind) == [.staleTarget])
      #expect(stale.first?.summary.contains("goes to 192.0.2.8 udp port 53") == true)
      // What the advice says helps.
      #expect(try bench.run("-D -p udp --orig-dst 10.0.0.2 --dst-nat 192.0.2.8").status == 0)
      #expect(try found().isEmpty)
      #expect(try bench.run("-C").output == ["1"])
      await bench.close()
    }
  }
#endif
