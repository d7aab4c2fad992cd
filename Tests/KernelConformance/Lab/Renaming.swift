// Addresses and ports that NAT chose. Both sides choose by secrets of their own from the same set: what
// one calls port 1024 the other may call 41000. Where a new connection differs by such a choice alone, and
// both choices are lawful, Weir takes over the kernel's, so that from then on both sides' packets and
// tables are the same to the bit; only the packet that brought the choice is rewritten to be compared.

import Conntrack
import NAT
import Wire

struct Renaming {
  private let choices: [NATChoice]
  /// Weir's tuples of connections begun by the current packet, and the kernel's for them.
  private var taken: [Tuple: Tuple] = [:]
  /// Connections whose bindings have been compared.
  private var settled: Set<UInt32> = []
  /// Which address each side chose for whom: the same again, as long as it chooses by a hash.
  private var kernelHash: [AddressChoice: IPAddress] = [:]
  private var engineHash: [AddressChoice: IPAddress] = [:]

  private struct AddressChoice: Hashable {
    var choice: NATChoice
    var source: IPAddress
    /// Nil with `--persistent`.
    var destination: IPAddress?
  }

  init(_ test: ConformanceCase) {
    choices = test.rules.compactMap { NATChoice(rule: $0, test.family) }
  }

  private var translations: [Tuple: ConnectionStatus] = [:]
  private static let translation: ConnectionStatus = [.sourceNAT, .destinationNAT]

  /// The next packet is about to be compared.
  mutating func beginPacket() {
    taken = [:]
    translations = [:]
  }

  /// The status of a connection as Weir told it, with the ends the kernel has translated.
  func kernelStatus(_ connection: Connection) -> ConnectionStatus {
    guard let ends = translations[connection.reply] else { return connection.status }
    return connection.status.subtracting(Renaming.translation).union(ends)
  }

  // MARK: New connections

  /// Whether this connection of Weir's has not been looked at yet.
  func isUnsettled(_ connection: Connection) -> Bool { !settled.contains(connection.id) }

  /// The kernel's entry, for Weir to take over its binding; nil where the two are the same, or where they
  /// differ in what NAT does not choose by chance.
  mutating func choiceToTakeOver(
    kernel: Connection, engine: Connection, table: [Connection]
  ) -> Connection? {
    settled.insert(engine.id)
    guard kernel.original == engine.original, kernel.reply != engine.reply,
      isLawful(kernel.reply, engine.reply, engine.original),
      !mustShareSource(kernel.reply, engine, table)
    else { return nil }
    translations[engine.reply] = kernel.status.intersection(Renaming.translation)
    taken[engine.reply] = kernel.reply
    if let mine = engine.reply.inverted { taken[mine] = kernel.reply.inverted }
    return kernel
  }

  /// Whether there was no choice: a source that has to change is seen as what it was seen as last, where
  /// that lies in the range and is free. Ports that are drawn may be the same by chance, so this says
  /// no where some rule that may have been the one draws, or lets the source stay.
  private func mustShareSource(_ kernel: Tuple, _ engine: Connection, _ table: [Connection]) -> Bool
  {
    guard let its = kernel.inverted, let mine = engine.reply.inverted,
      its.source != mine.source || its.sourcePort != mine.sourcePort
    else { return false }
    let original = engine.original
    let before = table.filter {
      $0.id < engine.id && $0.original.source == original.source
        && $0.original.sourcePort == original.sourcePort
        && $0.original.protocolNumber == original.protocolNumber
        && ZonedTuple($0.original, of: $0).zone == ZonedTuple(original, of: engine).zone
    }
    var rules = choices.filter {
      $0.kind == .source && $0.accepts(its, its.source) && $0.accepts(mine, its.source)
    }
    // NETMAP, or no rule at all.
    if rules.isEmpty { rules = [NATChoice(address: its.source)] }
    return rules.allSatisfy { rule in
      guard !rule.isRandom, !rule.accepts(original, its.source) else { return false }
      let last = before.filter { $0.reply.inverted.map { rule.accepts($0, its.source) } ?? false }
        .max { $0.id < $1.id }?.reply.inverted
      guard let last else { return false }
      return [its, mine].contains {
        $0.source == last.source && $0.sourcePort == last.sourcePort
      }
    }
  }

