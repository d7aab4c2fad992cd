// The pcapng format (draft-ietf-opsawg-pcapng): sections of blocks, each section with a byte order
// and interfaces of its own. Blocks that carry no packet and no interface are passed over.

extension CaptureReader {
  private enum BlockType {
    static let section: UInt32 = 0x0a0d_0d0a
    static let interface: UInt32 = 1
    static let obsoletePacket: UInt32 = 2
    static let simplePacket: UInt32 = 3
    static let enhancedPacket: UInt32 = 6
  }

  /// More interfaces than any machine captures on; what lies beyond is damage.
  private static let mostInterfaces = 65_536

  mutating func readFirstSection() throws(CaptureError) {
    _ = try readSectionHeader()
  }

  /// The next packet of whichever kind of block, or nil at the end.
  mutating func nextPacketBlock() throws(CaptureError) -> CapturedFrame? {
    while true {
      guard try source.fill(8) else {
        endInside(expected: 8)
        return nil
      }
      let type = source.word32(0, swapped: swapped)
      let length = Int(source.word32(4, swapped: swapped))
      switch type {
      case BlockType.enhancedPacket:
        guard try fillBlock(length, atLeast: 32, "an enhanced packet block") else { return nil }
        return try enhancedPacket(length)
      case BlockType.simplePacket:
        guard try fillBlock(length, atLeast: 16, "a simple packet block") else { return nil }
        return try simplePacket(length)
      case BlockType.obsoletePacket:
        guard try fillBlock(length, atLeast: 32, "a packet block") else { return nil }
        return try obsoletePacket(length)
      case BlockType.interface:
        guard try fillBlock(length, atLeast: 20, "an interface description block") else {
          return nil
        }
        try describeInterface(length)
      case BlockType.section:
        guard try readSectionHeader() else { return nil }
      default:
        guard try skipBlock(type, length) else { return nil }
      }
    }
  }

  // MARK: - Blocks as such

  private func checkLength(
    _ length: Int, atLeast least: Int, _ what: @autoclosure () -> String
  ) throws(CaptureError) {
    guard length >= least, length & 3 == 0 else {
      throw damaged(
        """
        \(what()) of \(length) bytes cannot be (a multiple of 4, at least \(least)); \
        the \(packetCount) packets before it are good
        """)
    }
  }

  /// Makes the window hold the whole block. False when the capture is cut short in it.
  @inline(__always)
  private mutating func fillBlock(
    _ length: Int, atLeast least: Int, _ what: @autoclosure () -> String
  ) throws(CaptureError) -> Bool {
    try checkLength(length, atLeast: least, what())
    guard length <= ByteSource.longestWindow else {
      throw damaged(
        """
        \(what()) of \(length) bytes is longer than the \(ByteSource.longestWindow) that are \
        read; the \(packetCount) packets before it are good
        """)
    }
    guard try source.fill(length) else {
      endInside(expected: Int64(length))
      return false
    }
    let closing = Int(source.word32(length &- 4, swapped: swapped))
    guard closing == length else {
      throw damaged(
        """
        \(what()) says \(length) bytes at its start and \(closing) at its end; \
        the \(packetCount) packets before it are good
        """)
    }
    return true
  }

  /// Passes over a block of any length without keeping it.
  private mutating func skipBlock(_ type: UInt32, _ length: Int) throws(CaptureError) -> Bool {
    try checkLength(length, atLeast: 12, "a block of type \(type)")
    let (blockStart, present) = (source.offset, source.available)
    let skipped = try source.skip(Int64(length - 4))
    guard skipped, try source.fill(4) else {
      finished = true
      cut = CaptureCut(
        offset: blockStart,
        bytesPresent: max(
          Int64(present), source.offset - blockStart + Int64(source.available)),
        bytesExpected: Int64(length), packets: packetCount)
      return false
    }
    let closing = Int(source.word32(0, swapped: swapped))
    guard closing == length else {
      throw damaged(
        """
        a block of type \(type) says \(length) bytes at its start and \(closing) at its end; \
        the \(packetCount) packets before it are good
        """)
    }
    source.consume(4)
    return true
  }

  /// Calls `body` with each option's code and where its value is, until the options end or
  /// contradict the block's length: what then is left is of no use.
  @inline(__always)
  private func forEachOption(
    from optionsStart: Int, to optionsEnd: Int, _ body: (UInt16, Range<Int>) -> Void
  ) {
    var offset = optionsStart
    while optionsEnd &- offset >= 4 {
      let code = source.word16(offset, swapped: swapped)
      let length = Int(source.word16(offset &+ 2, swapped: swapped))
      offset &+= 4
      guard code != 0, length <= optionsEnd &- offset else { return }
      body(code, offset..<(offset &+ length))
      offset &+= (length &+ 3) & ~3
    }
  }

  // MARK: - Sections and interfaces

  /// The section header at the window's start. False when the capture is cut short in it.
  private mutating func readSectionHeader() throws(CaptureError) -> Bool {
    guard try source.fill(12) else {
      endInside(expected: 28)
      return false
    }
    let magic = source.word32(8, swapped: false)
    switch magic {
    case 0x1a2b_3c4d: swapped = false
    case 0x4d3c_2b1a: swapped = true
    default:
      throw damaged(
        "a section header without the byte-order magic 0x1a2b3c4d; this is not pcapng, or damaged")
    }
    let length = Int(source.word32(4, swapped: swapped))
    guard try fillBlock(length, atLeast: 28, "a section header") else { return false }
    let major = source.word16(12, swapped: swapped)
    guard major == 1 else {
      throw CaptureError(
        .unsupported, file: source.name, offset: source.offset,
        "a section of pcapng version \(major), of which only 1 is read")
    }
    source.consume(length)
    sectionInterfaces.removeAll(keepingCapacity: true)
    return true
  }

