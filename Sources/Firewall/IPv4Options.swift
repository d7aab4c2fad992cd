// What a router does with the options of an IPv4 header (RFC 791 3.1, RFC 1812 4.2.2.1 and 5.2.4):
// refuses those that make no sense, puts itself into routes and timestamps, and gives them back in its
// ICMP answers. For `Hooks.swift` and `Answers.swift`; packets without options only pass by.

import Wire

/// The kinds of option that something is done with, and where the parts of one are.
private enum OptionKind {
  static let endOfList: UInt8 = 0
  static let noOperation: UInt8 = 1
  static let recordRoute: UInt8 = 7
  static let timestamp: UInt8 = 68
  static let looseSourceRoute: UInt8 = 131
  static let commercialSecurity: UInt8 = 134
  static let strictSourceRoute: UInt8 = 137
  static let routerAlert: UInt8 = 148

  static let length = 1
  /// From 1: where in the option the next entry goes.
  static let pointer = 2
  /// Of a timestamp: how many hosts found no room, and the flag, four bits each.
  static let overflowAndFlag = 3
}

/// What a timestamp option is to hold (its flag).
private enum TimestampFlag {
  static let timeOnly: UInt8 = 0
  static let addressAndTime: UInt8 = 1
  /// The sender has named who is to put in the time.
  static let prespecified: UInt8 = 3
}

/// What was found in a packet's options.
struct IPv4Options: BitwiseCopyable {
  /// Where each starts in the packet; 0 where there is none.
  private(set) var recordRoute = 0
  private(set) var timestamp = 0
  private(set) var sourceRoute = 0
  private(set) var commercialSecurity = 0
  private(set) var isStrict = false
  /// Hops of the source route that were the host itself, and that the packet goes to the next one.
  private(set) var passedHops = 0
  var isSourceRouted = false
  /// The host has put its address into the route, or the time into the timestamp.
  private(set) var isInRoute = false
  private(set) var isInTimestamp = false
  /// Bytes have changed, the header's checksum has not. The kernel computes it when it forwards the
  /// packet, so rules and quotes in ICMP errors until then have the old one.
  var hasStaleChecksum = false

  /// Reads the options and fills in what the host has to add.
  ///
  /// - Parameters:
  ///   - end: where the header ends.
  ///   - address: what the host calls itself; nil where that is not known, then no address is added.
  ///   - milliseconds: since midnight UT.
  ///   - host: knows whose the addresses in a timestamp are.
  /// - Returns: the offset of the first byte that makes no sense; nil if all do.
  mutating func read(
    _ packet: inout PacketBuffer, end: Int, address: IPAddress?, milliseconds: UInt32,
    host: borrowing HostConfiguration
  ) -> Int? {
    var at = IPv4Field.options
    while at < end {
      let kind = packet.uint8(at: at)
      if kind == OptionKind.noOperation {
        at += 1
        continue
      }
      if kind == OptionKind.endOfList {
        clear(&packet, from: at + 1, to: end)
        return nil
      }
      guard at + 1 < end else { return at }
      let length = Int(packet.uint8(at: at + OptionKind.length))
      guard length >= 2, at + length <= end else { return at }
      let problem: Int?
      switch kind {
      case OptionKind.recordRoute:
        problem = readRoute(&packet, at, length, address)
      case OptionKind.timestamp:
        problem = readTimestamp(&packet, at, length, address, milliseconds, host)
      case OptionKind.looseSourceRoute, OptionKind.strictSourceRoute:
        problem = readSourceRoute(packet, at, length)
        if sourceRoute == at { isStrict = kind == OptionKind.strictSourceRoute }
      case OptionKind.routerAlert:
        problem = length < 4 ? OptionKind.length : nil
      case OptionKind.commercialSecurity:
        // Without domains of interpretation, as a host not set up for labels is, none is right.
        commercialSecurity = at
        problem = length < 8 ? 1 : 2
      default:
        problem = nil
      }
      if let problem { return at + problem }
      at += length
    }
    return nil
  }

