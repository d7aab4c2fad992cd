// The reader against captures built field by field: every kind of block, both byte orders, times,
// lengths, directions, and captures cut at every byte.

import Testing

@testable import Capture

@Suite struct CaptureReaderTests {
  @Test(arguments: [false, true])
  func pcapMicroseconds(bigEndian: Bool) {
    var capture = CaptureBytes(bigEndian: bigEndian)
    capture.fileHeader()
    capture.record(seconds: 1_700_000_000, fraction: 123_456, CaptureBytes.frame(1, 60))
    capture.record(seconds: 4_000_000_000, fraction: 1, [], originalLength: 1500)
    let reading = Reading(capture.bytes)
    #expect(reading.error == nil)
    #expect(reading.cut == nil)
    #expect(
      reading.interfaces == [
        CaptureInterface(name: nil, linkType: LinkType.ethernet, snapshotLength: 262_144)
      ])
    #expect(
      reading.packets.map(\.frame) == [
        CapturedFrame(
          number: 1, timeNanoseconds: 1_700_000_000_123_456_000, interfaceIndex: 0, linkType: 1,
          direction: nil, capturedLength: 60, originalLength: 60),
        CapturedFrame(
          number: 2, timeNanoseconds: 4_000_000_000_000_001_000, interfaceIndex: 0, linkType: 1,
          direction: nil, capturedLength: 0, originalLength: 1500),
      ])
    #expect(reading.packets[0].bytes == CaptureBytes.frame(1, 60))
  }

  @Test(arguments: [false, true])
  func pcapNanoseconds(bigEndian: Bool) {
    var capture = CaptureBytes(bigEndian: bigEndian)
    // The upper half of the link type says that frames end in a check sequence of 4 bytes.
    capture.fileHeader(magic: 0xa1b2_3c4d, linkType: 0x4400_0065)
    capture.record(seconds: 7, fraction: 999_999_999, [1])
    let reading = Reading(capture.bytes)
    #expect(reading.packets.map(\.frame.timeNanoseconds) == [7_999_999_999])
    #expect(reading.packets.map(\.frame.linkType) == [LinkType.raw])
  }

  @Test(arguments: [false, true])
  func pcapWithLongRecords(bigEndian: Bool) {
    var capture = CaptureBytes(bigEndian: bigEndian)
    capture.fileHeader(magic: 0xa1b2_cd34)
    capture.put(UInt32(1), 2, 3, 3, 0, 0)
    capture.bytes += [7, 8, 9]
    #expect(Reading(capture.bytes).packets.map(\.bytes) == [[7, 8, 9]])
  }

  @Test(arguments: [false, true])
  func pcapngEverything(bigEndian: Bool) {
    let reading = Reading(CaptureBytes.everything(bigEndian: bigEndian))
    #expect(reading.error == nil)
    #expect(reading.cut == nil)
    // The second section's eth0 is the first's.
    #expect(
      reading.interfaces == [
        CaptureInterface(name: "eth0", linkType: LinkType.ethernet),
        CaptureInterface(name: "tun0", linkType: LinkType.raw, snapshotLength: 4),
        CaptureInterface(name: nil, linkType: LinkType.linuxSLL),
      ])
    func frame(
      _ number: Int, _ time: Int64, _ interface: Int, _ linkType: Int,
      _ direction: FrameDirection?, _ captured: Int, _ original: Int
    ) -> CapturedFrame {
      CapturedFrame(
        number: number, timeNanoseconds: time, interfaceIndex: interface, linkType: linkType,
        direction: direction, capturedLength: captured, originalLength: original)
    }
    #expect(
      reading.packets.map(\.frame) == [
        frame(1, 1_000_000_001, 0, 1, .inbound, 60, 60),
        frame(2, 2_000_000_000, 1, 101, .outbound, 4, 99),
        frame(3, 3_000_000_003, 0, 1, .outbound, 61, 61),
        // A simple packet has no time of its own.
        frame(4, 3_000_000_003, 0, 1, nil, 7, 7),
        frame(5, 5_000_000_005, 0, 1, nil, 62, 62),
        // 512 ticks of 1/1024 s after 100 s.
        frame(6, 100_500_000_000, 2, 113, nil, 63, 63),
      ])
    #expect(
      reading.packets.map(\.bytes) == [
        CaptureBytes.frame(1, 60), CaptureBytes.frame(2, 4), CaptureBytes.frame(3, 61),
        CaptureBytes.frame(4, 7), CaptureBytes.frame(5, 62), CaptureBytes.frame(6, 63),
      ])
  }

  @Test func sectionsOfBothByteOrders() {
    let capture =
      CaptureBytes.everything(bigEndian: true) + CaptureBytes.everything(bigEndian: false)
    let reading = Reading(capture)
    #expect(reading.error == nil)
    #expect(reading.packets.count == 12)
    // The one without a name cannot be known again.
    #expect(reading.interfaces.map(\.name) == ["eth0", "tun0", nil, nil])
  }

  @Test func simplePacketsAreCutToTheInterfacesLimit() {
    var capture = CaptureBytes()
    capture.section()
    capture.interface("eth0", snapshotLength: 5)
    capture.simple([1, 2, 3, 4, 5], originalLength: 1500)
    let reading = Reading(capture.bytes)
    #expect(reading.packets.map(\.bytes) == [[1, 2, 3, 4, 5]])
    #expect(reading.packets.map(\.frame.originalLength) == [1500])
  }

  @Test func interfacesOfOneNameInOneSectionStayTwo() {
    var capture = CaptureBytes()
    capture.section()
    capture.interface("eth0", mac: [2, 0, 0, 0, 1, 2])
    capture.interface("eth0", mac: [2, 0, 0, 0, 1, 2])
    capture.enhanced(interface: 1, [1])
    let reading = Reading(capture.bytes)
    #expect(reading.interfaces.count == 2)
    #expect(reading.interfaces.map(\.macAddress) == [0x0200_0000_0102, 0x0200_0000_0102])
    #expect(reading.packets.map(\.frame.interfaceIndex) == [1])
  }

  @Test(arguments: [
    // Resolution, ticks, offset in seconds, nanoseconds.
    (6 as UInt8, 1_500_000 as UInt64, 0 as Int64, 1_500_000_000 as Int64),
    (0, 3, 0, 3_000_000_000),
    (9, 3, -1, -999_999_997),
    (12, 1_999, 0, 1),
    (28, .max, 0, 1),
    (127, .max, 0, 0),
    (0x80, 5, 0, 5_000_000_000),
    (0x80 | 32, 1 << 31, 0, 500_000_000),
    (0x80 | 127, .max, 0, 0),
    // What no Int64 holds.
    (0, .max, 0, .max),
    (9, .max, 0, .max),
    (6, 0, .min, .min),
  ])
  func timestampScales(resolution: UInt8, ticks: UInt64, offset: Int64, nanoseconds: Int64) {
    let scale = TimestampScale(resolution: resolution, offsetSeconds: offset)
    #expect(scale.nanoseconds(ticks: ticks) == nanoseconds)
  }

  /// However early a capture ends, everything before the cut is there, and the cut is said.
  @Test(arguments: [false, true])
  func everyCut(bigEndian: Bool) {
    let capture = CaptureBytes.everything(bigEndian: bigEndian)
    let whole = Reading(capture)
    var ends: Set<Int> = []
    for length in 4..<capture.count {
      let reading = Reading(Array(capture[..<length]))
      #expect(reading.error == nil)
      #expect(reading.packets == Array(whole.packets[..<reading.packets.count]))
      if reading.cut == nil { ends.insert(length) }
      if let cut = reading.cut {
        #expect(cut.packets == reading.packets.count)
        #expect(cut.offset + cut.bytesPresent == Int64(length))
        #expect(cut.bytesPresent < cut.bytesExpected)
      }
    }
    // Cuts between two blocks cannot be told from the end: 14 blocks, less the last.
    #expect(ends.count == 13)
  }

  @Test func everyCutOfPcap() {
    var capture = CaptureBytes()
    capture.fileHeader()
    capture.record(seconds: 1, fraction: 2, CaptureBytes.frame(1, 20))
    capture.record(seconds: 3, fraction: 4, CaptureBytes.frame(2, 30))
    for length in 4..<capture.bytes.count {
      let reading = Reading(Array(capture.bytes[..<length]))
      #expect(reading.error == nil)
      #expect(reading.packets.count == (length < 60 ? 0 : 1))
      #expect((reading.cut == nil) == (length == 24 || length == 60))
    }
  }
}
