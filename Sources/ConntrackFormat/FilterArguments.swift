// The filter options of a whole command line, in conntrack's spelling. For commands that take them
// as they come, since options such as `-n [ADDRESS]` have a value only sometimes.

import Conntrack
import Wire

extension ConnectionFilter {
  /// Reads filter options: `-p tcp --dport 80 -n 192.168.1.2`.
  ///
  /// Options of a protocol (`--sport`, `--state`, `--icmp-type`...) are known only after its `-p`, as
  /// in `conntrack`. Values may be attached (`--zone=7`, `-w7`). Of an option given twice the last
  /// counts.
  public init(arguments: [String], labelNames: LabelNames = LabelNames())
    throws(ConntrackArgumentError)
  {
    self.init()
    var reader = FilterArgumentReader(filter: self, labelNames: labelNames)
    var index = 0
    while index < arguments.count {
      let following = index + 1 < arguments.count ? arguments[index + 1] : nil
      index += try reader.read(arguments[index], following: following)
    }
    self = try reader.finished()
  }
}

/// One option being read, and what all of them together may not do.
private struct FilterArgumentReader {
  var filter: ConnectionFilter
  let labelNames: LabelNames
  /// What `-f` or an address said first.
  var sourceMask: IPAddress?
  var destinationMask: IPAddress?

  init(filter: ConnectionFilter, labelNames: LabelNames) {
    self.filter = filter
    self.labelNames = labelNames
  }

  /// Takes `word` and perhaps the word after it; says how many it took.
  mutating func read(_ word: String, following: String?) throws(ConntrackArgumentError) -> Int {
    let (spelled, attached) = split(word)
    guard let name = longName(spelled) else { throw .init("unknown option `\(spelled)'") }
    if let nat = natOption(name) {
      // The value is the next word unless that is an option.
      let separate = attached == nil && !(following?.hasPrefix("-") ?? true)
      try set(nat, attached ?? (separate ? following : nil), name)
      return separate ? 2 : 1
    }
    guard isOption(name) else { throw .init("unknown option `\(spelled)'") }
    guard let value = attached ?? following else {
      throw .init("option `\(spelled)' requires an argument")
    }
    if try !set(name, value) { try setOfProtocol(name, value) }
    return attached == nil ? 2 : 1
  }

  func finished() throws(ConntrackArgumentError) -> ConnectionFilter {
    var result = filter
    if let mask = sourceMask {
      guard let source = filter.originalSource else {
        throw .init("Can't use --mask-src without --src")
      }
      result.originalSource = AddressPattern(source.address, mask: mask, family: source.family)
    }
    if let mask = destinationMask {
      guard let destination = filter.originalDestination else {
        throw .init("Can't use --mask-dst without --dst")
      }
      result.originalDestination = AddressPattern(
        destination.address, mask: mask, family: destination.family)
    }
    if filter.anyNAT != nil, filter.sourceNAT != nil || filter.destinationNAT != nil {
      throw .init("cannot specify `--src-nat' or `--dst-nat' with `--any-nat'")
    }
    return result
  }

  // MARK: Spelling

  /// `--zone=7` and `-w7` in two.
  private func split(_ word: String) -> (String, String?) {
    if word.hasPrefix("--") {
      guard let sign = word.firstIndex(of: "=") else { return (word, nil) }
      return (String(word[..<sign]), String(word[word.index(after: sign)...]))
    }
    guard word.hasPrefix("-"), word.count > 2 else { return (word, nil) }
    return (String(word.prefix(2)), String(word.dropFirst(2)))
  }

  private func longName(_ spelled: String) -> String? {
    switch spelled {
    case "-f": "--family"
    case "-p", "--protonum": "--proto"
    case "-s", "--src": "--orig-src"
    case "-d", "--dst": "--orig-dst"
    case "-r": "--reply-src"
    case "-q": "--reply-dst"
    case "-u": "--status"
    case "-m": "--mark"
    case "-w": "--zone"
    case "-l": "--label"
    case "-n": "--src-nat"
    case "-g": "--dst-nat"
    case "-j": "--any-nat"
    case "--sport": "--orig-port-src"
    case "--dport": "--orig-port-dst"
    case "--srckey": "--orig-key-src"
    case "--dstkey": "--orig-key-dst"
    default: spelled.hasPrefix("--") ? spelled : nil
    }
  }

  // MARK: Options of every protocol

  private enum NATOption {
    case source
    case destination
    case any
  }

  private func natOption(_ name: String) -> NATOption? {
    switch name {
    case "--src-nat": .source
    case "--dst-nat": .destination
    case "--any-nat": .any
    default: nil
    }
  }

  private mutating func set(_ option: NATOption, _ value: String?, _ name: String)
    throws(ConntrackArgumentError)
  {
    var pattern = NATPattern()
    if let value {
      pattern = try ConntrackArgument.natPattern(value, option: name)
      if let family = pattern.family { try agree(on: family) }
    }
    switch option {
    case .source: filter.sourceNAT = pattern
    case .destination: filter.destinationNAT = pattern
    case .any: filter.anyNAT = pattern
    }
  }

