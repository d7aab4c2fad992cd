// Packet filters in the language of tcpdump (pcap-filter(7)), for those who want to see only part of
// a capture. Compiling and running them is libpcap's; nothing else here is.

import CPcap

/// A compiled filter expression for frames of one link type.
@safe
public struct PacketFilter: ~Copyable {
  // Safe to wrap: the program is private, written once here and freed once in `deinit`.
  private let program: UnsafeMutablePointer<bpf_program>

  /// Compiles `text`, such as `tcp port 443`. `linkType` as in `CapturedFrame`.
  public init(_ text: String, linkType: Int) throws(CaptureError) {
    let linkLayer = Int32(truncatingIfNeeded: linkType)
    // A handle for compiling only; the link types Weir meets are libpcap's own numbers.
    guard let handle = unsafe pcap_open_dead(PacketFilter.dataLinkType(linkLayer), 262_144) else {
      throw CaptureError(.badFilter, file: "filter", "there is no memory to compile it")
    }
    // Opened just above, used nowhere else.
    defer { unsafe pcap_close(handle) }
    // Owned by this value; freed in `deinit`, or below when compiling fails.
    let program = UnsafeMutablePointer<bpf_program>.allocate(capacity: 1)
    unsafe program.initialize(to: bpf_program())
    // `text` is passed as a C string for the call; netmask unknown, as for any capture file.
    guard unsafe pcap_compile(handle, program, text, 1, bpf_u_int32.max) == 0 else {
      // The handle's own message, copied at once.
      let words = unsafe String(cString: pcap_geterr(handle))
      unsafe program.deallocate()
      throw CaptureError(.badFilter, file: "filter", "`\(text)`: \(words) (see pcap-filter(7))")
    }
    unsafe self.program = program
  }

  deinit {
    // Compiled in `init`, and the value is not copyable.
    unsafe pcap_freecode(program)
    unsafe program.deallocate()
  }

  /// Whether the filter takes this frame. O(length of the filter); no allocation.
  public func matches(_ bytes: RawSpan, originalLength: Int) -> Bool {
    var header = pcap_pkthdr()
    header.caplen = UInt32(clamping: bytes.byteCount)
    header.len = UInt32(clamping: originalLength)
    return unsafe bytes.withUnsafeBytes { frame in
      guard let base = frame.baseAddress else { return false }
      // libpcap reads at most `caplen` bytes from `base`, and the program libpcap compiled.
      return unsafe pcap_offline_filter(
        program, &header, base.assumingMemoryBound(to: UInt8.self)) != 0
    }
  }

  /// libpcap's number on this machine for a link type of the registry: the same but for raw IP.
  private static func dataLinkType(_ linkType: Int32) -> Int32 {
    linkType == Int32(LinkType.raw) ? DLT_RAW : linkType
  }
}
