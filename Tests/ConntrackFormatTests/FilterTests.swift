// Every filter option against one recorded table: what is chosen must be what conntrack 1.4.7 chose.

import Conntrack
import ConntrackFormat
import Foundation
import Testing
import Wire

/// The recording, read once.
private struct Recording {
  var table: [Connection] = []
  var questions: [(options: [String], answer: Answer)] = []

  enum Answer: Equatable {
    case ids([UInt32])
    case refusal(String)
  }

  init() throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Recorded/filters.txt")
    var options: [String] = []
    for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
      switch line.first {
      case "$": options = line.dropFirst(2).split(separator: " ").map(String.init)
      case "=":
        let ids = line.dropFirst(2).split(separator: " ").compactMap { UInt32($0) }
        questions.append((options, .ids(ids)))
      case "!": questions.append((options, .refusal(String(line.dropFirst(2)))))
      default:
        let parts = line.split(separator: "\t")
        var connection = try ConntrackFormat.parse(line: parts[1])
        connection.status = ConnectionStatus(rawValue: try #require(UInt32(parts[0], radix: 16)))
        table.append(connection)
      }
    }
  }
}

@Suite struct FilterTests {
  @Test func everyRecordedQuestion() throws {
    let recording = try Recording()
    #expect(recording.table.count == 51)
    #expect(recording.questions.count > 150)
    for (options, recorded) in recording.questions {
      var answer: Recording.Answer
      do {
        let filter = try ConnectionFilter(arguments: options)
        answer = .ids(recording.table.filter(filter.matches).map(\.id).sorted())
      } catch {
        answer = .refusal(error.message)
      }
      #expect(answer == recorded, "conntrack -L \(options.joined(separator: " "))")
    }
  }

  @Test func manualRatherThanQuirks() throws {
    let table = try Recording().table
    func count(_ options: String...) throws -> Int {
      var filter = try ConnectionFilter(arguments: options)
      filter.keepsConntrackQuirks = false
      return table.count(where: filter.matches)
    }
    #expect(try count("-p", "gre", "--srckey", "0x11") == 1)
    #expect(try count("-p", "gre", "--reply-key-src", "77") == 1)
    #expect(try count("-n", "2001:db8::7") == 2)
    #expect(try count("-n", "2001:db8::8") == 0)
    // One ping is translated, two are not.
    #expect(try count("-p", "icmp", "-n") == 1)
    #expect(try count("-p", "icmp", "-g") == 0)
    #expect(try count("-p", "icmpv6", "-j") == 0)
    #expect(try count("-p", "tcp", "-n") == 5)
  }

  /// Each as conntrack 1.4.7 was seen to take it.
  @Test(
    arguments: [
      ("0x10", 0, 16), ("010", 10, 8), ("10x", 10, 10), ("10-s", 10, 10), ("x", 0, 0), ("", 0, 0),
      ("-1", 65535, 0xffff_ffff), ("70000", 4464, 70000), ("99999999999", 59391, 1_215_752_191),
      ("99999999999999999999999", 65535, 0xffff_ffff), (" 5", 5, 5), ("+5", 5, 5), ("0x", 0, 0),
      ("08", 8, 0), ("4294967297", 1, 1), ("-70000", 61072, 4_294_897_296),
    ] as [(String, UInt16, UInt32)])
  func oddNumbers(text: String, decimal: UInt16, number: UInt32) {
    #expect(ConntrackArgument.decimal(text, as: UInt16.self) == decimal)
    #expect(ConntrackArgument.decimal(text, as: UInt8.self) == UInt8(truncatingIfNeeded: decimal))
    #expect(ConntrackArgument.number(text, as: UInt32.self) == number)
    #expect(ConntrackArgument.mark("7/\(text)") == (7, number))
    #expect(ConntrackArgument.mark(text) == (number, .max))
  }

  @Test(arguments: [
    (["-n", "192.0.2.1:http"], "Invalid port `http'"),
    (["-n", "192.0.2.1:65536"], "Invalid port `65536'"),
    (["-n", "192.0.2.1:-1"], "Invalid port `-1'"),
    (["-u", ""], "Bad parameter `'"),
    (["-u", "ASSURED,"], "Bad parameter `'"),
    (["-n", "-g", "-j"], "cannot specify `--src-nat' or `--dst-nat' with `--any-nat'"),
    (["-l", "nope"], "unknown label 'nope'"),
    (["-s", "1.2.3.4/"], "Invalid netmask"),
    (["-s", "1.2.3.4/+8"], "Invalid netmask"),
    (["-p", "sctp", "--state", "FOO"], "unknown SCTP state `FOO'"),
    (["stray"], "unknown option `stray'"),
  ])
  func refusals(options: [String], message: String) {
    #expect(throws: ConntrackArgumentError(message)) {
      try ConnectionFilter(arguments: options)
    }
  }

  @Test func refusalAsPrinted() {
    #expect(
      ConntrackArgumentError("Bad parameter `foo'").description == """
        conntrack v1.4.7 (conntrack-tools): Bad parameter `foo'
        Try `conntrack -h' or 'conntrack --help' for more information.

        """)
    #expect(ConntrackArgumentError.exitStatus == 2)
  }

  @Test func labels() throws {
    let names = LabelNames(configuration: "0 eth0-in\n3 my-label\n5 five\n# no\n96 big\nx y\n")
    var connection = try ConntrackFormat.parse(
      line: "unknown 253 1 src=1.1.1.1 dst=2.2.2.2 src=2.2.2.2 dst=1.1.1.1")
    connection.labels = ConnectionLabels(low: 0b1000)
    func matches(_ options: String...) throws -> Bool {
      try ConnectionFilter(arguments: options, labelNames: names).matches(connection)
    }
    #expect(try matches("-l", "my-label"))
    #expect(try !matches("-l", "five"))
    #expect(try !matches("-l", "my-label,five"))
    #expect(try !matches("-l", "my-label", "-l", "five"))
    connection.labels?[5] = true
    #expect(try matches("--label=my-label,five"))
    connection.labels = nil
    #expect(try !matches("-l", "my-label"))
  }
}
