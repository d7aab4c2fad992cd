// Loads, stores and the packet buffer.

import Testing
import Wire

@Suite struct BytesTests {
  @Test func loadsAreBigEndian() {
    let bytes = hex("00 01 02 03 04 05 06 07 08")
    let span = bytes.span.octets
    #expect(span.uint8(at: 8) == 8)
    #expect(span.uint16(at: 1) == 0x0102)
    #expect(span.uint32(at: 1) == 0x0102_0304)
    #expect(span.uint64(at: 1) == 0x0102_0304_0506_0708)
    #expect(span.slice(2..<4).array == [2, 3])
    #expect(span.slice(9..<9).byteCount == 0)
  }

  @Test func storesAreBigEndian() {
    var packet = PacketBuffer(Array(repeating: 0xff, count: 16))
    packet.store8(1, at: 0)
    packet.store16(0x0203, at: 1)
    packet.store32(0x0405_0607, at: 3)
    packet.store64(0x0809_0a0b_0c0d_0e0f, at: 7)
    #expect(packet.array == hex("0102030405060708090a0b0c0d0e0f ff"))
    #expect(packet.uint64(at: 7) == 0x0809_0a0b_0c0d_0e0f)
  }

  @Test(arguments: [(-1, 1), (8, 1), (7, 2), (5, 4), (1, 8), (Int.max, 8), (Int.min, 2)])
  func loadsOutsideTrap(_ offset: Int, _ size: Int) async {
    await #expect(processExitsWith: .failure) { [offset = offset as Int, size = size as Int] in
      let bytes: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7]
      let span = bytes.span.octets
      switch size {
      case 1: _ = span.uint8(at: offset)
      case 2: _ = span.uint16(at: offset)
      case 4: _ = span.uint32(at: offset)
      default: _ = span.uint64(at: offset)
      }
    }
  }

  @Test func bufferHoldsWhatFits() {
    var packet = PacketBuffer(capacity: 4)
    let five: [UInt8] = [1, 2, 3, 4, 5]
    let tooMuch = packet.assign(five.span.octets)
    #expect(!tooMuch && packet.count == 0)
    let fits = packet.assign(five.span.octets.slice(0..<3))
    let noRoom = packet.append(five.span.octets.slice(0..<2))
    let room = packet.append(five.span.octets.slice(4..<5))
    #expect(fits && !noRoom && room)
    #expect(packet.array == [1, 2, 3, 5])
    packet.resize(to: 2)
    #expect(packet.array == [1, 2])
    packet.removeAll()
    #expect(packet.array.isEmpty)
  }

  @Test func movesOverlapping() {
    var packet = PacketBuffer([1, 2, 3, 4, 5, 6])
    packet.move(0..<4, to: 2)
    #expect(packet.array == [1, 2, 1, 2, 3, 4])
    packet.move(2..<6, to: 0)
    #expect(packet.array == [1, 2, 3, 4, 3, 4])
  }
}
