// Any text is either read or refused, never a trap; and what was read compiles and answers.

import Ruleset
import Testing
import Wire

/// A small seeded generator, so that a failure repeats.
private struct Generator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }
}

@Suite struct FuzzTests {
  private func attempt(_ text: String, _ family: AddressFamily) {
    guard let ruleset = try? Ruleset(parsing: text, family: family) else { return }
    let printed = ruleset[family].saveText(counters: true)
    #expect(throws: Never.self, "\(text)") {
      let again = try Ruleset(parsing: printed, family: family)
      #expect(again[family].saveText(counters: true) == printed)
      // Which timeout policies there are is not the text's to say.
      if printed.contains("--timeout") { return }
      var compiled = try CompiledRuleset(ruleset[family])
      var context = MatchContext(
        source: .any, destination: .any, family: family, protocolNumber: 6, inInterface: .none,
        outInterface: InterfaceID(rawValue: 7), length: 40)
      for table in TableName.allCases {
        for chain in BuiltInChain.allCases {
          _ = compiled.evaluate(table: table, chain: chain, context: &context, now: .max)
          _ = compiled.evaluate(table: table, chain: chain, context: &context, now: .min)
        }
      }
    }
  }

  /// Recorded rules with bytes changed, doubled and left out.
  @Test(arguments: 0..<8)
  func mutatedRules(_ seed: Int) {
    var random = Generator(state: UInt64(seed) &* 0x9E37_79B9 &+ 1)
    let rules = RecordedRule.all
    for _ in 0..<1500 {
      let rule = rules[Int.random(in: 0..<rules.count, using: &random)]
      var bytes = Array(rule.text.utf8)
      for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: place)
        // A combining mark, which makes one character with what stands before it.
        case 3: bytes.insert(contentsOf: "\u{0301}".utf8, at: place)
        case 2: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: place)
        default:
          let end = min(bytes.count, place + Int.random(in: 1...12, using: &random))
          bytes += bytes[place..<end]
        }
      }
      attempt(String(decoding: bytes, as: UTF8.self), rule.family)
    }
  }

  /// Words of recorded rules shuffled together.
  @Test(arguments: 0..<4)
  func shuffledWords(_ seed: Int) {
    var random = Generator(state: UInt64(seed) &* 0x85EB_CA6B &+ 7)
    let words = RecordedRule.all.flatMap { $0.rule.split(separator: " ").map(String.init) }
    for _ in 0..<1500 {
      let count = Int.random(in: 1...12, using: &random)
      let rule = (0..<count).map { _ in words[Int.random(in: 0..<words.count, using: &random)] }
      let table = TableName.allCases.randomElement(using: &random)?.name ?? "filter"
      let text = "iptables -t \(table) -A INPUT " + rule.joined(separator: " ")
      attempt(text, .ipv4)
      attempt(text.replacing("iptables", with: "ip6tables", maxReplacements: 1), .ipv6)
    }
  }

  @Test func oddTexts() {
    let odd = [
      "", "\n", "\0", "*", "*\n", ":", "[", "[]", "[:]", "-", "--", "iptables -\u{0301}",
      "iptables --\u{0301}", "!", "! !", "iptables",
      "iptables -", "iptables --", "iptables -A", "iptables -A INPUT -s", "iptables -A INPUT -s ,",
      "iptables -A INPUT -s /", "iptables -A INPUT -s :::/0", "*filter\n-A\nCOMMIT",
      "*filter\n:\nCOMMIT", "*filter\n: -\nCOMMIT", "*filter\n[1:2]\nCOMMIT",
      "iptables -A INPUT \\", "\\", "iptables -A INPUT -c 1", "iptables -I INPUT 0 -j DROP",
      "iptables -I INPUT 99999999999999999999 -j DROP", "iptables -A INPUT -m", "sudo", "sudo -n",
      "iptables -t", "iptables -A INPUT -p tcp --tcp-flags SYN", "\u{FEFF}*filter\nCOMMIT",
      "iptables -A INPUT -m limit --limit 99999999999999999999/s",
      "iptables -A INPUT -m statistic --mode random --probability nan",
      "iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination [",
      "iptables -t nat -A PREROUTING -p tcp -j DNAT --to-destination :::",
      "ip6tables -t nat -A PREROUTING -p tcp -j DNAT --to-destination []:",
    ]
    for text in odd {
      attempt(text, .ipv4)
      attempt(text, .ipv6)
    }
  }
}
