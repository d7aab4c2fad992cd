// A packet that left in pieces, with a port or an address that NAT chose: the pieces together are
// rewritten to the kernel's choice, since the checksum that goes with it may stand in another piece.

import Wire

extension Renaming {
  /// A piece of an IP packet.
  private struct Piece {
    var place: Int
    /// Where its payload begins.
    var start: Int
    /// Where that belongs in the whole's.
    var offset: Int
    var isLast: Bool

    /// Nil for what is no piece. `key`: what pieces of one packet have in common.
    init?(_ bytes: [UInt8], place: Int, key: inout [UInt8]) {
      self.place = place
      if bytes.count >= 20, bytes[0] >> 4 == 4 {
        let word = bytes.rawSpan.uint16(at: 6)
        offset = Int(word & 0x1fff) * 8
        isLast = word & 0x2000 == 0
        start = Int(bytes[0] & 15) * 4
        key = Array(bytes[4..<6] + bytes[9..<10] + bytes[12..<20])
      } else if bytes.count >= 48, bytes[0] >> 4 == 6, bytes[6] == 44 {
        let word = bytes.rawSpan.uint16(at: 42)
        offset = Int(word & 0xfff8)
        isLast = word & 1 == 0
        start = 48
        key = Array(bytes[44..<48] + bytes[40..<41] + bytes[8..<40])
      } else {
        return nil
      }
      if offset == 0 && isLast || start > bytes.count { return nil }
    }
  }

  /// What Weir sent, with the pieces of every packet whose connection has a choice as the kernel would have
  /// sent them.
  func withPiecesRewritten(_ emissions: [Emission]) -> [Emission] {
    var packets: [[UInt8]: [Piece]] = [:]
    for (place, emission) in emissions.enumerated() {
      var key: [UInt8] = []
      guard let piece = Piece(emission.bytes, place: place, key: &key) else { continue }
      packets[key, default: []].append(piece)
    }
    var renamed = emissions
    for pieces in packets.values {
      let pieces = pieces.sorted { $0.offset < $1.offset }
      guard let whole = Renaming.joined(pieces, emissions), let its = rewritten(whole) else {
        continue
      }
      let header = whole[0] >> 4 == 4 ? 20 : 40
      for piece in pieces {
        var bytes = emissions[piece.place].bytes
        let count = bytes.count - piece.start
        let from = header + piece.offset
        bytes.replaceSubrange(piece.start..., with: its[from..<from + count])
        let addresses = header == 20 ? 12..<20 : 8..<40
        bytes.replaceSubrange(addresses, with: its[addresses])
        if header == 20 { Renaming.sumHeader(&bytes, piece.start) }
        renamed[piece.place].bytes = bytes
      }
    }
    return renamed
  }

  /// The packet the pieces make, without options; nil where some are missing.
  private static func joined(_ pieces: [Piece], _ emissions: [Emission]) -> [UInt8]? {
    guard let first = pieces.first, pieces.last?.isLast == true else { return nil }
    var payload: [UInt8] = []
    for piece in pieces {
      guard piece.offset == payload.count else { return nil }
      payload += emissions[piece.place].bytes[piece.start...]
    }
    let bytes = emissions[first.place].bytes
    var whole: [UInt8]
    if bytes[0] >> 4 == 4 {
      whole = Array(bytes[..<20])
      whole[0] = 0x45
      whole.store16(UInt16(clamping: 20 + payload.count), at: IPv4Field.totalLength)
      whole.store16(0, at: 6)
      sumHeader(&whole, 20)
    } else {
      whole = Array(bytes[..<40])
      whole[6] = bytes[40]
      whole.store16(UInt16(clamping: payload.count), at: IPv6Field.payloadLength)
    }
    return whole + payload
  }

  private static func sumHeader(_ bytes: inout [UInt8], _ length: Int) {
    bytes.store16(0, at: IPv4Field.checksum)
    let sum = InternetChecksum.sum(bytes.rawSpan.slice(0..<length))
    bytes.store16(InternetChecksum.checksum(sum), at: IPv4Field.checksum)
  }
}
