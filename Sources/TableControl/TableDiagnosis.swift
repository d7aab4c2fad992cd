// Looks at a table, one connection after another, and at its counters, and says what is wrong with it. For
// `weir doctor`; what it says is made in `TableDiagnosis+Findings.swift`.

import Conntrack
import ConntrackFormat
import Wire

/// What is remembered of a table while it is walked through: bounded, whatever its size.
public struct TableDiagnosis: Sendable {
  /// Keys held by each count: of a table of a million no holder of more than 123 entries is missed, and no
  /// count is further off.
  static let capacity = 8192
  /// From this share of the limit on the table is nearly full: what is left is gone in seconds under a flood.
  static let urgentFill = 0.9
  /// From this share on it is filling up: once a third more is in it, new connections fail.
  static let warningFill = 0.75
  /// So many entries without an answer are more than a resolver or a browser on a bad network leaves behind
  /// within the two minutes that such an entry lives.
  static let fewUnreplied = 256
  /// Someone whose every other connection is answered is busy, not scanning.
  static let unrepliedShare = 0.5
  /// From this share of an address's ports on, each new connection needs several tries to find a free one.
  static let usedPortsShare = 0.8
  /// From this share on, a search that gives up after a bounded number of tries fails now and then.
  static let lastPortsShare = 0.95
  /// Without ports in the rule, a source port above 1023 stays above it (iptables-extensions(8), SNAT).
  static let openPorts = 1024...UInt16.max
  /// An established connection silent for so long has most likely lost its ends.
  static let silentNanoseconds: Int64 = 3_600_000_000_000
  /// Fewer silent ones than this share of the table are not what fills it.
  static let silentShare = 0.1
  /// Where as many names as this are told, the rest is counted.
  static let named = 5

  let surroundings: TableSurroundings
  /// How many connections were looked at.
  public private(set) var entries = 0
  private(set) var established = 0
  private(set) var silent = 0
  private(set) var sources = HeavyHitters<TableParty>(capacity: capacity)
  private(set) var destinations = HeavyHitters<TableParty>(capacity: capacity)
  private(set) var services = HeavyHitters<TableParty>(capacity: capacity)
  private(set) var unreplied = HeavyHitters<TableParty>(capacity: capacity)
  private(set) var unrepliedServices = HeavyHitters<TablePair>(capacity: capacity)
  private(set) var translations = HeavyHitters<TablePair>(capacity: capacity)
  private(set) var stale = HeavyHitters<TablePair>(capacity: capacity)

  public init(_ surroundings: TableSurroundings) {
    self.surroundings = surroundings
  }

  /// Looks at one connection.
  public mutating func add(_ connection: Connection) {
    entries += 1
    let original = connection.original
    let reply = connection.reply
    let hasPorts = TableParty.withPorts.contains(original.protocolNumber)
    let source = TableParty(original.source, original.family)
    let service = TableParty(
      nil, original.family, protocolNumber: original.protocolNumber,
      port: hasPorts ? original.destinationPort : nil)
    sources.add(source)
    destinations.add(TableParty(original.destination, original.family))
    services.add(service)
    if !connection.status.contains(.seenReply) {
      unreplied.add(source)
      unrepliedServices.add(TablePair(source, service))
    }
    if connection.protocolState == .tcp(.established) {
      established += 1
      if let settings = surroundings.settings,
        settings.tcpTimeoutEstablished - connection.timeoutNanoseconds
          >= TableDiagnosis.silentNanoseconds
      {
        silent += 1
      }
    }
    guard hasPorts else { return }
    if connection.status.contains(.sourceNAT) {
      translations.add(
        TablePair(
          TableParty(reply.destination, reply.family),
          TableParty(
            reply.source, reply.family, protocolNumber: reply.protocolNumber,
            port: reply.sourcePort)))
    }
    if isStale(connection) {
      stale.add(
        TablePair(
          TableParty(
            reply.source, reply.family, protocolNumber: reply.protocolNumber,
            port: reply.sourcePort),
          TableParty(
            original.destination, original.family, protocolNumber: original.protocolNumber,
            port: original.destinationPort)))
    }
  }

  /// Whether it is a UDP flow kept at a target that no rule names. What a helper announced goes where the
  /// helper said.
  private func isStale(_ connection: Connection) -> Bool {
    guard let rules = surroundings.rules, connection.original.protocolNumber == 17,
      connection.status.contains(.destinationNAT), !connection.status.contains(.expected)
    else { return false }
    let reply = connection.reply
    return !rules.contains {
      !$0.isSource && $0.allows(reply.source, reply.sourcePort, reply.family)
    }
  }

  /// How many source ports a translated address has toward one destination.
  func ports(of address: TableParty) -> Int {
    guard let own = address.address else { return 0 }
    let fitting = (surroundings.rules ?? []).filter {
      $0.isSource && $0.allows(own, nil, address.family)
    }
    // Rules of which one leaves the ports open leave them open.
    let ranges = fitting.compactMap(\.ports)
    guard !ranges.isEmpty, ranges.count == fitting.count else {
      return TableDiagnosis.openPorts.count
    }
    return Set(ranges).map(\.count).max() ?? TableDiagnosis.openPorts.count
  }
}

/// A source, a destination or a service: what is nil is not told apart.
struct TableParty: Hashable, Comparable, Sendable {
  /// TCP, UDP, DCCP, SCTP and UDP-Lite.
  static let withPorts: Set<UInt8> = [6, 17, 33, 132, 136]

  var address: IPAddress?
  var family: AddressFamily
  var protocolNumber: UInt8?
  var port: UInt16?

  init(
    _ address: IPAddress?, _ family: AddressFamily, protocolNumber: UInt8? = nil,
    port: UInt16? = nil
  ) {
    self.address = address
    self.family = family
    self.protocolNumber = protocolNumber
    self.port = port
  }

  static func < (a: TableParty, b: TableParty) -> Bool {
    if a.family != b.family { return a.family == .ipv4 }
    let (first, second) = (a.address ?? .any, b.address ?? .any)
    if first != second { return first < second }
    if a.protocolNumber != b.protocolNumber {
      return a.protocolNumber ?? 0 < b.protocolNumber ?? 0
    }
    return a.port ?? 0 < b.port ?? 0
  }

  /// As `192.0.2.1`, `tcp port 443` or `192.0.2.1 udp port 53`.
  var text: String {
    var words: [String] = []
    if let address { words.append(address.text(family)) }
    if let protocolNumber { words.append(ConntrackFormat.name(ofProtocol: protocolNumber)) }
    if let port { words.append("port \(port)") }
    return words.joined(separator: " ")
  }
}

struct TablePair: Hashable, Comparable, Sendable {
  var first: TableParty
  var second: TableParty

  init(_ first: TableParty, _ second: TableParty) {
    self.first = first
    self.second = second
  }

  static func < (a: TablePair, b: TablePair) -> Bool {
    a.first != b.first ? a.first < b.first : a.second < b.second
  }
}
