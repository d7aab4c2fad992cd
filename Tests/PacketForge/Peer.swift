// One end of a TCP conversation, which keeps count of what it has sent: `client.syn()`,
// `server.synAck()`, `client.ack()`. Any number can be given instead, for tests at a window's edge.

import Wire

/// A TCP option as it stands in a segment.
public enum SegmentOption: Hashable, Sendable {
  case mss(UInt16)
  case windowScale(UInt8)
  case sackPermitted
  case sack([ClosedRange<UInt32>])
  case timestamp(UInt32, echo: UInt32)
  case raw([UInt8])

  var bytes: [UInt8] {
    switch self {
    case .mss(let size): [2, 4] + bigEndian(size)
    case .windowScale(let shift): [3, 3, shift]
    case .sackPermitted: [4, 2]
    case .sack(let blocks):
      [5, UInt8(2 + 8 * blocks.count)]
        + blocks.flatMap { bigEndian($0.lowerBound) + bigEndian($0.upperBound) }
    case .timestamp(let value, let echo): [8, 10] + bigEndian(value) + bigEndian(echo)
    case .raw(let bytes): bytes
    }
  }
}

/// The numbers both ends share.
private final class Conversation {
  var next: [UInt32]
  init(next: [UInt32]) { self.next = next }
}

/// One end of a TCP conversation. Copies of it keep count together.
public struct Peer {
  public let socket: Socket
  public let other: Socket
  private let conversation: Conversation
  private let place: Int
  /// The sequence number of the next byte to send.
  public var next: UInt32 {
    get { conversation.next[place] }
    nonmutating set { conversation.next[place] = newValue }
  }
  /// The window it offers, as it stands in the header.
  public var window: UInt16 = 64240
  /// What its IP headers say.
  public var fields = HeaderFields(df: true)

  fileprivate init(
    _ socket: Socket, to other: Socket, _ conversation: Conversation, _ place: Int
  ) {
    self.socket = socket
    self.other = other
    self.conversation = conversation
    self.place = place
  }

  /// Any segment. Left out, the sequence number is the next and the acknowledgement is for all the
  /// other end has sent.
  public func segment(
    _ flags: TCPFlags, seq: UInt32? = nil, ack: UInt32? = nil, win: UInt16? = nil,
    data: Int = 0, options: [SegmentOption] = []
  ) -> Packet {
    segment(
      flags, seq: seq, ack: ack, win: win,
      payload: (0..<data).map { UInt8(truncatingIfNeeded: $0) }, options: options)
  }

  private func segment(
    _ flags: TCPFlags, seq: UInt32?, ack: UInt32?, win: UInt16?, payload: [UInt8],
    options: [SegmentOption]
  ) -> Packet {
    let sequence = seq ?? next
    let acknowledgement = ack ?? (flags.contains(.ack) ? conversation.next[1 - place] : 0)
    var optionBytes = options.flatMap(\.bytes)
    // NOPs up to a full word.
    while optionBytes.count % 4 != 0 { optionBytes.append(1) }
    let header =
      bigEndian(socket.port) + bigEndian(other.port) + bigEndian(sequence)
      + bigEndian(acknowledgement) + [UInt8(5 + optionBytes.count / 4) << 4, flags.rawValue]
      + bigEndian(win ?? window) + [0, 0, 0, 0]
    let length =
      UInt32(payload.count) + (flags.contains(.syn) ? 1 : 0) + (flags.contains(.fin) ? 1 : 0)
    let end = sequence &+ length
    if Int32(bitPattern: end &- next) > 0 { next = end }
    return Packet(
      IPProtocolNumber.tcp, from: socket.address, to: other.address, fields,
      payload: header + optionBytes + payload)
  }

  /// Data that is text.
  public func says(_ text: String, seq: UInt32? = nil, ack: UInt32? = nil) -> Packet {
    says([UInt8](text.utf8), seq: seq, ack: ack)
  }

  /// Data that is these bytes.
  public func says(_ payload: [UInt8], seq: UInt32? = nil, ack: UInt32? = nil) -> Packet {
    segment([.psh, .ack], seq: seq, ack: ack, win: nil, payload: payload, options: [])
  }

  public func syn(seq: UInt32? = nil, win: UInt16? = nil, options: [SegmentOption] = []) -> Packet {
    segment(.syn, seq: seq, win: win, options: options)
  }
  public func synAck(
    seq: UInt32? = nil, ack: UInt32? = nil, win: UInt16? = nil, options: [SegmentOption] = []
  ) -> Packet {
    segment([.syn, .ack], seq: seq, ack: ack, win: win, options: options)
  }
  public func ack(
    seq: UInt32? = nil, ack: UInt32? = nil, win: UInt16? = nil, options: [SegmentOption] = []
  ) -> Packet {
    segment(.ack, seq: seq, ack: ack, win: win, options: options)
  }
  /// `count` bytes of data.
  public func data(
    _ count: Int, seq: UInt32? = nil, ack: UInt32? = nil, win: UInt16? = nil
  ) -> Packet {
    segment([.psh, .ack], seq: seq, ack: ack, win: win, data: count)
  }
  public func fin(seq: UInt32? = nil, ack: UInt32? = nil) -> Packet {
    segment([.fin, .ack], seq: seq, ack: ack)
  }
  /// A reset with an acknowledgement only where one is given.
  public func rst(seq: UInt32? = nil, ack: UInt32? = nil) -> Packet {
    segment(ack == nil ? .rst : [.rst, .ack], seq: seq, ack: ack)
  }
}

/// The two ends of a conversation that has not begun. The client's first sequence number is 1000, the
/// server's 5000.
public func tcp(
  _ client: Address, _ clientPort: UInt16, _ server: Address, _ serverPort: UInt16,
  clientSequence: UInt32 = 1000, serverSequence: UInt32 = 5000
) -> (client: Peer, server: Peer) {
  let conversation = Conversation(next: [clientSequence, serverSequence])
  let ends = (Socket(client, clientPort), Socket(server, serverPort))
  return (
    Peer(ends.0, to: ends.1, conversation, 0), Peer(ends.1, to: ends.0, conversation, 1)
  )
}