  /// What stands behind the end of the list becomes more ends of the list.
  private mutating func clear(_ packet: inout PacketBuffer, from start: Int, to end: Int) {
    for at in start..<end where packet.uint8(at: at) != OptionKind.endOfList {
      packet.store8(OptionKind.endOfList, at: at)
      hasStaleChecksum = true
    }
  }

  // The following say where in the option the problem is, or nil.

  private mutating func readRoute(
    _ packet: inout PacketBuffer, _ at: Int, _ length: Int, _ address: IPAddress?
  ) -> Int? {
    if recordRoute != 0 { return 0 }
    if length < 3 { return OptionKind.length }
    let pointer = Int(packet.uint8(at: at + OptionKind.pointer))
    if pointer < 4 { return OptionKind.pointer }
    if pointer <= length {
      if pointer + 3 > length { return OptionKind.pointer }
      if let address {
        packet.store32(address.ipv4, at: at + pointer - 1)
        packet.store8(UInt8(pointer + 4), at: at + OptionKind.pointer)
        isInRoute = true
        hasStaleChecksum = true
      }
    }
    recordRoute = at
    return nil
  }

  private mutating func readTimestamp(
    _ packet: inout PacketBuffer, _ at: Int, _ length: Int, _ address: IPAddress?,
    _ milliseconds: UInt32, _ host: borrowing HostConfiguration
  ) -> Int? {
    if timestamp != 0 { return 0 }
    if length < 4 { return OptionKind.length }
    let pointer = Int(packet.uint8(at: at + OptionKind.pointer))
    if pointer < 5 { return OptionKind.pointer }
    let last = packet.uint8(at: at + OptionKind.overflowAndFlag)
    let flag = last & 0xf
    if pointer > length {
      guard flag != TimestampFlag.prespecified else {
        timestamp = at
        return nil
      }
      if last >> 4 == 15 { return OptionKind.overflowAndFlag }
      packet.store8(last + 0x10, at: at + OptionKind.overflowAndFlag)
      hasStaleChecksum = true
      timestamp = at
      return nil
    }
    if pointer + 3 > length { return OptionKind.pointer }
    var advance = 0
    switch flag {
    case TimestampFlag.timeOnly:
      advance = 4
    case TimestampFlag.addressAndTime:
      if pointer + 7 > length { return OptionKind.pointer }
      if let address {
        packet.store32(address.ipv4, at: at + pointer - 1)
        advance = 8
      }
    case TimestampFlag.prespecified:
      if pointer + 7 > length { return OptionKind.pointer }
      if !host.isElsewhere(packet.uint32(at: at + pointer - 1)) { advance = 8 }
    default: break
    }
    if advance > 0 {
      packet.store32(milliseconds, at: at + pointer - 1 + advance - 4)
      packet.store8(UInt8(pointer + advance), at: at + OptionKind.pointer)
      isInTimestamp = true
      hasStaleChecksum = true
    }
    timestamp = at
    return nil
  }

  private mutating func readSourceRoute(
    _ packet: borrowing PacketBuffer, _ at: Int, _ length: Int
  ) -> Int? {
    if length < 3 { return OptionKind.length }
    if packet.uint8(at: at + OptionKind.pointer) < 4 { return OptionKind.pointer }
    if sourceRoute != 0 { return 0 }
    sourceRoute = at
    return nil
  }

  /// The hop that was next is the host itself.
  mutating func passHop() {
    passedHops += 1
    hasStaleChecksum = true
  }

  /// Where the host has written its address into the route; nil if it has not.
  func ownPlaceInRoute(_ packet: borrowing PacketBuffer) -> Int? {
    guard isInRoute else { return nil }
    // The pointer is past it, and counts from 1.
    return recordRoute + Int(packet.uint8(at: recordRoute + OptionKind.pointer)) - 5
  }

