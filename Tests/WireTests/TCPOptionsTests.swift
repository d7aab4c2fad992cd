// TCP options: each kind, what is malformed, and the highest selective acknowledgement.

import Testing
import Wire

@Suite struct TCPOptionsTests {
  private func scan(_ text: String) -> TCPOptions {
    let bytes = hex(text)
    return TCPOptions.scan(bytes.rawSpan, at: 0, end: bytes.count)
  }

  private func blocks(_ options: TCPOptions) -> [TCPOptions.SACKBlock] {
    (0..<options.sackBlockCount).map { options.sackBlocks[$0] }
  }

  @Test func none() {
    let options = scan("")
    #expect(!options.malformed && !options.sackPermitted && options.sackBlockCount == 0)
    #expect(options.windowScale == nil && options.maximumSegmentSize == nil)
    #expect(options.timestamp == nil)
  }

  @Test func thoseOfASYN() {
    let options = scan("020405b4 0402080a 28315a6c 00000001 0103030a")
    #expect(options.maximumSegmentSize == 1460)
    #expect(options.sackPermitted)
    #expect(options.timestamp == .init(value: 0x2831_5a6c, echo: 1))
    #expect(options.windowScale == 10)
    #expect(!options.malformed)
  }

  @Test func windowScaleIsNotClamped() {
    #expect(scan("0303ff").windowScale == 255)
  }

  @Test func theLaterCounts() {
    #expect(scan("030301 030302").windowScale == 2)
  }

  @Test func sackBlocks() {
    let options = scan("0101 050a 00000001 00000002")
    #expect(blocks(options) == [.init(left: 1, right: 2)])
    let four = scan(
      "0522 00000001 00000002 00000003 00000004 00000005 00000006 00000007 00000008")
    #expect(blocks(four).map(\.left) == [1, 3, 5, 7])
    #expect(blocks(four).map(\.right) == [2, 4, 6, 8])
  }

  @Test func moreThanFourBlocks() {
    let bytes = [5, 42] + Array(repeating: UInt8(7), count: 40)
    let options = TCPOptions.scan(bytes.rawSpan, at: 0, end: bytes.count)
    #expect(options.sackBlockCount == 4 && !options.malformed)
  }

  @Test func anotherLengthThanItsKindHas() {
    let options = scan("0203 05 0304 0a00 0403 00 0809 0000000000 0000 0509 00000000000000")
    #expect(!options.malformed)
    #expect(options.maximumSegmentSize == nil && options.windowScale == nil)
    #expect(!options.sackPermitted && options.timestamp == nil && options.sackBlockCount == 0)
  }

  @Test func endEnds() {
    #expect(scan("00 030307").windowScale == nil)
    #expect(!scan("00 03").malformed)
  }

  @Test(arguments: [
    "02", "0101 03", "0300", "0301 01", "020505b4", "080a 00000000 000000", "fe04 00",
  ])
  func malformed(_ text: String) {
    #expect(scan(text).malformed)
  }

  @Test func whatCameBeforeTheMalformedStays() {
    let options = scan("030307 02")
    #expect(options.malformed && options.windowScale == 7)
  }

  @Test func unknownKindsAreSkipped() {
    let options = scan("fe04 abcd 030307")
    #expect(!options.malformed && options.windowScale == 7)
  }

  @Test func outsideTheSpan() {
    let bytes = hex("030307")
    let beyond = TCPOptions.scan(bytes.rawSpan, at: 0, end: 4)
    #expect(beyond.malformed)
    let before = TCPOptions.scan(bytes.rawSpan, at: -1, end: 3)
    #expect(before.malformed)
  }

  // MARK: - The highest selective acknowledgement

  private func highest(_ text: String, acknowledgement: UInt32 = 100) -> UInt32 {
    let bytes = hex(text)
    return TCPOptions.highestSACK(
      bytes.rawSpan, at: 0, end: bytes.count, acknowledgement: acknowledgement)
  }

  @Test func highestSACK() {
    #expect(highest("") == 100)
    #expect(highest("0101080a 00000001 00000002") == 100)
    #expect(highest("0101050a 00000090 000000a0") == 0xa0)
    #expect(highest("0101050a 00000001 00000002") == 100)  // Behind the acknowledgement.
    #expect(highest("0101 0512 00000090 000000a0 000000c0 000000d0") == 0xd0)
    #expect(highest("0101 0512 000000c0 000000d0 00000090 000000a0") == 0xd0)
    #expect(highest("0101080a 00000001 00000002 0101050a 00000090 000000a0") == 0xa0)
  }

  @Test func highestSACKIsSerial() {
    #expect(highest("0101050a fffffff0 00000010", acknowledgement: 0xffff_ff00) == 0x10)
    #expect(highest("0101050a fffffff0 fffffff8", acknowledgement: 0x10) == 0x10)
    // Half the circle away is ahead, as Linux has it.
    #expect(highest("0101050a 00000064 80000064") == 0x8000_0064)
  }

  @Test(arguments: [
    "05", "0502", "0509 00000090 0000a0", "050a 00000090 0000", "0000050a 00000090 000000a0",
  ])
  func noSACKToFind(_ text: String) {
    #expect(highest(text) == 100)
  }

  @Test func bothReadersAgree() {
    var generator = SeededGenerator(seed: 7)
    for seed in 0..<20_000 {
      var bytes: [UInt8] = []
      while bytes.count < 40, generator.next() % 5 != 0 {
        switch generator.next() % 4 {
        case 0: bytes.append(1)
        case 1: bytes += [5, 10] + generator.bytes(8)
        case 2: bytes += [8, 10] + generator.bytes(8)
        default: bytes += generator.bytes(Int(generator.next() % 4))
        }
      }
      let options = TCPOptions.scan(bytes.rawSpan, at: 0, end: bytes.count)
      let acknowledgement = UInt32(truncatingIfNeeded: generator.next())
      let highest = TCPOptions.highestSACK(
        bytes.rawSpan, at: 0, end: bytes.count, acknowledgement: acknowledgement)
      // Of the blocks of one option; several options are rare and not compared.
      let edges = blocks(options).map(\.right)
      if edges.count == 1, bytes.count(where: { $0 == 5 }) == 1 {
        let ahead = Int32(bitPattern: acknowledgement &- edges[0]) < 0
        #expect(highest == (ahead ? edges[0] : acknowledgement), "number \(seed): \(bytes)")
      }
    }
  }
}
