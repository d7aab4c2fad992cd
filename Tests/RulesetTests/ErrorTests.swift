// Mistakes are refused with file, line, column, the words, and the nearest right one.

import Ruleset
import Testing

@Suite struct ErrorTests {
  static let mistakes: [(text: String, error: String)] = [
    (
      "iptables -A INPUT -p tcp --dpotr 80 -j ACCEPT",
      "r:1:26: unknown option `--dpotr`; did you mean `--dport`?"
    ),
    (
      "iptables -A INPUT --dport 80 -j ACCEPT",
      "r:1:19: `--dport` needs `-p tcp` or `-p udp` before it"
    ),
    (
      "iptables -A INPUT --ctstate NEW", "r:1:19: `--ctstate` needs `-m conntrack` before it"
    ),
    (
      "\niptables -A INPUT -m conntrak --ctstate NEW",
      "r:2:22: unknown match `conntrak`; did you mean `conntrack`?"
    ),
    (
      "iptables -A INPUT -m conntrack --ctstate NEW,ESTABLISED",
      "r:1:46: unknown connection state `ESTABLISED`; did you mean `ESTABLISHED`?"
    ),
    (
      "iptables -A INPUT -j ACEPT",
      "r:1:22: no target, and no chain in the table filter, is named `ACEPT`; "
        + "did you mean `ACCEPT`?"
    ),
    (
      "iptables -A INPT -j ACCEPT",
      "r:1:13: the table filter has no chain `INPT`; did you mean `INPUT`?"
    ),
    (
      "iptables -t nta -A INPUT -j ACCEPT", "r:1:13: unknown table `nta`; did you mean `nat`?"
    ),
    (
      "iptables -A INPUT -s 10.0.0.300 -j DROP", "r:1:22: `10.0.0.300` is not an IPv4 address"
    ),
    (
      "iptables -A INPUT -s ::1 -j DROP",
      "r:1:22: `::1` is an IPv6 address, the rule is for IPv4"
    ),
    (
      "iptables -A INPUT -s example.org -j DROP",
      "r:1:22: `example.org` is a host name; Weir looks no names up, write the address"
    ),
    (
      "iptables -A INPUT -s 10.0.0.0/33 -j DROP", "r:1:31: a prefix length is at most 32"
    ),
    (
      "iptables -A INPUT -p tpc -j DROP", "r:1:22: unknown protocol `tpc`; did you mean `tcp`?"
    ),
    (
      "iptables -A INPUT -p tcp --dport htpp -j DROP",
      "r:1:34: `htpp` is neither a port nor a known service; did you mean `http`?"
    ),
    (
      "iptables -A INPUT -p tcp --dport 30:20 -j DROP",
      "r:1:34: the port range `30:20` runs backwards"
    ),
    (
      "iptables -A INPUT -o eth0 -j DROP",
      "r:1:19: `-o` has no place in INPUT: its packets have no out interface"
    ),
    (
      "iptables -A OUTPUT -j MASQUERADE", "r:1:23: `-j MASQUERADE` can stand only in the table nat"
    ),
    (
      "iptables -t nat -A PREROUTING -j MASQUERADE",
      "r:1:34: `-j MASQUERADE` can stand only in POSTROUTING"
    ),
    (
      "iptables -t nat -N x\niptables -t nat -A x -j MASQUERADE\niptables -t nat -A INPUT -j x",
      "r:2:10: `-j MASQUERADE` can stand only in POSTROUTING, not below INPUT"
    ),
    (
      "iptables -N a\niptables -N b\niptables -A a -j b\niptables -A b -g a",
      "r:4:10: through this rule the chain `a` comes back to itself"
    ),
    (
      "iptables -t nat -A PREROUTING -j DNAT --to-destination 10.0.0.1:80",
      "r:1:34: ports need `-p` tcp, udp, sctp or dccp"
    ),
    (
      "iptables -A INPUT -j REJECT --reject-with tcp-reset",
      "r:1:22: `--reject-with tcp-reset` needs `-p tcp`"
    ),
    (
      "iptables -A INPUT -s ! 10.0.0.1", "r:1:22: `!` stands before the option: `! -s …`"
    ),
    (
      "iptables -A INPUT -m recent --set", "r:1:22: match `recent` is not supported yet"
    ),
    (
      "iptables -A INPUT -j TRACE", "r:1:22: target `TRACE` is not supported yet"
    ),
    (
      "iptables -A INPUT -s $LAN -j ACCEPT",
      "r:1:22: `$`: this is a list of rules, not a script; write the value itself"
    ),
    (
      "iptbles -A INPUT -j ACCEPT",
      "r:1:1: a line here is an iptables command or a comment, not `iptbles`; "
        + "did you mean `iptables`?"
    ),
    (
      "iptables -A INPUT –j ACCEPT",
      "r:1:19: this begins with a typographic dash, not with `-`"
    ),
    (
      "iptables -A INPUT -m comment --comment \"open", "r:1:40: this quote is not closed"
    ),
    (
      "*filter\n-A INPUT -j DROP\n", "r:1:1: no `COMMIT` ends the section `*filter`"
    ),
    (
      "*filtre\nCOMMIT\n", "r:1:1: unknown table `filtre`; did you mean `*filter`?"
    ),
    (
      "*filter\n:INPUT ACEPT [0:0]\nCOMMIT\n",
      "r:2:8: a policy is ACCEPT, DROP or `-`; did you mean `ACCEPT`?"
    ),
    (
      "*filter\n[1:x] -A INPUT\nCOMMIT\n", "r:2:1: counters are written `[packets:bytes]`"
    ),
    (
      "iptables -A INPUT -p tcp --s 5",
      "r:1:26: `--s` may mean `-c`, `-s`"
    ),
    (
      "iptables -D INPUT 1", "r:1:13: the chain `INPUT` has 0 rules, there is no 1"
    ),
    (
      "iptables -D INPUT -j DROP", "r:1:10: no rule of the chain `INPUT` is as this one says"
    ),
    (
      "iptables -X nochain", "r:1:13: the table filter has no chain `nochain`"
    ),
    (
      "iptables -N x\niptables -A INPUT -j x\niptables -X x",
      "r:3:13: rules still jump to the chain `x`"
    ),
    (
      "iptables -P INPUT REJECT", "r:1:19: a policy is ACCEPT or DROP"
    ),
  ]

