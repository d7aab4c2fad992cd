// Ports that NAT chose. Both sides choose at random from the same set, so what one calls 1024 the other
// may call 41000: a packet of Weir's is rewritten into the kernel's ports, checksums following, and must
// then be the kernel's byte for byte.

import Conntrack
import Wire

/// Which port of Weir's stands for which of the kernel's, learnt as they appear. One to one for each
/// address, peer and peer's port.
struct Renaming {
  private struct End: Hashable {
    var protocolNumber: UInt8
    var address: IPAddress
    var peer: IPAddress
    /// 0 for echo identifiers, which both ends share.
    var peerPort: UInt16
  }

  private struct Name: Hashable {
    var end: End
    var port: UInt16
  }

  private var kernels: [Name: UInt16] = [:]
  private var engines: [Name: UInt16] = [:]
  /// Which connection of Weir's each name of Weir's belongs to now, and belonged to when it was learnt.
  private var holders: [Name: UInt32] = [:]
  private var learntFrom: [Name: UInt32] = [:]
  /// Port ranges that the rules give.
  private let ranges: [ClosedRange<UInt16>]

  init(_ test: ConformanceCase) {
    ranges = test.rules.flatMap { Renaming.ranges($0) }
  }

  /// `--to-ports 2000-2007`, `--to-source 198.51.100.50:5000-5003`.
  private static func ranges(_ rule: String) -> [ClosedRange<UInt16>] {
    let words = rule.split(separator: " ")
    return words.indices.dropLast().compactMap { index in
      let isPorts = words[index] == "--to-ports"
      guard isPorts || ["--to-source", "--to-destination"].contains(words[index]) else {
        return nil
      }
      let value = words[index + 1]
      guard isPorts || value.contains("]:") || !value.contains("[") && value.contains(".") else {
        return nil
      }
      let last = isPorts ? value : value.split(separator: ":").dropFirst().last ?? ""
      let numbers = last.split(separator: "-").compactMap { UInt16($0) }
      guard let low = numbers.first, let high = numbers.last, low <= high else { return nil }
      return low...high
    }
  }

  /// Whether the kernel could have chosen `engine` where it chose `kernel`: the same range of a rule,
  /// or the same class of ports.
  private func isOfSameSet(_ kernel: UInt16, _ engine: UInt16, isEcho: Bool) -> Bool {
    if isEcho { return true }
    for range in ranges where range.contains(kernel) && range.contains(engine) { return true }
    let classes: [ClosedRange<UInt16>] = [1...511, 600...1023, 1024...65_535]
    return classes.contains { $0.contains(kernel) && $0.contains(engine) }
  }

  /// Takes note of Weir's connections as they are now: a name is free again when the connection it was
  /// learnt from is gone.
  mutating func update(_ connections: [Connection]) {
    holders.removeAll(keepingCapacity: true)
    for connection in connections {
      for tuple in [connection.original, connection.reply] {
        holders[Name(end: Renaming.end(tuple, ofSource: true), port: tuple.sourcePort)] =
          connection.id
        if Renaming.isICMP(tuple) { continue }
        holders[Name(end: Renaming.end(tuple, ofSource: false), port: tuple.destinationPort)] =
          connection.id
      }
    }
  }

  private mutating func forgetIfStale(_ name: Name) {
    guard let kernel = kernels[name] else { return }
    if let holder = holders[name], holder == learntFrom[name] { return }
    kernels[name] = nil
    engines[Name(end: name.end, port: kernel)] = nil
  }

  private mutating func isSame(_ end: End, kernel: UInt16, engine: UInt16, isEcho: Bool) -> Bool {
    let mine = Name(end: end, port: engine)
    let its = Name(end: end, port: kernel)
    if kernels[mine] == kernel { return true }
    forgetIfStale(mine)
    if let other = engines[its] { forgetIfStale(Name(end: end, port: other)) }
    guard kernels[mine] == nil && engines[its] == nil else { return false }
    if kernel == engine { return true }
    guard isOfSameSet(kernel, engine, isEcho: isEcho) else { return false }
    kernels[mine] = kernel
    engines[its] = engine
    learntFrom[mine] = holders[mine]
    return true
  }

