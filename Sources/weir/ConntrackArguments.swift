// The words after `weir conntrack`: Weir's own options set apart from conntrack's, and those read as
// conntrack 1.4.7 reads them, with its own refusals.

import ConntrackFormat

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// One command line of `weir conntrack`, checked.
struct ConntrackArguments {
  enum Command: String {
    case list = "-L"
    case count = "-C"
    case events = "-E"
    case statistics = "-S"
    case help = "-h"
    case version = "-V"
  }

  enum Table: String {
    case conntrack
    case expect
    case dying
    case unconfirmed
  }

  enum Form {
    case lines
    case xml
    case save
  }

  /// The words for `HostOptions`.
  var hostWords: [String] = []
  var capture: String?
  /// `-L` as `/proc/net/nf_conntrack`.
  var procfs = false

  var command: Command?
  var table = Table.conntrack
  var filter = ConnectionFilter()
  var form = Form.lines
  var output = ConntrackOutput()
  /// `-e`; nil: all.
  var eventMask: Set<EventWord>?

  enum EventWord: String {
    case new = "NEW"
    case updates = "UPDATES"
    case destroy = "DESTROY"
  }

  // What is read before it is checked.
  private var filterWords: [String] = []
  private var otherOptions: [String] = []
  private let labelNames: LabelNames

  init(_ words: [String], labelNames: LabelNames) throws {
    self.labelNames = labelNames
    var index = 0
    while index < words.count {
      index += try read(words[index], index + 1 < words.count ? words[index + 1] : nil)
    }
    filter = try ConnectionFilter(arguments: filterWords, labelNames: labelNames)
    if filter.labels != nil { output.labels = labelNames }
    try check()
  }

  // MARK: Reading

  private static let hostOptions: Set<String> = [
    "--host", "--rules", "--rules6", "--local", "--in", "--set", "--clock", "--seed",
  ]
  private static let hostFlags: Set<String> = ["--ignore-unsupported", "--fill-truncated"]

  /// Takes a word, and perhaps the one after it; how many it took.
  private mutating func read(_ word: String, _ next: String?) throws -> Int {
    let (name, attached) = ConntrackArguments.split(word)
    if ConntrackArguments.hostFlags.contains(name) {
      hostWords.append(word)
      return 1
    }
    if ConntrackArguments.hostOptions.contains(name) || name == "--capture" {
      guard let value = attached ?? next else {
        throw Failure.unusable("weir conntrack: \(name) needs a value")
      }
      if name == "--capture" { capture = value } else { hostWords += [name, value] }
      return attached == nil ? 2 : 1
    }
    if name == "--procfs" {
      procfs = true
      return 1
    }
    if let command = try ConntrackArguments.command(name) {
      return try take(command, attached ?? next, takesNext: attached == nil)
    }
    return try readOption(word, name, attached, next)
  }

  private static func split(_ word: String) -> (String, String?) {
    if word.hasPrefix("--") {
      guard let sign = word.firstIndex(of: "=") else { return (word, nil) }
      return (String(word[..<sign]), String(word[word.index(after: sign)...]))
    }
    guard word.hasPrefix("-"), word.utf8.count > 2 else { return (word, nil) }
    return (String(word.prefix(2)), String(word.dropFirst(2)))
  }

  private static func command(_ name: String) throws -> Command? {
    switch name {
    case "-L", "--dump": return .list
    case "-C", "--count": return .count
    case "-E", "--event": return .events
    case "-S", "--stats": return .statistics
    case "-h", "--help": return .help
    case "-V", "--version": return .version
    case "-I", "--create", "-A", "--add", "-U", "--update", "-D", "--delete", "-F", "--flush",
      "-G", "--get", "-R", "--load-file":
      throw Failure.unusable(
        "weir conntrack: `\(name)` asks for a table that lives on; a replayed capture's ends with "
          + "the command. It knows -L, -C, -E and -S")
    default: return nil
    }
  }

  private mutating func take(_ command: Command, _ word: String?, takesNext: Bool) throws -> Int {
    guard self.command == nil else {
      throw ConntrackArgumentError("Invalid commands combination")
    }
    self.command = command
    guard let word, !word.hasPrefix("-"), takesNext else { return 1 }
    guard let table = Table(rawValue: word) else {
      throw ConntrackArgumentError("unknown type `\(word)'")
    }
    if command != .list && (table == .dying || table == .unconfirmed) {
      throw ConntrackArgumentError(
        "Can't do that command with tables `dying' and `unconfirmed'")
    }
    self.table = table
    return 2
  }

