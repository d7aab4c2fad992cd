// Values to bytes and back, for what goes over a control socket. Little-endian; nothing is trusted when it
// is read.

/// Bytes that are not what they should be.
public struct DecodingFailure: Error, Hashable, CustomStringConvertible {
  public var description: String

  public init(_ description: String) {
    self.description = description
  }
}

/// Appends values to bytes.
public struct ByteWriter {
  public private(set) var bytes: [UInt8] = []

  public init() {}

  public mutating func put<Number: FixedWidthInteger>(_ number: Number) {
    var rest = UInt64(truncatingIfNeeded: number)
    for _ in 0..<(Number.bitWidth / 8) {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest >>= 8
    }
  }

  public mutating func put(_ flag: Bool) { put(UInt8(flag ? 1 : 0)) }

  /// At most 65,535 bytes of it.
  public mutating func put(_ text: String) {
    let utf8 = text.utf8.prefix(Int(UInt16.max))
    put(UInt16(utf8.count))
    bytes.append(contentsOf: utf8)
  }

  /// All of it, up to 4 GiB.
  mutating func putLong(_ text: String) {
    put(UInt32(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  public mutating func put<Value>(_ value: Value?, _ body: (inout ByteWriter, Value) -> Void) {
    put(value != nil)
    if let value { body(&self, value) }
  }

  public mutating func put<Number: FixedWidthInteger>(_ number: Number?) {
    put(number) { $0.put($1) }
  }
}

/// Takes values from bytes.
public struct ByteReader {
  private let bytes: ArraySlice<UInt8>
  private var at: Int

  public init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    at = bytes.startIndex
  }

  public var isAtEnd: Bool { at == bytes.endIndex }

  public mutating func number<Number: FixedWidthInteger>(_: Number.Type = Number.self)
    throws(DecodingFailure) -> Number
  {
    let count = Number.bitWidth / 8
    guard bytes.endIndex - at >= count else { throw DecodingFailure("a frame ends too soon") }
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(bytes[at + index]) << UInt64(8 * index) }
    at += count
    return Number(truncatingIfNeeded: value)
  }

  public mutating func flag() throws(DecodingFailure) -> Bool {
    switch try number(UInt8.self) {
    case 0: false
    case 1: true
    default: throw DecodingFailure("neither yes nor no")
    }
  }

  public mutating func text() throws(DecodingFailure) -> String {
    try text(Int(try number(UInt16.self)))
  }

  /// What `putLong` wrote.
  mutating func longText() throws(DecodingFailure) -> String {
    try text(Int(try number(UInt32.self)))
  }

  private mutating func text(_ count: Int) throws(DecodingFailure) -> String {
    guard bytes.endIndex - at >= count else { throw DecodingFailure("a frame ends too soon") }
    defer { at += count }
    return String(decoding: bytes[at..<(at + count)], as: UTF8.self)
  }

  public mutating func optional<Value>(
    _ body: (inout ByteReader) throws(DecodingFailure) -> Value
  ) throws(DecodingFailure) -> Value? {
    try flag() ? try body(&self) : nil
  }

  public mutating func optionalNumber<Number: FixedWidthInteger>()
    throws(DecodingFailure) -> Number?
  {
    try flag() ? try number() : nil
  }

  /// A value of an enumeration, by its number.
  mutating func choice<Choice: RawRepresentable>(_: Choice.Type = Choice.self)
    throws(DecodingFailure) -> Choice where Choice.RawValue: FixedWidthInteger
  {
    guard let choice = Choice(rawValue: try number()) else {
      throw DecodingFailure("an unknown choice")
    }
    return choice
  }
}
