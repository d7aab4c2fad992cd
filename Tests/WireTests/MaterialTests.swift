// Real captures, and what Linux 6.18 said of every packet in them: which frames hold IP, and which
// packets IP input dropped. Skipped where the material is not.

import Foundation
import Testing
import Wire

private let folder = "/work/shared/material/captures"

/// The frames of a pcap file (not pcapng), with the link type.
private func frames(_ data: [UInt8]) -> [(LinkType, [UInt8])] {
  let span = data.span.octets
  guard span.byteCount >= 24 else { return [] }
  let swapped = span.uint8(at: 0) == 0xd4 || span.uint8(at: 0) == 0x4d
  func word(_ offset: Int) -> UInt32 {
    swapped ? span.uint32(at: offset).byteSwapped : span.uint32(at: offset)
  }
  guard [0xa1b2_c3d4, 0xa1b2_3c4d].contains(word(0)),
    let type = LinkType(rawValue: word(20) & 0xffff)
  else { return [] }
  var frames: [(LinkType, [UInt8])] = []
  var at = 24
  while at + 16 <= data.count {
    let length = Int(word(at + 8))
    guard at + 16 + length <= data.count else { break }
    frames.append((type, Array(data[at + 16..<at + 16 + length])))
    at += 16 + length
  }
  return frames
}

@Suite(.enabled(if: FileManager.default.fileExists(atPath: folder), "no material here"))
struct MaterialTests {
  @Test func framesHoldWhatTheKernelFound() throws {
    var checked = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    where name.hasSuffix(".pcap") {
      let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))
      let answers = try String(
        contentsOfFile: "\(folder)/\(name).kernel.tsv", encoding: .utf8)
      let frames = frames(Array(data))
      for line in answers.split(separator: "\n") {
        let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
        guard let number = Int(columns[0]), number <= frames.count else { continue }
        let (type, frame) = frames[number - 1]
        let link = LinkFrame.decode(frame.span.octets, linkType: type)
        #expect((link.refusal != nil) == (columns[1] == "nonip"), "\(name) \(number)")
        checked += 1
        guard link.refusal == nil else { continue }
        let packet = frame.span.octets.slice(
          link.networkOffset..<link.networkOffset + link.networkLength)
        var headers = PacketHeaders()
        let dropped = PacketHeaders.decode(packet, family: link.family, into: &headers)
        // `none`: dropped, or a fragment that was held or dropped.
        if columns[1] == "none" {
          #expect(
            dropped != nil || headers.isFragment || headers.hasFragmentHeader,
            "\(name) \(number)")
        } else {
          #expect(dropped == nil, "\(name) \(number)")
        }
      }
    }
    #expect(checked > 2000)
  }
}
