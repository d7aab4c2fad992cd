// The writer: what it writes, the reader reads back the same; and the filter, on what was read.

import Testing

@testable import Capture

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct CaptureWriterTests {
  @Test func readBackTheSame() throws {
    let path = try temporaryFile([])
    // The path is passed as a C string for the time of the call.
    defer { _ = unsafe unlink(path) }
    var generator = SeededGenerator(seed: 7)
    var expected: [Reading.Packet] = []
    var writer = try CaptureWriter(path: path)
    let ethernet = try writer.addInterface(name: "eth0.100", linkType: LinkType.ethernet)
    _ = try writer.addInterface(name: nil, linkType: LinkType.raw)
    for number in 1...2_000 {
      if number == 1_000 {
        _ = try writer.addInterface(name: "wlan-ü", linkType: LinkType.linuxSLL2)
      }
      let interface = Int.random(in: ethernet...(number < 1_000 ? 1 : 2), using: &generator)
      let frame = CaptureBytes.frame(
        UInt8(truncatingIfNeeded: number), Int.random(in: 0...1_600, using: &generator))
      let direction: FrameDirection? = [nil, .inbound, .outbound].randomElement(
        using: &generator)!
      let time = Int64.random(in: 0...Int64.max, using: &generator)
      let original = frame.count + Int.random(in: 0...1, using: &generator)
      // The array's own bytes, which have no padding.
      try writer.write(
        unsafe frame.span.bytes, interface: interface, timeNanoseconds: time,
        direction: direction, originalLength: original)
      expected.append(
        Reading.Packet(
          frame: CapturedFrame(
            number: number, timeNanoseconds: time, interfaceIndex: interface,
            linkType: [1, 101, 276][interface], direction: direction,
            capturedLength: frame.count, originalLength: original),
          bytes: frame))
    }
    try writer.close()
    let reading = Reading(path: path)
    #expect(reading.error == nil)
    #expect(reading.cut == nil)
    #expect(
      reading.interfaces == [
        CaptureInterface(name: "eth0.100", linkType: 1),
        CaptureInterface(name: nil, linkType: 101),
        CaptureInterface(name: "wlan-ü", linkType: 276),
      ])
    #expect(reading.packets == expected)
  }

  @Test func aReaderSeesEachPacketAtOnce() throws {
    var ends: [Int32] = [0, 0]
    // Two descriptors, for which there is room.
    #expect(unsafe pipe(&ends) == 0)
    var writer = CaptureWriter(
      fileDescriptor: ends[1], name: "pipe", closing: true, flushingEachPacket: true)
    let interface = try writer.addInterface(name: "eth0", linkType: LinkType.ethernet)
    var reader = try CaptureReader(fileDescriptor: ends[0], name: "pipe", closing: true)
    for number in 1...3 {
      let frame = CaptureBytes.frame(UInt8(number), 50)
      // The array's own bytes, which have no padding.
      try writer.write(unsafe frame.span.bytes, interface: interface, timeNanoseconds: 5)
      #expect(try reader.next()?.number == number)
      #expect(bytes(reader.frameBytes) == frame)
    }
    try writer.close()
    #expect(try reader.next() == nil)
    #expect(reader.cut == nil)
  }

  @Test func cannotBeWritten() {
    do throws(CaptureError) {
      _ = try CaptureWriter(path: "/nowhere/x.pcapng")
      Issue.record("written to a folder that is not there")
    } catch {
      #expect(
        error.description == "/nowhere/x.pcapng: cannot be written: No such file or directory")
    }
  }
}

@Suite struct PacketFilterTests {
  /// Ethernet, IPv4 192.0.2.1 to 192.0.2.2, UDP 1000 to 53.
  private let frame: [UInt8] = [
    2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
    0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
    3, 232, 0, 53, 0, 8, 0, 0,
  ]

  @Test(arguments: [
    ("udp port 53", true), ("tcp", false), ("src host 192.0.2.1", true), ("", true),
  ])
  func ethernet(text: String, isTaken: Bool) throws {
    let filter = try PacketFilter(text, linkType: LinkType.ethernet)
    // The array's own bytes, which have no padding.
    #expect(filter.matches(unsafe frame.span.bytes, originalLength: frame.count) == isTaken)
  }

  @Test func rawIP() throws {
    let filter = try PacketFilter("udp dst port 53", linkType: LinkType.raw)
    let packet = Array(frame[14...])
    // The array's own bytes, which have no padding.
    #expect(filter.matches(unsafe packet.span.bytes, originalLength: packet.count))
  }

  @Test func whatDoesNotCompile() {
    do throws(CaptureError) {
      _ = try PacketFilter("port of call", linkType: LinkType.ethernet)
      Issue.record("compiled nonsense")
    } catch {
      #expect(error.kind == .badFilter)
      #expect(error.description.hasPrefix("filter: `port of call`: "))
    }
  }
}
