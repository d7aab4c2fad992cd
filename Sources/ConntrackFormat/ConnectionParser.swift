// Reads an entry back from a line of `conntrack -L`, with or without `-o extended,id,labels`, or of
// /proc/net/nf_conntrack. For the file conntrack.txt of a host snapshot, and for tests that state a
// table as text.

import Conntrack
import Wire

/// A line that is no entry: where it stops making sense, and what was expected there.
public struct ConntrackLineError: Error, Hashable, CustomStringConvertible {
  /// The line's number from 1, where a whole listing was read.
  public var line: Int?
  /// The column from 1, in bytes.
  public var column: Int
  /// The word that stands there; empty at the end of the line.
  public var found: String
  /// What should stand there.
  public var expected: String

  public var description: String {
    let place = line.map { "line \($0), column \(column)" } ?? "column \(column)"
    let what = found.isEmpty ? "the line ends" : "found `\(found)'"
    return "\(place): expected \(expected), but \(what)"
  }
}

extension ConntrackFormat {
  /// Reads one line.
  ///
  /// Every field must be one `conntrack` or the kernel prints, in its order; older kernels' lines
  /// without mark or zone are fine. What a line does not say stays at its default; status has
  /// `confirmed`, what `[UNREPLIED]` and `[ASSURED]` say, and the NAT bits where the reply tuple is
  /// not the original one reversed. The use count is checked and dropped.
  ///
  /// - Parameters:
  ///   - labelNames: what `labels=` is read with.
  ///   - nowNanoseconds: where given, `delta-time=` counts back from it to the connection's start.
  public static func parse(
    line: Substring, labelNames: LabelNames = LabelNames(), nowNanoseconds: Int64? = nil
  ) throws(ConntrackLineError) -> Connection {
    var parser = ConnectionLineParser(
      text: line, labelNames: labelNames, nowNanoseconds: nowNanoseconds)
    return try parser.connection()
  }

  /// Reads a listing: a line each, empty lines and `conntrack`'s closing message left out.
  public static func parse(
    listing: String, labelNames: LabelNames = LabelNames(), nowNanoseconds: Int64? = nil
  ) throws(ConntrackLineError) -> [Connection] {
    var connections: [Connection] = []
    var number = 0
    for line in listing.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
      number += 1
      if line.allSatisfy(\.isWhitespace) || line.hasPrefix("\(programBanner): ") { continue }
      do throws(ConntrackLineError) {
        connections.append(
          try parse(line: line, labelNames: labelNames, nowNanoseconds: nowNanoseconds))
      } catch {
        var located = error
        located.line = number
        throw located
      }
    }
    return connections
  }
}

/// One line being read, word by word from the left.
private struct ConnectionLineParser {
  private let bytes: [UInt8]
  private let words: [Range<Int>]
  private var next = 0
  private let labelNames: LabelNames
  private let nowNanoseconds: Int64?

  init(text: Substring, labelNames: LabelNames, nowNanoseconds: Int64?) {
    bytes = Array(text.utf8)
    var words: [Range<Int>] = []
    words.reserveCapacity(32)
    var start = 0
    for index in bytes.indices where bytes[index] == UInt8(ascii: " ") {
      if index > start { words.append(start..<index) }
      start = index + 1
    }
    if bytes.count > start { words.append(start..<bytes.count) }
    self.words = words
    self.labelNames = labelNames
    self.nowNanoseconds = nowNanoseconds
  }

  // MARK: Words

  private func error(_ expected: String) -> ConntrackLineError {
    guard let word else {
      return ConntrackLineError(column: bytes.count + 1, found: "", expected: expected)
    }
    return ConntrackLineError(
      column: word.startIndex + 1, found: String(decoding: word, as: UTF8.self),
      expected: expected)
  }

  private var word: ArraySlice<UInt8>? { next < words.count ? bytes[words[next]] : nil }

  private mutating func take(_ literal: String) -> Bool {
    guard let word, word.elementsEqual(literal.utf8) else { return false }
    next += 1
    return true
  }

  /// The value of the next word if it is `key=...`.
  private func value(_ key: String) -> ArraySlice<UInt8>? {
    guard let word, word.starts(with: key.utf8) else { return nil }
    return word.dropFirst(key.utf8.count)
  }

  private mutating func number<Number: FixedWidthInteger>(
    _ text: ArraySlice<UInt8>, radix: UInt64 = 10, as what: @autoclosure () -> String
  ) throws(ConntrackLineError) -> Number {
    guard let value = parseNumber(text, radix: radix), let number = Number(exactly: value) else {
      throw error(what())
    }
    next += 1
    return number
  }

  private mutating func require<Number: FixedWidthInteger>(_ key: String, upTo most: Number)
    throws(ConntrackLineError) -> Number
  {
    guard let text = value(key), let value = parseNumber(text),
      let number = Number(exactly: value), number <= most
    else { throw error("`\(key)' and a number up to \(most)") }
    next += 1
    return number
  }