  /// Where the host has written its address before the time in a timestamp; nil if it has not.
  func ownPlaceInTimestamp(_ packet: borrowing PacketBuffer) -> Int? {
    guard isInTimestamp,
      packet.uint8(at: timestamp + OptionKind.overflowAndFlag) & 0xf
        == TimestampFlag.addressAndTime
    else { return nil }
    return timestamp + Int(packet.uint8(at: timestamp + OptionKind.pointer)) - 9
  }

  // MARK: Answers

  /// Puts the options of `packet` behind the fixed header of an ICMP answer to it: the answer takes up
  /// the route and the timestamp and goes on with them, and goes back by a source route.
  ///
  /// - Parameter answer: has room for a header with all options.
  /// - Returns: how many bytes, a multiple of 4; nil if no answer is to be sent: an entry has no room.
  func echo(
    _ packet: borrowing PacketBuffer, into answer: inout PacketBuffer, address: IPAddress,
    milliseconds: UInt32, host: borrowing HostConfiguration
  ) -> Int? {
    var end = IPv4Field.options
    if recordRoute != 0 {
      let length = Int(packet.uint8(at: recordRoute + OptionKind.length))
      answer.copy(packet.bytes.slice(recordRoute..<recordRoute + length), at: end)
      let pointer = Int(answer.uint8(at: end + OptionKind.pointer))
      if isInRoute && pointer <= length {
        guard pointer + 3 <= length else { return nil }
        answer.store32(address.ipv4, at: end + pointer - 1)
        answer.store8(UInt8(pointer + 4), at: end + OptionKind.pointer)
      }
      end += length
    }
    if timestamp != 0 {
      let length = Int(packet.uint8(at: timestamp + OptionKind.length))
      answer.copy(packet.bytes.slice(timestamp..<timestamp + length), at: end)
      guard
        continueTimestamp(&answer, end, length, address, milliseconds, host)
      else { return nil }
      end += length
    }
    end += echoSourceRoute(packet, into: &answer, at: end)
    if commercialSecurity != 0 {
      let length = Int(packet.uint8(at: commercialSecurity + OptionKind.length))
      answer.copy(packet.bytes.slice(commercialSecurity..<commercialSecurity + length), at: end)
      end += length
    }
    while end & 3 != 0 {
      answer.store8(OptionKind.endOfList, at: end)
      end += 1
    }
    return end - IPv4Field.options
  }

  /// - Returns: false where the next entry has begun but has no room.
  private func continueTimestamp(
    _ answer: inout PacketBuffer, _ at: Int, _ length: Int, _ address: IPAddress,
    _ milliseconds: UInt32, _ host: borrowing HostConfiguration
  ) -> Bool {
    let pointer = Int(answer.uint8(at: at + OptionKind.pointer))
    guard isInTimestamp, pointer <= length else { return true }
    guard pointer + 3 <= length else { return false }
    let advance: Int
    switch answer.uint8(at: at + OptionKind.overflowAndFlag) & 0xf {
    case TimestampFlag.addressAndTime:
      guard pointer + 7 <= length else { return false }
      answer.store32(address.ipv4, at: at + pointer - 1)
      advance = 8
    case TimestampFlag.prespecified:
      guard pointer + 7 <= length, !host.isElsewhere(answer.uint32(at: at + pointer - 1)) else {
        return true
      }
      advance = 8
    default: advance = 4
    }
    answer.store32(milliseconds, at: at + pointer - 1 + advance - 4)
    answer.store8(UInt8(pointer + advance), at: at + OptionKind.pointer)
    return true
  }
}

// MARK: - On the way

extension InputRouteDrop {
  /// Whether the options are read before the packet is dropped: the kernel first notices an address
  /// that cannot be, then the options, then that there is no way.
  var comesAfterOptions: Bool {
    switch self {
    case .notForwarding, .noRoute, .unreachable, .prohibited, .blackhole: true
    case .martianSource, .martianDestination, .ownSource, .reversePath, .beyondScope,
      .multicastNotJoined:
      false
    }
  }
}

