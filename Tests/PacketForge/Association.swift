// One end of an SCTP association: `client.sends(.initiation)`, `server.sends(.initiationAck)`. For
// tests that read like the handshake they send; any tag can be given instead of the right one.

import Wire

/// An SCTP chunk as it stands in a packet.
public struct Chunk: Hashable, Sendable {
  public var type: UInt8
  public var flags: UInt8
  public var body: [UInt8]
  /// What the length field says, where that is not how long the chunk is.
  public var length: UInt16?

  public init(_ type: UInt8, flags: UInt8 = 0, body: [UInt8] = [], length: UInt16? = nil) {
    self.type = type
    self.flags = flags
    self.body = body
    self.length = length
  }

  /// INIT; its sender wants to be sent `tag`.
  public static func initiation(_ tag: UInt32) -> Chunk {
    Chunk(SCTPChunkType.initiation, body: initiationBody(tag))
  }
  public static func initiationAck(_ tag: UInt32) -> Chunk {
    Chunk(SCTPChunkType.initiationAck, body: initiationBody(tag))
  }
  private static func initiationBody(_ tag: UInt32) -> [UInt8] {
    bigEndian(tag) + bigEndian(UInt32(65_536)) + bigEndian(UInt16(10)) + bigEndian(UInt16(10))
      + bigEndian(UInt32(1))
  }

  public static let data = Chunk(
    SCTPChunkType.data, flags: 3, body: [UInt8](repeating: 0, count: 12) + Array("data".utf8))
  public static let selectiveAck = Chunk(
    SCTPChunkType.selectiveAck, body: [UInt8](repeating: 0, count: 12))
  public static let heartbeat = Chunk(SCTPChunkType.heartbeat, body: [0, 1, 0, 4])
  public static let heartbeatAck = Chunk(SCTPChunkType.heartbeatAck, body: [0, 1, 0, 4])
  public static let abort = Chunk(SCTPChunkType.abort)
  public static let shutdown = Chunk(SCTPChunkType.shutdown, body: [0, 0, 0, 0])
  public static let shutdownAck = Chunk(SCTPChunkType.shutdownAck)
  public static let error = Chunk(SCTPChunkType.error)
  public static let cookieEcho = Chunk(SCTPChunkType.cookieEcho, body: Array("cookie".utf8))
  public static let cookieAck = Chunk(SCTPChunkType.cookieAck)
  public static let shutdownComplete = Chunk(SCTPChunkType.shutdownComplete)

  /// The same chunk with the T bit: the packet's tag is the one its sender was sent.
  public var reflectingTag: Chunk {
    var copy = self
    copy.flags |= SCTPChunkFlag.tagReflected
    return copy
  }

  var bytes: [UInt8] {
    var bytes = [type, flags] + bigEndian(length ?? UInt16(4 + body.count)) + body
    while bytes.count % 4 != 0 { bytes.append(0) }
    return bytes
  }
}

/// One end of an SCTP association.
public struct AssociationEnd {
  public let socket: Socket
  public let other: Socket
  /// What this end wants to be sent.
  public let tag: UInt32
  public let otherTag: UInt32

  /// A packet of some chunks. Its verification tag, where none is given, is the right one: 0 for an
  /// INIT, else the other end's.
  public func sends(_ chunks: Chunk..., tag: UInt32? = nil) -> Packet {
    let right = chunks.first?.type == SCTPChunkType.initiation ? 0 : otherTag
    return packet(chunks.flatMap(\.bytes), tag: tag ?? right)
  }

  /// A packet with any bytes where chunks should be.
  public func packet(_ chunkBytes: [UInt8], tag: UInt32) -> Packet {
    var payload =
      bigEndian(socket.port) + bigEndian(other.port) + bigEndian(tag) + [0, 0, 0, 0]
      + chunkBytes
    let checksum = CRC32c.sctp(payload.rawSpan, at: 0, end: payload.count)
    payload.replaceSubrange(8..<12, with: bigEndian(checksum.byteSwapped))
    return Packet(
      IPProtocolNumber.sctp, from: socket.address, to: other.address,
      payload: payload)
  }

  /// This end's INIT and INIT ACK.
  public var initiation: Packet { sends(.initiation(tag)) }
  public var initiationAck: Packet { sends(.initiationAck(tag)) }
}

/// The two ends of an association that has not begun. The client wants to be sent 1111, the server
/// 2222.
public func sctp(
  _ client: Address, _ clientPort: UInt16, _ server: Address, _ serverPort: UInt16
) -> (client: AssociationEnd, server: AssociationEnd) {
  let ends = (Socket(client, clientPort), Socket(server, serverPort))
  return (
    AssociationEnd(socket: ends.0, other: ends.1, tag: 1111, otherTag: 2222),
    AssociationEnd(socket: ends.1, other: ends.0, tag: 2222, otherTag: 1111)
  )
}