  private mutating func optional<Number: FixedWidthInteger>(_ key: String, upTo most: Number)
    throws(ConntrackLineError) -> Number?
  {
    value(key) == nil ? nil : try require(key, upTo: most)
  }

  private mutating func optionalWord(_ key: String) throws(ConntrackLineError) -> String? {
    guard let text = value(key) else { return nil }
    guard !text.isEmpty else { throw error("a word after `\(key)'") }
    next += 1
    return String(decoding: text, as: UTF8.self)
  }

  // MARK: The parts of a line, in their order

  mutating func connection() throws(ConntrackLineError) -> Connection {
    let family = try self.family()
    let protocolNumber = try self.protocolNumber()
    var seconds: UInt32 = 0
    if let text = word, text.first.map(isDigit) ?? false {
      seconds = try number(text, as: "the seconds left")
    }
    let state = try protocolState(protocolNumber)
    let original = try tuple(protocolNumber, family)
    let originalZone = try zone("zone-orig=")
    let originalCounters = try counters()
    let unreplied = take("[UNREPLIED]")
    let replyStart = next
    let reply = try tuple(protocolNumber, original.family)
    guard reply.family == original.family else {
      next = replyStart
      throw error("addresses of one family")
    }
    var connection = Connection(original: original, reply: reply)
    connection.timeoutNanoseconds = Int64(seconds) * 1_000_000_000
    connection.protocolState = state
    connection.originalCounters = originalCounters
    let replyZone = try zone("zone-reply=")
    connection.replyCounters = try counters()
    connection.status = try status(original: original, reply: reply, unreplied: unreplied)
    try facts(of: &connection, originalZone: originalZone, replyZone: replyZone)
    guard next == words.count else { throw error("the end of the line") }
    return connection
  }

  /// `ipv4     2`, where `-o extended` put it.
  private mutating func family() throws(ConntrackLineError) -> AddressFamily? {
    for (name, family) in [("ipv4", AddressFamily.ipv4), ("ipv6", .ipv6)] where take(name) {
      guard take("\(family.rawValue)") else { throw error("`\(family.rawValue)'") }
      return family
    }
    return nil
  }

  private mutating func protocolNumber() throws(ConntrackLineError) -> UInt8 {
    guard let name = word else { throw error("a protocol") }
    let known = knownProtocols.first { name.elementsEqual($0.name.utf8) }
    guard known != nil || name.elementsEqual("unknown".utf8) else {
      throw error("a protocol (tcp, udp, udplite, icmp, icmpv6, sctp, dccp, gre or unknown)")
    }
    next += 1
    let what = known.map { "\($0.name)'s number, \($0.number)" } ?? "a protocol number up to 255"
    guard let text = word else { throw error(what) }
    let number: UInt8 = try self.number(text, as: what)
    if let known, known.number != number {
      next -= 1
      throw error(what)
    }
    return number
  }

  private mutating func protocolState(_ protocolNumber: UInt8) throws(ConntrackLineError)
    -> ProtocolState
  {
    if protocolNumber == 47, let text = value("timeout=") {
      // GRE's two timeouts, in /proc only: settings, not facts of the connection.
      guard text.last == UInt8(ascii: ",") else {
        throw error("`timeout=' and a number with a comma")
      }
      let _: UInt32 = try number(text.dropLast(), as: "`timeout=' and a number with a comma")
      let _: UInt32 = try require("stream_timeout=", upTo: .max)
      return .none
    }
    guard let word, value("src=") == nil else { return .none }
    let name = String(decoding: word, as: UTF8.self)
    guard let state = ProtocolState(name: name[...], protocolNumber: protocolNumber) else {
      let hasStates = [6, 132, 33].contains(protocolNumber)
      let title = protocolName(protocolNumber)
      throw error(hasStates ? "a \(title) state or `src='" : "`src='")
    }
    next += 1
    return state
  }

  private mutating func tuple(_ protocolNumber: UInt8, _ family: AddressFamily?)
    throws(ConntrackLineError) -> Tuple
  {
    let (source, sourceFamily) = try address("src=", family)
    let (destination, _) = try address("dst=", sourceFamily)
    var tuple = Tuple(
      source: source, destination: destination, sourcePort: 0, destinationPort: 0,
      protocolNumber: protocolNumber, family: sourceFamily)
    switch tupleKind(protocolNumber) {
    case .ports:
      // The kernel calls DCCP `unknown` today and prints no ports.
      if protocolNumber == 33, value("sport=") == nil { break }
      tuple.sourcePort = try require("sport=", upTo: .max)
      tuple.destinationPort = try require("dport=", upTo: .max)
    case .icmp:
      let type: UInt16 = try require("type=", upTo: 255)
      let code: UInt16 = try require("code=", upTo: 255)
      tuple.destinationPort = type << 8 | code
      tuple.sourcePort = try require("id=", upTo: .max)
    case .keys:
      tuple.sourcePort = try key("srckey=0x")
      tuple.destinationPort = try key("dstkey=0x")
    case .nothing: break
    }
    return tuple
  }