  /// Options that are no filter, and what filters need of the words around them.
  private mutating func readOption(
    _ word: String, _ name: String, _ attached: String?, _ next: String?
  ) throws -> Int {
    // A word that is no option's: conntrack passes over it.
    guard word.hasPrefix("-") else { return 1 }
    switch name {
    case "-z", "--zero":
      otherOptions.append("zero")
      return 1
    case "-n", "-g", "-j", "--src-nat", "--dst-nat", "--any-nat":
      // The value is the next word unless that is an option.
      filterWords.append(word)
      guard attached == nil, let next, !next.hasPrefix("-") else { return 1 }
      filterWords.append(next)
      return 2
    case "-o", "--output", "-e", "--event-mask", "-b", "--buffer-size":
      guard let value = attached ?? next else {
        throw ConntrackArgumentError("option `\(name)' requires an argument")
      }
      try set(name, value)
      return attached == nil ? 2 : 1
    default:
      filterWords.append(word)
      guard attached == nil, let next else { return 1 }
      filterWords.append(next)
      return 2
    }
  }

  private mutating func set(_ name: String, _ value: String) throws {
    switch name {
    case "-o", "--output":
      otherOptions.append("output")
      var words: [Substring] = []
      for word in value.split(separator: ",", omittingEmptySubsequences: false) {
        switch word.lowercased() {
        case "xml": form = form == .save ? .save : .xml
        case "save": form = .save
        default: words.append(word)
        }
        outputWords += 1
      }
      if !words.isEmpty {
        try output.add(words: words.joined(separator: ","), labelNames: labelNames)
      }
    case "-e", "--event-mask":
      otherOptions.append("event-mask")
      eventMask = eventMask ?? []
      for word in value.split(separator: ",", omittingEmptySubsequences: false) {
        if word.uppercased() == "ALL" {
          eventMask?.formUnion([.new, .updates, .destroy])
        } else if let known = EventWord(rawValue: word.uppercased()) {
          eventMask?.insert(known)
        } else {
          throw ConntrackArgumentError("Bad parameter `\(word)'")
        }
      }
    default: otherOptions.append("buffer-size")
    }
  }

  /// How many words `-o` had in all.
  private var outputWords = 0

  // MARK: Checking

  private func check() throws {
    guard let command, command != .help, command != .version else { return }
    let illegal: Set<String>
    switch (command, table) {
    case (.list, .expect): illegal = ["event-mask", "buffer-size"]
    case (.list, _): illegal = ["event-mask", "buffer-size"]
    case (.events, _): illegal = ["zero"]
    default: illegal = ["zero", "event-mask", "buffer-size", "output"]
    }
    let takesFilter = (command == .list || command == .events) && table != .expect
    // Of the filters, expectations know the family alone.
    let knowsFamily = command == .list && table == .expect
    let isFamilyAlone =
      knowsFamily && filterWords.allSatisfy { ["-f", "--family", "ipv4", "ipv6"].contains($0) }
    if !takesFilter, !isFamilyAlone, let first = filterWords.first {
      let (name, _) = ConntrackArguments.split(first)
      throw ConntrackArgumentError(
        "Illegal option `--\(ConntrackArguments.listedName(name))' with this command")
    }
    if let first = otherOptions.first(where: { illegal.contains($0) }) {
      throw ConntrackArgumentError("Illegal option `--\(first)' with this command")
    }
    if form == .save && outputWords > 1 {
      throw Failure(
        message: ConntrackMessage.say(
          "cannot combine save output with any other output type, use -o save only"), status: 1)
    }
    if procfs && (command != .list || outputWords > 0) {
      throw Failure.unusable("weir conntrack: --procfs is a form of -L, and stands without -o")
    }
  }

  /// The name by which conntrack's refusals call an option.
  private static func listedName(_ name: String) -> String {
    switch name {
    case "-s", "--src", "--orig-src": "src"
    case "-d", "--dst", "--orig-dst": "dst"
    case "-r", "--reply-src": "reply-src"
    case "-q", "--reply-dst": "reply-dst"
    case "-p", "--proto", "--protonum": "protonum"
    case "-u", "--status": "status"
    case "-m", "--mark": "mark"
    case "-f", "--family": "family"
    case "-n": "src-nat"
    case "-g": "dst-nat"
    case "-j": "any-nat"
    case "-w", "--zone": "zone"
    case "-l": "label"
    default: String(name.drop { $0 == "-" })
    }
  }
}
