// Captures made by hand, field by field, in either byte order, for the tests of the reader. And a
// seeded generator, so that every failure of a mutation test can be repeated.

/// A capture file under construction.
struct CaptureBytes {
  var bytes: [UInt8] = []
  let isBigEndian: Bool

  init(bigEndian: Bool = false) { isBigEndian = bigEndian }

  mutating func put<Word: FixedWidthInteger>(_ values: Word...) {
    for value in values {
      let ordered = isBigEndian ? value.byteSwapped : value
      for index in 0..<(Word.bitWidth / 8) {
        bytes.append(UInt8(truncatingIfNeeded: ordered >> Word(index * 8)))
      }
    }
  }

  mutating func pad() {
    while bytes.count % 4 != 0 { bytes.append(0) }
  }

  // MARK: - pcap

  mutating func fileHeader(magic: UInt32 = 0xa1b2_c3d4, linkType: UInt32 = 1) {
    put(magic)
    put(UInt16(2), 4)
    put(UInt32(0), 0, 262_144, linkType)
  }

  mutating func record(
    seconds: UInt32, fraction: UInt32, _ frame: [UInt8], originalLength: Int? = nil
  ) {
    put(seconds, fraction, UInt32(frame.count), UInt32(originalLength ?? frame.count))
    bytes += frame
  }

  // MARK: - pcapng

  mutating func block(_ type: UInt32, _ body: (inout CaptureBytes) -> Void) {
    var inner = CaptureBytes(bigEndian: isBigEndian)
    body(&inner)
    inner.pad()
    let length = UInt32(inner.bytes.count + 12)
    put(type, length)
    bytes += inner.bytes
    put(length)
  }

  mutating func option(_ code: UInt16, _ value: [UInt8]) {
    put(code, UInt16(value.count))
    bytes += value
    pad()
  }

  mutating func section() {
    block(0x0a0d_0d0a) {
      $0.put(UInt32(0x1a2b_3c4d))
      $0.put(UInt16(1), 0)
      $0.put(UInt64.max)
    }
  }

  mutating func interface(
    _ name: String? = nil, linkType: UInt16 = 1, snapshotLength: UInt32 = 0,
    resolution: UInt8? = nil, offsetSeconds: Int64? = nil, mac: [UInt8]? = nil
  ) {
    block(1) {
      $0.put(linkType, 0)
      $0.put(snapshotLength)
      if let name { $0.option(2, Array(name.utf8)) }
      if let mac { $0.option(6, mac) }
      if let resolution { $0.option(9, [resolution]) }
      if let offsetSeconds {
        $0.put(UInt16(14), 8)
        $0.put(offsetSeconds)
      }
      $0.put(UInt32(0))
    }
  }

  mutating func enhanced(
    interface: UInt32 = 0, ticks: UInt64 = 0, _ frame: [UInt8], originalLength: Int? = nil,
    flags: UInt32? = nil, comment: String? = nil
  ) {
    block(6) {
      $0.put(interface, UInt32(ticks >> 32), UInt32(truncatingIfNeeded: ticks))
      $0.put(UInt32(frame.count), UInt32(originalLength ?? frame.count))
      $0.bytes += frame
      $0.pad()
      if let comment { $0.option(1, Array(comment.utf8)) }
      if let flags {
        $0.put(UInt16(2), 4)
        $0.put(flags)
      }
      if comment != nil || flags != nil { $0.put(UInt32(0)) }
    }
  }

  mutating func simple(_ frame: [UInt8], originalLength: Int) {
    block(3) {
      $0.put(UInt32(originalLength))
      $0.bytes += frame
    }
  }

  mutating func obsolete(
    interface: UInt16, ticks: UInt64, _ frame: [UInt8], flags: UInt32? = nil
  ) {
    block(2) {
      $0.put(interface, 0)
      $0.put(UInt32(ticks >> 32), UInt32(truncatingIfNeeded: ticks))
      $0.put(UInt32(frame.count), UInt32(frame.count))
      $0.bytes += frame
      $0.pad()
      if let flags {
        $0.put(UInt16(2), 4)
        $0.put(flags, 0)
      }
    }
  }

  /// One of everything a pcapng reader must know, six packets on four interfaces.
  static func everything(bigEndian: Bool) -> [UInt8] {
    var capture = CaptureBytes(bigEndian: bigEndian)
    capture.section()
    capture.interface("eth0", resolution: 9)
    capture.interface("tun0", linkType: 101, snapshotLength: 4)
    // A name resolution block and one nobody has defined.
    capture.block(4) { $0.put(UInt32(0)) }
    capture.enhanced(ticks: 1_000_000_001, frame(1, 60), flags: 1)
    capture.enhanced(interface: 1, ticks: 2_000_000, frame(2, 4), originalLength: 99, flags: 2)
    capture.block(0x8000_0bad) { $0.put(UInt64(1), 2, 3) }
    capture.obsolete(interface: 0, ticks: 3_000_000_003, frame(3, 61), flags: 2)
    capture.simple(frame(4, 7), originalLength: 7)
    capture.section()
    capture.interface("eth0", resolution: 9)
    capture.interface(nil, linkType: 113, resolution: 0x80 | 10, offsetSeconds: 100)
    capture.enhanced(ticks: 5_000_000_005, frame(5, 62), comment: "a comment")
    capture.enhanced(interface: 1, ticks: 512, frame(6, 63))
    return capture.bytes
  }

  /// `length` bytes that differ from packet to packet.
  static func frame(_ number: UInt8, _ length: Int) -> [UInt8] {
    (0..<length).map { number &* 16 &+ UInt8(truncatingIfNeeded: $0) }
  }
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