  private mutating func address(_ key: String, _ family: AddressFamily?)
    throws(ConntrackLineError) -> (IPAddress, AddressFamily)
  {
    guard let text = value(key), let (address, found) = IPAddress.parse(utf8: text.span),
      family == nil || family == found
    else {
      let kind = family.map { $0 == .ipv4 ? "an IPv4 address" : "an IPv6 address" }
      throw error("`\(key)' and \(kind ?? "an address")")
    }
    next += 1
    return (address, found)
  }

  private mutating func key(_ key: String) throws(ConntrackLineError) -> UInt16 {
    guard let text = value(key) else {
      throw error("`\(key)' and a hexadecimal number up to 0xffff")
    }
    return try number(
      text, radix: 16, as: "`\(key)' and a hexadecimal number up to 0xffff")
  }

  private mutating func zone(_ key: String) throws(ConntrackLineError) -> UInt16? {
    try optional(key, upTo: .max)
  }

  private mutating func counters() throws(ConntrackLineError) -> ConnectionCounters? {
    guard let packets: UInt64 = try optional("packets=", upTo: .max) else { return nil }
    return ConnectionCounters(packets: packets, bytes: try require("bytes=", upTo: .max))
  }

  private mutating func status(original: Tuple, reply: Tuple, unreplied: Bool)
    throws(ConntrackLineError) -> ConnectionStatus
  {
    var status: ConnectionStatus = unreplied ? [.confirmed] : [.confirmed, .seenReply]
    if take("[ASSURED]") {
      status.insert(.assured)
    } else if take("[OFFLOAD]") {
      status.insert(.offload)
    } else if take("[HW_OFFLOAD]") {
      status.insert(.hardwareOffload)
    }
    let hasPorts = tupleKind(original.protocolNumber) != .icmp
    let sourceChanged =
      reply.destination != original.source
      || (hasPorts
        ? reply.destinationPort != original.sourcePort
        : reply.sourcePort != original.sourcePort)
    let destinationChanged =
      reply.source != original.destination
      || (hasPorts && reply.sourcePort != original.destinationPort)
    if sourceChanged { status.insert(.sourceNAT) }
    if destinationChanged { status.insert(.destinationNAT) }
    if sourceChanged || destinationChanged {
      status.formUnion([.sourceNATDone, .destinationNATDone])
    }
    return status
  }

  /// What follows the two tuples and the flags.
  private mutating func facts(
    of connection: inout Connection, originalZone: UInt16?, replyZone: UInt16?
  ) throws(ConntrackLineError) {
    connection.mark = try optional("mark=", upTo: .max) ?? 0
    if let _: UInt32 = try optional("secmark=", upTo: .max) {}
    connection.securityContext = try optionalWord("secctx=")
    let zoneWord = next
    let commonZone = try zone("zone=")
    switch (commonZone, originalZone, replyZone) {
    case (nil, nil, nil): break
    case (let zone?, nil, nil): connection.zone = zone
    case (nil, let zone?, nil):
      connection.zone = zone
      connection.zoneDirection = .original
    case (nil, nil, let zone?):
      connection.zone = zone
      connection.zoneDirection = .reply
    default:
      next = zoneWord
      throw error("one zone at most")
    }
    if let age: UInt64 = try optional("delta-time=", upTo: .max) {
      connection.startNanoseconds = start(age: age)
    }
    connection.helperName = try optionalWord("helper=")
    if let _: UInt32 = try optional("use=", upTo: .max) {}
    connection.id = try optional("id=", upTo: .max) ?? 0
    if take("labels") {
      connection.labels = ConnectionLabels()
    } else if let names = value("labels=") {
      connection.labels = try labels(names)
    }
  }

  private func start(age: UInt64) -> Int64? {
    guard let now = nowNanoseconds, let seconds = Int64(exactly: age) else { return nil }
    let (nanoseconds, tooLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (start, tooEarly) = now.subtractingReportingOverflow(nanoseconds)
    return tooLong || tooEarly ? nil : start
  }

  private mutating func labels(_ names: ArraySlice<UInt8>) throws(ConntrackLineError)
    -> ConnectionLabels
  {
    var labels = ConnectionLabels()
    for name in names.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      guard let bit = labelNames.bit(named: String(decoding: name, as: UTF8.self)) else {
        throw error("names of labels that connlabel.conf has")
      }
      labels[bit] = true
    }
    next += 1
    return labels
  }
}

private func isDigit(_ byte: UInt8) -> Bool {
  byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
}
