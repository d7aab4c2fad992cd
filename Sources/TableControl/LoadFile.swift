// `-R`: a file of command lines, all read before the first is carried out.

import ConntrackFormat

extension ConntrackCommandLine {
  /// Reads a file as `conntrack -R` takes it: a command line a line, without the program's name. Empty
  /// lines and those that begin with `#` say nothing.
  /// - Throws: as the initialiser does, and where an operation has no place in a file.
  public static func lines(
    of text: String, labelNames: LabelNames?
  ) throws -> [ConntrackCommandLine] {
    var commands: [ConntrackCommandLine] = []
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      let words = split(line)
      if words.isEmpty { continue }
      let command = try ConntrackCommandLine(words, labelNames: labelNames)
      switch command.operation {
      case .list, .count, .events, .statistics, .help, .version:
        let name = command.operation?.rawValue ?? ""
        throw ConntrackArgumentError("Cannot use command `\(name)' with --load-file")
      case nil: throw ConntrackArgumentError("Cannot use command `unknown' with --load-file")
      default: commands.append(command)
      }
    }
    return commands
  }

  /// Words between blanks; double quotes hold a word together.
  static func split(_ line: Substring) -> [String] {
    var words: [String] = []
    var word = ""
    var isWord = false
    var isQuoted = false
    for character in line {
      switch character {
      case "\"":
        isQuoted.toggle()
        isWord = true
      case " " where !isQuoted, "\t" where !isQuoted:
        if isWord { words.append(word) }
        word = ""
        isWord = false
      default:
        word.append(character)
        isWord = true
      }
    }
    if isWord { words.append(word) }
    return words
  }
}

extension ConntrackProgram {
  /// Carries out the commands of a file, one after another until one fails.
  /// - Returns: the exit status.
  public mutating func load(_ commands: [ConntrackCommandLine]) throws -> Int32 {
    isLoading = true
    defer { isLoading = false }
    for command in commands {
      let status = try run(command)
      if status != 0 { return status }
    }
    return 0
  }
}
