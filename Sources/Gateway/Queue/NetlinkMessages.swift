// Messages to nfnetlink written and read: a header of netlink(7), four bytes of the subsystem's, attributes.
// For the ports that the kernel hands packets to.

#if os(Linux)
  import CLinux
  import Wire

  enum NetlinkField {
    /// `struct nlmsghdr` and `struct nfgenmsg`.
    static let headers = 20
    static let type = 4
    static let error = 16
    static let family = 16
    static let resource = 18
    /// Of an attribute: length and type, before its value.
    static let attribute = 4

    /// Whatever a number of this machine's order is stored as.
    static func native(_ value: UInt32) -> UInt32 { UInt32(bigEndian: value) }
    static func native(_ value: UInt16) -> UInt16 { UInt16(bigEndian: value) }
    static func padded(_ length: Int) -> Int { (length + 3) & ~3 }
  }

  /// Messages one behind the other, to be sent together.
  struct NetlinkWriter: ~Copyable {
    private(set) var buffer: PacketBuffer
    private var start = 0

    /// - Parameter capacity: bytes of all messages; who writes more than fits traps.
    init(capacity: Int) { buffer = PacketBuffer(capacity: capacity) }

    var count: Int { buffer.count }
    var room: Int { buffer.capacity - buffer.count }

    mutating func begin(_ type: UInt16, flags: UInt16, sequence: UInt32 = 0, resource: UInt16) {
      start = buffer.count
      buffer.resize(to: start + NetlinkField.headers)
      buffer.store16(NetlinkField.native(type), at: start + NetlinkField.type)
      buffer.store16(NetlinkField.native(flags), at: start + 6)
      buffer.store32(NetlinkField.native(sequence), at: start + 8)
      buffer.store32(0, at: start + 12)
      buffer.store16(0, at: start + NetlinkField.family)
      // In network order, unlike the rest.
      buffer.store16(resource, at: start + NetlinkField.resource)
    }

    /// An attribute's header; its value begins at the place returned.
    private mutating func put(_ type: Int, length: Int) -> Int {
      let at = buffer.count
      buffer.resize(to: at + NetlinkField.padded(NetlinkField.attribute + length))
      buffer.store16(
        NetlinkField.native(UInt16(NetlinkField.attribute + length)), at: at)
      buffer.store16(NetlinkField.native(UInt16(type)), at: at + 2)
      return at + NetlinkField.attribute
    }

    /// A number in network order.
    mutating func put(_ type: Int, _ value: UInt32) {
      let at = put(type, length: 4)
      buffer.store32(value, at: at)
    }

    /// Two numbers in network order.
    mutating func put(_ type: Int, _ first: UInt32, _ second: UInt32) {
      let at = put(type, length: 8)
      buffer.store32(first, at: at)
      buffer.store32(second, at: at + 4)
    }

    mutating func put(_ type: Int, _ value: RawSpan) {
      let at = put(type, length: value.byteCount)
      if value.byteCount > 0 { buffer.copy(value, at: at) }
    }

    mutating func end() {
      buffer.store32(NetlinkField.native(UInt32(buffer.count - start)), at: start)
    }

    mutating func removeAll() { buffer.removeAll() }
  }

  /// What the kernel says of one packet (`NFQNL_MSG_PACKET`).
  struct QueuedPacket: BitwiseCopyable {
    var number: UInt32 = 0
    /// `NF_INET_PRE_ROUTING` and so on.
    var hook: UInt8 = 0
    var isIPv6 = false
    /// The system's numbers of the interfaces; 0: none.
    var inDevice: Int32 = 0
    var outDevice: Int32 = 0
    var sourceMAC: UInt64?
    var userID: UInt32?
    var groupID: UInt32?
    /// It will be cut into segments when it leaves.
    var isSegmented = false
    /// Checksums are still to be filled in.
    var lacksChecksum = false
    /// Not all of it was handed over.
    var isCut = false
    /// Where the packet lies, bytes from the message's first.
    var offset = 0
    var length = 0

    /// Reads the attributes of a message; nil where it is another kind or makes no sense.
    init?(_ message: RawSpan) {
      guard message.byteCount >= NetlinkField.headers,
        NetlinkField.native(message.uint16(at: NetlinkField.type))
          == UInt16(NFNL_SUBSYS_QUEUE) << 8 | UInt16(NFQNL_MSG_PACKET.rawValue)
      else { return nil }
      var at = NetlinkField.headers
      var isNumbered = false
      while at + NetlinkField.attribute <= message.byteCount {
        let length = Int(NetlinkField.native(message.uint16(at: at)))
        let type = Int(NetlinkField.native(message.uint16(at: at + 2)) & 0x3fff)
        let value = at + NetlinkField.attribute
        let size = length - NetlinkField.attribute
        guard size >= 0, value + size <= message.byteCount else { return nil }
        switch type {
        case Int(NFQA_PACKET_HDR.rawValue) where size >= 7:
          number = message.uint32(at: value)
          let ether = message.uint16(at: value + 4)
          guard ether == 0x0800 || ether == 0x86dd else { return nil }
          isIPv6 = ether == 0x86dd
          hook = message.uint8(at: value + 6)
          isNumbered = true
        case Int(NFQA_IFINDEX_INDEV.rawValue) where size >= 4:
          inDevice = Int32(truncatingIfNeeded: message.uint32(at: value))
        case Int(NFQA_IFINDEX_OUTDEV.rawValue) where size >= 4:
          outDevice = Int32(truncatingIfNeeded: message.uint32(at: value))
        case Int(NFQA_HWADDR.rawValue) where size >= 12:
          guard message.uint16(at: value) == 6 else { break }
          sourceMAC =
            UInt64(message.uint32(at: value + 4)) << 16 | UInt64(message.uint16(at: value + 8))
        case Int(NFQA_SKB_INFO.rawValue) where size >= 4:
          let flags = message.uint32(at: value)
          lacksChecksum = flags & UInt32(NFQA_SKB_CSUMNOTREADY) != 0
          isSegmented = flags & UInt32(NFQA_SKB_GSO) != 0
        case Int(NFQA_CAP_LEN.rawValue): isCut = true
        case Int(NFQA_UID.rawValue) where size >= 4: userID = message.uint32(at: value)
        case Int(NFQA_GID.rawValue) where size >= 4: groupID = message.uint32(at: value)
        case Int(NFQA_PAYLOAD.rawValue):
          offset = value
          self.length = size
        default: break
        }
        at += max(NetlinkField.padded(length), NetlinkField.attribute)
      }
      guard isNumbered else { return nil }
    }
  }
#endif
