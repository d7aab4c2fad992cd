// NAT for what helpers announce: the announcement is written anew with the address and port the
// other side will see, and the connection that follows it is translated back.

import Conntrack
import Wire

public enum HelperNAT {
  /// Files what a helper found in a packet and, where the packet's connection is translated, writes
  /// into the packet what the other side shall see.
  /// - Returns: nil, or why the packet must be dropped.
  public static func announce(
    _ announcement: Announcement, _ packet: inout PacketBuffer, _ headers: inout PacketHeaders,
    _ tracker: inout ConnectionTracker, _ tracking: Tracking
  ) -> HelperDrop? {
    let connection = tracking.connection
    let translation: ConnectionStatus = [.sourceNAT, .destinationNAT]
    var draft = announcement.draft
    guard !tracker.status(connection).isDisjoint(with: translation) else {
      return tracker.expect(draft, by: connection) == nil ? nil : .notExpected
    }
    draft.following = .master
    guard announcement.form != .implied else {
      return tracker.expect(draft, by: connection) == nil ? nil : .notExpected
    }
    let port = expectOnFreePort(&draft, &tracker, connection)
    guard port != 0 else { return .notTranslated }
    var words = Words()
    words.append(announcement.form, draft.tuple.destination, port, headers.family)
    let isWritten = PayloadRewriter.replace(
      &packet, &headers, at: announcement.offset, announcement.length, with: words, &tracker,
      tracking)
    return isWritten ? nil : .notTranslated
  }

  /// Expects at the port announced or, where that is taken, at one above it, chosen at random.
  /// - Returns: the port; 0 where none was found.
  private static func expectOnFreePort(
    _ draft: inout ExpectationDraft, _ tracker: inout ConnectionTracker,
    _ connection: ConnectionNumber
  ) -> UInt16 {
    let first = draft.tuple.destinationPort
    // The highest port is never chosen.
    let choices = UInt64(UInt16.max - first)
    var attempts = min(choices, 128)
    while true {
      switch tracker.expect(draft, by: connection) {
      case nil: return draft.tuple.destinationPort
      case .full: return 0
      case .busy: break
      }
      guard attempts > 0 else { return 0 }
      attempts -= 1
      let drawn = first + UInt16(truncatingIfNeeded: tracker.generator.next() % choices)
      draft.tuple.destinationPort = tracker.takeForeseenPort(in: first..<UInt16.max) ?? drawn
    }
  }

  /// Translates a connection that an expectation announced, before the nat table is asked.
  public static func follow(
    _ adoption: Adoption, _ tracker: inout ConnectionTracker, _ connection: ConnectionNumber
  ) {
    if adoption.following == .nothing { return }
    // The end that announced, as it calls itself and its peer.
    let announcer = tracker.tuple(adoption.master, adoption.direction.opposite)
    var source = NATRange(
      options: .mapAddresses, minAddress: announcer.destination, maxAddress: announcer.destination)
    var destination = NATRange(
      options: .mapAddresses, minAddress: announcer.source, maxAddress: announcer.source)
    if adoption.following == .pptp && adoption.direction == .original {
      // What the client calls its call is what the answers' destination is translated to.
      source.options.insert(.portsSpecified)
      source.minPort = adoption.sourcePort
      source.maxPort = adoption.sourcePort
    } else {
      destination.options.insert(.portsSpecified)
      destination.minPort = adoption.port
      destination.maxPort = adoption.port
    }
    tracker.bind(connection, .source, to: source)
    tracker.bind(connection, .destination, to: destination)
  }

  /// Replaces two bytes of a packet, as a helper asked.
  /// - Returns: nil, or why the packet must be dropped.
  public static func write(
    _ value: UInt16, at offset: Int, _ packet: inout PacketBuffer, _ headers: inout PacketHeaders,
    _ tracker: inout ConnectionTracker, _ tracking: Tracking
  ) -> HelperDrop? {
    var words = Words()
    words.append(UInt8(value >> 8))
    words.append(UInt8(value & 255))
    let isWritten = PayloadRewriter.replace(
      &packet, &headers, at: offset, 2, with: words, &tracker, tracking)
    return isWritten ? nil : .notTranslated
  }
}

/// Text to be written into a packet, at most 64 bytes.
struct Words {
  private(set) var bytes: InlineArray<64, UInt8> = InlineArray(repeating: 0)
  private(set) var count = 0

  mutating func append(_ byte: UInt8) {
    guard count < 64 else { return }
    bytes[count] = byte
    count += 1
  }

  mutating func append(decimal value: UInt16) { append(decimal: UInt32(value)) }

  mutating func append(decimal value: UInt32) {
    var scale: UInt32 = 1_000_000_000
    while scale > 1 && value < scale { scale /= 10 }
    while scale > 0 {
      append(UInt8(ascii: "0") + UInt8(value / scale % 10))
      scale /= 10
    }
  }

  private mutating func append(hexadecimal value: UInt16) {
    for step in 0..<4 {
      let shift = UInt16(12 - 4 * step)
      let digit = UInt8(value >> shift & 15)
      append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") - 10 + digit)
    }
  }

  /// The four bytes of an IPv4 address, or the eight groups of an IPv6 one, none left out.
  private mutating func append(
    _ address: IPAddress, _ family: AddressFamily, separator: UInt8
  ) {
    if family == .ipv4 {
      for index in 0..<4 {
        append(decimal: UInt16(address.ipv4 >> UInt32(24 - 8 * index) & 255))
        if index < 3 { append(separator) }
      }
    } else {
      for index in 0..<8 {
        let half = index < 4 ? address.high : address.low
        append(
          hexadecimal: UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * (index & 3))))
        if index < 7 { append(UInt8(ascii: ":")) }
      }
    }
  }

  mutating func append(
    _ form: AnnouncementForm, _ address: IPAddress, _ port: UInt16, _ family: AddressFamily
  ) {
    let bar = UInt8(ascii: "|")
    switch form {
    case .implied: break
    case .ftpNumbers:
      append(address, .ipv4, separator: UInt8(ascii: ","))
      append(UInt8(ascii: ","))
      append(decimal: port >> 8)
      append(UInt8(ascii: ","))
      append(decimal: port & 255)
    case .ftpExtended:
      append(bar)
      append(UInt8(ascii: family == .ipv4 ? "1" : "2"))
      append(bar)
      append(address, family, separator: UInt8(ascii: "."))
      append(bar)
      append(decimal: port)
      append(bar)
    case .ircNumbers:
      append(decimal: address.ipv4)
      append(UInt8(ascii: " "))
      append(decimal: port)
    case .ftpExtendedPort:
      for _ in 0..<3 { append(bar) }
      append(decimal: port)
      append(bar)
    }
  }
}
