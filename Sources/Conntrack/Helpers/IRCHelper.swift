// IRC's DCC (the client-to-client protocol of 1994): where a client waits for another to fetch a file or to
// chat, told in a message to that other. Only one message is read, at the beginning of a segment.

import Wire

enum IRCHelper {
  struct Invitation {
    var address: UInt32
    var port: UInt16
    /// The address and the port, in the packet.
    var offset: Int
    var length: Int
  }

  /// What may be offered.
  private static let offers: [StaticString] = ["SEND ", "CHAT ", "MOVE ", "TSEND ", "SCHAT "]
  /// How much must follow from an offer on: `SEND f 167772418 12\n`.
  private static let shortest = 20

  /// Reads `PRIVMSG nick :\u{1}DCC SEND file 167772418 1025\u{1}\r\n`.
  static func read(_ bytes: RawSpan, from start: Int, to end: Int) -> Invitation? {
    var at = start
    while at < end, [0x20, 0x0d, 0x0a].contains(bytes.uint8(at: at)) { at += 1 }
    guard FTPReader.begins(bytes, at, end, with: "PRIVMSG ") == .yes else { return nil }
    at += 8
    // To whom; the first colon behind a space begins what is said.
    while at + 1 < end, bytes.uint16(at: at) != 0x203a { at += 1 }
    at += 2
    guard starts(bytes, at, end, with: "\u{1}DCC ") else { return nil }
    at += 5
    guard at + shortest <= end,
      let offer = offers.first(where: { starts(bytes, at, end, with: $0) })
    else { return nil }
    var reader = FTPReader(bytes, at: at + offer.utf8CodeUnitCount, end: end)
    while let byte = reader.next, byte != UInt8(ascii: " ") { reader.at += 1 }
    guard reader.take(UInt8(ascii: " ")), hasLineEnd(bytes, reader.at, end) else { return nil }
    let first = reader.at
    let address = reader.number()
    guard reader.at > first, reader.take(UInt8(ascii: " ")) else { return nil }
    while reader.take(UInt8(ascii: " ")) {}
    let port = UInt16(truncatingIfNeeded: reader.number())
    return port == 0
      ? nil
      : Invitation(address: address, port: port, offset: first, length: reader.at - first)
  }

  private static func starts(
    _ bytes: RawSpan, _ at: Int, _ end: Int, with word: StaticString
  ) -> Bool {
    guard at + word.utf8CodeUnitCount <= end else { return false }
    for index in 0..<word.utf8CodeUnitCount {
      // In bounds of the word by the loop.
      let letter = unsafe word.utf8Start[index]
      if bytes.uint8(at: at + index) != letter { return false }
    }
    return true
  }

  private static func hasLineEnd(_ bytes: RawSpan, _ start: Int, _ end: Int) -> Bool {
    for at in start..<end where bytes.uint8(at: at) == UInt8(ascii: "\n") { return true }
    return false
  }
}

extension ConnectionTracker {
  mutating func helpIRC(
    _ bytes: RawSpan, _ headers: PacketHeaders, _ tracking: Tracking
  ) -> HelperVerdict {
    guard tracking.state == .established, tracking.direction == .original,
      let segment = TCPHeader(bytes, at: headers.transportOffset, end: headers.end)
    else { return .pass }
    let start = headers.transportOffset + segment.headerLength
    guard start < headers.end,
      let found = IRCHelper.read(bytes, from: start, to: headers.end)
    else { return .pass }
    let record = tracking.connection.index
    let reply = table.tuple(record, .reply)
    // Its own address, or the one it has behind NAT: who names another host is not believed.
    guard
      found.address == table.tuple(record, .original).source.ipv4
        || found.address == reply.destination.ipv4
    else { return .pass }
    // Anyone may come, by whatever way the two have told each other.
    let tuple = Tuple(
      source: .any, destination: reply.destination, sourcePort: 0, destinationPort: found.port,
      protocolNumber: IPProtocolNumber.tcp, family: .ipv4)
    var draft = ExpectationDraft(tuple, helper: .irc, direction: .reply)
    draft.sourceMask = .any
    return .announces(
      Announcement(draft, .ircNumbers, offset: found.offset, length: found.length))
  }
}
