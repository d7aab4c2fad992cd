// Captures through pipes and files: each packet is there as soon as its bytes are, and a long capture
// passes through the same small memory.

import Capture
import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@Suite struct StreamTests {
  /// Reading blocks for ever, and the test with it, if the reader wants a byte more than it needs:
  /// the other end stays open all the time.
  @Test(arguments: [false, true])
  func eachPacketComesAtOnce(asPcap: Bool) throws {
    var ends: [Int32] = [0, 0]
    // Two descriptors, for which there is room.
    #expect(unsafe pipe(&ends) == 0)
    let writing = ends[1]
    defer { close(writing) }
    var start = CaptureBytes()
    if asPcap {
      start.fileHeader()
    } else {
      start.section()
      start.interface("eth0")
    }
    send(start.bytes, to: writing)
    var reader = try CaptureReader(fileDescriptor: ends[0], name: "pipe", closing: true)
    for number in 1...5 {
      var packet = CaptureBytes()
      let frame = CaptureBytes.frame(UInt8(number), 40 + number)
      if asPcap {
        packet.record(seconds: 1, fraction: 0, frame)
      } else {
        if number == 3 { packet.interface("eth1") }
        packet.enhanced(frame)
      }
      // In two pieces, as a pipe may deliver it.
      send(Array(packet.bytes[..<9]), to: writing)
      send(Array(packet.bytes[9...]), to: writing)
      let read = try #require(try reader.next())
      #expect(read.number == number)
      #expect(bytes(reader.frameBytes) == frame)
    }
    #expect(reader.interfaces.count == (asPcap ? 1 : 2))
  }

  private func send(_ bytes: [UInt8], to descriptor: Int32) {
    // The array's own bytes, for the time of the call.
    #expect(unsafe write(descriptor, bytes, bytes.count) == bytes.count)
  }

  /// Many windows long, with a packet longer than the first window.
  @Test func longFile() throws {
    var capture = CaptureBytes()
    capture.fileHeader()
    capture.bytes[18] = 0x30  // A snapshot length of 3 MiB and more.
    var lengths: [Int] = []
    var generator = SeededGenerator(seed: 1)
    for number in 0..<3_000 {
      let length = number == 1_000 ? 3 << 20 : Int.random(in: 0...2_000, using: &generator)
      lengths.append(length)
      capture.record(
        seconds: 0, fraction: 0,
        [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: length))
    }
    let path = try temporaryFile(capture.bytes)
    // The path is passed as a C string for the time of the call.
    defer { _ = unsafe unlink(path) }
    var reader = try CaptureReader(path: path)
    var number = 0
    while let frame = try reader.next() {
      #expect(frame.capturedLength == lengths[number])
      let span = reader.frameBytes
      #expect(span.byteCount == lengths[number])
      if span.byteCount > 0 {
        // The last byte, in bounds by the line above.
        let last = unsafe span.unsafeLoad(fromByteOffset: span.byteCount - 1, as: UInt8.self)
        #expect(last == UInt8(truncatingIfNeeded: number))
      }
      number += 1
    }
    #expect(number == 3_000)
  }
}

/// A new file with these bytes; the caller removes it.
func temporaryFile(_ bytes: [UInt8]) throws -> String {
  var template = Array("/tmp/weir-test-XXXXXX".utf8CString)
  // The template is writable and ends in a zero; mkstemp fills in its Xs.
  let descriptor = unsafe mkstemp(&template)
  try #require(descriptor >= 0)
  var sent = 0
  while sent < bytes.count {
    // The rest of the array, for the time of the call.
    let count = unsafe bytes[sent...].withUnsafeBytes {
      unsafe write(descriptor, $0.baseAddress, $0.count)
    }
    try #require(count > 0)
    sent += count
  }
  close(descriptor)
  return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
}
