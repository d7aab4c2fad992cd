// Choosing a binding: which address and port a connection gets, so that its reply tuple is its own.
// For the firewall, once for each half of a connection.

import Conntrack
import Wire

/// What came of asking for a binding.
public enum BindingOutcome: Hashable, Sendable {
  /// The half is settled (perhaps to nothing changed).
  case bound
  /// There is no address to use; the packet is dropped.
  case noAddress
}

extension ConnectionTracker {
  /// Settles one half of an unconfirmed connection's NAT by `range`, or, with nil, by what the
  /// connection has: even then the source port may have to give way to another connection's.
  ///
  /// Where no free port is found, the tuple stays taken and `finish` will report the clash, as the
  /// kernel's confirm does.
  public mutating func bind(_ connection: ConnectionNumber, _ kind: NATKind, to range: NATRange?) {
    guard let current = tuple(connection, .reply).inverted else { return }
    let wanted =
      range
      ?? {
        let address = kind == .source ? current.source : current.destination
        return NATRange(options: .mapAddresses, minAddress: address, maxAddress: address)
      }()
    let chosen = uniqueTuple(for: connection, current, kind, wanted)
    if chosen != current, let reply = chosen.inverted {
      setReply(connection, reply)
      addStatus(connection, kind == .source ? .sourceNAT : .destinationNAT)
      if kind == .source { guessBinding(chosen.source, chosen.family) }
    }
    if kind == .source { fileBySource(connection) }
    addStatus(connection, kind == .source ? .sourceNATDone : .destinationNATDone)
  }

  private mutating func uniqueTuple(
    for connection: ConnectionNumber, _ current: Tuple, _ kind: NATKind, _ range: NATRange
  ) -> Tuple {
    let isRandom = !range.options.isDisjoint(with: [.random, .randomFully])
    if kind == .source && !isRandom {
      if range.accepts(current.source, current.sourcePort) {
        if isFree(current, for: connection) { return current }
      } else if let mapped = mappedSource(
        of: tuple(connection, .original), zone: zone(connection),
        where: { range.accepts($0, $1) })
      {
        // One source that has to change is seen as the same source by everyone it talks to.
        var candidate = current
        candidate.source = mapped.address
        candidate.sourcePort = mapped.port
        if isFree(candidate, for: connection) { return candidate }
      }
    }

    var candidate = current
    if range.options.contains(.mapAddresses) {
      let address = choose(range, for: current, kind, of: connection)
      if kind == .source {
        candidate.source = address
      } else {
        candidate.destination = address
      }
    }
    if !isRandom {
      if range.options.contains(.portsSpecified) {
        // An ICMP query's identifier stands at the source, whichever end is bound.
        let port =
          kind == .source || candidate.isICMPQuery
          ? candidate.sourcePort : candidate.destinationPort
        if !range.options.contains(.portOffset) && range.acceptsPort(port)
          && (range.minPort == range.maxPort || isFree(candidate, for: connection))
        {
          return candidate
        }
      } else if isFree(candidate, for: connection) {
        return candidate
      }
    }
    return withFreePort(candidate, kind, range, for: connection)
  }

  private mutating func isFree(_ tuple: Tuple, for connection: ConnectionNumber) -> Bool {
    guard let reply = tuple.inverted else { return true }
    return !isTaken(reply, except: connection)
  }

  /// One address of the range for this source (and, unless `--persistent`, this destination): the
  /// same for every connection between the two.
  private func choose(
    _ range: NATRange, for tuple: Tuple, _ kind: NATKind, of connection: ConnectionNumber
  ) -> IPAddress {
    if range.minAddress == range.maxAddress { return range.minAddress }
    if let foreseen = foreseenTuple(connection) {
      let address = kind == .source ? foreseen.source : foreseen.destination
      if address >= range.minAddress && address <= range.maxAddress { return address }
    }
    let hash = pairHash(
      tuple.source,
      range.options.contains(.persistent) ? .any : tuple.destination)
    if tuple.family == .ipv4 {
      let size = UInt64(range.maxAddress.ipv4 &- range.minAddress.ipv4) + 1
      return IPAddress(
        ipv4: range.minAddress.ipv4 &+ UInt32(((hash & 0xffff_ffff) * size) >> 32))
    }
    // IPv6: the low half decides; ranges beyond 2^64 use all of it.
    let size = range.maxAddress.low &- range.minAddress.low &+ 1
    let offset = size == 0 ? hash : hash.multipliedFullWidth(by: size).high
    let (low, carry) = range.minAddress.low.addingReportingOverflow(offset)
    return IPAddress(high: range.minAddress.high &+ (carry ? 1 : 0), low: low)
  }

