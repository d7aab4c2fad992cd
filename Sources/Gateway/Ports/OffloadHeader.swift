// The ten bytes before a packet that say what its sender left for a network card to do: checksums, and
// cutting into segments (`struct virtio_net_hdr`, virtio 1.2, 5.1.6). For the TUN and packet ports, whose
// packets come from this machine's own sockets.

#if os(Linux)
  import CLinux
  import Wire

  /// What is left to be done to a packet.
  package struct OffloadHeader {
    package static let length = 10
    /// VIRTIO_NET_HDR_GSO_UDP_L4, which older headers lack.
    private static let udpSegments: UInt8 = 5

    var needsChecksum = false
    /// The kind of segments; `VIRTIO_NET_HDR_GSO_NONE` where it is one packet.
    var segmentation: UInt8 = 0
    /// Payload bytes of a segment.
    var segmentSize: UInt16 = 0
    /// Where the checksum begins, and where its field is from there; bytes from the frame's first.
    var checksumStart = 0
    var checksumOffset = 0

    /// Nothing is left to be done.
    init() {}

    /// Reads the header at `offset`; its words are in this machine's order.
    package init(_ bytes: RawSpan, at offset: Int) {
      let flags = bytes.uint8(at: offset)
      needsChecksum = flags & UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0
      segmentation = bytes.uint8(at: offset + 1) & ~UInt8(VIRTIO_NET_HDR_GSO_ECN)
      segmentSize = UInt16(bigEndian: bytes.uint16(at: offset + 4).littleEndian)
      checksumStart = Int(UInt16(bigEndian: bytes.uint16(at: offset + 6).littleEndian))
      checksumOffset = Int(UInt16(bigEndian: bytes.uint16(at: offset + 8).littleEndian))
    }

    /// Of a frame that says nothing about itself: its sender left the checksum of TCP or UDP out if its field
    /// holds the pseudo header's sum, as Linux leaves it there for a card to find, and is wrong as it is.
    ///
    /// One corrupted packet in 65,536 looks like that too.
    package init(unfinished frame: RawSpan) {
      let base = Ethernet.headerLength
      guard frame.byteCount > base else { return }
      let packet = frame.slice(base..<frame.byteCount)
      var headers = PacketHeaders()
      let family: AddressFamily
      switch frame.uint16(at: 12) {
      case Ethernet.ipv4: family = .ipv4
      case Ethernet.ipv6: family = .ipv6
      default: return
      }
      guard PacketHeaders.decodeAgain(packet, family: family, into: &headers) == nil,
        !headers.isFragment, OffloadHeader.transportHeader(packet, headers) != nil
      else { return }
      let at = headers.transportOffset
      let field =
        headers.transportProtocol == IPProtocolNumber.tcp ? TCPField.checksum : UDPField.checksum
      let pseudo = InternetChecksum.pseudoHeader(
        source: headers.source, destination: headers.destination,
        transportProtocol: headers.transportProtocol, length: headers.end - at)
      guard packet.uint16(at: at + field) == InternetChecksum.fold(pseudo) else { return }
      let all = InternetChecksum.sum(packet, from: at, to: headers.end, initial: pseudo)
      needsChecksum = InternetChecksum.fold(all) != 0xffff
      checksumStart = base + at
      checksumOffset = field
    }

    var isSegmented: Bool { segmentation != UInt8(VIRTIO_NET_HDR_GSO_NONE) && segmentSize > 0 }

    /// Puts the checksum into a packet whose sender left it out. Its field holds the pseudo header's sum.
    ///
    /// - Parameter base: what lies before the packet in the frame, bytes.
    /// - Returns: false where the header points outside of the packet.
    func complete(_ packet: inout PacketBuffer, base: Int) -> Bool {
      guard needsChecksum else { return true }
      let start = checksumStart - base
      let field = start + checksumOffset
      guard start >= 0, field + 2 <= packet.count else { return false }
      let sum = InternetChecksum.sum(packet.bytes, from: start, to: packet.count)
      // UDP's field may not become 0, which means none; for TCP all ones is the same number.
      packet.store16(InternetChecksum.udp(InternetChecksum.checksum(sum)), at: field)
      return true
    }

    /// Writes the header for a packet that leaves, and makes its checksum what the card expects to find:
    /// the pseudo header's sum. A packet that is not to be cut needs nothing.
    ///
    /// - Parameters:
    ///   - packet: layer 3, right behind `base` bytes of its frame.
    /// - Returns: false, and a header that asks for nothing, where it cannot be cut.
    static func write(
      _ header: inout MutableRawSpan, for packet: inout MutableRawSpan, segmentSize: UInt16,
      base: Int
    ) -> Bool {
      for place in 0..<length { header.store8(0, at: place) }
      guard segmentSize > 0 else { return true }
      var headers = PacketHeaders()
      let family: AddressFamily = packet.bytes.uint8(at: 0) >> 4 == 4 ? .ipv4 : .ipv6
      guard PacketHeaders.decodeAgain(packet.bytes, family: family, into: &headers) == nil,
        let length = transportHeader(packet.bytes, headers)
      else { return false }
      let at = headers.transportOffset
      let isTCP = headers.transportProtocol == IPProtocolNumber.tcp
      let field = isTCP ? TCPField.checksum : UDPField.checksum
      let sum = InternetChecksum.pseudoHeader(
        source: headers.source, destination: headers.destination,
        transportProtocol: headers.transportProtocol, length: headers.end - at)
      packet.store16(InternetChecksum.fold(sum), at: at + field)
      header.store8(UInt8(VIRTIO_NET_HDR_F_NEEDS_CSUM), at: 0)
      let tcp = family == .ipv4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6
      header.store8(isTCP ? UInt8(tcp) : udpSegments, at: 1)
      func store(_ value: Int, at place: Int) {
        header.storeBytes(of: UInt16(value), toByteOffset: place, as: UInt16.self)
      }
      store(base + at + length, at: 2)
      store(Int(segmentSize), at: 4)
      store(base + at, at: 6)
      store(field, at: 8)
      return true
    }

    /// The length of the header that each segment has; nil where there is none whole.
    private static func transportHeader(_ packet: RawSpan, _ headers: PacketHeaders) -> Int? {
      let room = headers.end - headers.transportOffset
      switch headers.transportProtocol {
      case IPProtocolNumber.tcp where room >= TCPField.minimumLength:
        return Int(packet.uint8(at: headers.transportOffset + TCPField.dataOffset) >> 4) * 4
      case IPProtocolNumber.udp where room >= UDPField.headerLength:
        return UDPField.headerLength
      default: return nil
      }
    }

    /// Bytes of layer 3 of the longest segment that a packet will be cut into.
    static func longestSegment(_ packet: RawSpan, segmentSize: UInt16) -> Int {
      var headers = PacketHeaders()
      let family: AddressFamily = packet.uint8(at: 0) >> 4 == 4 ? .ipv4 : .ipv6
      guard PacketHeaders.decodeAgain(packet, family: family, into: &headers) == nil,
        let header = transportHeader(packet, headers)
      else { return packet.byteCount }
      return headers.transportOffset + header + Int(segmentSize)
    }
  }
#endif
