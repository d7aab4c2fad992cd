// Words of a command line to operations and options, as getopt_long(3) takes words apart for conntrack 1.4.7.
// For `ConntrackCommandLine`.

import ConntrackFormat

/// One option that was read.
struct ReadOption: Hashable {
  var option: ConntrackOption
  var value: String?
}

/// A command line taken apart; nothing but spelling is checked.
struct OptionReader {
  private(set) var operation: ConntrackOperation?
  private(set) var table = ConntrackTable.conntrack
  /// In the order of the command line.
  private(set) var options: [ReadOption] = []
  /// Of the last `-p`.
  private(set) var protocolNumber: UInt8?
  /// Said on standard error before anything else.
  private(set) var warnings: [String] = []

  private let words: [String]
  private var next = 0

  init(_ words: [String]) throws(ConntrackArgumentError) {
    self.words = words
    while next < words.count {
      let word = words[next]
      next += 1
      if word == "--" { return }
      if word.hasPrefix("--") {
        try readLong(word)
      } else if word.hasPrefix("-"), word.count > 1 {
        try readLetters(word)
      }
      // A word that belongs to no option is passed over.
    }
  }

  // MARK: Spelling

  private mutating func readLong(_ word: String) throws(ConntrackArgumentError) {
    let body = word.dropFirst(2)
    let sign = body.firstIndex(of: "=")
    let spelled = String(sign.map { body[..<$0] } ?? body)
    let attached = sign.map { String(body[body.index(after: $0)...]) }
    switch try named(spelled, word) {
    case .operation(let operation): try take(operation)
    case .option(let option): try take(option, attached, word)
    }
  }

  private enum Named: Hashable {
    case operation(ConntrackOperation)
    case option(ConntrackOption)
  }

  /// A long name, or the beginning of one that only one option has.
  private func named(_ spelled: String, _ word: String) throws(ConntrackArgumentError) -> Named {
    var names: [String: Named] = [:]
    for (name, operation) in ConntrackOperation.longNames { names[name] = .operation(operation) }
    for (name, option) in ConntrackOption.longNames(protocolNumber) {
      names[name] = .option(option)
    }
    if let exact = names[spelled] { return exact }
    let meant = Set(names.filter { $0.key.hasPrefix(spelled) }.values)
    guard let only = meant.first, meant.count == 1, !spelled.isEmpty else {
      throw .init("unknown option `\(word)'")
    }
    return only
  }

  private mutating func readLetters(_ word: String) throws(ConntrackArgumentError) {
    var rest = word.dropFirst()
    while let letter = rest.popFirst() {
      if let operation = ConntrackOperation(rawValue: "-\(letter)") {
        // Letters behind it are options, so no table follows.
        try take(operation, mayNameTable: rest.isEmpty)
      } else if letter == "a" {
        // Once a way to ask for NAT; it has a value, and no meaning.
        warnings.append("WARNING: ignoring -\(letter), deprecated option.")
        if rest.isEmpty { next = min(next + 1, words.count) }
        return
      } else if let option = ConntrackOption.letters[letter] {
        if option.value == .none {
          try take(option, nil, word)
        } else {
          return try take(option, rest.isEmpty ? nil : String(rest), word)
        }
      } else {
        throw .init("unknown option `\(word)'")
      }
    }
  }

  // MARK: Taking

  private mutating func take(_ operation: ConntrackOperation, mayNameTable: Bool = true)
    throws(ConntrackArgumentError)
  {
    if self.operation != nil { throw .init("Invalid commands combination") }
    self.operation = operation
    if mayNameTable, operation.takesTable, next < words.count, !words[next].hasPrefix("-") {
      let word = words[next]
      next += 1
      guard let table = ConntrackTable.allCases.first(where: { $0.rawValue.hasPrefix(word) }),
        !word.isEmpty
      else { throw .init("unknown type `\(word)'") }
      self.table = table
    }
    if operation != .list && (table == .dying || table == .unconfirmed) {
      throw .init("Can't do that command with tables `dying' and `unconfirmed'")
    }
    if table == .expect && operation == .update {
      throw .init("Can't do --update on expectations")
    }
    if table == .expect && operation == .add { throw .init("Can't do --add on expectations") }
  }

  private mutating func take(_ option: ConntrackOption, _ attached: String?, _ word: String)
    throws(ConntrackArgumentError)
  {
    var value = attached
    switch option.value {
    case .none:
      if attached != nil { throw .init("unknown option `\(word)'") }
    case .needed:
      if value == nil {
        guard next < words.count else {
          throw .init("option `\(word)' requires an argument")
        }
        value = words[next]
        next += 1
      }
    case .perhaps:
      if value == nil, next < words.count, !words[next].hasPrefix("-") {
        value = words[next]
        next += 1
      }
    }
    if option == .protonum, let value {
      protocolNumber = try ConntrackArgument.protocolNumber(value)
    }
    options.append(ReadOption(option: option, value: value))
  }
}
