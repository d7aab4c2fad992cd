// Compressed captures: one member or several, cut short, damaged, and with padding behind.

import Capture
import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct GzipTests {
  /// A pcap file of two packets, [1, 2, 3] and [4, 5, 6, 7], by gzip.
  private static let one = hexadecimal(
    """
    1f8b0800000000000203bb7278d342260616060460616004928c501e331433323133c11540312b1b
    3b0046fe9f3c3f000000
    """)

  /// The same in two members, the seam within the first packet's header.
  static let two = hexadecimal(
    """
    1f8b0800000000000203bb7278d342260616060460616004928c501e33140300f6fd0eda28000000
    1f8b0800000000000203636462666280001618666563070063a188b017000000
    """)

  /// `one` compressed once more.
  private static let twice = hexadecimal(
    """
    1f8b080000000000020393efe660000126e6dd4515979dd4d8c4d8581212135826f504c8198b181b
    191a1f147530d496b66670fb37dfc61ea81200814f1baf32000000
    """)

  private static let packets: [[UInt8]] = [[1, 2, 3], [4, 5, 6, 7]]

  @Test func oneMember() {
    let reading = Reading(GzipTests.one)
    #expect(reading.error == nil)
    #expect(reading.cut == nil)
    #expect(reading.packets.map(\.bytes) == GzipTests.packets)
  }

  @Test func severalMembers() {
    #expect(Reading(GzipTests.two).packets.map(\.bytes) == GzipTests.packets)
  }

  @Test func paddingBehind() {
    let reading = Reading(GzipTests.one + [0, 0, 0, 0, 0])
    #expect(reading.error == nil)
    #expect(reading.packets.map(\.bytes) == GzipTests.packets)
  }

  @Test func fromAFile() throws {
    let path = try temporaryFile(GzipTests.two)
    // The path is passed as a C string for the time of the call.
    defer { _ = unsafe unlink(path) }
    #expect(Reading(path: path).packets.map(\.bytes) == GzipTests.packets)
  }

  @Test func compressedTwice() {
    #expect(Reading(GzipTests.twice).error?.kind == .unsupported)
  }

  /// Wherever the compressed file ends, what came before is there, and that it is cut is said.
  @Test func everyCut() {
    for length in 2..<GzipTests.one.count {
      let reading = Reading(Array(GzipTests.one[..<length]))
      if reading.error == nil {
        #expect(reading.cut != nil)
      } else {
        #expect(reading.error?.kind == .notACapture)
        #expect(reading.packets.isEmpty)
      }
    }
  }

  @Test func damage() {
    var bytes = GzipTests.one
    bytes[bytes.count - 8] ^= 1  // The checksum.
    let reading = Reading(bytes, name: "f")
    #expect(reading.packets.map(\.bytes) == GzipTests.packets)
    #expect(
      reading.error?.description
        == "f: at byte 63: the gzip data are damaged from here on (incorrect data check); "
        + "get the file again, or cut it here")
  }
}

private func hexadecimal(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }.compactMap(\.hexDigitValue)
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
