// The pcap format (pcap-savefile(5)): one header, one interface without a name, and records, with
// times in microseconds or nanoseconds. Read too: the variant of 1990s Linux with longer records.

extension CaptureReader {
  private static let fileHeaderLength = 24
  /// libpcap's own limit, for captures whose header says less.
  private static let usualLongestRecord = 256 << 10

  mutating func readFileHeader(nanoseconds: Bool) throws(CaptureError) {
    guard try source.fill(CaptureReader.fileHeaderLength) else {
      endInside(expected: Int64(CaptureReader.fileHeaderLength))
      return
    }
    let major = source.word16(4, swapped: swapped)
    let minor = source.word16(6, swapped: swapped)
    let snapshotLength = Int(source.word32(16, swapped: swapped))
    // The upper half holds the length of a frame check sequence, which readers of IP need not know.
    let linkType = Int(source.word32(20, swapped: swapped) & 0xffff)
    guard major == 2 else {
      throw CaptureError(
        .unsupported, file: source.name,
        "is pcap version \(major).\(minor), of which only 2 is read; convert it with `editcap`")
    }
    source.consume(CaptureReader.fileHeaderLength)
    longestRecord = min(
      max(snapshotLength, CaptureReader.usualLongestRecord),
      ByteSource.longestWindow - recordHeaderLength)
    interfaces = [
      CaptureInterface(name: nil, linkType: linkType, snapshotLength: snapshotLength)
    ]
    sectionInterfaces = [
      SectionInterface(
        index: 0, linkType: linkType, snapshotLength: snapshotLength,
        scale: nanoseconds ? .nanoseconds : .microseconds)
    ]
  }

  mutating func nextRecord() throws(CaptureError) -> CapturedFrame? {
    let headerLength = recordHeaderLength
    guard try source.fill(headerLength) else {
      endInside(expected: Int64(headerLength))
      return nil
    }
    let capturedLength = Int(source.word32(8, swapped: swapped))
    guard capturedLength <= longestRecord else {
      throw damaged(
        """
        a packet of \(capturedLength) bytes cannot be, where at most \(longestRecord) are kept; \
        the \(packetCount) packets before it are good
        """)
    }
    guard try source.fill(headerLength &+ capturedLength) else {
      endInside(expected: Int64(headerLength &+ capturedLength))
      return nil
    }
    let seconds = UInt64(source.word32(0, swapped: swapped))
    let fraction = UInt64(source.word32(4, swapped: swapped))
    let originalLength = source.word32(12, swapped: swapped)
    let interface = sectionInterfaces[0]
    // 32 bits of each: no sum or product here can overflow 64.
    let perSecond: UInt64 = interface.scale == .nanoseconds ? 1 : 1_000
    let time = Int64(seconds &* 1_000_000_000 &+ fraction &* perSecond)
    return deliver(
      dataOffset: headerLength, capturedLength: capturedLength, originalLength: originalLength,
      recordLength: headerLength &+ capturedLength, timeNanoseconds: time, interface: interface,
      direction: nil)
  }
}
