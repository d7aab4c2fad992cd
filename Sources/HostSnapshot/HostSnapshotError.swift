// What can be wrong with the files of a host snapshot, worded for one line on standard error: the file,
// the line, what is wrong, and how to mend it.

/// Why a host snapshot cannot be used.
public struct HostSnapshotError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The file, or the flag (`--local`, `--set`).
  public var file: String
  /// Its line, from 1; nil where the trouble is in no line.
  public var line: Int?
  /// What is wrong and how to mend it: one line.
  public var message: String

  public init(file: String, line: Int? = nil, _ message: String) {
    self.file = file
    self.line = line
    self.message = message
  }

  /// `FILE:LINE: MESSAGE`, or `FILE: MESSAGE`.
  public var description: String {
    line.map { "\(file):\($0): \(message)" } ?? "\(file): \(message)"
  }
}
