// Nothing traps, hangs or contradicts itself on any bytes: mutated captures by the hundred thousand,
// from seeds that repeat a failure.

import Capture
import Testing

@Suite struct CaptureMutationTests {
  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func pcapng(seed: UInt64) {
    mutate(CaptureBytes.everything(bigEndian: seed % 2 == 0), seed: seed, rounds: 50_000)
  }

  @Test(arguments: [5, 6] as [UInt64])
  func pcap(seed: UInt64) {
    var capture = CaptureBytes(bigEndian: seed % 2 == 0)
    capture.fileHeader()
    for number in 1...6 {
      capture.record(seconds: 1, fraction: 2, CaptureBytes.frame(UInt8(number), 10 * number))
    }
    mutate(capture.bytes, seed: seed, rounds: 50_000)
  }

  @Test(arguments: [7] as [UInt64])
  func gzip(seed: UInt64) {
    mutate(GzipTests.two, seed: seed, rounds: 5_000)
  }

  private func mutate(_ original: [UInt8], seed: UInt64, rounds: Int) {
    var generator = SeededGenerator(seed: seed)
    for round in 0..<rounds {
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        change(&bytes, &generator)
      }
      let reading = Reading(bytes)
      // At least 8 bytes stand for each packet, and each carries what it says.
      let isSound =
        reading.packets.count <= bytes.count
        && reading.packets.enumerated().allSatisfy { index, packet in
          packet.frame.number == index + 1
            && packet.frame.capturedLength == packet.bytes.count
            && reading.interfaces.indices.contains(packet.frame.interfaceIndex)
            && reading.interfaces[packet.frame.interfaceIndex].linkType == packet.frame.linkType
        } && !(reading.cut != nil && reading.error != nil)
      if !isSound { Issue.record("seed \(seed), round \(round)") }
    }
  }

  private func change(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    guard !bytes.isEmpty else { return }
    let place = Int.random(in: 0..<bytes.count, using: &generator)
    switch Int.random(in: 0..<7, using: &generator) {
    case 0: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
    case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
    case 2: bytes[place] = [0, 1, 0x7f, 0x80, 0xff].randomElement(using: &generator)!
    case 3: bytes.removeSubrange(place...)
    case 4: bytes.remove(at: place)
    case 5: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
    default:
      // A word of all ones, or a small number, where lengths stand.
      let word = place & ~3
      guard word + 4 <= bytes.count else { return }
      let value: UInt8 = Bool.random(using: &generator) ? 0xff : 0
      for index in word..<(word + 4) { bytes[index] = value }
      if value == 0 { bytes[word] = UInt8.random(in: 0...64, using: &generator) }
    }
  }
}
