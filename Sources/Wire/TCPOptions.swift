// TCP options (RFC 9293 section 3.2, RFC 7323, RFC 2018), read without allocating: all of them for
// a SYN, and the highest selective acknowledgement for every other packet.

/// What the options of one TCP header say, as far as connection tracking and NAT ask.
///
/// Reading stops, with `malformed` set, at an option whose length is below 2 or runs past the end.
/// When an option comes twice, the later one counts.
@frozen
public struct TCPOptions: BitwiseCopyable, Sendable {
  /// As on the wire, not clamped to 14 (RFC 7323 section 2.3).
  public var windowScale: UInt8?
  public var sackPermitted: Bool
  public var maximumSegmentSize: UInt16?
  /// RFC 7323 section 3.2: TSval and TSecr.
  public var timestamp: Timestamp?
  /// The first `sackBlockCount` entries, in the order they stand in.
  public var sackBlocks: InlineArray<4, SACKBlock>
  public var sackBlockCount: Int
  public var malformed: Bool

  @frozen
  public struct Timestamp: BitwiseCopyable, Hashable, Sendable {
    public var value: UInt32
    public var echo: UInt32
    @inlinable public init(value: UInt32, echo: UInt32) {
      self.value = value
      self.echo = echo
    }
  }

  /// RFC 2018 section 3: the block holds the sequence numbers from `left` to before `right`.
  @frozen
  public struct SACKBlock: BitwiseCopyable, Hashable, Sendable {
    public var left: UInt32
    public var right: UInt32
    @inlinable public init(left: UInt32, right: UInt32) {
      self.left = left
      self.right = right
    }
  }

  /// The options' kinds.
  public enum Kind {
    public static let end: UInt8 = 0
    public static let noOperation: UInt8 = 1
    public static let maximumSegmentSize: UInt8 = 2
    public static let windowScale: UInt8 = 3
    public static let sackPermitted: UInt8 = 4
    public static let sack: UInt8 = 5
    public static let timestamp: UInt8 = 8
  }

  @inlinable
  public init() {
    windowScale = nil
    sackPermitted = false
    maximumSegmentSize = nil
    timestamp = nil
    sackBlocks = InlineArray(repeating: SACKBlock(left: 0, right: 0))
    sackBlockCount = 0
    malformed = false
  }

  /// Reads the options between `offset` and `end` (the header's own end, not the packet's).
  ///
  /// An option of a known kind counts only with the length its RFC gives it.
  @inlinable
  public static func scan(_ bytes: RawSpan, at offset: Int, end: Int) -> TCPOptions {
    var options = TCPOptions()
    guard offset >= 0, end <= bytes.byteCount else {
      options.malformed = true
      return options
    }
    var at = offset
    while at < end {
      let kind = bytes.uint8(at: at)
      if kind == Kind.end { break }
      if kind == Kind.noOperation {
        at &+= 1
        continue
      }
      guard at &+ 1 < end else {
        options.malformed = true
        break
      }
      let length = Int(bytes.uint8(at: at &+ 1))
      guard length >= 2, length <= end &- at else {
        options.malformed = true
        break
      }
      switch (kind, length) {
      case (Kind.maximumSegmentSize, 4):
        options.maximumSegmentSize = bytes.uint16(at: at &+ 2)
      case (Kind.windowScale, 3):
        options.windowScale = bytes.uint8(at: at &+ 2)
      case (Kind.sackPermitted, 2):
        options.sackPermitted = true
      case (Kind.timestamp, 10):
        options.timestamp = Timestamp(
          value: bytes.uint32(at: at &+ 2), echo: bytes.uint32(at: at &+ 6))
      case (Kind.sack, 10...) where (length &- 2) % 8 == 0:
        options.sackBlockCount = 0
        var block = at &+ 2
        while block < at &+ length, options.sackBlockCount < 4 {
          options.sackBlocks[options.sackBlockCount] = SACKBlock(
            left: bytes.uint32(at: block), right: bytes.uint32(at: block &+ 4))
          options.sackBlockCount &+= 1
          block &+= 8
        }
      default:
        break
      }
      at &+= length
    }
    return options
  }

  /// The highest right edge, in serial arithmetic, of all SACK blocks between `offset` and `end`,
  /// and never before `acknowledgement`, which is the answer when there are none.
  @inlinable @inline(__always)
  public static func highestSACK(
    _ bytes: RawSpan, at offset: Int, end: Int, acknowledgement: UInt32
  ) -> UInt32 {
    let length = end &- offset
    if length <= 0 { return acknowledgement }
    // NOP NOP TIMESTAMP, 12 bytes: what nearly every packet of an established connection has.
    if length == 12, offset >= 0, end <= bytes.byteCount,
      bytes.uint32(at: offset) == 0x0101_080a
    {
      return acknowledgement
    }
    return searchHighestSACK(bytes, at: offset, end: end, acknowledgement: acknowledgement)
  }

  /// `highestSACK` without its fast path; kept apart so that only the fast path is inlined.
  public static func searchHighestSACK(
    _ bytes: RawSpan, at offset: Int, end: Int, acknowledgement: UInt32
  ) -> UInt32 {
    guard offset >= 0, end <= bytes.byteCount else { return acknowledgement }
    var highest = acknowledgement
    var at = offset
    while at < end {
      let kind = bytes.uint8(at: at)
      if kind == Kind.end { break }
      if kind == Kind.noOperation {
        at &+= 1
        continue
      }
      guard at &+ 1 < end else { break }
      let length = Int(bytes.uint8(at: at &+ 1))
      guard length >= 2, length <= end &- at else { break }
      if kind == Kind.sack, length >= 10, (length &- 2) % 8 == 0 {
        var right = at &+ 6
        while right < at &+ length {
          let edge = bytes.uint32(at: right)
          // An edge just half the circle away counts as higher too, as in the kernel.
          if Int32(bitPattern: highest &- edge) < 0 { highest = edge }
          right &+= 8
        }
      }
      at &+= length
    }
    return highest
  }
}