  // MARK: Ports

  /// The ports to choose from, for a protocol that has any.
  private func ports(
    _ tuple: Tuple, _ kind: NATKind, _ range: NATRange, of connection: ConnectionNumber
  ) -> (first: Int, count: Int)? {
    let specified = range.options.contains(.portsSpecified)
    let limits = (
      min(Int(range.minPort), Int(range.maxPort)), max(Int(range.minPort), Int(range.maxPort))
    )
    switch tuple.protocolNumber {
    case IPProtocolNumber.icmp, IPProtocolNumber.icmpv6:
      return specified ? (limits.0, limits.1 - limits.0 + 1) : (0, 65_536)
    case IPProtocolNumber.tcp, IPProtocolNumber.udp, IPProtocolNumber.udpLite,
      IPProtocolNumber.sctp:
      if specified { return (limits.0, limits.1 - limits.0 + 1) }
      // A destination port that no rule names is not changed.
      if kind == .destination { return nil }
      // A port gives way to one of its own class, since some services look at the class.
      switch tuple.sourcePort {
      case ..<512: return (1, 511)
      case ..<1024: return (600, 1023 - 600 + 1)
      default: return (1024, 65_535 - 1024 + 1)
      }
    case IPProtocolNumber.gre:
      // Only a call that a helper announced has a key to give way.
      guard master(of: connection) != nil else { return nil }
      return specified ? (limits.0, limits.1 - limits.0 + 1) : (1, 65_535)
    default:
      return nil
    }
  }

  private mutating func withFreePort(
    _ tuple: Tuple, _ kind: NATKind, _ range: NATRange, for connection: ConnectionNumber
  ) -> Tuple {
    guard let (first, count) = ports(tuple, kind, range, of: connection) else { return tuple }
    let usesSource = kind == .source || tuple.isICMPQuery
    var candidate = tuple
    var offset: Int
    if range.options.contains(.portOffset) {
      let port = usesSource ? tuple.sourcePort : tuple.destinationPort
      offset = Int(port &- range.basePort)
    } else if kind == .source || !range.options.isDisjoint(with: [.random, .randomFully]) {
      offset = Int(generator.next() & 0xffff)
      if let foreseen = foreseenTuple(connection) {
        let port = Int(usesSource ? foreseen.sourcePort : foreseen.destinationPort)
        offset =
          searchStart(first, count, toFind: port, candidate, usesSource, for: connection)
          ?? offset
      }
    } else {
      offset = 0
    }
    // A bounded search: all of a small range; of a large one a sample, then smaller ones elsewhere.
    var attempts = min(count, 128)
    while true {
      for left in (1...attempts).reversed() {
        let port = UInt16(truncatingIfNeeded: first + offset % count)
        if usesSource {
          candidate.sourcePort = port
        } else {
          candidate.destinationPort = port
        }
        if isFree(candidate, for: connection) { return candidate }
        // Near the end of the search, what is as good as over gives way.
        if left < evictionAttempts, let reply = candidate.inverted, evict(reply, for: connection) {
          return candidate
        }
        offset += 1
      }
      if attempts >= count || attempts < 16 { return candidate }
      attempts /= 2
      offset = Int(generator.next() & 0xffff)
    }
  }
}

extension ConnectionTracker {
  /// Where a search for a port begins that ends at `port`; nil where there is no such port.
  private mutating func searchStart(
    _ first: Int, _ count: Int, toFind port: Int, _ tuple: Tuple, _ usesSource: Bool,
    for connection: ConnectionNumber
  ) -> Int? {
    guard port >= first, port < first + count else { return nil }
    var tuple = tuple
    if usesSource {
      tuple.sourcePort = UInt16(port)
    } else {
      tuple.destinationPort = UInt16(port)
    }
    if isFree(tuple, for: connection) { return port - first }
    // It has to be taken from another, and so is met late.
    let earlier = max(min(count, 128) - evictionAttempts + 1, 0)
    return (port - first - earlier + count) % count
  }
}

/// With fewer attempts than this left, a port may be taken from a connection that is over.
private let evictionAttempts = 32

extension NATRange {
  @inlinable func acceptsPort(_ port: UInt16) -> Bool {
    port >= min(minPort, maxPort) && port <= max(minPort, maxPort)
  }

  /// Whether a source lies in the range already.
  @inlinable func accepts(_ address: IPAddress, _ port: UInt16) -> Bool {
    if options.contains(.mapAddresses) && (address < minAddress || address > maxAddress) {
      return false
    }
    return !options.contains(.portsSpecified) || acceptsPort(port)
  }
}
