// TCP options to be built (RFC 9293 section 3.2, RFC 7323, RFC 2018): what `PacketBuilder.tcp` puts
// behind the header.

/// One TCP option.
public enum TCPOption: Hashable, Sendable {
  case end
  case noOperation
  case maximumSegmentSize(UInt16)
  case windowScale(UInt8)
  case sackPermitted
  /// Pairs of the sequence numbers where a block starts and behind its end.
  case sack([TCPOptions.SACKBlock])
  case timestamp(value: UInt32, echo: UInt32)
  /// Whatever else, right or wrong.
  case bytes([UInt8])

  func append(to header: inout [UInt8]) {
    switch self {
    case .end: header.append(TCPOptions.Kind.end)
    case .noOperation: header.append(TCPOptions.Kind.noOperation)
    case .maximumSegmentSize(let size):
      header += [TCPOptions.Kind.maximumSegmentSize, 4]
      header.append16(size)
    case .windowScale(let shift): header += [TCPOptions.Kind.windowScale, 3, shift]
    case .sackPermitted: header += [TCPOptions.Kind.sackPermitted, 2]
    case .sack(let blocks):
      precondition(blocks.count <= 4, "more than four SACK blocks")
      header += [TCPOptions.Kind.sack, UInt8(2 + 8 * blocks.count)]
      for block in blocks {
        header.append32(block.left)
        header.append32(block.right)
      }
    case .timestamp(let value, let echo):
      header += [TCPOptions.Kind.timestamp, 10]
      header.append32(value)
      header.append32(echo)
    case .bytes(let bytes): header += bytes
    }
  }
}
