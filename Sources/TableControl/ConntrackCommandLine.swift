// A command line of conntrack(8), read and checked: what is to be done, to which entries, and how it is
// shown. For `ConntrackProgram`.

import Conntrack
import ConntrackFormat
import Wire

/// One command line, checked as conntrack 1.4.7 checks it.
public struct ConntrackCommandLine: Sendable {
  public enum Form: Hashable, Sendable {
    case lines
    case xml
    case save
    case json
  }

  /// nil: no operation was named, so the help is shown.
  public private(set) var operation: ConntrackOperation?
  public private(set) var table: ConntrackTable
  /// Which entries are meant.
  public private(set) var filter = ConnectionFilter()
  /// `-i`.
  public private(set) var id: UInt32?
  public private(set) var form = Form.lines
  public private(set) var output = ConntrackOutput()
  /// How many words `-o` had in all.
  public private(set) var outputWordCount = 0
  /// `-e`; nil: all.
  public private(set) var eventMask: Set<ConnectionEventKind>?
  /// `-b`, bytes.
  public private(set) var bufferBytes: Int?
  /// `-z`.
  public private(set) var zeroesCounters = false
  public private(set) var changes = ConnectionChanges()
  /// What is said on standard error before anything else, a line each.
  public private(set) var warnings: [String] = []

  let options: [ReadOption]
  let protocolNumber: UInt8?
  private let labelNames: LabelNames

  /// - Parameter labelNames: nil where the machine names no labels.
  /// - Throws: `ConntrackArgumentError`, or `ConntrackFailure` for what conntrack exits with 1 on.
  public init(_ words: [String], labelNames: LabelNames?) throws {
    let reader = try OptionReader(words)
    operation = reader.operation
    table = reader.table
    options = reader.options
    protocolNumber = reader.protocolNumber
    warnings = reader.warnings
    self.labelNames = labelNames ?? LabelNames()
    let speaksOfLabels = options.contains {
      [.label, .labelAdd, .labelDelete].contains($0.option)
        || $0.option == .output && $0.value?.contains("labels") == true
    }
    if speaksOfLabels && labelNames == nil {
      warnings.append("nfct_labelmap_new: No such file or directory")
    }
    do {
      for option in options { try take(option) }
      try takeFilter()
      try check()
    } catch var error as ConntrackArgumentError {
      error.warnings = warnings
      throw error
    }
  }

  // MARK: Reading

  private mutating func take(_ read: ReadOption) throws {
    let value = read.value ?? ""
    switch read.option {
    case .timeout: changes.timeoutSeconds = ConntrackArgument.decimal(value, as: UInt32.self)
    case .zero: zeroesCounters = true
    case .id: id = ConntrackArgument.number(value, as: UInt32.self)
    case .bufferSize: bufferBytes = Int(ConntrackArgument.number(value, as: UInt32.self))
    case .eventMask: try takeEventMask(value)
    case .output: try takeOutput(value)
    case .labelAdd: changes.addedLabels = try labels(value)
    case .labelDelete:
      changes.deletedLabels = try read.value.map { try labels($0) } ?? .all
    case .originalTag: changes.originalTag = ConntrackArgument.number(value, as: UInt32.self)
    case .replyTag: changes.replyTag = ConntrackArgument.number(value, as: UInt32.self)
    case .role:
      guard ["client", "server"].contains(value) else {
        throw ConntrackArgumentError("Bad parameter `\(value)'")
      }
      changes.isServer = value == "server"
    default: break
    }
  }

  private func labels(_ value: String) throws -> ConnectionLabels {
    var labels = ConnectionLabels()
    for name in value.split(separator: ",", omittingEmptySubsequences: false) {
      labels[try ConntrackArgument.label(String(name), names: labelNames)] = true
    }
    return labels
  }

  private mutating func takeEventMask(_ value: String) throws {
    for word in value.split(separator: ",", omittingEmptySubsequences: false) {
      switch word.uppercased() {
      case "ALL": eventMask = (eventMask ?? []).union([.new, .update, .destroy])
      case "NEW": eventMask = (eventMask ?? []).union([.new])
      case "UPDATES": eventMask = (eventMask ?? []).union([.update])
      case "DESTROY": eventMask = (eventMask ?? []).union([.destroy])
      default: throw ConntrackArgumentError("Bad parameter `\(word)'")
      }
    }
  }

  private mutating func takeOutput(_ value: String) throws {
    for word in value.split(separator: ",", omittingEmptySubsequences: false) {
      outputWordCount += 1
      switch word.lowercased() {
      case "xml": if form != .save { form = .xml }
      case "save": form = .save
      case "json": form = .json
      default: try output.add(words: String(word), labelNames: labelNames)
      }
    }
  }

  /// The options that choose connections, or for `-I`, `-A` and `-G` describe one.
  private mutating func takeFilter() throws {
    var words: [String] = []
    for read in options {
      switch read.option {
      case .timeout, .zero, .id, .secmark, .bufferSize, .eventMask, .output, .labelAdd,
        .labelDelete, .originalTag, .replyTag, .role, .tupleSource, .tupleDestination,
        .maskPortSource, .maskPortDestination, .tuplePortSource, .tuplePortDestination:
        continue
      case .maskSource where table == .expect, .maskDestination where table == .expect: continue
      default: break
      }
      let name = read.option.name(protocolNumber)
      words.append(read.value.map { "--\(name)=\($0)" } ?? "--\(name)")
    }
    filter = try ConnectionFilter(arguments: words, labelNames: labelNames)
    if filter.labels != nil, output.labels == nil { output.labels = labelNames }
    if operation == .update {
      // What an update says of these is what it makes them.
      changes.status = filter.status
      changes.mark = filter.mark
      changes.markMask = filter.markMask
      changes.protocolState = filter.state
      filter.status = nil
      filter.unreplied = false
      filter.mark = nil
      filter.state = nil
    }
  }

  // MARK: Checking

  private func check() throws {
    var given = Set(options.map(\.option))
    // A network is an address and a mask.
    for read in options where read.value?.contains("/") == true {
      switch read.option {
      case .src, .tupleSource: given.insert(.maskSource)
      case .dst, .tupleDestination: given.insert(.maskDestination)
      default: break
      }
    }
    try OptionRules(
      operation: operation, table: table, protocolNumber: protocolNumber, given: given
    ).check()
    if form == .save && outputWordCount > 1 {
      throw ConntrackFailure(
        ConntrackMessage.say(
          "cannot combine save output with any other output type, use -o save only"))
    }
    if changes.addedLabels != nil && changes.deletedLabels != nil {
      throw ConntrackFailure(
        ConntrackMessage.say("cannot use --label-add and --label-del at the same time"))
    }
  }
}

/// What `-U` makes of a connection, and what else `-I` gives one.
public struct ConnectionChanges: Hashable, Sendable {
  public var timeoutSeconds: UInt32?
  public var status: ConnectionStatus?
  public var mark: UInt32?
  public var markMask: UInt32 = .max
  public var protocolState: ProtocolState?
  public var addedLabels: ConnectionLabels?
  public var deletedLabels: ConnectionLabels?
  public var originalTag: UInt32?
  public var replyTag: UInt32?
  public var isServer: Bool?
}

/// A failure that ends the command with exit status 1; the words are whole lines.
public struct ConntrackFailure: Error, Hashable, CustomStringConvertible {
  public var description: String

  public init(_ description: String) {
    self.description = description
  }
}

extension ConnectionLabels {
  /// All 128.
  static let all = ConnectionLabels(low: .max, high: .max)
}
