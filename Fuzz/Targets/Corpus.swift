// The inputs kept in the repository (Fuzz/Corpus): what is replayed by every test run, and where
// mutation begins.

import Foundation

public enum Corpus {
  /// The folder, found from this file's place.
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Corpus")

  /// A target's inputs by file name, in a fixed order.
  public static func files(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
    let folder = folder.appending(path: target.rawValue)
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    return try names.filter { !$0.hasPrefix(".") }.map {
      ($0, Array(try Data(contentsOf: folder.appending(path: $0))))
    }
  }

  public static func inputs(of target: FuzzTarget) throws -> [[UInt8]] {
    try files(of: target).map(\.bytes)
  }

  /// The mutation of a corpus that belongs to a seed.
  public static func mutation(of corpus: [[UInt8]], seed: UInt64) -> [UInt8] {
    var mutator = Mutator(seed: seed)
    let base = corpus.randomElement(using: &mutator.random) ?? []
    return mutator.mutate(base, with: corpus)
  }
}
