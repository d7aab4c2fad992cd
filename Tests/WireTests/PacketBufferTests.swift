// The owned packet: filling, growing, moving, and that it never reaches past its capacity. Loads and
// stores in network byte order.

import Testing
import Wire

@Suite struct PacketBufferTests {
  private func contents(_ buffer: borrowing PacketBuffer) -> [UInt8] { buffer.bytes.array }

  @Test func startsEmpty() {
    let buffer = PacketBuffer(capacity: 4)
    #expect(buffer.count == 0 && buffer.capacity == 4)
    #expect(contents(buffer) == [])
    let none = PacketBuffer(capacity: 0)
    #expect(none.capacity == 0)
    #expect(PacketBuffer.defaultCapacity >= 40 + 65_535)
  }

  @Test func assignAndAppend() {
    var buffer = PacketBuffer(capacity: 4)
    let assigned = buffer.assign([1, 2, 3].rawSpan)
    #expect(assigned && contents(buffer) == [1, 2, 3])
    let tooMuch = buffer.append([4, 5].rawSpan)
    #expect(!tooMuch && contents(buffer) == [1, 2, 3])
    let fits = buffer.append([4].rawSpan)
    #expect(fits && contents(buffer) == [1, 2, 3, 4])
    let tooLong = buffer.assign([1, 2, 3, 4, 5].rawSpan)
    #expect(!tooLong && contents(buffer) == [1, 2, 3, 4])
    let shorter = buffer.assign([9].rawSpan)
    #expect(shorter && contents(buffer) == [9])
    let nothing: [UInt8] = []
    let empty = buffer.append(nothing.rawSpan)
    #expect(empty && contents(buffer) == [9])
    buffer.removeAll()
    #expect(buffer.count == 0)
  }

  @Test func copyAndMove() {
    var buffer = PacketBuffer(capacity: 8)
    _ = buffer.assign([1, 2, 3, 4, 5, 6].rawSpan)
    buffer.copy([9, 8].rawSpan, at: 4)
    #expect(contents(buffer) == [1, 2, 3, 4, 9, 8])
    buffer.move(0..<4, to: 2)
    #expect(contents(buffer) == [1, 2, 1, 2, 3, 4])
    buffer.move(2..<6, to: 0)
    #expect(contents(buffer) == [1, 2, 3, 4, 3, 4])
    buffer.move(3..<3, to: 6)
    let nothing: [UInt8] = []
    buffer.copy(nothing.rawSpan, at: 6)
    #expect(contents(buffer) == [1, 2, 3, 4, 3, 4])
  }

  @Test func resize() {
    var buffer = PacketBuffer(capacity: 4)
    buffer.resize(to: 4)
    #expect(contents(buffer) == [0, 0, 0, 0])
    buffer.resize(to: 1)
    #expect(buffer.count == 1)
  }

  @Test func loadsAndStores() {
    var buffer = PacketBuffer(capacity: 16)
    buffer.resize(to: 15)
    var bytes = buffer.mutableBytes
    bytes.store8(0x01, at: 0)
    bytes.store16(0x0203, at: 1)
    bytes.store32(0x0405_0607, at: 3)
    bytes.store64(0x0809_0a0b_0c0d_0e0f, at: 7)
    #expect(contents(buffer) == Array(1...15))
    #expect(buffer.uint8(at: 14) == 15)
    let array = contents(buffer)
    #expect(read(array) { $0.uint16(at: 13) } == 0x0e0f)
    #expect(read(array) { $0.uint32(at: 11) } == 0x0c0d_0e0f)
    #expect(read(array) { $0.uint64(at: 7) } == 0x0809_0a0b_0c0d_0e0f)
    let address = IPAddress(high: 0x0000_0000_0000_0102, low: 0x0304_0506_0708_090a)
    #expect(read(Array(repeating: 0, count: 6) + array) { $0.ipv6Address(at: 0) } == address)
    #expect(read(array) { $0.slice(2..<4).array } == [3, 4])
  }

  @Test func prefixesAndMasks() {
    #expect(IPAddress.mask(0, .ipv4) == .any)
    #expect(IPAddress.mask(24, .ipv4).text(.ipv4) == "255.255.255.0")
    #expect(IPAddress.mask(32, .ipv4).ipv4 == .max)
    #expect(IPAddress.mask(0, .ipv6) == .any)
    #expect(IPAddress.mask(63, .ipv6).text(.ipv6) == "ffff:ffff:ffff:fffe::")
    #expect(IPAddress.mask(64, .ipv6).text(.ipv6) == "ffff:ffff:ffff:ffff::")
    #expect(IPAddress.mask(65, .ipv6).text(.ipv6) == "ffff:ffff:ffff:ffff:8000::")
    #expect(IPAddress.mask(128, .ipv6) == IPAddress(high: .max, low: .max))
    let prefix = IPPrefix(IPAddress(ipv4: 0xc000_02ff), length: 24, family: .ipv4)
    #expect(prefix.address.text(.ipv4) == "192.0.2.0")
    #expect(prefix.contains(IPAddress(ipv4: 0xc000_0201)))
    #expect(!prefix.contains(IPAddress(ipv4: 0xc000_0301)))
    #expect(IPAddress(high: 1, low: 0) > IPAddress(high: 0, low: .max))
  }
}