  private mutating func describeInterface(_ length: Int) throws(CaptureError) {
    let linkType = Int(source.word16(8, swapped: swapped))
    let snapshotLength = Int(source.word32(12, swapped: swapped))
    var interface = CaptureInterface(
      name: nil, linkType: linkType, snapshotLength: snapshotLength)
    var resolution: UInt8 = 6
    var offsetSeconds: UInt64 = 0
    forEachOption(from: 16, to: length - 4) { code, value in
      switch (code, value.count) {
      case (2, _): interface.name = text(value)
      case (3, _): interface.descriptionText = text(value)
      case (6, 6):
        interface.macAddress = value.reduce(0) { $0 << 8 | UInt64(source.byte($1)) }
      case (9, 1): resolution = source.byte(value.lowerBound)
      case (14, 8):
        let first = UInt64(source.word32(value.lowerBound, swapped: swapped))
        let second = UInt64(source.word32(value.lowerBound + 4, swapped: swapped))
        let isLittleEndianFile = swapped == (UInt32(1).bigEndian == 1)
        offsetSeconds = isLittleEndianFile ? second << 32 | first : first << 32 | second
      default: break
      }
    }
    sectionInterfaces.append(
      SectionInterface(
        index: try indexInCapture(of: interface), linkType: linkType,
        snapshotLength: snapshotLength,
        scale: TimestampScale(
          resolution: resolution, offsetSeconds: Int64(bitPattern: offsetSeconds))))
    source.consume(length)
  }

  /// Files put one behind the other describe the same interfaces again: one with the name, link
  /// type and address of an interface of an earlier section is that interface.
  private mutating func indexInCapture(
    of interface: CaptureInterface
  ) throws(CaptureError) -> Int {
    if interface.name != nil, let known = interfaces.firstIndex(of: interface),
      !sectionInterfaces.contains(where: { $0.index == known })
    {
      return known
    }
    guard interfaces.count < CaptureReader.mostInterfaces else {
      throw damaged("more than \(CaptureReader.mostInterfaces) interfaces")
    }
    interfaces.append(interface)
    return interfaces.count - 1
  }

  /// A string option: UTF-8, which some writers end with zeros.
  private func text(_ range: Range<Int>) -> String? {
    let bytes = range.map { source.byte($0) }.prefix { $0 != 0 }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  // MARK: - Packets

  @inline(__always)
  private func interface(_ number: Int) throws(CaptureError) -> SectionInterface {
    guard number < sectionInterfaces.count else {
      throw damaged(
        """
        a packet of interface \(number), where the section describes \(sectionInterfaces.count); \
        the \(packetCount) packets before it are good
        """)
    }
    return sectionInterfaces[number]
  }

  @inline(__always)
  private func checkFits(_ capturedLength: Int, _ room: Int) throws(CaptureError) {
    guard capturedLength <= room else {
      throw damaged(
        """
        a packet of \(capturedLength) bytes in a block with room for \(room); \
        the \(packetCount) packets before it are good
        """)
    }
  }

  private mutating func enhancedPacket(_ length: Int) throws(CaptureError) -> CapturedFrame {
    let number = Int(source.word32(8, swapped: swapped))
    return try packet(length, interfaceNumber: number)
  }

  private mutating func obsoletePacket(_ length: Int) throws(CaptureError) -> CapturedFrame {
    let number = Int(source.word16(8, swapped: swapped))
    return try packet(length, interfaceNumber: number)
  }

  /// What enhanced and obsolete packet blocks share: all but the interface's number.
  @inline(__always)
  private mutating func packet(
    _ length: Int, interfaceNumber: Int
  ) throws(CaptureError) -> CapturedFrame {
    let interface = try interface(interfaceNumber)
    let high = UInt64(source.word32(12, swapped: swapped))
    let low = UInt64(source.word32(16, swapped: swapped))
    let capturedLength = Int(source.word32(20, swapped: swapped))
    let originalLength = source.word32(24, swapped: swapped)
    try checkFits(capturedLength, length &- 32)
    let optionsStart = 28 &+ ((capturedLength &+ 3) & ~3)
    var direction: FrameDirection?
    forEachOption(from: optionsStart, to: length &- 4) { code, value in
      if code == 2, value.count == 4 {
        let flags = source.word32(value.lowerBound, swapped: swapped)
        direction = FrameDirection(rawValue: UInt8(flags & 3))
      }
    }
    return deliver(
      dataOffset: 28, capturedLength: capturedLength, originalLength: originalLength,
      recordLength: length, timeNanoseconds: interface.scale.nanoseconds(ticks: high << 32 | low),
      interface: interface, direction: direction)
  }

  /// A packet without a time, of the section's first interface; its length is the original one,
  /// cut to the interface's limit.
  private mutating func simplePacket(_ length: Int) throws(CaptureError) -> CapturedFrame {
    let interface = try interface(0)
    let originalLength = source.word32(8, swapped: swapped)
    let limit = interface.snapshotLength == 0 ? Int.max : interface.snapshotLength
    let capturedLength = min(Int(originalLength), limit)
    try checkFits(capturedLength, length &- 16)
    return deliver(
      dataOffset: 12, capturedLength: capturedLength, originalLength: originalLength,
      recordLength: length, timeNanoseconds: lastTimeNanoseconds, interface: interface,
      direction: nil)
  }
}
