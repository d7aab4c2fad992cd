// What users are told of files that cannot be read: one line, with the place and the way out.

import Capture
import Testing

@Suite struct CaptureErrorTests {
  @Test(arguments: [
    ([], "f: is empty, where pcap or pcapng was expected; was its writer stopped too soon?"),
    ([1], "f: is not a capture: only 1 bytes long"),
    (
      Array("#!/bin/sh".utf8),
      "f: is not a capture: it begins with 0x23212f62, where pcap or pcapng was expected"
    ),
    (
      [0x28, 0xb5, 0x2f, 0xfd],
      "f: is compressed with zstd, of which only gzip is read; unpack it with `zstd -d`"
    ),
    (
      Array("snoop\0\0\0".utf8),
      "f: is a snoop capture, not pcap or pcapng; convert it with `editcap -F pcapng IN OUT`"
    ),
  ])
  func notACapture(bytes: [UInt8], message: String) {
    #expect(Reading(bytes, name: "f").error?.description == message)
  }

  @Test func missingFile() {
    let error = Reading(path: "/nowhere/x.pcap").error
    #expect(error?.kind == .cannotOpen)
    #expect(
      error?.description == "/nowhere/x.pcap: cannot be opened: No such file or directory")
  }

  @Test func folder() {
    #expect(Reading(path: "/").error?.description == "/: cannot be read: Is a directory")
  }

  @Test func impossiblePacketLength() {
    var capture = CaptureBytes()
    capture.fileHeader()
    capture.record(seconds: 1, fraction: 0, [1, 2, 3])
    capture.put(UInt32(2), 0, 300_000, 300_000)
    let reading = Reading(capture.bytes, name: "f")
    #expect(reading.packets.count == 1)
    #expect(
      reading.error?.description
        == "f: at byte 43: a packet of 300000 bytes cannot be, where at most 262144 are kept; "
        + "the 1 packets before it are good")
  }

  @Test func blockLengthsThatDiffer() {
    var capture = CaptureBytes()
    capture.section()
    capture.interface("eth0")
    capture.enhanced([1, 2, 3, 4])
    capture.bytes[capture.bytes.count - 4] = 40
    let error = Reading(capture.bytes, name: "f").error
    #expect(error?.kind == .damaged)
    #expect(
      error?.description
        == "f: at byte 60: an enhanced packet block says 36 bytes at its start and 40 at its end; "
        + "the 0 packets before it are good")
  }

  @Test func packetOfUnknownInterface() {
    var capture = CaptureBytes()
    capture.section()
    capture.interface("eth0")
    capture.enhanced(interface: 1, [1, 2, 3, 4])
    #expect(
      Reading(capture.bytes, name: "f").error?.description
        == "f: at byte 60: a packet of interface 1, where the section describes 1; "
        + "the 0 packets before it are good")
  }

  @Test func packetLongerThanItsBlock() {
    var capture = CaptureBytes()
    capture.section()
    capture.interface("eth0")
    capture.enhanced([1, 2, 3, 4])
    capture.bytes[60 + 20] = 5
    #expect(
      Reading(capture.bytes, name: "f").error?.description
        == "f: at byte 60: a packet of 5 bytes in a block with room for 4; "
        + "the 0 packets before it are good")
  }

  @Test func nothingFollowsAnError() throws {
    var capture = CaptureBytes()
    capture.section()
    capture.enhanced([1])
    capture.interface()
    var reader = try CaptureReader(bytes: capture.bytes, name: "f")
    do {
      _ = try reader.next()
      Issue.record("a packet without an interface was read")
    } catch {}
    #expect(try reader.next() == nil)
  }

  @Test func versionsNotRead() {
    var old = CaptureBytes()
    old.fileHeader()
    old.bytes[4] = 1
    #expect(Reading(old.bytes).error?.kind == .unsupported)
    var new = CaptureBytes()
    new.section()
    new.bytes[12] = 2
    #expect(Reading(new.bytes).error?.kind == .unsupported)
  }
}
