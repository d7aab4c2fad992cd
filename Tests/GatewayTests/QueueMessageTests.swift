// What the kernel's messages about packets are read as, and what is made of bytes that are none.

#if os(Linux)
  import Conntrack
  import Testing
  import Wire

  @testable import Gateway

  @Suite struct QueueMessageTests {
    /// A message as the kernel writes it: number 7, at OUTPUT, a packet of 20 bytes.
    private func message() -> [UInt8] {
      func attribute(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
        let length = UInt8(4 + value.count)
        return [length, 0, type, 0] + value
          + [UInt8](repeating: 0, count: (4 - value.count % 4) % 4)
      }
      let packet: [UInt8] = [0x45] + [UInt8](repeating: 1, count: 19)
      let attributes =
        attribute(1, [0, 0, 0, 7, 8, 0, 3]) + attribute(6, [0, 0, 0, 9])
        + attribute(9, [0, 6, 0, 0, 2, 1, 2, 3, 4, 5, 0, 0]) + attribute(14, [0, 0, 0, 3])
        + attribute(16, [0, 0, 0, 42]) + attribute(10, packet)
      let length = UInt8(20 + attributes.count)
      return [length, 0, 0, 0, 0, 3, 0, 0] + [UInt8](repeating: 0, count: 8) + [2, 0, 0, 5]
        + attributes
    }

    @Test func readsWhatTheKernelSays() throws {
      let bytes = message()
      let read = QueuedPacket(bytes.rawSpan)
      let packet = try #require(read)
      #expect(packet.number == 7)
      #expect(packet.hook == 3)
      #expect(!packet.isIPv6 && packet.inDevice == 0 && packet.outDevice == 9)
      #expect(packet.sourceMAC == 0x0201_0203_0405)
      #expect(packet.lacksChecksum && packet.isSegmented && !packet.isCut)
      #expect(packet.userID == 42 && packet.groupID == nil)
      #expect(Array(bytes[packet.offset..<(packet.offset + packet.length)]).first == 0x45)
      #expect(packet.length == 20)
    }

    /// Whatever bytes come, the packet they name lies within them.
    @Test func garbage() {
      var generator = SeededGenerator(seed: 4)
      let good = message()
      var read = 0
      for _ in 0..<200_000 {
        var bytes = good
        for _ in 0..<Int(generator.next() % 6) {
          bytes[Int(generator.next() % UInt64(bytes.count))] = UInt8(
            truncatingIfNeeded: generator.next())
        }
        bytes.removeLast(Int(generator.next() % 3) == 0 ? Int(generator.next() % 90) : 0)
        guard let packet = QueuedPacket(bytes.rawSpan) else { continue }
        read += 1
        #expect(packet.offset >= 0 && packet.length >= 0)
        #expect(packet.offset + packet.length <= bytes.count)
      }
      #expect(read > 1000)
    }

    @Test func queueNumbers() {
      #expect(QueueNumbers("3").map { [$0.first, $0.last] } == [3, 3])
      #expect(QueueNumbers("0-3").map { [$0.first, $0.last] } == [0, 3])
      for text in ["", "-", "3-", "-3", "4-3", "65536", "0-64", "a", "1-2-3", "+1", " 1"] {
        #expect(QueueNumbers(text[...]) == nil, "\(text)")
      }
    }
  }
#endif
