// What a file is, told by its first four bytes: a capture of which format and byte order, or
// something else that the user should be told the name of.

enum CaptureSignature: Equatable {
  case pcap(swapped: Bool, nanoseconds: Bool, recordHeaderLength: Int)
  case pcapng
  case gzip
  /// Not a capture: what is wrong and how to mend it.
  case other(String)

  /// Looks at the first bytes of the stream and consumes none.
  static func read(_ source: inout ByteSource) throws(CaptureError) -> CaptureSignature {
    let enough = try source.fill(4)
    if source.available >= 2, source.word16(0, swapped: false).bigEndian == 0x1f8b {
      return .gzip
    }
    guard enough else {
      return source.available == 0
        ? .other("is empty, where pcap or pcapng was expected; was its writer stopped too soon?")
        : .other("is not a capture: only \(source.available) bytes long")
    }
    let big = source.word32(0, swapped: false).bigEndian
    let bigEndianMachine = UInt32(1).bigEndian == 1
    switch big {
    case 0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34:
      return .pcap(
        swapped: !bigEndianMachine, nanoseconds: big == 0xa1b2_3c4d,
        recordHeaderLength: big == 0xa1b2_cd34 ? 24 : 16)
    case 0xd4c3_b2a1, 0x4d3c_b2a1, 0x34cd_b2a1:
      return .pcap(
        swapped: bigEndianMachine, nanoseconds: big == 0x4d3c_b2a1,
        recordHeaderLength: big == 0x34cd_b2a1 ? 24 : 16)
    case 0x0a0d_0d0a:
      return .pcapng
    case 0x28b5_2ffd: return .other(compressed("zstd", "zstd -d"))
    case 0xfd37_7a58: return .other(compressed("xz", "xz -d"))
    case 0x0422_4d18: return .other(compressed("lz4", "lz4 -d"))
    case 0x425a_6830...0x425a_6839: return .other(compressed("bzip2", "bzip2 -d"))
    case 0x504b_0304: return .other(compressed("zip", "unzip"))
    case 0x736e_6f6f: return .other(foreign("a snoop capture"))
    case 0x5254_5353, 0x474d_4255: return .other(foreign("a Network Monitor capture"))
    case 0x5852_5300, 0x5858_5300, 0x5452_534e: return .other(foreign("a Sniffer capture"))
    default:
      let hexadecimal = String(big, radix: 16)
      let padded = String(repeating: "0", count: 8 - hexadecimal.count) + hexadecimal
      return .other(
        "is not a capture: it begins with 0x\(padded), where pcap or pcapng was expected")
    }
  }

  private static func compressed(_ by: String, _ tool: String) -> String {
    "is compressed with \(by), of which only gzip is read; unpack it with `\(tool)`"
  }

  private static func foreign(_ what: String) -> String {
    "is \(what), not pcap or pcapng; convert it with `editcap -F pcapng IN OUT`"
  }
}
