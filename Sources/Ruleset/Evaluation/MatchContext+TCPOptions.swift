// Finding out which options a TCP header has, for rules that ask.

import Wire

extension MatchContext {
  /// Sets what `--tcp-option` and `-m tcpmss` ask for. To be called for a whole TCP packet or first
  /// fragment where `CompiledRuleset.uses` has `tcpOptions`.
  ///
  /// Walks the options as the kernel's match does, which goes on after an end-of-list option.
  ///
  /// - Parameter transport: the packet's bytes from the TCP header on; may be cut short.
  public mutating func readTCPOptions(_ transport: RawSpan) {
    tcpOptionKinds = [0, 0, 0, 0]
    tcpMSS = nil
    guard transport.byteCount >= 20 else {
      hasReadableTCPOptions = false
      return
    }
    let end = Int(transport.uint8(at: 12) >> 4) * 4
    hasReadableTCPOptions = end >= 20 && end <= transport.byteCount
    guard hasReadableTCPOptions else { return }
    var offset = 20
    while offset < end {
      let kind = transport.uint8(at: offset)
      tcpOptionKinds[Int(kind >> 6)] |= 1 << UInt64(kind & 63)
      if kind == 2, offset + 4 <= end, transport.uint8(at: offset + 1) == 4, tcpMSS == nil {
        tcpMSS = transport.uint16(at: offset + 2)
      }
      // Kinds 0 and 1 are one byte; a length of 0 would never end.
      let length = kind < 2 || offset + 1 >= end ? 1 : max(1, Int(transport.uint8(at: offset + 1)))
      offset += length
    }
  }
}
