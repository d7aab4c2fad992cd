// What the iptables programs print, refuse and return, against transcripts of the real ones.

import Foundation
import Ruleset
import Testing

struct IptablesTranscriptTests {
  private struct Run {
    var words: [String]
    var input = ""
    var output = ""
    var errors = ""
    var status: Int32 = 0
  }

  @Test(arguments: ["iptables.v4", "iptables.v6", "verbose.v4", "verbose.v6"])
  func answersAsTheRealOnes(_ name: String) throws {
    let url = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Recorded/\(name).transcript")
    let runs = IptablesTranscriptTests.read(try String(contentsOf: url, encoding: .utf8))
    #expect(runs.count > (name.hasPrefix("verbose") ? 6 : 100))
    var ruleset = Ruleset()
    for run in runs {
      let program = try #require(IptablesProgram(run.words[0]))
      let result = ruleset.run(
        program, arguments: Array(run.words.dropFirst()), input: run.input, date: "DATE")
      let command = run.words.joined(separator: " ")
      #expect(result.status == run.status, "\(command): \(result.errors)")
      #expect(result.output == run.output, "\(command)")
      // Words that cannot be used are refused in Weir's own words.
      if run.status != 2 { #expect(result.errors == run.errors, "\(command)") }
    }
  }

  @Test func aRefusedRestoreLeavesTheRules() throws {
    var ruleset = Ruleset()
    let program = try #require(IptablesProgram("iptables-restore"))
    #expect(
      ruleset.run(program, arguments: [], input: "*filter\n-A INPUT -j DROP\nCOMMIT\n").hasChanged)
    let before = ruleset
    let result = ruleset.run(
      program, arguments: ["-n"], input: "*filter\n-A INPUT -j LOG\n-A INPUT -j nope\nCOMMIT\n")
    #expect(result.status == 2)
    #expect(result.errors.contains("line: 3"))
    #expect(!result.hasChanged)
    #expect(ruleset == before)
  }

  private static func read(_ text: String) -> [Run] {
    var runs: [Run] = []
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("$ ") {
        runs.append(Run(words: words(line.dropFirst(2))))
      } else if line.hasPrefix("< ") {
        runs[runs.count - 1].input += line.dropFirst(2) + "\n"
      } else if line.hasPrefix("! ") {
        runs[runs.count - 1].errors += line.dropFirst(2) + "\n"
      } else if line.hasPrefix("= ") {
        runs[runs.count - 1].status = Int32(line.dropFirst(2)) ?? -1
      } else if !runs.isEmpty {
        runs[runs.count - 1].output += line + "\n"
      }
    }
    // The end of the file is no empty line.
    if let last = runs.indices.last, runs[last].output.hasSuffix("\n") {
      runs[last].output.removeLast()
    }
    return runs
  }

  /// Words with double quotes around some, and backslashes before quotes, as a shell has them.
  private static func words(_ line: Substring) -> [String] {
    var words: [String] = []
    var word = ""
    var isQuoted = false
    var isEscaped = false
    for character in line {
      switch character {
      case _ where isEscaped:
        word.append(character)
        isEscaped = false
      case "\\": isEscaped = true
      case "\"": isQuoted.toggle()
      case " " where !isQuoted:
        if !word.isEmpty { words.append(word) }
        word = ""
      default: word.append(character)
      }
    }
    return word.isEmpty ? words : words + [word]
  }
}
