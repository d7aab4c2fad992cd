// One file of the snapshot's folder: read whole, or found absent. For the parsers of the snapshot, and
// as text for those of other layers.

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A text file of the snapshot whose contents another layer parses.
public struct SnapshotText: Hashable, Sendable {
  /// For messages: the folder as the user gave it, and the name.
  public var path: String
  public var text: String

  /// Reads a file whole.
  /// - Throws: where it cannot be read, or is no text.
  public init(reading path: String) throws(HostSnapshotError) {
    guard let file = try SnapshotFile.read(path) else {
      throw HostSnapshotError(file: path, "there is no such file")
    }
    self.init(path: path, text: file.text)
  }

  public init(path: String, text: String) {
    self.path = path
    self.text = text
  }
}

/// A file that is there, with its bytes.
struct SnapshotFile {
  let path: String
  let bytes: Data

  /// A full table of the Internet's routes is about 200 MB of JSON.
  private static let longest = 1 << 30

  /// The file `name` in `folder`, or nil where there is none.
  static func read(_ name: String, in folder: String) throws(HostSnapshotError) -> SnapshotFile? {
    try read(folder.hasSuffix("/") ? folder + name : folder + "/" + name)
  }

  /// The file at `path`, or nil where there is none.
  static func read(_ path: String) throws(HostSnapshotError) -> SnapshotFile? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let bytes = try WholeFile.read(path, most: longest)
    return SnapshotFile(path: path, bytes: Data(bytes))
  }

  /// The contents as text; bytes that are not UTF-8 become U+FFFD.
  var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// One line of a file that is parsed elsewhere.
public struct SnapshotLine: Hashable, Sendable {
  /// From 1.
  public var number: Int
  public var text: String

  public init(number: Int, text: String) {
    self.number = number
    self.text = text
  }

  /// The lines of `text` that are not blank, without their ends.
  static func lines(of text: String) -> [SnapshotLine] {
    var lines: [SnapshotLine] = []
    var number = 0
    for line in text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      number += 1
      var end = line.endIndex
      while end > line.startIndex, line[line.index(before: end)] <= 0x20 {
        end = line.index(before: end)
      }
      let kept = line[..<end].drop { $0 <= 0x20 }
      if !kept.isEmpty { lines.append(SnapshotLine(number: number, text: String(Substring(kept)))) }
    }
    return lines
  }
}