  // MARK: Tuples

  private static func isICMP(_ tuple: Tuple) -> Bool {
    tuple.protocolNumber == IPProtocolNumber.icmp || tuple.protocolNumber == IPProtocolNumber.icmpv6
  }

  /// For an echo identifier the two ends are one.
  private static func end(_ tuple: Tuple, ofSource: Bool) -> End {
    if isICMP(tuple) {
      return End(
        protocolNumber: tuple.protocolNumber, address: min(tuple.source, tuple.destination),
        peer: max(tuple.source, tuple.destination), peerPort: 0)
    }
    return ofSource
      ? End(
        protocolNumber: tuple.protocolNumber, address: tuple.source, peer: tuple.destination,
        peerPort: tuple.destinationPort)
      : End(
        protocolNumber: tuple.protocolNumber, address: tuple.destination, peer: tuple.source,
        peerPort: tuple.sourcePort)
  }

  /// A tuple of Weir's, with the kernel's ports as far as they are known.
  func kernelTuple(_ tuple: Tuple) -> Tuple {
    var renamed = tuple
    if let port = kernels[Name(end: Renaming.end(tuple, ofSource: true), port: tuple.sourcePort)] {
      renamed.sourcePort = port
    } else if !Renaming.isICMP(tuple),
      let port = kernels[
        Name(end: Renaming.end(tuple, ofSource: false), port: tuple.destinationPort)]
    {
      renamed.destinationPort = port
    }
    return renamed
  }

  /// Whether two tuples are the same but for ports that NAT chose.
  mutating func isSame(kernel: Tuple, engine: Tuple) -> Bool {
    if kernel == engine { return true }
    var bare = engine
    bare.sourcePort = kernel.sourcePort
    bare.destinationPort = kernel.destinationPort
    guard bare == kernel else { return false }
    if Renaming.isICMP(kernel) {
      return kernel.destinationPort == engine.destinationPort
        && isSame(
          Renaming.end(kernel, ofSource: true), kernel: kernel.sourcePort,
          engine: engine.sourcePort, isEcho: true)
    }
    return isSame(
      Renaming.end(kernel, ofSource: true), kernel: kernel.sourcePort, engine: engine.sourcePort,
      isEcho: false)
      && isSame(
        Renaming.end(kernel, ofSource: false), kernel: kernel.destinationPort,
        engine: engine.destinationPort, isEcho: false)
  }

  // MARK: Packets

  /// `engine` as the kernel would have sent it, had it chosen the same ports as `kernel` shows; nil
  /// where these are no ports it may have chosen.
  mutating func rewritten(_ engine: [UInt8], as kernel: [UInt8]) -> [UInt8]? {
    guard engine.count == kernel.count else { return nil }
    var packet = engine
    return rewrite(&packet, 0, kernel[...], checksumAbove: nil) ? packet : nil
  }

