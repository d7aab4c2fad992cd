// Every form against what conntrack 1.4.7 and the kernel printed: one recorded table in all of them,
// and single lines, literally.

import Conntrack
import ConntrackFormat
import Foundation
import Testing
import Wire

/// Reads a line that is known to be one.
func connection(_ line: String, nowNanoseconds: Int64? = nil) throws -> Connection {
  try ConntrackFormat.parse(line: line[...], nowNanoseconds: nowNanoseconds)
}

@Suite struct FormTests {
  @Test func recordedTableInEveryForm() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Recorded/forms.txt")
    var recorded: [Substring: [Substring]] = [:]
    var table: [Connection] = []
    var extended: [Substring] = []
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
      let parts = line.split(separator: "\t", maxSplits: 1)
      if let status = UInt32(parts[0], radix: 16) {
        var entry = try ConntrackFormat.parse(line: parts[1])
        entry.status = ConnectionStatus(rawValue: status)
        table.append(entry)
        extended.append(parts[1])
      } else {
        recorded[parts[0], default: []].append(parts[1])
      }
    }
    #expect(table.count == 51)

    var output = ConntrackOutput()
    let plain = ConnectionWriter(output)
    output.extended = true
    output.id = true
    let full = ConnectionWriter(output)
    for (entry, line) in zip(table, extended) { #expect(full.line(entry) == line) }

    func expect(_ form: Substring, _ print: (Connection) -> String) {
      let ours = Set(table.map(print))
      let theirs = Set((recorded[form] ?? []).map(String.init))
      #expect(theirs.count > 45)
      #expect(ours.subtracting(theirs).sorted() == [], "\(form): what only we print")
      #expect(theirs.subtracting(ours).sorted() == [], "\(form): what only they print")
    }
    expect("plain", plain.line)
    expect("xml", XMLWriter().line)
    // A helper's name is in neither; nor is the id.
    // GRE entries that `conntrack -I` made have no timeouts of their own until a packet comes.
    recorded["proc"] = recorded["proc"]?.map {
      $0.replacing("timeout=0, stream_timeout=0", with: "timeout=30, stream_timeout=180")[...]
    }
    expect("proc", ProcWriter().line)
    // Verification tags are the one thing a Connection does not hold.
    recorded["save"] = recorded["save"]?.map { line in
      line[..<(line.firstRange(of: " --orig-vtag")?.lowerBound ?? line.endIndex)]
    }
    expect("save", SaveWriter().line)
  }

  // MARK: The samples of the user's notes, in the spacing conntrack prints

  static let samples = [
    "tcp      6 43184 ESTABLISHED src=192.168.2.5 dst=10.25.39.80 sport=5646 dport=443 src=10.25.39.80 dst=192.168.2.5 sport=443 dport=5646 [ASSURED] mark=0 use=1",
    "tcp      6 26 SYN_SENT src=192.168.2.5 dst=192.168.2.10 sport=35684 dport=443 [UNREPLIED] src=192.168.2.10 dst=192.168.2.5 sport=443 dport=35684 mark=0 use=1",
    "udp      17 29 src=192.168.8.1 dst=239.255.255.250 sport=48169 dport=1900 [UNREPLIED] src=239.255.255.250 dst=192.168.8.1 sport=1900 dport=48169 mark=0 use=1",
    "tcp      6 114 TIME_WAIT src=10.0.0.10 dst=10.8.2.12 sport=5536 dport=80 src=10.8.2.12 dst=192.168.1.2 sport=80 dport=5536 [ASSURED] mark=0 use=1",
  ]

  @Test(arguments: samples)
  func sampleOfTheNotes(line: String) throws {
    let entry = try connection(line)
    #expect(ConnectionWriter().line(entry) == line)
    var output = ConntrackOutput()
    try output.add(words: "extended")
    #expect(ConnectionWriter(output).line(entry) == "ipv4     2 " + line)
    // As the notes show them, one space between two words.
    let squeezed = line.split(separator: " ").joined(separator: " ")
    #expect(try connection(squeezed) == entry)
  }

  static let oldProcSamples = [
    "ipv4     2 tcp      6 117 SYN_SENT src=192.168.1.5 dst=192.168.1.7 sport=1031 dport=23 [UNREPLIED] src=192.168.1.7 dst=192.168.1.5 sport=23 dport=1031 use=1",
    "ipv4     2 tcp      6 57 SYN_RECV src=192.168.1.5 dst=192.168.1.7 sport=1031 dport=23 src=192.168.1.7 dst=192.168.1.5 sport=23 dport=1031 use=1",
    "ipv4     2 tcp      6 431999 ESTABLISHED src=192.168.1.5 dst=192.168.1.7 sport=1031 dport=23 src=192.168.1.7 dst=192.168.1.5 sport=23 dport=1031 [ASSURED] use=1",
    "ipv4     2 udp      17 20 src=192.168.1.2 dst=192.168.1.5 sport=137 dport=1025 [UNREPLIED] src=192.168.1.5 dst=192.168.1.2 sport=1025 dport=137 use=1",
    "ipv4     2 udp      17 170 src=192.168.1.2 dst=192.168.1.5 sport=137 dport=1025 src=192.168.1.5 dst=192.168.1.2 sport=1025 dport=137 [ASSURED] use=1",
    "ipv4     2 udp      17 175 src=192.168.1.5 dst=195.22.79.2 sport=1025 dport=53 src=195.22.79.2 dst=192.168.1.5 sport=53 dport=1025 [ASSURED] use=1",
  ]

  /// Older kernels' lines are read; today's `/proc` form of them is printed.
  @Test(arguments: oldProcSamples)
  func oldProcSampleOfTheNotes(line: String) throws {
    let entry = try connection(line)
    #expect(
      ProcWriter().line(entry)
        == line.replacing("use=1", with: "mark=0 zone=0 use=2"))
    var output = ConntrackOutput()
    output.extended = true
    #expect(
      ConnectionWriter(output).line(entry) == line.replacing("use=1", with: "mark=0 use=1"))
  }

  @Test func natSampleIsSourceNAT() throws {
    let entry = try connection(FormTests.samples[3])
    #expect(entry.status.contains([.sourceNAT, .sourceNATDone]))
    #expect(!entry.status.contains(.destinationNAT))
    let filter = try ConnectionFilter(arguments: ["-p", "tcp", "--src-nat"])
    #expect(filter.matches(entry))
    #expect(try !filter.matches(connection(FormTests.samples[0])))
  }

  // MARK: What -o adds

  /// Everything a line can have, as libnetfilter_conntrack 1.0.9 printed it (less secmark, which
  /// today's kernel does not send).
  private var full: Connection {
    get throws {
      var entry = try connection(
        "tcp 6 55 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 "
          + "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [ASSURED] mark=5 "
          + "secctx=system_u:object_r:x_t:s0 zone=7 helper=ftp id=99")
      entry.startNanoseconds = 1_700_000_000_000_000_005
      entry.stopNanoseconds = 1_700_000_100_000_000_005
      entry.labels = ConnectionLabels(low: 0b1001, high: 1 << 32)
      return entry
    }
  }

  private let names = LabelNames(configuration: "0 eth0-in\n3 my-label\n5 five\n96 big\n")

  @Test func everything() throws {
    var output = ConntrackOutput()
    let start =
      "tcp      6 55 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 "
      + "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [ASSURED] mark=5 "
      + "secctx=system_u:object_r:x_t:s0 zone=7 delta-time=100 "
    #expect(try ConnectionWriter(output).line(full) == start + "helper=ftp use=1")
    try output.add(words: "id,LABELS", labelNames: names)
    let labelled = try ConnectionWriter(output).line(full)
    #expect(labelled == start + "helper=ftp use=1 id=99 labels=eth0-in,my-label,big")
    let again = try ConntrackFormat.parse(line: labelled[...], labelNames: names)
    #expect(try again.labels == full.labels)
    try output.add(words: "extended,ktimestamp,timestamp,userspace")
    #expect(
      try ConnectionWriter(output).line(full)
        == "ipv4     2 " + start
        + "[start=Tue Nov 14 22:13:20 2023] [stop=Tue Nov 14 22:15:00 2023] "
        + "helper=ftp use=1 id=99 labels=eth0-in,my-label,big")
    output.secondsAheadOfUTC = -3600 * 23
    #expect(
      try ConnectionWriter(output).line(full).contains("[start=Mon Nov 13 23:13:20 2023]"))
    #expect(throws: ConntrackArgumentError("Bad parameter `foo'")) {
      try output.add(words: "extended,foo")
    }
    #expect(throws: ConntrackArgumentError("Bad parameter `'")) { try output.add(words: "id,") }
  }

  @Test func labelsWithoutNames() throws {
    var output = ConntrackOutput()
    output.labels = names
    var entry = try full
    entry.labels = ConnectionLabels(low: 2)
    #expect(ConnectionWriter(output).line(entry).hasSuffix("use=1 labels"))
    entry.labels = nil
    #expect(ConnectionWriter(output).line(entry).hasSuffix("use=1"))
  }

  /// conntrack counts `delta-time` in whole seconds on either side, the kernel divides.
  @Test func age() throws {
    var output = ConntrackOutput()
    var entry = try connection("unknown 253 1 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1")
    entry.startNanoseconds = 900_000_000
    output.nowNanoseconds = 100_100_000_000
    #expect(ConnectionWriter(output).line(entry).hasSuffix("mark=0 delta-time=100 use=1"))
    #expect(
      ProcWriter(nowNanoseconds: 100_100_000_000).line(entry)
        .hasSuffix("mark=0 zone=0 delta-time=99 use=2"))
    output.nowNanoseconds = 0
    #expect(ConnectionWriter(output).line(entry).hasSuffix("delta-time=0 use=1"))
  }

  @Test func flowTable() throws {
    for word in ["[OFFLOAD]", "[HW_OFFLOAD]"] {
      let line =
        "tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 "
        + "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 \(word) mark=5 use=1"
      var entry = try connection(line)
      entry.protocolState = .tcp(.established)
      entry.timeoutNanoseconds = 86_400_000_000_000
      entry.status.insert(.assured)
      #expect(ConnectionWriter().line(entry) == line)
    }
  }

  @Test func statesOfEveryProtocol() throws {
    let tail =
      " src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 [UNREPLIED] "
      + "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 mark=0 use=1"
    let lines =
      TCPState.allCases.map { "tcp      6 55 \($0.name)" + tail }
      + SCTPState.allCases.map { "sctp     132 55 \($0.name)" + tail }
      + DCCPState.allCases.map { "dccp     33 55 \($0.name)" + tail }
    #expect(lines.count == 30)
    for line in lines { #expect(try ConnectionWriter().line(connection(line)) == line) }
  }
}