extension Firewall {
  /// Reads an IPv4 packet's options once it is known which way it goes.
  ///
  /// - Parameter way: another one afterwards where a source route says so.
  mutating func heedOptions<
    Sink: PacketSink & ~Copyable, Observer: FirewallObserver & ~Copyable
  >(
    _ way: inout InputRoute, _ packet: inout PacketBuffer, _ passage: inout Passage,
    _ sink: inout Sink, _ observer: inout Observer
  ) -> Step {
    guard passage.headers.hasOptions, passage.headers.family == .ipv4 else { return .on }
    if case .drop(let reason) = way, !reason.comesAfterOptions { return .on }
    var options = IPv4Options()
    var problem = options.read(
      &packet, end: passage.headers.networkHeaderLength, address: recordedAddress(way, passage),
      milliseconds: millisecondsOfDay, host: host)
    passage.options = options
    if problem == nil && options.sourceRoute != 0 {
      guard acceptsSourceRoute(passage.arrival) else {
        passage.outcome.reason = .sourceRouteRefused
        return .stop
      }
      if case .deliver(.local) = way {
        if options.sourceRouteGoesOn(packet) {
          if let next = followSourceRoute(&packet, &passage, problem: &problem) {
            way = next
          } else if problem == nil {
            passage.outcome.reason = .sourceRouteRefused
            return .stop
          }
        }
      } else if !way.isForward {
        passage.outcome.reason = .sourceRouteRefused
        return .stop
      } else if options.isStrict {
        // A strict route leads from host to host, and this one is not in it.
        problem = IPv4Field.destination
      }
    }
    guard let problem else { return .on }
    passage.outcome.reason = .badIPOption(offset: problem)
    sendError(
      ICMPType.parameterProblem, 0, rest: UInt32(problem) << 24, about: packet, passage, &sink,
      &observer)
    return .stop
  }

  /// Between FORWARD and POSTROUTING: the route recorded gets the address of the way out, the header
  /// a right checksum.
  func fillOptions(_ packet: inout PacketBuffer, _ passage: inout Passage) {
    guard passage.options.hasStaleChecksum || passage.options.isSourceRouted else { return }
    if let place = passage.options.ownPlaceInRoute(packet),
      let address = ownAddress(passage.route, toward: passage.headers.destination, .ipv4)
    {
      packet.store32(address.ipv4, at: place)
    }
    if passage.options.isSourceRouted, let hop = passage.options.sourceRouteHop(packet) {
      passage.options.followSourceRoute(
        &packet, recording: ownAddress(passage.route, toward: hop, .ipv4))
      passage.headers.destination = hop
      passage.context.destination = hop
    }
    packet.store16(0, at: IPv4Field.checksum)
    let sum = InternetChecksum.sum(packet.bytes.slice(0..<passage.headers.networkHeaderLength))
    packet.store16(InternetChecksum.checksum(sum), at: IPv4Field.checksum)
  }

  /// The time as options and ICMP have it.
  var millisecondsOfDay: UInt32 { UInt32(now / 1_000_000 % 86_400_000) }

  /// What the host calls itself to the sender: the address it was reached by, else its own on the way
  /// back.
  private func recordedAddress(_ way: InputRoute, _ passage: borrowing Passage) -> IPAddress? {
    if case .deliver(.local) = way { return passage.headers.destination }
    let source = passage.headers.source
    if let back = wayBack(passage), let address = ownAddress(back, toward: source, .ipv4) {
      return address
    }
    return index(passage.arrival.interface).flatMap {
      host.sourceAddress(.ipv4, through: $0, nextHop: source, destination: source)
    }
  }

  private func acceptsSourceRoute(_ arrival: Arrival) -> Bool {
    index(arrival.interface).map { host.interfaces[$0].settings.acceptsSourceRoute } ?? false
  }
}
