// What the kernel's packet may say otherwise at the IP layer without the two differing: the number it
// gave to fragments it made, and a time some milliseconds later.

import Wire

extension Comparison {
  /// Numbers Weir gave to IPv6 fragments it made, and the kernel's for the same packet.
  typealias Identifications = [UInt32: UInt32]

  /// `engine` with the kernel's identification, where it is an IPv6 fragment the router made: one that
  /// has another than what was sent. All fragments of a packet must have the same.
  static func withIdentification(
    of kernel: [UInt8], _ engine: [UInt8], sent: [UInt8], _ known: inout Identifications
  ) -> [UInt8] {
    guard let (at, mine) = fragmentIdentification(engine),
      let (place, its) = fragmentIdentification(kernel), place == at, mine != its,
      fragmentIdentification(sent)?.value != its, known[mine, default: its] == its
    else { return engine }
    known[mine] = its
    var bytes = engine
    bytes.store16(UInt16(its >> 16), at: at)
    bytes.store16(UInt16(truncatingIfNeeded: its), at: at + 2)
    return bytes
  }

  private static func fragmentIdentification(_ bytes: [UInt8]) -> (at: Int, value: UInt32)? {
    guard bytes.count >= 40, bytes[0] >> 4 == 6 else { return nil }
    let walk = IPv6ExtensionWalk(
      bytes.rawSpan, nextHeader: bytes[6], nextHeaderOffset: 6, at: 40, end: bytes.count)
    let at = walk.fragmentHeaderOffset + 4
    guard at >= 44, at + 4 <= bytes.count else { return nil }
    return (at, bytes.rawSpan.uint32(at: at))
  }

  /// `engine` with the kernel's times in the timestamp option of its header and of a packet it quotes,
  /// where they are next to each other. Checksums follow.
  static func withTimes(of kernel: [UInt8], _ engine: [UInt8]) -> [UInt8] {
    guard engine.count == kernel.count, engine.count >= 28, engine[0] >> 4 == 4 else {
      return engine
    }
    var bytes = engine
    copyTimes(of: kernel, &bytes, from: 0, checksums: [IPv4Field.checksum])
    let header = Int(bytes[0] & 15) * 4
    guard bytes[9] == IPProtocolNumber.icmp, header >= 20, header + 28 <= bytes.count,
      ICMPType.isError(bytes[header])
    else { return bytes }
    let quote = header + 8
    // The header quoted may have been completed already, or not yet.
    let old = engine.rawSpan.uint16(at: quote + IPv4Field.checksum)
    let its = kernel.rawSpan.uint16(at: quote + IPv4Field.checksum)
    let sums = [header + ICMPField.checksum] + (old == its ? [] : [quote + IPv4Field.checksum])
    copyTimes(of: kernel, &bytes, from: quote, checksums: sums)
    return bytes
  }

  private static func copyTimes(
    of kernel: [UInt8], _ bytes: inout [UInt8], from start: Int, checksums: [Int]
  ) {
    guard bytes[start] >> 4 == 4 else { return }
    let end = min(start + Int(bytes[start] & 15) * 4, bytes.count)
    var at = start + 20
    while at + 1 < end, bytes[at] != 0 {
      if bytes[at] == 1 {
        at += 1
        continue
      }
      let length = Int(bytes[at + 1])
      guard length >= 2, at + length <= end else { return }
      if bytes[at] == 68, length >= 4 {
        // A pointer need not be where an entry begins.
        for place in at + 4..<max(at + 4, at + length - 3) {
          copyTime(of: kernel, &bytes, at: place, checksums)
        }
      }
      at += length
    }
  }

  private static func copyTime(
    of kernel: [UInt8], _ bytes: inout [UInt8], at place: Int, _ checksums: [Int]
  ) {
    let mine = bytes.rawSpan.uint32(at: place)
    let its = kernel.rawSpan.uint32(at: place)
    guard mine != its, max(mine, its) - min(mine, its) <= 40 else { return }
    // A checksum sums 16-bit words, wherever the field lies; at odd places the bytes change roles.
    for word in stride(from: place & ~1, to: place + 4, by: 2) {
      let old = bytes.rawSpan.uint16(at: word)
      for byte in word..<word + 2 where byte >= place && byte < place + 4 {
        bytes[byte] = kernel[byte]
      }
      let new = bytes.rawSpan.uint16(at: word)
      for checksum in checksums {
        bytes.store16(
          InternetChecksum.updated(bytes.rawSpan.uint16(at: checksum), from: old, to: new),
          at: checksum)
      }
    }
  }
}
