// What can be wrong with a capture file, worded for one line on standard error: the file, where in
// it, what is wrong, and how to mend it.

/// Why a capture cannot be read, written or filtered.
public struct CaptureError: Error, Hashable, Sendable, CustomStringConvertible {
  @frozen
  public enum Kind: Hashable, Sendable {
    /// The file cannot be opened or created.
    case cannotOpen
    /// The system refused to give more bytes.
    case cannotRead
    /// The system refused to take more bytes.
    case cannotWrite
    /// The first bytes are not those of a capture.
    case notACapture
    /// A capture, but of a version or kind that is not read.
    case unsupported
    /// A capture that contradicts itself from `offset` on; every packet before was delivered.
    case damaged
    /// The text of a packet filter that does not compile.
    case badFilter
  }

  public var kind: Kind
  /// The path as the user gave it; `standard input` for `-`.
  public var file: String
  /// Where the trouble is: bytes from the start of the capture, before compression. Nil where it
  /// is not in the contents.
  public var offset: Int64?
  /// What is wrong and how to mend it: one line, without the file's name.
  public var message: String

  public init(_ kind: Kind, file: String, offset: Int64? = nil, _ message: String) {
    self.kind = kind
    self.file = file
    self.offset = offset
    self.message = message
  }

  /// `FILE: MESSAGE`, or `FILE: at byte OFFSET: MESSAGE`.
  public var description: String {
    guard let offset else { return "\(file): \(message)" }
    return "\(file): at byte \(offset): \(message)"
  }
}

/// A capture that stops in the middle of a packet or block, as one does whose writer was killed or
/// whose disk was full. All packets before the cut have been delivered.
public struct CaptureCut: Hashable, Sendable, CustomStringConvertible {
  /// Where the incomplete record begins, bytes from the start of the capture before compression.
  public var offset: Int64
  /// How many bytes of it there are.
  public var bytesPresent: Int64
  /// How many there should have been, as far as those present say.
  public var bytesExpected: Int64
  /// How many packets came before the cut.
  public var packets: Int

  public var description: String {
    """
    the capture is cut short at byte \(offset) after \(packets) packets: \
    \(bytesPresent) of \(bytesExpected) bytes of the next record are there
    """
  }
}