  private mutating func agree(on family: AddressFamily) throws(ConntrackArgumentError) {
    if let said = filter.family, said != family { throw .init("mismatched address family") }
    filter.family = family
  }

  private mutating func pattern(_ value: String) throws(ConntrackArgumentError) -> AddressPattern {
    let pattern = try ConntrackArgument.addressPattern(value)
    try agree(on: pattern.family)
    return pattern
  }

  private mutating func address(_ value: String, _ option: String? = nil)
    throws(ConntrackArgumentError) -> (IPAddress, AddressFamily)
  {
    let (address, family) = try ConntrackArgument.address(value, option: option)
    try agree(on: family)
    return (address, family)
  }

  /// Sets an option that needs no protocol; false if `name` is none.
  private mutating func set(_ name: String, _ value: String) throws(ConntrackArgumentError)
    -> Bool
  {
    switch name {
    case "--family": try agree(on: try ConntrackArgument.family(value))
    case "--proto": filter.protocolNumber = try ConntrackArgument.protocolNumber(value)
    case "--orig-src": filter.originalSource = try pattern(value)
    case "--orig-dst": filter.originalDestination = try pattern(value)
    case "--mask-src": sourceMask = try address(value).0
    case "--mask-dst": destinationMask = try address(value).0
    case "--reply-src":
      let (address, family) = try address(value, name)
      filter.replySource = AddressPattern(address, family: family)
    case "--reply-dst":
      let (address, family) = try address(value, name)
      filter.replyDestination = AddressPattern(address, family: family)
    case "--status":
      let (status, unreplied) = try ConntrackArgument.status(value)
      filter.status = status
      filter.unreplied = unreplied
    case "--mark":
      let (mark, mask) = ConntrackArgument.mark(value)
      filter.mark = mark
      filter.markMask = mask
    case "--zone": filter.zone = ConntrackArgument.number(value, as: UInt16.self)
    case "--orig-zone": filter.originalZone = ConntrackArgument.number(value, as: UInt16.self)
    case "--reply-zone": filter.replyZone = ConntrackArgument.number(value, as: UInt16.self)
    case "--label":
      var labels = filter.labels ?? ConnectionLabels()
      for name in value.split(separator: ",", omittingEmptySubsequences: false) {
        labels[try ConntrackArgument.label(String(name), names: labelNames)] = true
      }
      filter.labels = labels
    default: return false
    }
    return true
  }

  // MARK: Options of the protocol of `-p`

  private static let commonOptions: Set<String> = [
    "--family", "--proto", "--orig-src", "--orig-dst", "--mask-src", "--mask-dst", "--reply-src",
    "--reply-dst", "--status", "--mark", "--zone", "--orig-zone", "--reply-zone", "--label",
  ]

  /// Whether `name` is an option here and now: some belong to the protocol of `-p`.
  private func isOption(_ name: String) -> Bool {
    if FilterArgumentReader.commonOptions.contains(name) { return true }
    guard let number = filter.protocolNumber else { return false }
    switch tupleKind(number) {
    case .ports: return portPlace(name, "port") != nil || (name == "--state" && hasStates(number))
    case .keys: return portPlace(name, "key") != nil
    case .icmp:
      let prefix = number == 1 ? "--icmp" : "--icmpv6"
      return name == "\(prefix)-type" || name == "\(prefix)-code" || name == "\(prefix)-id"
    case .nothing: return false
    }
  }

  private func hasStates(_ number: UInt8) -> Bool { number == 6 || number == 33 || number == 132 }

  /// Sets an option that `isOption` found to be the protocol's.
  private mutating func setOfProtocol(_ name: String, _ value: String)
    throws(ConntrackArgumentError)
  {
    guard let number = filter.protocolNumber else { return }
    if name == "--state" {
      filter.state = try ConntrackArgument.state(value, protocolNumber: number)
    } else if let place = portPlace(name, "port") {
      filter[keyPath: place] = ConntrackArgument.decimal(value, as: UInt16.self)
    } else if let place = portPlace(name, "key") {
      filter[keyPath: place] = ConntrackArgument.number(value, as: UInt16.self)
    } else if name.hasSuffix("-type") {
      filter.icmpType = ConntrackArgument.decimal(value, as: UInt8.self)
    } else if name.hasSuffix("-code") {
      filter.icmpCode = ConntrackArgument.decimal(value, as: UInt8.self)
    } else {
      filter.icmpID = ConntrackArgument.decimal(value, as: UInt16.self)
    }
  }

  private func portPlace(_ name: String, _ kind: String)
    -> WritableKeyPath<ConnectionFilter, UInt16?>?
  {
    switch name {
    case "--orig-\(kind)-src": \.originalSourcePort
    case "--orig-\(kind)-dst": \.originalDestinationPort
    case "--reply-\(kind)-src": \.replySourcePort
    case "--reply-\(kind)-dst": \.replyDestinationPort
    default: nil
    }
  }
}
