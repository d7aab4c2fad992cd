// Reading lines back: what is refused and where, that no text traps, and that whatever is printed is
// read as it was.

import Conntrack
import Testing
import Wire

@testable import ConntrackFormat

/// SplitMix64: a seed repeats a failure.
private struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }
}

@Suite struct ParserTests {
  @Test(arguments: [
    ("", 1, "", "a protocol"),
    (
      "foo 6", 1, "foo",
      "a protocol (tcp, udp, udplite, icmp, icmpv6, sctp, dccp, gre or unknown)"
    ),
    ("tcp", 4, "", "tcp's number, 6"),
    ("tcp      17 5", 10, "17", "tcp's number, 6"),
    ("unknown 256 5", 9, "256", "a protocol number up to 255"),
    ("unknown -1 5", 9, "-1", "a protocol number up to 255"),
    ("ipv4 10 tcp", 6, "10", "`2'"),
    ("tcp 6 4294967296 src=", 7, "4294967296", "the seconds left"),
    ("tcp 6 5 OPEN src=", 9, "OPEN", "a tcp state or `src='"),
    ("udp 17 5 ESTABLISHED src=", 10, "ESTABLISHED", "`src='"),
    ("udp 17 5 src=1.2.3.4.5 dst=", 10, "src=1.2.3.4.5", "`src=' and an address"),
    ("udp 17 5 src=1.2.3.4 dst=::1", 22, "dst=::1", "`dst=' and an IPv4 address"),
    ("ipv6 10 udp 17 5 src=1.2.3.4", 18, "src=1.2.3.4", "`src=' and an IPv6 address"),
    ("udp 17 5 src=1.2.3.4 dst=1.2.3.5", 33, "", "`sport=' and a number up to 65535"),
    (
      "udp 17 5 src=1.2.3.4 dst=1.2.3.5 sport=65536", 34, "sport=65536",
      "`sport=' and a number up to 65535"
    ),
    (
      "udp 17 5 src=1.2.3.4 dst=1.2.3.5 sport=+1", 34, "sport=+1",
      "`sport=' and a number up to 65535"
    ),
    (
      "icmp 1 5 src=1.2.3.4 dst=1.2.3.5 type=256", 34, "type=256",
      "`type=' and a number up to 255"
    ),
    (
      "gre 47 5 src=1.2.3.4 dst=1.2.3.5 srckey=17", 34, "srckey=17",
      "`srckey=0x' and a hexadecimal number up to 0xffff"
    ),
    (
      "unknown 253 5 src=1.1.1.1 dst=2.2.2.2 packets=5 use=1", 49, "use=1",
      "`bytes=' and a number up to 18446744073709551615"
    ),
    (
      "unknown 253 5 src=1.1.1.1 dst=2.2.2.2 src=::1 dst=::2", 39, "src=::1",
      "`src=' and an IPv4 address"
    ),
    (
      "unknown 253 5 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1 use=1 mark=0", 69, "mark=0",
      "the end of the line"
    ),
    (
      "unknown 253 5 src=1.1.1.1 dst=2.2.2.2 zone-orig=1 src=2.2.2.2 dst=1.1.1.1 zone=1", 75,
      "zone=1", "one zone at most"
    ),
    (
      "unknown 253 5 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1 labels=a", 63, "labels=a",
      "names of labels that connlabel.conf has"
    ),
  ])
  func refused(line: String, column: Int, found: String, expected: String) {
    #expect(throws: ConntrackLineError(column: column, found: found, expected: expected)) {
      try ConntrackFormat.parse(line: line[...])
    }
  }

  @Test func refusalAsText() throws {
    let listing = """
      tcp      6 5 CLOSE src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 mark=0 use=1

      conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.
      udp      17 5 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 [UNREPLY]
      """
    #expect(
      throws: ConntrackLineError(
        line: 4, column: 55, found: "[UNREPLY]", expected: "`src=' and an IPv4 address")
    ) {
      try ConntrackFormat.parse(listing: listing)
    }
    let error = ConntrackLineError(line: 4, column: 55, found: "x", expected: "`src='")
    #expect(error.description == "line 4, column 55: expected `src=', but found `x'")
    let end = ConntrackLineError(column: 5, found: "", expected: "`src='")
    #expect(end.description == "column 5: expected `src=', but the line ends")
    let good = listing.split(separator: "\n").dropLast().joined(separator: "\n")
    #expect(try ConntrackFormat.parse(listing: good + "\r\n").count == 1)
  }

  @Test func ageGivesTheStart() throws {
    let line = "unknown 253 5 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1 delta-time="
    #expect(try connection(line + "7").startNanoseconds == nil)
    #expect(
      try connection(line + "7", nowNanoseconds: 9_500_000_000).startNanoseconds == 2_500_000_000)
    let most = "18446744073709551615"
    #expect(try connection(line + most, nowNanoseconds: 9).startNanoseconds == nil)
    #expect(try connection(line + "9000000000", nowNanoseconds: .min).startNanoseconds == nil)
  }

  // MARK: Properties

  /// A connection of the kind a line can hold: whole seconds, and the status a line shows.
  private func anyConnection(_ random: inout SeededGenerator) -> Connection {
    func pick<Element>(_ elements: [Element]) -> Element {
      elements[Int.random(in: 0..<elements.count, using: &random)]
    }
    func address(_ family: AddressFamily) -> IPAddress {
      switch family {
      case .ipv4: IPAddress(ipv4: UInt32.random(in: 0 ... .max, using: &random))
      case .ipv6:
        // Mostly zero groups: the runs are what is hard.
        IPAddress(
          high: UInt64.random(in: 0 ... .max, using: &random)
            & pick([0, .max, 0xffff, 0xff << 32]),
          low: UInt64.random(in: 0 ... .max, using: &random) & pick([0, .max, 0xffff_ffff]))
      }
    }
    let family = pick(AddressFamily.allCases)
    let number = pick([6, 17, 1, 58, 132, 33, 47, 136, 50, 253, 0, 255] as [UInt8])
    let hasPorts = tupleKind(number) != .nothing
    func port() -> UInt16 { hasPorts ? UInt16.random(in: 0 ... .max, using: &random) : 0 }
    let original = Tuple(
      source: address(family), destination: address(family), sourcePort: port(),
      destinationPort: port(), protocolNumber: number, family: family)
    var reply = Tuple(
      source: original.destination, destination: original.source,
      sourcePort: original.destinationPort, destinationPort: original.sourcePort,
      protocolNumber: number, family: family)
    if tupleKind(number) == .icmp {
      reply.sourcePort = original.sourcePort
      reply.destinationPort = port()
    }
    var result = Connection(original: original, reply: reply)
    result.status = [.confirmed]
    if Bool.random(using: &random) {
      result.reply.destination = address(family)
      let changed = result.reply.destination != original.source
      if changed { result.status.formUnion([.sourceNAT, .sourceNATDone, .destinationNATDone]) }
    }
    if Bool.random(using: &random) { result.status.insert(.seenReply) }
    if Bool.random(using: &random) { result.status.insert(.assured) }
    result.timeoutNanoseconds = Int64(UInt32.random(in: 0 ... .max, using: &random)) * 1_000_000_000
    result.protocolState =
      switch number {
      case 6: .tcp(pick(TCPState.allCases))
      case 132: .sctp(pick(SCTPState.allCases))
      case 33: pick([.none, .dccp(pick(DCCPState.allCases))])
      default: .none
      }
    result.mark = pick([0, 1, .max])
    if Bool.random(using: &random) {
      result.zone = UInt16.random(in: 1 ... .max, using: &random)
      result.zoneDirection = pick(ZoneDirection.allCases)
    }
    if Bool.random(using: &random) {
      result.originalCounters = ConnectionCounters(packets: .max, bytes: random.next())
      result.replyCounters = ConnectionCounters(packets: random.next() % 10, bytes: 0)
    }
    if Bool.random(using: &random) {
      result.startNanoseconds =
        Int64.random(in: -1_000_000...1_795_524_010, using: &random) * 1_000_000_000
    }
    result.id = UInt32.random(in: 0 ... .max, using: &random)
    result.helperName = pick([nil, "ftp", "sip"])
    result.securityContext = pick([nil, "system_u:object_r:x_t:s0"])
    if Bool.random(using: &random) {
      result.labels = ConnectionLabels(low: random.next(), high: random.next())
    }
    return result
  }

  private var everyLabel: LabelNames {
    LabelNames(configuration: (0..<128).map { "\($0) label-\($0)" }.joined(separator: "\n"))
  }

  @Test(arguments: 0..<8 as Range<UInt64>)
  func whatIsPrintedIsRead(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let now: Int64 = 1_795_524_010_000_000_000
    var output = ConntrackOutput()
    output.id = true
    output.labels = everyLabel
    output.nowNanoseconds = now
    for _ in 0..<500 {
      output.extended.toggle()
      let entry = anyConnection(&random)
      let line = ConnectionWriter(output).line(entry)
      let read = try ConntrackFormat.parse(
        line: line[...], labelNames: everyLabel, nowNanoseconds: now)
      #expect(read == entry, "seed \(seed): \(line)")
      #expect(ConnectionWriter(output).line(read) == line, "seed \(seed)")

      // What /proc does not show, and the ports it hides for DCCP.
      var kernel = entry
      kernel.labels = nil
      kernel.helperName = nil
      kernel.id = 0
      if entry.original.protocolNumber == 33 { continue }
      let proc = ProcWriter(nowNanoseconds: now).line(entry)
      #expect(
        try ConntrackFormat.parse(line: proc[...], nowNanoseconds: now) == kernel,
        "seed \(seed): \(proc)")
    }
  }

  /// Lines cut, doubled, and with bytes changed: an error or a connection, never a trap.
  @Test(arguments: 0..<8 as Range<UInt64>)
  func noTextTraps(seed: UInt64) {
    var random = SeededGenerator(state: seed ^ 0xABCD)
    var output = ConntrackOutput()
    output.id = true
    output.labels = everyLabel
    let pieces = Array(
      "src= dst= sport= -1 +5 99999999999999999999999 0x = , [ ] : :: . é \u{0} \u{301} use=".utf8)
    for _ in 0..<300 {
      output.extended.toggle()
      var bytes = Array(ConnectionWriter(output).line(anyConnection(&random)).utf8)
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let start = Int.random(in: 0...bytes.count, using: &random)
        let end = Int.random(in: start...min(bytes.count, start + 12), using: &random)
        let from = Int.random(in: 0..<pieces.count, using: &random)
        let to = Int.random(in: from...min(pieces.count, from + 9), using: &random)
        bytes.replaceSubrange(start..<end, with: pieces[from..<to])
      }
      let text = String(decoding: bytes, as: UTF8.self)
      let read = try? ConntrackFormat.parse(
        line: text[...], labelNames: everyLabel, nowNanoseconds: 5)
      if let read { _ = ConnectionWriter(output).line(read) }
      _ = try? ConntrackFormat.parse(listing: text)
      let words = text.split(separator: " ").map(String.init)
      for word in words {
        let value = word.split(separator: "=").last.map(String.init) ?? ""
        for option in ["-p", "-s", "-n", "-u", "-m", "-w", "-f", "-r"] {
          _ = try? ConnectionFilter(arguments: [option, value])
        }
      }
      _ = try? ConnectionFilter(arguments: words)
      _ = try? ConnectionFilter(arguments: ["-p", "tcp"] + words)
    }
  }

  @Test func calendar() {
    func text(_ seconds: Int64) -> String {
      var buffer: [UInt8] = []
      CalendarTime(secondsSince1970: seconds).append(to: &buffer)
      return String(decoding: buffer, as: UTF8.self)
    }
    #expect(text(0) == "Thu Jan  1 00:00:00 1970")
    #expect(text(100) == "Thu Jan  1 00:01:40 1970")
    #expect(text(951_782_399) == "Mon Feb 28 23:59:59 2000")
    #expect(text(951_782_400) == "Tue Feb 29 00:00:00 2000")
    #expect(text(951_868_800) == "Wed Mar  1 00:00:00 2000")
    #expect(text(1_795_523_889) == "Tue Nov 24 12:38:09 2026")
    #expect(text(-1) == "Wed Dec 31 23:59:59 1969")
  }
}
