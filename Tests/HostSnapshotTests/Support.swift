// What the tests of this target share: fixtures beside the sources, text to addresses, and a seeded
// generator.

import Firewall
import Foundation
import Wire

@testable import HostSnapshot

enum Fixtures {
  /// The path of a fixture; all were taken from a 6.18 kernel with iproute2 6.1.
  static func path(_ name: String) -> String {
    let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
    return "/\(folder)/Fixtures/\(name)"
  }

  static func lines(_ name: String) throws -> [[String]] {
    try String(contentsOfFile: path(name), encoding: .utf8).split(separator: "\n")
      .map { $0.split(separator: " ").map(String.init) }
  }
}

/// An address written as text in a test.
func ip(_ text: String) -> IPAddress { IPAddress.parse(text)!.0 }

func family(_ text: String) -> AddressFamily { text.contains(":") ? .ipv6 : .ipv4 }

/// A network written as text in a test.
func net(_ text: String) -> IPPrefix { AddressText.prefix(text, family(text))! }

/// A file of a snapshot that is only in memory.
func snapshotFile(_ text: String, _ name: String = "f") -> SnapshotFile {
  SnapshotFile(path: name, bytes: Data(text.utf8))
}

/// A folder with these files; the caller removes it.
func folder(_ files: [String: String]) throws -> String {
  let path = NSTemporaryDirectory() + "/weir-test-\(UUID().uuidString)"
  try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  for (name, text) in files {
    try Data(text.utf8).write(to: URL(filePath: path + "/" + name))
  }
  return path
}

/// SplitMix64: the same numbers for the same seed, for ever.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }
}
