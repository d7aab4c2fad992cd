// Reads captures, packet by packet: pcap and pcapng, either byte order, gzip or not, from a file, a
// pipe or memory. Made for replay: no allocation a packet, and no waiting for bytes beyond one.

/// A capture being read. Each packet is there as soon as its own bytes have arrived.
///
/// Reading is our own and not libpcap's, which says nothing of interface names or `epb_flags` and
/// refuses files with several link types (see pcap-savefile(5), pcapng: draft-ietf-opsawg-pcapng).
///
/// Memory is one window of 1 MiB, which grows with the longest packet up to 16 MiB.
public struct CaptureReader: ~Copyable {
  var source: ByteSource
  /// Every interface the capture has described so far; grows while a pcapng capture is read.
  public internal(set) var interfaces: [CaptureInterface] = []
  /// Set once the capture turned out to end in the middle of something.
  public internal(set) var cut: CaptureCut?
  /// How many packets have been delivered.
  public internal(set) var packetCount = 0

  /// The file's byte order is not this machine's.
  var swapped = false
  /// Ended, or damaged beyond reading on.
  var finished = false
  /// Where the last frame's bytes are in the source's buffer.
  var frameStart = 0
  var frameEnd = 0
  var lastTimeNanoseconds: Int64 = 0

  var format: Format
  /// pcap: length of a packet's header, and of the longest packet believed.
  var recordHeaderLength = 16
  var longestRecord = 0
  /// The current section's interfaces by their number in it (pcap: the only one).
  var sectionInterfaces: [SectionInterface] = []
  var sectionNumber = 0

  enum Format {
    case pcap
    case pcapng
  }

  /// An interface of the current section: what a packet needs to know of it.
  struct SectionInterface {
    var index: Int
    var linkType: Int
    var snapshotLength: Int
    var scale: TimestampScale
  }

  /// Opens a capture; `-` is standard input.
  public init(path: String) throws(CaptureError) {
    if path == "-" {
      try self.init(fileDescriptor: 0, name: "standard input", closing: false)
      return
    }
    guard let descriptor = SystemCalls.openForReading(path) else {
      throw CaptureError(
        .cannotOpen, file: path, "cannot be opened: \(SystemCalls.lastErrorText())")
    }
    try self.init(fileDescriptor: descriptor, name: path, closing: true)
  }

  /// Reads from an open file descriptor, which is closed at the end if `closing`.
  public init(fileDescriptor: Int32, name: String, closing: Bool) throws(CaptureError) {
    try self.init(
      source: ByteSource(descriptor: fileDescriptor, closing: closing, name: name))
  }

  /// Reads a capture that is in memory.
  public init(bytes: [UInt8], name: String) throws(CaptureError) {
    try self.init(source: ByteSource(bytes: bytes, name: name))
  }

  private init(source opened: consuming ByteSource) throws(CaptureError) {
    self.source = opened
    self.format = .pcapng
    var kind = try CaptureSignature.read(&source)
    if kind == .gzip {
      source.decompress()
      kind = try CaptureSignature.read(&source)
    }
    switch kind {
    case .pcap(let swapped, let nanoseconds, let recordHeaderLength):
      self.format = .pcap
      self.swapped = swapped
      self.recordHeaderLength = recordHeaderLength
      try readFileHeader(nanoseconds: nanoseconds)
    case .pcapng:
      try readFirstSection()
    case .gzip:
      throw CaptureError(
        .unsupported, file: source.name, "is compressed twice; undo one with `gzip -d`")
    case .other(let what):
      throw CaptureError(.notACapture, file: source.name, what)
    }
  }

  /// The next frame, or nil at the end (then `cut` says whether it was the end of the capture).
  /// Its bytes are `frameBytes`. O(1) beside the reading of the bytes.
  ///
  /// After an error every later call gives nil.
  public mutating func next() throws(CaptureError) -> CapturedFrame? {
    frameStart = 0
    frameEnd = 0
    if finished { return nil }
    do throws(CaptureError) {
      return switch format {
      case .pcap: try nextRecord()
      case .pcapng: try nextPacketBlock()
      }
    } catch {
      finished = true
      throw error
    }
  }

  /// The bytes of the frame `next()` gave last, from the link layer's header on; none before the
  /// first call and after the end. Valid until the next call.
  public var frameBytes: RawSpan {
    @inline(__always)
    @_lifetime(borrow self)
    get { source.bytes.extracting(frameStart..<frameEnd) }
  }

  /// The name messages should use: the path, or `standard input`.
  public var name: String { source.name }

  // MARK: - Shared by both formats

  /// The stream ended with less than `expected` bytes of a record, from the window's start on.
  mutating func endInside(expected: Int64) {
    finished = true
    if source.available == 0 && !source.compressionWasCut { return }
    cut = CaptureCut(
      offset: source.offset, bytesPresent: Int64(source.available), bytesExpected: expected,
      packets: packetCount)
  }

  func damaged(_ message: String) -> CaptureError {
    CaptureError(.damaged, file: source.name, offset: source.offset, message)
  }

  /// Notes the frame at `dataOffset` behind the window's start and passes over its whole record.
  @inline(__always)
  mutating func deliver(
    dataOffset: Int, capturedLength: Int, originalLength: UInt32, recordLength: Int,
    timeNanoseconds: Int64, interface: SectionInterface, direction: FrameDirection?
  ) -> CapturedFrame {
    frameStart = source.start &+ dataOffset
    frameEnd = frameStart &+ capturedLength
    source.consume(recordLength)
    packetCount &+= 1
    lastTimeNanoseconds = timeNanoseconds
    return CapturedFrame(
      number: packetCount, timeNanoseconds: timeNanoseconds, interfaceIndex: interface.index,
      linkType: interface.linkType, direction: direction, capturedLength: capturedLength,
      originalLength: Int(originalLength))
  }
}
