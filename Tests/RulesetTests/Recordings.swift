// Where the recorded answers of the real iptables and the running kernel lie, and reading them.

import Foundation
import Ruleset
import Testing
import Wire

enum Recordings {
  /// A file beside this one, under `Recorded`.
  static func text(_ name: String, here: String = #filePath) -> String? {
    read(directory(of: here) + "/Recorded/" + name)
  }

  /// A file of the material from outside, nil where the folder is absent.
  static func material(_ name: String, here: String = #filePath) -> String? {
    read(materialFolder(here) + "/" + name)
  }

  /// Where the material from outside lies: beside the project.
  static func materialFolder(_ here: String = #filePath) -> String {
    let root = directory(of: directory(of: directory(of: here)))
    return root + "/../shared/material/rulesets"
  }

  private static func directory(of path: String) -> String {
    String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
  }

  private static func read(_ path: String) -> String? {
    try? String(contentsOfFile: path, encoding: .utf8)
  }
}

/// One line of `rules.v4.txt` or `rules.v6.txt`.
struct RecordedRule: CustomTestStringConvertible {
  enum Answer: Equatable {
    case printed(String)
    case refused
    /// Weir differs on purpose.
    case different
  }

  var family: AddressFamily
  var table: String
  var chain: String
  var rule: String
  var answer: Answer

  var testDescription: String { "\(table) \(chain) \(rule)" }

  /// The rule in a table of its own with a user chain U1, as it was asked.
  var text: String {
    let isCommand = ["-A", "-I", "-N"].contains { rule.hasPrefix($0) }
    return "*\(table)\n:U1 - [0:0]\n\(isCommand ? rule : "-A \(chain) \(rule)")\nCOMMIT\n"
  }

  static let all: [RecordedRule] =
    read("rules.v4.txt", .ipv4) + read("rules.v6.txt", .ipv6)

  private static func read(_ name: String, _ family: AddressFamily) -> [RecordedRule] {
    (Recordings.text(name) ?? "").split(separator: "\n").compactMap { line in
      let parts = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 4, let slash = parts[1].firstIndex(of: "/") else { return nil }
      let answer: Answer =
        switch parts[0] {
        case "=": .printed(parts[3])
        case "E": .refused
        default: .different
        }
      return RecordedRule(
        family: family, table: String(parts[1][..<slash]),
        chain: String(parts[1][parts[1].index(after: slash)...]), rule: parts[2], answer: answer)
    }
  }
}