  /// Whether two reply tuples of one connection differ in nothing but what could have been chosen
  /// either way.
  private mutating func isLawful(_ kernel: Tuple, _ engine: Tuple, _ original: Tuple) -> Bool {
    guard kernel.protocolNumber == engine.protocolNumber, kernel.family == engine.family,
      isLawful(.source, kernel.destination, engine.destination, original),
      isLawful(.destination, kernel.source, engine.source, original)
    else { return false }
    if Renaming.isICMP(original) {
      return kernel.destinationPort == engine.destinationPort
        && isLawfulPort(nil, kernel.sourcePort, engine.sourcePort, original)
    }
    return isLawfulPort(.source, kernel.destinationPort, engine.destinationPort, original)
      && isLawfulPort(.destination, kernel.sourcePort, engine.sourcePort, original)
  }

  /// The address of one end: the same, or of one range, and then always the same for the same two hosts.
  private mutating func isLawful(
    _ kind: NATKind, _ kernel: IPAddress, _ engine: IPAddress, _ original: Tuple
  ) -> Bool {
    if kernel == engine { return true }
    for choice in choices where choice.kind == kind {
      guard let addresses = choice.addresses, addresses.contains(kernel),
        addresses.contains(engine)
      else { continue }
      let key = AddressChoice(
        choice: choice, source: original.source,
        destination: choice.isPersistent ? nil : original.destination)
      guard kernelHash[key] ?? kernel == kernel, engineHash[key] ?? engine == engine else {
        return false
      }
      kernelHash[key] = kernel
      engineHash[key] = engine
      return true
    }
    return false
  }

  /// - Parameter kind: nil for the identifier of an echo, which has no end.
  private func isLawfulPort(
    _ kind: NATKind?, _ kernel: UInt16, _ engine: UInt16, _ original: Tuple
  ) -> Bool {
    if kernel == engine { return true }
    let ranges = choices.compactMap { choice in
      choice.protocolNumber == original.protocolNumber && (kind == nil || choice.kind == kind)
        ? choice.ports : nil
    }
    if ranges.contains(where: { $0.contains(engine) }) {
      return ranges.contains { $0.contains(engine) && $0.contains(kernel) }
    }
    if kind == .destination { return false }
    if kind == nil { return true }
    // The key of a PPTP call's source: any but 0.
    if original.protocolNumber == IPProtocolNumber.gre { return kernel != 0 && engine != 0 }
    // A port that gives way stays in its class.
    let classes: [ClosedRange<UInt16>] = [1...511, 600...1023, 1024...65_535]
    let mine = original.sourcePort < 512 ? 0 : original.sourcePort < 1024 ? 1 : 2
    return [kernel, engine].allSatisfy {
      $0 == original.sourcePort || classes[mine].contains($0)
    }
  }

  static func isICMP(_ tuple: Tuple) -> Bool {
    tuple.protocolNumber == IPProtocolNumber.icmp || tuple.protocolNumber == IPProtocolNumber.icmpv6
  }

  // MARK: The packet that brought the choice

  /// Whether two tuples are the same but for what NAT chose.
  func isSame(kernel: Tuple, engine: Tuple) -> Bool {
    kernel == engine || taken[engine] == kernel
  }

  /// `engine` as the kernel would have sent it, had it chosen the same; nil where the packet is not of a
  /// connection with a choice.
  func rewritten(_ engine: [UInt8]) -> [UInt8]? {
    if taken.isEmpty { return nil }
    var headers = PacketHeaders()
    var packet = PacketBuffer()
    guard packet.assign(engine.rawSpan),
      PacketHeaders.decode(packet.bytes, into: &headers) == nil
    else { return nil }
    for (mine, its) in taken where mine.source == headers.source {
      guard mine.destination == headers.destination,
        mine.protocolNumber == headers.transportProtocol,
        headers.transportOffset < 0 || Renaming.hasPorts(of: mine, packet.bytes, headers)
      else { continue }
      guard NATRewriter.rewrite(&packet, &headers, toward: its) else { continue }
      return packet.bytes.array
    }
    return nil
  }

  private static func hasPorts(
    of tuple: Tuple, _ bytes: RawSpan, _ headers: PacketHeaders
  ) -> Bool {
    let at = headers.transportOffset
    if isICMP(tuple) {
      return headers.end >= at + 8 && bytes.uint16(at: at + 4) == tuple.sourcePort
        && bytes.uint16(at: at) == tuple.destinationPort
    }
    let protocols = [
      IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.udpLite, IPProtocolNumber.sctp,
    ]
    return !protocols.contains(tuple.protocolNumber)
      || headers.end >= at + 4 && bytes.uint16(at: at) == tuple.sourcePort
        && bytes.uint16(at: at + 2) == tuple.destinationPort
  }
}