  /// - Parameters:
  ///   - start: where the packet, or the quote, begins.
  ///   - checksumAbove: the checksum of the ICMP error that quotes it.
  private mutating func rewrite(
    _ packet: inout [UInt8], _ start: Int, _ kernel: ArraySlice<UInt8>, checksumAbove: Int?
  ) -> Bool {
    let mine = Array(packet[start...])
    let its = Array(kernel)
    guard let shape = PacketShape(mine), let other = PacketShape(its),
      shape.offset == other.offset, shape.protocolNumber == other.protocolNumber,
      shape.source == other.source, shape.destination == other.destination
    else { return false }
    let at = shape.offset
    if shape.hasPorts, mine.count >= at + 4 {
      var tuple = Tuple(
        source: shape.source, destination: shape.destination,
        sourcePort: mine.rawSpan.uint16(at: at), destinationPort: mine.rawSpan.uint16(at: at + 2),
        protocolNumber: shape.protocolNumber, family: shape.family)
      let engine = tuple
      tuple.sourcePort = its.rawSpan.uint16(at: at)
      tuple.destinationPort = its.rawSpan.uint16(at: at + 2)
      guard isSame(kernel: tuple, engine: engine) else { return false }
      if shape.protocolNumber == IPProtocolNumber.sctp {
        Renaming.replaceSCTPPorts(&packet, start + at, tuple, above: checksumAbove)
        return true
      }
      let isTCP = shape.protocolNumber == IPProtocolNumber.tcp
      let checksum = at + (isTCP ? TCPField.checksum : UDPField.checksum)
      for (offset, port) in [(at, tuple.sourcePort), (at + 2, tuple.destinationPort)] {
        Renaming.replace(
          &packet, start + offset, port,
          checksum: mine.count >= checksum + 2 ? start + checksum : nil, above: checksumAbove,
          mayBeAbsent: !isTCP)
      }
    } else if shape.isEcho(mine) {
      let field = at + ICMPField.identifier
      let kernelID = its.rawSpan.uint16(at: field)
      let tuple = Tuple(
        source: shape.source, destination: shape.destination, sourcePort: 0, destinationPort: 0,
        protocolNumber: shape.protocolNumber, family: shape.family)
      guard
        isSame(
          Renaming.end(tuple, ofSource: true), kernel: kernelID,
          engine: mine.rawSpan.uint16(at: field), isEcho: true)
      else { return false }
      Renaming.replace(
        &packet, start + field, kernelID, checksum: start + at + ICMPField.checksum,
        above: checksumAbove, mayBeAbsent: false)
    } else if shape.isICMPError(mine), checksumAbove == nil, mine.count > at + 8 {
      // A quote too short to be a packet has no ports either.
      guard PacketShape(Array(mine[(at + 8)...])) != nil else { return true }
      return rewrite(
        &packet, start + at + 8, its[(at + 8)...],
        checksumAbove: start + at + ICMPField.checksum)
    }
    return true
  }

  /// SCTP's checksum does not follow a change, so it is computed anew. In a quote, that ends early,
  /// as both sides have done it.
  private static func replaceSCTPPorts(
    _ packet: inout [UInt8], _ at: Int, _ tuple: Tuple, above: Int?
  ) {
    let before = Array(packet[at...])
    packet.store16(tuple.sourcePort, at: at)
    packet.store16(tuple.destinationPort, at: at + 2)
    if packet.count >= at + SCTPField.headerLength {
      for offset in 0..<4 { packet[at + SCTPField.checksum + offset] = 0 }
      let crc = CRC32c.sctp(packet.rawSpan, at: at, end: packet.count)
      packet.store16(
        UInt16(truncatingIfNeeded: crc).byteSwapped, at: at + SCTPField.checksum)
      packet.store16(
        UInt16(truncatingIfNeeded: crc >> 16).byteSwapped, at: at + SCTPField.checksum + 2)
    }
    guard let above else { return }
    let words = min(12, before.count) / 2
    for word in 0..<words {
      update(
        &packet, above, before.rawSpan.uint16(at: 2 * word),
        packet.rawSpan.uint16(at: at + 2 * word))
    }
  }

  private static func replace(
    _ packet: inout [UInt8], _ at: Int, _ value: UInt16, checksum: Int?, above: Int?,
    mayBeAbsent: Bool
  ) {
    let old = packet.rawSpan.uint16(at: at)
    if old == value { return }
    packet.store16(value, at: at)
    if let above { update(&packet, above, old, value) }
    guard let checksum else { return }
    let before = packet.rawSpan.uint16(at: checksum)
    if mayBeAbsent && before == 0 { return }
    update(&packet, checksum, old, value)
    if let above { update(&packet, above, before, packet.rawSpan.uint16(at: checksum)) }
  }

  private static func update(_ packet: inout [UInt8], _ at: Int, _ old: UInt16, _ new: UInt16) {
    packet.store16(
      InternetChecksum.updated(packet.rawSpan.uint16(at: at), from: old, to: new), at: at)
  }
}
