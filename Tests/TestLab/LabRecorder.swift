// Writes down what a test's lab saw, when WEIR_RECORD_LAB names a file: the same packets can then be
// sent through a running kernel, and its answers laid beside Weir's. For whoever writes tests.

import Conntrack
import Foundation

final class LabRecorder {
  private let path: String

  /// Nil unless a recording is asked for.
  init?(test: String, _ settings: ConntrackSettings) {
    guard let path = ProcessInfo.processInfo.environment["WEIR_RECORD_LAB"] else { return nil }
    self.path = path
    note("test \(test)")
    let usual = ConntrackSettings()
    for entry in ConntrackSettings.entries
    where settings[keyPath: entry.path] != usual[keyPath: entry.path] {
      let value = settings[keyPath: entry.path]
      note("set \(entry.name) \(entry.unit == .seconds ? value / 1_000_000_000 : value)")
    }
  }

  func note(_ line: String) {
    if !FileManager.default.fileExists(atPath: path) {
      _ = FileManager.default.createFile(atPath: path, contents: nil)
    }
    guard let file = FileHandle(forWritingAtPath: path) else { return }
    file.seekToEndOfFile()
    file.write(Data((line + "\n").utf8))
    file.closeFile()
  }
}