  @Test(arguments: mistakes)
  func isRefused(_ mistake: (text: String, error: String)) {
    let error = #expect(throws: RulesetError.self) {
      try Ruleset(parsing: mistake.text, file: "r")
    }
    #expect(error?.description == mistake.error)
  }

  @Test func limitsHold() {
    var options = ParseOptions()
    options.maximumRules = 3
    options.maximumChains = 6
    options.maximumLineLength = 60
    let rule = "iptables -A INPUT -j DROP\n"
    #expect(throws: Never.self) {
      try Ruleset(parsing: String(repeating: rule, count: 3), options: options)
    }
    #expect(throws: RulesetError.self) {
      try Ruleset(parsing: String(repeating: rule, count: 4), options: options)
    }
    #expect(throws: RulesetError.self) {
      try Ruleset(
        parsing: "iptables -A INPUT -s 1.1.1.1,1.1.1.2 -d 2.2.2.2,2.2.2.3", options: options)
    }
    #expect(throws: RulesetError.self) {
      try Ruleset(parsing: "#" + String(repeating: "x", count: 60), options: options)
    }
    #expect(throws: RulesetError.self) {
      try Ruleset(
        parsing: (0..<4).map { "iptables -N c\($0)\n" }.joined(), options: options)
    }
  }

  @Test func aDeepChainOfJumpsIsNoMatter() throws {
    var text = "*filter\n"
    for number in 0..<20_000 { text += ":c\(number) - [0:0]\n" }
    text += "-A INPUT -j c0\n"
    for number in 1..<20_000 { text += "-A c\(number - 1) -j c\(number)\n" }
    text += "COMMIT\n"
    _ = try CompiledRuleset(Ruleset(parsing: text).ipv4)
  }
}
