// What goes over a gateway's control socket: frames of a length, a kind and a body. For both its ends.

/// A frame: four bytes of length (kind and body), one of kind, the body.
public struct ControlFrame: Hashable, Sendable {
  /// The version both ends must speak.
  public static let version: UInt16 = 3
  /// What a client begins with, before the version.
  public static let greeting: [UInt8] = Array("WEIR".utf8)
  /// The longest body a gateway takes, bytes: room for a ruleset of tens of thousands of rules.
  public static let longestRequest = 1 << 22
  /// The longest body a client takes, bytes.
  public static let longestAnswer = 1 << 22

  public enum Kind: UInt8, Hashable, Sendable {
    // From the client.
    case hello = 1
    case now
    case list
    case get
    case create
    case update
    case delete
    case flush
    case count
    case statistics
    case listExpectations
    case getExpectation
    case createExpectation
    case deleteExpectation
    case flushExpectations
    case follow
    case reload
    case surroundings
    case iptables
    case activity
    // From the gateway. An answer ends with `done` or `refused`.
    case done = 128
    /// An error number, and perhaps words.
    case refused
    case connections
    case expectations
    case number
    case event
    case expectationEvent
    case lost
    case began
    case processors
    case text
    case surroundingsAnswer
    /// Parts of what a program writes to its standard output and standard error, UTF-8.
    case output
    case errors
    case activityAnswer
  }

  public var kind: Kind
  public var body: [UInt8]

  public init(_ kind: Kind, _ body: [UInt8] = []) {
    self.kind = kind
    self.body = body
  }

  public init(_ kind: Kind, _ write: (inout ByteWriter) -> Void) {
    var writer = ByteWriter()
    write(&writer)
    self.init(kind, writer.bytes)
  }

  /// The refusal that tells of `error`.
  public init(refusing error: TableError) {
    self.init(.refused) { writer in
      writer.put(error.number)
      writer.put(error.explanation) { $0.put($1) }
    }
  }

  public var bytes: [UInt8] {
    var writer = ByteWriter()
    writer.put(UInt32(body.count + 1))
    writer.put(kind.rawValue)
    return writer.bytes + body
  }

  /// What a refusal tells.
  public func refusal() throws(DecodingFailure) -> TableError {
    var reader = ByteReader(body[...])
    let number: Int32 = try reader.number()
    let explanation = try reader.optional { (reader) throws(DecodingFailure) in
      try reader.text()
    }
    return TableError(number: number, explanation: explanation)
  }
}

/// Puts frames together from bytes as they come.
public struct ControlFrameReader {
  private var bytes: [UInt8] = []
  private let longest: Int

  /// - Parameter longest: the longest body that is taken.
  public init(longest: Int) {
    self.longest = longest
  }

  public mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

  /// Whether part of a frame has come.
  public var isInFrame: Bool { !bytes.isEmpty }

  /// The next frame, if all of it has come.
  /// - Throws: for what can be no frame; nothing after it can be read.
  public mutating func next() throws(DecodingFailure) -> ControlFrame? {
    guard bytes.count >= 4 else { return nil }
    var reader = ByteReader(bytes[..<4])
    let length = Int(try reader.number(UInt32.self))
    guard length >= 1 && length <= longest + 1 else {
      throw DecodingFailure("a frame of \(length) bytes")
    }
    if bytes.count >= 5, ControlFrame.Kind(rawValue: bytes[4]) == nil {
      throw DecodingFailure("a frame of an unknown kind, \(bytes[4])")
    }
    guard bytes.count >= 4 + length, let kind = ControlFrame.Kind(rawValue: bytes[4]) else {
      return nil
    }
    let frame = ControlFrame(kind, Array(bytes[5..<(4 + length)]))
    bytes.removeFirst(4 + length)
    return frame
  }
}
