// `weir doctor --kernel` with the kernel's rules: real flows through the kernel's router, rules that change under
// them, by iptables and by nft.

#if os(Linux)
  import Foundation
  import TableControl
  import Testing
  import Wire

  @testable import weir

  @Suite(.serialized)
  struct KernelDoctorTests {
    private struct Report: Decodable {
      struct Finding: Decodable {
        var kind: String
        var summary: String
        var evidence: [String]
      }
      var findings: [Finding]
      var unchecked: [String]
    }

    private func report(_ lab: Laboratory) throws -> Report {
      let result = lab.router("\(lab.weir) doctor --kernel --json")
      return try JSONDecoder().decode(Report.self, from: Data(result.output.utf8))
    }

    @Test func flowsAtTargetsThatNoRuleNames() throws {
      let lab = try Laboratory(.kernel)
      let rule = "PREROUTING -i wan -p udp --dport 5300 -j DNAT --to-destination"
      lab.router("iptables -t nat -A \(rule) 192.168.1.5:53")
      lab.router("iptables -I FORWARD -p udp -j ACCEPT")
      // The router sends it to the client.
      lab.server("echo x > /dev/udp/203.0.113.2/5300")
      let quiet = try report(lab)
      #expect(quiet.findings.isEmpty && quiet.unchecked.isEmpty, "\(quiet)")
      // The server behind it has moved; the flow that is there stays where it was.
      lab.router(
        "iptables -t nat -D \(rule) 192.168.1.5:53; iptables -t nat -A \(rule) 192.168.1.6:53")
      let stale = try report(lab)
      #expect(stale.findings.map(\.kind) == ["stale-target"], "\(stale)")
      #expect(
        stale.findings.first?.summary
          == "UDP to 203.0.113.2 udp port 5300 still goes to 192.168.1.5 udp port 53, which no rule names "
          + "any more.")
      // A rule of nftables' own may name it too, even one that takes its target from a map.
      lab.router(
        "nft add table ip own; nft add chain ip own p \\{ type nat hook prerouting priority -90 \\; \\}; "
          + "nft add rule ip own p udp dport 5301 dnat to 192.168.1.5:53")
      #expect(try report(lab).findings.isEmpty)
      lab.router(
        "nft flush chain ip own p; nft add rule ip own p udp dport 5301 dnat to 192.168.1.7")
      #expect(try report(lab).findings.map(\.kind) == ["stale-target"])
      lab.router(
        "nft add rule ip own p dnat to udp dport map \\{ 1 : 192.168.1.8 \\}")
      #expect(try report(lab).findings.isEmpty)
      lab.router("nft delete table ip own")
      // And so may one with a match that Weir does not know.
      lab.router(
        "iptables -t nat -A PREROUTING -p udp -m recent --name x --set -j DNAT --to-destination "
          + "192.168.1.5:53")
      #expect(try report(lab).findings.isEmpty)
    }

    @Test func portsOfARulesRange() throws {
      let lab = try Laboratory(.kernel)
      lab.router(
        "iptables -t nat -F POSTROUTING; "
          + "iptables -t nat -A POSTROUTING -o wan -p udp -j MASQUERADE --to-ports 2000-2009")
      lab.client("for i in {1..9}; do echo x > /dev/udp/203.0.113.10/9; done")
      let some = try report(lab)
      #expect(some.findings.map(\.kind) == ["ports-running-out"], "\(some)")
      #expect(some.findings.first?.evidence == ["9 of 10 ports in use, 90 %"])
      // What the rules dropped is told by top.
      lab.router("iptables -I FORWARD -p udp --dport 11 -j DROP")
      lab.client("echo x > /dev/udp/203.0.113.10/11")
      let top = lab.router("\(lab.weir) top --kernel --once --interval 0.1 --rows 20").output
      #expect(
        top.contains("dropped by rule 1 of filter FORWARD: -A FORWARD -p udp -m udp --dport 11"))
      #expect(
        top.contains("      1  203.0.113.2: 9 in use toward 203.0.113.10 udp port 9"), "\(top)")
    }

    @Test func statementsOfNftables() throws {
      let listing = """
        {"nftables": [{"metainfo": {"version": "1.0.6"}},
        {"rule": {"family": "ip", "table": "nat", "expr": [{"xt": {"type": "target", "name": "DNAT"}}]}},
        {"rule": {"family": "ip", "table": "own", "expr": [{"match": {"op": "=="}},
          {"dnat": {"addr": {"prefix": {"addr": "192.0.2.8", "len": 31}}, "port": {"range": [1, 9]}}}]}},
        {"rule": {"family": "ip", "table": "own", "expr": [{"redirect": {"port": 88}}]}},
        {"rule": {"family": "ip6", "table": "own", "expr": [{"masquerade": null}]}},
        {"rule": {"family": "inet", "table": "own", "expr": [
          {"snat": {"family": "ip6", "addr": {"range": ["2001:db8::1", "2001:db8::2"]}}}]}},
        {"rule": {"family": "ip", "table": "own", "expr": [{"dnat": {"addr": {"map": {}}}}]}}
        ]}
        """
      func ip(_ text: String) -> IPAddress { IPAddress.parse(text[...])?.0 ?? .any }
      let found = NFTTranslations.rules(in: listing, besides: ["ip": ["nat"]])
      #expect(
        found == [
          TranslationRule(
            .ipv4, isSource: false, addresses: ip("192.0.2.8")...ip("192.0.2.9"), ports: 1...9),
          TranslationRule(.ipv4, isSource: false, ports: 88...88),
          TranslationRule(.ipv6, isSource: true),
          TranslationRule(
            .ipv6, isSource: true, addresses: ip("2001:db8::1")...ip("2001:db8::2")),
          TranslationRule(.ipv4, isSource: false),
        ])
      // Of iptables' tables nft says only that there is something.
      #expect(NFTTranslations.rules(in: listing, besides: [:])?.count == 7)
      #expect(NFTTranslations.rules(in: "", besides: [:]) == nil)
      // Whatever is cut off or changed, nothing traps.
      let bytes = Array(listing.utf8)
      for place in stride(from: 0, to: bytes.count, by: 3) {
        var changed = bytes
        changed[place] = UInt8(ascii: place % 2 == 0 ? "9" : "\"")
        _ = NFTTranslations.rules(in: String(decoding: changed, as: UTF8.self), besides: [:])
        _ = NFTTranslations.rules(
          in: String(decoding: bytes.prefix(place), as: UTF8.self), besides: [:])
      }
    }

    @Test func rulesThatAreNotUnderstoodTranslateToAnywhere() {
      func found(_ text: String) -> [TranslationRule] { KernelRules.translation(in: text, .ipv4) }
      let address = IPAddress(ipv4: 0xC000_0201)
      #expect(
        found("-A PREROUTING -p udp -m x --y -j DNAT --to-destination 192.0.2.1:53") == [
          TranslationRule(.ipv4, isSource: false, addresses: address...address, ports: 53...53)
        ])
      #expect(found("-A P -m x -j MASQUERADE") == [TranslationRule(.ipv4, isSource: true)])
      #expect(
        found("-A P -m x -j DNAT --to-destination nonsense") == [
          TranslationRule(.ipv4, isSource: false)
        ])
      #expect(found("-A P -m x -j ACCEPT").isEmpty && found("").isEmpty && found("-j").isEmpty)
    }
  }
#endif
