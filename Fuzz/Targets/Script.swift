// How a fuzz input says which frames arrive when and where: a sequence of records, read from any
// bytes at all. For the frames target and whoever writes its inputs.

import PacketForge

/// One frame and what is around it.
///
/// As bytes: one of flags, two of length (little endian; cut to what is there), the frame.
public struct FrameRecord: Hashable, Sendable {
  /// The bits of the flag byte.
  public struct Flags: OptionSet, Hashable, Sendable {
    public var rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Two bits: the interface, `interfaceNames`.
    public static let interface = Flags(rawValue: 3)
    /// The host sends it; else it came in.
    public static let isOutput = Flags(rawValue: 1 << 2)
    /// An Ethernet frame; else the IP packet alone.
    public static let isEthernet = Flags(rawValue: 1 << 3)
    /// Checksums are put right before it is shown to the firewall.
    public static let repairsChecksums = Flags(rawValue: 1 << 4)
    /// Three bits: how much time passes first, `pauses`.
    public static let pause = Flags(rawValue: 7 << 5)
  }

  public static let interfaceNames = ["lan0", "wan0", "lo", "dmz0"]
  /// Nanoseconds.
  public static let pauses: [Int64] = [
    0, 1_000_000, 700_000_000, 2_500_000_000, 31_000_000_000, 121_000_000_000,
    3_600_000_000_000, 518_400_000_000_000,
  ]

  public var flags: Flags
  public var frame: [UInt8]

  public init(_ frame: [UInt8], interface: Int, flags: Flags = [], pause: Int = 0) {
    self.frame = frame
    self.flags = flags
    self.flags.rawValue |= UInt8(interface & 3) | UInt8(pause & 7) << 5
  }

  public var interface: Int { Int(flags.rawValue & 3) }
  public var pause: Int64 { FrameRecord.pauses[Int(flags.rawValue >> 5)] }

  public var bytes: [UInt8] {
    [flags.rawValue, UInt8(frame.count & 0xff), UInt8(frame.count >> 8)] + frame
  }

  /// The records any bytes stand for, `limit` at most.
  public static func records(_ bytes: some Collection<UInt8>, limit: Int = 64) -> [FrameRecord] {
    var records: [FrameRecord] = []
    var rest = Array(bytes)[...]
    while rest.count > 3 && records.count < limit {
      let flags = Flags(rawValue: rest[rest.startIndex])
      let length = Int(rest[rest.startIndex + 1]) | Int(rest[rest.startIndex + 2]) << 8
      rest = rest.dropFirst(3)
      var record = FrameRecord(Array(rest.prefix(length)), interface: 0)
      record.flags = flags
      records.append(record)
      rest = rest.dropFirst(length)
    }
    return records
  }
}
